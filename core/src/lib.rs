//! Reliable Server Pooling (RSerPool, RFC 5351 to 5356) and SCTP (RFC 9260) as state machines
//! that need no operating system, no allocator and no clock.
//!
//! Every machine is driven the same way; see [`machine`]. Memory is lent by the caller, time and
//! randomness are handed in, and what a machine wants to say is pulled out of it.
//!
//! Deliberately absent: sockets, threads, `async`, allocation, recursion, globals, `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub(crate) mod fmt;

pub mod association;
pub mod entropy;
pub mod identifier;
pub mod machine;
pub mod profile;
pub mod time;

pub mod store;
pub mod wire;

pub mod policy;

pub mod handlespace;

pub mod asap;
pub mod enrp;

pub mod sctp;

pub mod compute;

/// A size of tables: smaller with feature `small`. (Its unit tests use the same as all others.)
pub(crate) const fn few(on_boards: usize, elsewhere: usize) -> usize {
    if cfg!(all(feature = "small", not(test))) { on_boards } else { elsewhere }
}
