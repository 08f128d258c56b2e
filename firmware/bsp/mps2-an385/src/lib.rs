//! What firmware needs of Arm's MPS2 board with the AN385 image (a Cortex-M3 of 25 MHz), as QEMU
//! emulates it: `qemu-system-arm -M mps2-an385`.
//!
//! - [`start`] starts the clock (a time driver for `embassy-time`, 1 MHz) and gives out the rest;
//! - [`run`] is an executor that sleeps by WFI (QEMU treats WFE as a short pause and spins);
//! - [`uart`] reads lines from UART0, which QEMU connects to what `-serial` says;
//! - [`host`] talks to QEMU itself by semihosting: arguments, randomness, exit status;
//! - [`stack`] tells how deep the stack has been;
//! - a panic ends QEMU with status 101, a hard fault with 102.
//!
//! Deliberately absent: everything that firmware on this board does not use, such as the display.
#![no_std]

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

mod clock;
mod executor;
mod fault;
pub mod host;
mod registers;
pub mod stack;
pub mod uart;
mod vectors;

pub use executor::run;
pub use lan9118;
use lan9118::{Buffers, Lan9118, Mmio, State};
use static_cell::ConstStaticCell;

/// The network chip of this board.
pub type Nic = Lan9118<'static, Mmio>;

/// Starts the clock, the UART and the network chip.
///
/// # Errors
///
/// If the network chip does not start.
///
/// # Panics
///
/// If called twice.
pub fn start() -> Result<Nic, lan9118::Error> {
    static BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());
    clock::start();
    uart::start();
    let nic = Lan9118::new(vectors::nic_registers(), &NIC, BUFFERS.take(), None)?;
    vectors::enable();
    Ok(nic)
}

/// What the network chip's driver shares with its interrupt handler.
pub static NIC: State = State::new();
