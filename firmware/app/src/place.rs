//! Building large things where they are to stay.

use core::mem::ManuallyDrop;

/// Memory for something that is built once and for ever; as long as it is empty, all bits are
/// zero.
#[derive(Debug)]
#[repr(u8)]
pub(crate) enum Place<T> {
    Empty = 0,
    /// Never dropped, so it may borrow from what lies beside it.
    Taken(ManuallyDrop<T>) = 1,
}

impl<T> Place<T> {
    /// Builds a part where it is to stay.
    ///
    /// Not inlined: what is on the stack for a moment here would be there for ever in the caller.
    #[inline(never)]
    pub(crate) fn put(&mut self, part: impl FnOnce() -> T) -> &mut T {
        *self = Self::Taken(ManuallyDrop::new(part()));
        match self {
            Self::Taken(part) => part,
            Self::Empty => unreachable!("it was just taken"),
        }
    }
}
