//! Index-linked containers over slices that the caller lends.
//!
//! A link is a slot number plus one, so that 0 means "none" and memory that is all zero bits is an
//! empty container. Nothing here allocates, recurses or knows what it holds.
//!
//! Deliberately absent: hash maps, whose order could reach the wire, and every O(n) pause.

pub(crate) mod id_tree;
pub(crate) mod list;
pub(crate) mod order;
pub(crate) mod slab;
pub(crate) mod tree;

/// A slot number plus one; 0 is "none".
pub(crate) type Link = u32;

/// The slot that `link`, which must not be 0, names.
pub(crate) const fn slot(link: Link) -> usize {
    debug_assert!(link != 0);
    (link as usize).wrapping_sub(1)
}

/// What `link` names; `None` if it is 0. The test for 0 and that of the bounds are one.
pub(crate) fn get<T>(slots: &[T], link: Link) -> Option<&T> {
    slots.get((link as usize).wrapping_sub(1))
}

/// The same, to change it.
pub(crate) fn get_mut<T>(slots: &mut [T], link: Link) -> Option<&mut T> {
    slots.get_mut((link as usize).wrapping_sub(1))
}

/// The link that names `slot`.
pub(crate) const fn link_to(slot: usize) -> Link {
    debug_assert!(slot < SLOTS_MAX);
    slot as u32 + 1
}

/// The most slots of one kind; two bits of a link are in use for balances.
pub(crate) const SLOTS_MAX: usize = (1 << 30) - 2;
