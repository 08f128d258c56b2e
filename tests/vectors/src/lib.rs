//! Checks of `rserpool-core` that need neither allocator nor operating system, so that the same
//! code runs on the host (`cargo test -p rserpool-vectors`) and on the emulated board (`cargo
//! xtask firmware test`).
//!
//! A check is a plain function: it panics if something is wrong, and returns a [`Trace`]'s digest
//! of all that it saw. The board's digests must be the host's, so a difference shows even where no
//! expectation is written down.
//!
//! [`for_each_check!`] is the one list of them; whoever runs them expands it.
#![no_std]

mod cookies;
mod crc;
mod hours;
mod kernels;
mod policies;
mod scope;
mod sctp;
mod trace;
mod wire;

pub use cookies::{compute_cookies, hmac_sha256, sealed_cookies, sha256};
pub use crc::crc32c;
pub use hours::{HOURS, Hours, hours};
pub use kernels::{fractal_tiles, monte_carlo, sha_prefix, synthetic_load};
pub use policies::policies;
pub use scope::Clock;
pub use sctp::{sctp_exchange, sctp_exchange_with_loss};
pub use trace::Trace;
pub use wire::{captured_messages, example_messages, rfc_layouts};

/// Expands to `$callback! { name name ... }` with the names of all checks, each a function of this
/// crate from nothing to a digest.
#[macro_export]
macro_rules! for_each_check {
    ($callback:ident) => {
        $callback! {
            captured_messages
            example_messages
            rfc_layouts
            policies
            crc32c
            sha256
            hmac_sha256
            fractal_tiles
            monte_carlo
            sha_prefix
            synthetic_load
            sealed_cookies
            compute_cookies
            sctp_exchange
            sctp_exchange_with_loss
        }
    };
}

macro_rules! table {
    ($($name:ident)*) => {
        /// All checks by name.
        pub const CHECKS: &[(&str, fn() -> u64)] = &[$((stringify!($name), $name)),*];
    };
}

for_each_check!(table);
