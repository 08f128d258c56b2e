//! What ends the emulation with an exit status of its own.

use core::panic::PanicInfo;

use semihosting::process::exit;

#[panic_handler]
fn on_panic(_info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    crate::say!("{}", _info);
    exit(101)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_frame: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::say!("hard fault at {:#010x}, called from {:#010x}", _frame.pc(), _frame.lr());
    exit(102)
}
