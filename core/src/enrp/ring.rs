//! A queue in slots that somebody else keeps.

/// Where in its slots a queue begins and how long it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ring {
    first: usize,
    len: usize,
}

impl Ring {
    pub(super) const NEW: Self = Self { first: 0, len: 0 };

    /// How many more entries there is room for.
    pub(super) const fn free<T>(&self, slots: &[T]) -> usize {
        slots.len().saturating_sub(self.len)
    }

    /// Appends `entry`. Returns whether there was room.
    pub(super) fn push<T>(&mut self, slots: &mut [T], entry: T) -> bool {
        if self.free(slots) == 0 {
            return false;
        }
        let place = (self.first + self.len) % slots.len();
        slots[place] = entry;
        self.len += 1;
        true
    }

    /// Takes the oldest entry.
    pub(super) fn pop<T: Copy>(&mut self, slots: &[T]) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        let entry = slots.get(self.first).copied();
        self.first = (self.first + 1) % slots.len().max(1);
        entry
    }

    /// Visits the entries, oldest first.
    pub(super) fn for_each<T>(&self, slots: &mut [T], mut visit: impl FnMut(&mut T)) {
        for step in 0..self.len {
            let place = (self.first + step) % slots.len();
            visit(&mut slots[place]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn entries_leave_as_they_came_and_none_is_overwritten() {
        let mut slots = [0; 3];
        let mut ring = Ring::NEW;
        for round in 0..5 {
            for entry in 0..3 {
                assert!(ring.push(&mut slots, round * 10 + entry));
            }
            assert!(!ring.push(&mut slots, 99));
            ring.for_each(&mut slots, |entry| *entry += 1);
            assert_eq!(ring.pop(&slots), Some(round * 10 + 1));
            assert!(ring.push(&mut slots, round * 10 + 4));
            let rest: Vec<_> = core::iter::from_fn(|| ring.pop(&slots)).collect();
            assert_eq!(rest, [round * 10 + 2, round * 10 + 3, round * 10 + 4]);
        }
    }

    #[test]
    fn a_ring_without_slots_takes_nothing() {
        let mut ring = Ring::NEW;
        assert!(!ring.push(&mut [], 1));
        assert_eq!(ring.pop::<i32>(&[]), None);
    }
}
