//! What a check saw, boiled down to a number.

use core::fmt;

/// Takes in bytes and text, and gives their FNV-1a digest of 64 bits. It need not withstand
/// anybody, only tell two runs apart.
#[derive(Clone, Copy, Debug)]
pub struct Trace(u64);

impl Trace {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Takes in what a value shows of itself.
    pub fn value(&mut self, value: impl fmt::Debug) {
        fmt::Write::write_fmt(self, format_args!("{value:?};")).expect("it never fails");
    }

    /// The digest.
    #[must_use]
    pub const fn digest(self) -> u64 {
        self.0
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
