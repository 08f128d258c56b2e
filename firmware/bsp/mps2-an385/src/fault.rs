//! What ends the emulation with an exit status of its own.

use core::panic::PanicInfo;

use semihosting::process::exit;

#[panic_handler]
fn on_panic(_info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    #[cfg(feature = "defmt")]
    defmt::error!("{}", defmt::Display2Format(_info));
    #[cfg(feature = "messages")]
    semihosting::println!("{_info}");
    exit(101)
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_frame: &cortex_m_rt::ExceptionFrame) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("hard fault at {:#010x}, called from {:#010x}", _frame.pc(), _frame.lr());
    #[cfg(feature = "messages")]
    semihosting::println!("hard fault at {:#010x} from {:#010x}", _frame.pc(), _frame.lr());
    exit(102)
}
