//! An executor whose idle state is WFI.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

/// Runs tasks for ever, beginning with those that `start` spawns.
///
/// # Panics
///
/// If called twice.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    let executor: &'static raw::Executor =
        EXECUTOR.init_with(|| raw::Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    loop {
        // SAFETY: it is called here only, so never while it runs.
        unsafe { executor.poll() };
        // With interrupts disabled, one that comes now is pending and makes WFI return at once.
        cortex_m::interrupt::disable();
        if PENDING.load(Ordering::Relaxed) {
            PENDING.store(false, Ordering::Relaxed);
        } else {
            cortex_m::asm::wfi();
        }
        // SAFETY: no critical section is open here.
        unsafe { cortex_m::interrupt::enable() };
    }
}

/// A task was woken since the last look.
static PENDING: AtomicBool = AtomicBool::new(false);

/// Called by the executor's wakers.
// SAFETY: the executor asks for a function of this name.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    PENDING.store(true, Ordering::Relaxed);
}
