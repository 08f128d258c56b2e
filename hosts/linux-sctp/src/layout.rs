//! Fields of the kernel's structures, as bytes in this machine's order.
//!
//! A structure that libc has no type for is written and read field by field, at the offsets of
//! `linux/sctp.h`. Bytes have no padding to leave uninitialised and no alignment to respect, so
//! none of this needs `unsafe`.

/// A structure under construction; what is not set is zero.
#[derive(Debug)]
pub(crate) struct Record<const LEN: usize>([u8; LEN]);

impl<const LEN: usize> Record<LEN> {
    pub(crate) fn new() -> Self {
        Self([0; LEN])
    }

    #[must_use]
    pub(crate) fn with<const SIZE: usize>(mut self, offset: usize, field: [u8; SIZE]) -> Self {
        self.0[offset..offset + SIZE].copy_from_slice(&field);
        self
    }

    #[must_use]
    pub(crate) fn u16(self, offset: usize, value: u16) -> Self {
        self.with(offset, value.to_ne_bytes())
    }

    #[must_use]
    pub(crate) fn u32(self, offset: usize, value: u32) -> Self {
        self.with(offset, value.to_ne_bytes())
    }

    #[must_use]
    pub(crate) fn i32(self, offset: usize, value: i32) -> Self {
        self.with(offset, value.to_ne_bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

/// A structure that the kernel filled; `None` for a field beyond its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u16(self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_ne_bytes)
    }

    pub(crate) fn u16_be(self, offset: usize) -> Option<u16> {
        self.array(offset).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_ne_bytes)
    }

    pub(crate) fn u32_be(self, offset: usize) -> Option<u32> {
        self.array(offset).map(u32::from_be_bytes)
    }

    pub(crate) fn i32(self, offset: usize) -> Option<i32> {
        self.array(offset).map(i32::from_ne_bytes)
    }

    pub(crate) fn usize(self, offset: usize) -> Option<usize> {
        self.array(offset).map(usize::from_ne_bytes)
    }

    pub(crate) fn array<const SIZE: usize>(self, offset: usize) -> Option<[u8; SIZE]> {
        self.0.get(offset..)?.first_chunk().copied()
    }

    /// All that stands from `offset` on.
    pub(crate) fn rest(self, offset: usize) -> &'a [u8] {
        self.0.get(offset..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read_and_the_rest_is_zero() {
        let record = Record::<12>::new().u16(2, 0x1234).i32(4, -5);
        let fields = Fields(record.bytes());
        assert_eq!((fields.u16(0), fields.u16(2)), (Some(0), Some(0x1234)));
        assert_eq!((fields.i32(4), fields.u32(8)), (Some(-5), Some(0)));
    }

    #[test]
    fn beyond_the_end_there_is_nothing() {
        let fields = Fields(&[1, 2, 3]);
        assert_eq!((fields.u32(0), fields.u16(2), fields.u16(9)), (None, None, None));
        assert_eq!((fields.rest(2), fields.rest(4)), (&[3][..], &[][..]));
    }
}
