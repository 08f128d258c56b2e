//! The interrupt vectors and their handlers.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use lan9118::Mmio;

use crate::{NIC, clock, uart};

unsafe extern "C" {
    fn DefaultHandler();
}

/// The table of interrupts, after the 16 exceptions of the processor.
// SAFETY: cortex-m-rt puts a table of this name behind the exceptions; the board has 32 lines.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [unsafe extern "C" fn(); 32] = {
    let mut vectors = [DefaultHandler as unsafe extern "C" fn(); 32];
    vectors[Line::Uart0Receive as usize] = on_uart;
    vectors[Line::Timer1 as usize] = on_timer;
    vectors[Line::Ethernet as usize] = on_ethernet;
    vectors
};

/// The interrupt lines in use.
#[derive(Clone, Copy)]
enum Line {
    Uart0Receive = 0,
    Timer1 = 9,
    Ethernet = 13,
}

// SAFETY: these are the numbers of the board's lines.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Lets the interrupts through.
pub(crate) fn enable() {
    for line in [Line::Uart0Receive, Line::Timer1, Line::Ethernet] {
        // SAFETY: what the handlers need is started, and no mask-based critical section is used.
        unsafe { NVIC::unmask(line) };
    }
}

/// The registers of the network chip.
pub(crate) fn nic_registers() -> Mmio {
    // SAFETY: the chip is at this address; the driver and the handler below alone use it.
    unsafe { Mmio::new(0x4020_0000) }
}

extern "C" fn on_uart() {
    uart::on_received();
}

extern "C" fn on_timer() {
    clock::ring();
}

extern "C" fn on_ethernet() {
    NIC.on_interrupt(&mut nic_registers());
}
