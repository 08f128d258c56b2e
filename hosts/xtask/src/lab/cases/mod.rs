//! The cases: each a story of a few checks, from an empty network on.

mod announces;
mod boards;
mod crafted;
mod crash_input;
mod csp;
mod fractal;
mod hsdump;
mod kernel_data;
pub(super) mod kernel_multihomed;
pub(super) mod kernel_transport;
mod mixed;
mod our_element;
mod our_kernel_registrar;
mod our_registrar;
mod our_trouble;
mod ours;
mod probe;
mod rsplib;
mod services;
mod trouble;

use std::time::Duration;

use anyhow::Result;

use super::Lab;

/// A case.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// After this time it is ended, whatever it does.
    pub(crate) patience: Duration,
    /// Whether it needs the boards' firmware.
    pub(crate) has_boards: bool,
    pub(crate) run: fn(&mut Lab) -> Result<()>,
}

/// All of them, in the order in which they run. Each stands in the file that tells it.
pub(crate) static CASES: &[Case] = &[
    our_element::CASE,
    our_registrar::CASE,
    announces::OF_RSPLIB,
    announces::OF_OURS,
    trouble::CASE,
    our_trouble::CASE,
    kernel_data::UDP,
    kernel_data::RAW,
    kernel_multihomed::CASE,
    kernel_multihomed::SLOW,
    kernel_transport::CASE,
    our_kernel_registrar::CASE,
    crash_input::CASE,
    csp::CASE,
    hsdump::CASE,
    mixed::ONE_OF_OURS,
    mixed::TWO_OF_OURS,
    mixed::TAKEOVER_TIME,
    fractal::CASE,
    services::UDP,
    services::KERNEL,
    services::RSPLIB,
    boards::RAW,
    boards::UDP,
];
