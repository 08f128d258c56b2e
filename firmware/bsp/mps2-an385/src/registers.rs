//! The registers of the board's own peripherals (not of the network chip).

/// One register, 32 bits wide.
#[derive(Clone, Copy)]
pub(crate) struct Register(usize);

impl Register {
    pub(crate) fn read(self) -> u32 {
        let address = core::ptr::with_exposed_provenance::<u32>(self.0);
        // SAFETY: only the constants below are registers, and all of them are mapped.
        unsafe { address.read_volatile() }
    }

    pub(crate) fn write(self, value: u32) {
        let address = core::ptr::with_exposed_provenance_mut::<u32>(self.0);
        // SAFETY: only the constants below are registers, and none of them touches memory.
        unsafe { address.write_volatile(value) }
    }
}

// CMSDK timer 1: counts down with the system clock.
pub(crate) const TIMER1_CONTROL: Register = Register(0x4000_1000);
pub(crate) const TIMER1_VALUE: Register = Register(0x4000_1004);
pub(crate) const TIMER1_RELOAD: Register = Register(0x4000_1008);
pub(crate) const TIMER1_INT_CLEAR: Register = Register(0x4000_100c);

// CMSDK UART 0.
pub(crate) const UART0_DATA: Register = Register(0x4000_4000);
pub(crate) const UART0_STATE: Register = Register(0x4000_4004);
pub(crate) const UART0_CONTROL: Register = Register(0x4000_4008);
pub(crate) const UART0_INT_CLEAR: Register = Register(0x4000_400c);
pub(crate) const UART0_BAUD_DIVIDER: Register = Register(0x4000_4010);

// FPGA input and output: a counter behind a divider.
pub(crate) const FPGA_COUNTER: Register = Register(0x4002_8018);
pub(crate) const FPGA_PRESCALE: Register = Register(0x4002_801c);
