//! How deep the stack has been.

/// The most bytes of stack that were in use at any time since the start.
///
/// The start code has painted the stack; what is not painted any more has been used.
#[must_use]
pub fn high_water() -> u32 {
    unsafe extern "C" {
        static _stack_start: u32;
        static _stack_end: u32;
    }
    let top = &raw const _stack_start;
    let mut low = &raw const _stack_end;
    // SAFETY: the linker gives both symbols, and what is between them is RAM.
    while low < top && unsafe { low.read_volatile() } == cortex_m_rt::STACK_PAINT_VALUE {
        low = low.wrapping_add(1);
    }
    (top as usize - low as usize) as u32
}
