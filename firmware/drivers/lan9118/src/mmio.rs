//! Registers in memory: the only place with `unsafe` code.
#![expect(unsafe_code, reason = "registers are at addresses that only the caller knows")]

use crate::Registers;

/// A chip on the memory bus, 32 bits wide.
#[derive(Debug)]
pub struct Mmio {
    base: *mut u32,
}

// SAFETY: the registers belong to the chip and not to a thread; single accesses are atomic.
unsafe impl Send for Mmio {}

impl Mmio {
    /// The chip at the address `base`, for example `0x4020_0000` on the MPS2 boards.
    ///
    /// # Safety
    ///
    /// From `base` on there are the 256 bytes of a chip's registers, aligned to 4, mapped as
    /// device memory for as long as the value is used. Only one driver and its interrupt handler
    /// access them.
    #[must_use]
    pub const unsafe fn new(base: usize) -> Self {
        Self { base: core::ptr::with_exposed_provenance_mut(base) }
    }

    /// The register at an offset in bytes.
    fn register(&self, offset: usize) -> *mut u32 {
        debug_assert!(offset < REGISTERS_LEN && offset.is_multiple_of(4));
        self.base.wrapping_byte_add(offset)
    }
}

impl Registers for Mmio {
    fn read(&mut self, offset: usize) -> u32 {
        // SAFETY: the offset is inside of what `new` was promised.
        unsafe { self.register(offset).read_volatile() }
    }

    fn write(&mut self, offset: usize, value: u32) {
        // SAFETY: the offset is inside of what `new` was promised.
        unsafe { self.register(offset).write_volatile(value) }
    }
}

/// The length of the register block.
const REGISTERS_LEN: usize = 0x100;
