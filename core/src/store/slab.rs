//! Which slots are in use: those never used yet lie above a mark, the others are in a free list.

use super::{Link, link_to, slot};

/// A slot that can hold a link while it is free.
pub(crate) trait Free {
    fn next_free(&mut self) -> &mut Link;
}

impl Free for super::id_tree::IdNode {
    fn next_free(&mut self) -> &mut Link {
        &mut self.links.child[0]
    }
}

/// The free slots of a slice. All zero bits: every slot is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slab {
    /// Slots from here on were never used.
    mark: u32,
    free: Link,
    /// How many slots are in use.
    pub(crate) count: u32,
}

impl Slab {
    pub(crate) const EMPTY: Self = Self { mark: 0, free: 0, count: 0 };

    /// How many more slots can be taken from a slice of `len`.
    pub(crate) fn room(&self, len: usize) -> usize {
        len.saturating_sub(self.count as usize)
    }

    /// Takes a slot; the one that was freed last comes first, as it is in the cache.
    pub(crate) fn take<T: Free>(&mut self, slots: &mut [T]) -> Option<Link> {
        let link = if self.free != 0 {
            let link = self.free;
            self.free = core::mem::take(slots[slot(link)].next_free());
            link
        } else {
            let mark = self.mark as usize;
            if mark >= slots.len().min(super::SLOTS_MAX) {
                return None;
            }
            self.mark += 1;
            link_to(mark)
        };
        self.count += 1;
        Some(link)
    }

    /// Gives a slot back.
    pub(crate) fn give_back<T: Free>(&mut self, slots: &mut [T], link: Link) {
        *slots[slot(link)].next_free() = core::mem::replace(&mut self.free, link);
        self.count -= 1;
    }
}
