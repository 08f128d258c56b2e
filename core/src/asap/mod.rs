//! The pool element and pool user sides of ASAP (RFC 5352).

pub mod cookie;
mod timers;

pub use timers::{Timers, registration_life_on_wire};
