//! A microcontroller as a pool element that computes: everything but the board.
//!
//! - [`settings`]: the page of settings, its defaults at build time, and changes as text;
//! - [`node`]: SCTP endpoint, pool element and worker as one machine without sockets or clock;
//! - [`net`] and [`tasks`]: the same over embassy-net, for a board to start.
//!
//! A board's program makes its network driver and its `embassy_net::Stack` from
//! [`net::config`] and [`net::Resources`], spawns embassy-net's runner, and awaits
//! [`tasks::run_element`].
//!
//! Deliberately absent: allocation, `unsafe`, anything that knows a board.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod identity;
#[cfg_attr(not(feature = "element"), path = "bare.rs")]
pub mod node;
mod place;
pub mod random;
pub mod settings;

#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod tasks;

mod types;

pub use types::{Command, Event, MESSAGE_LEN_MAX, Status};
