//! The pool element and pool user sides of ASAP (RFC 5352).

pub mod cookie;
mod hunt;
mod timers;

pub use hunt::{ASAP_PORT, CANDIDATES_MAX, REGISTRARS_MAX, RegistrarsFull};
pub use timers::{Timers, registration_life_on_wire};
