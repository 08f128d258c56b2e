//! What the tests on the board need: the digests that the same checks gave on the host that
//! compiled them, to compare with, and the board's clock.
#![no_std]

use core::future::Future as _;
use core::pin::pin;
use core::task::{Context, Waker};

use embassy_time::Timer;
use rserpool_core::time::Instant;
use rserpool_vectors::Clock;

/// Checks by name with the host's digests.
pub const HOST_DIGESTS: &[(&str, u64)] = include!(concat!(env!("OUT_DIR"), "/digests.rs"));

/// The host's digest of a check.
///
/// # Panics
///
/// If there is no such check.
#[must_use]
pub fn host_digest(name: &str) -> u64 {
    let found = HOST_DIGESTS.iter().find(|(known, _)| *known == name);
    found.expect("the same list made both").1
}

/// The board's timer; the processor sleeps until it rings.
#[derive(Debug)]
pub struct BoardClock(());

impl BoardClock {
    /// Starts the timer.
    ///
    /// # Panics
    ///
    /// If the board does not start.
    #[must_use]
    pub fn start() -> Self {
        assert!(mps2_an385_bsp::start().is_ok(), "the board does not start");
        Self(())
    }
}

impl Clock for BoardClock {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time::Instant::now().as_micros())
    }

    /// Counted by instructions, the timer of QEMU 10.0 rings more often in its second round than
    /// in its first; without `-icount` it does not. So each sleep is half of what is left.
    fn sleep_until(&mut self, at: Instant) {
        loop {
            let left = at.saturating_duration_since(self.now()).as_micros() as u64;
            if left == 0 {
                return;
            }
            if left > NAP_US_MIN {
                nap(left / 2);
            }
        }
    }
}

/// What is shorter is waited for awake.
const NAP_US_MIN: u64 = 20;

/// Lets the processor sleep until the timer rings.
fn nap(micros: u64) {
    let mut timer = pin!(Timer::after_micros(micros));
    let mut context = Context::from_waker(Waker::noop());
    // Interrupts are held back from the look at the timer until the processor sleeps, so that
    // none goes by unnoticed: WFI wakes up for one that is pending, and then it is served.
    let mut is_over = false;
    while !is_over {
        cortex_m::interrupt::free(|_| {
            is_over = timer.as_mut().poll(&mut context).is_ready();
            if !is_over {
                cortex_m::asm::wfi();
            }
        });
    }
}
