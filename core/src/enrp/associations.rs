//! The table of associations: found by number in constant time, ended in the order decided.
//!
//! A chained hash table whose buckets, chains and free list are links in the slots themselves.
//! The driver, not the peer, numbers associations, and it counts up, so the number modulo the
//! length spreads them evenly.

use core::net::IpAddr;

use crate::association::{ADDRESSES_MAX, AssociationId};

use super::tables::{AssociationSlot, AssociationState};

/// What there is of the table beside its slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Associations {
    /// Whether the free list has been laid out.
    ready: bool,
    /// First slot of the free list, plus 1.
    free: u32,
    /// First and last slot in the queue of associations to end, plus 1.
    ending_first: u32,
    ending_last: u32,
    /// How many slots are in use.
    count: u32,
}

/// Why an association cannot be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddError {
    Known,
    Full,
}

impl Associations {
    pub(super) const NEW: Self =
        Self { ready: false, free: 0, ending_first: 0, ending_last: 0, count: 0 };

    /// How many associations there are.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// Adds an association that has come up.
    pub(super) fn add(
        &mut self,
        slots: &mut [AssociationSlot],
        id: AssociationId,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<(), AddError> {
        if !self.ready {
            self.lay_out(slots);
        }
        if find(slots, id).is_some() {
            return Err(AddError::Known);
        }
        let place = self.free.checked_sub(1).ok_or(AddError::Full)? as usize;
        let bucket = bucket_of(slots, id).ok_or(AddError::Full)?;
        self.free = slots[place].chain_next;
        let (chain_head, chain_next) = (slots[place].chain_head, slots[bucket].chain_head);
        slots[place] = AssociationSlot {
            state: AssociationState::Up,
            id,
            port,
            chain_head,
            chain_next,
            ..AssociationSlot::FREE
        };
        for (kept, &address) in slots[place].addresses.iter_mut().zip(addresses) {
            *kept = address.to_canonical();
        }
        slots[place].address_count = addresses.len().min(ADDRESSES_MAX) as u8;
        slots[bucket].chain_head = place as u32 + 1;
        self.count += 1;
        Ok(())
    }

    /// Forgets an association, whatever it was doing.
    pub(super) fn remove(&mut self, slots: &mut [AssociationSlot], id: AssociationId) {
        let (Some(place), Some(bucket)) = (find(slots, id), bucket_of(slots, id)) else {
            return;
        };
        let state = slots[place].state;
        if matches!(state, AssociationState::AbortOwed | AssociationState::ShutdownOwed) {
            self.unqueue(slots, place);
        }
        let link = place as u32 + 1;
        let next = slots[place].chain_next;
        if slots[bucket].chain_head == link {
            slots[bucket].chain_head = next;
        } else {
            let before = chain(slots, bucket).find(|&at| slots[at].chain_next == link);
            slots[before.expect("a slot that was found is in its chain")].chain_next = next;
        }
        let chain_head = slots[place].chain_head;
        slots[place] =
            AssociationSlot { chain_head, chain_next: self.free, ..AssociationSlot::FREE };
        self.free = link;
        self.count -= 1;
    }

    /// Decides to end an association that is up. Returns whether it was.
    pub(super) fn end(
        &mut self,
        slots: &mut [AssociationSlot],
        id: AssociationId,
        how: AssociationState,
    ) -> bool {
        debug_assert!(matches!(how, AssociationState::AbortOwed | AssociationState::ShutdownOwed));
        let Some(place) = find(slots, id) else {
            return false;
        };
        match slots[place].state {
            AssociationState::Up => {}
            // What is queued for a shutdown can still be aborted instead.
            AssociationState::ShutdownOwed if how == AssociationState::AbortOwed => {
                slots[place].state = how;
                return true;
            }
            _ => return false,
        }
        slots[place].state = how;
        slots[place].ending_next = 0;
        let link = place as u32 + 1;
        match self.ending_last.checked_sub(1) {
            Some(last) => slots[last as usize].ending_next = link,
            None => self.ending_first = link,
        }
        self.ending_last = link;
        true
    }

    /// The next association that the driver has to be told to end, and how.
    pub(super) fn next_ending(
        &mut self,
        slots: &mut [AssociationSlot],
    ) -> Option<(AssociationId, AssociationState)> {
        let place = self.ending_first.checked_sub(1)? as usize;
        let (id, how) = (slots[place].id, slots[place].state);
        self.unqueue(slots, place);
        slots[place].state = AssociationState::Closing;
        Some((id, how))
    }

    fn unqueue(&mut self, slots: &mut [AssociationSlot], place: usize) {
        let link = place as u32 + 1;
        let next = slots[place].ending_next;
        let mut before = 0;
        let mut at = self.ending_first;
        // The queue is no longer than the table.
        while at != 0 && at != link {
            before = at;
            at = slots[at as usize - 1].ending_next;
        }
        debug_assert_eq!(at, link, "what is to end is in the queue");
        match before {
            0 => self.ending_first = next,
            before => slots[before as usize - 1].ending_next = next,
        }
        if self.ending_last == link {
            self.ending_last = before;
        }
        slots[place].ending_next = 0;
    }

    /// Puts all slots into the free list, the first in front.
    fn lay_out(&mut self, slots: &mut [AssociationSlot]) {
        self.free = 0;
        for (place, slot) in slots.iter_mut().enumerate().rev() {
            *slot = AssociationSlot { chain_next: self.free, ..AssociationSlot::FREE };
            self.free = place as u32 + 1;
        }
        self.ready = true;
    }
}

/// The slot of an association.
pub(super) fn slot(
    slots: &mut [AssociationSlot],
    id: AssociationId,
) -> Option<&mut AssociationSlot> {
    find(slots, id).and_then(|place| slots.get_mut(place))
}

fn bucket_of(slots: &[AssociationSlot], id: AssociationId) -> Option<usize> {
    (id.0 as usize).checked_rem(slots.len())
}

fn find(slots: &[AssociationSlot], id: AssociationId) -> Option<usize> {
    let bucket = bucket_of(slots, id)?;
    chain(slots, bucket).find(|&place| slots[place].id == id)
}

/// Walks the chain of a bucket; it is no longer than the table.
fn chain(slots: &[AssociationSlot], bucket: usize) -> impl Iterator<Item = usize> {
    let first = slots[bucket].chain_head.checked_sub(1).map(|place| place as usize);
    core::iter::successors(first, |&place| {
        slots[place].chain_next.checked_sub(1).map(|place| place as usize)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use super::*;
    use crate::entropy::{Entropy, SplitMix64};

    const PEER: [IpAddr; 1] = [IpAddr::V4(core::net::Ipv4Addr::LOCALHOST)];

    #[test]
    fn associations_are_found_until_removed() {
        let mut slots = [AssociationSlot::FREE; 3];
        let mut table = Associations::NEW;
        // Two of them share a bucket.
        for id in [4, 7, 9] {
            assert_eq!(table.add(&mut slots, AssociationId(id), &PEER, 1), Ok(()));
        }
        let refused = table.add(&mut slots, AssociationId(7), &PEER, 1);
        assert_eq!(refused, Err(AddError::Known));
        assert_eq!(table.add(&mut slots, AssociationId(8), &PEER, 1), Err(AddError::Full));
        table.remove(&mut slots, AssociationId(4));
        assert!(slot(&mut slots, AssociationId(4)).is_none());
        assert!(slot(&mut slots, AssociationId(7)).is_some());
        assert_eq!(table.add(&mut slots, AssociationId(8), &PEER, 1), Ok(()));
        assert_eq!(table.count(), 3);
    }

    #[test]
    fn a_table_without_slots_is_full() {
        let mut table = Associations::NEW;
        assert_eq!(table.add(&mut [], AssociationId(0), &PEER, 1), Err(AddError::Full));
        assert!(slot(&mut [], AssociationId(0)).is_none());
    }

    #[test]
    fn associations_end_in_the_order_decided_and_once() {
        let mut slots = [AssociationSlot::FREE; 4];
        let mut table = Associations::NEW;
        for id in 0..4 {
            table.add(&mut slots, AssociationId(id), &PEER, 1).unwrap();
        }
        for (id, how) in [
            (2, AssociationState::AbortOwed),
            (0, AssociationState::ShutdownOwed),
            (3, AssociationState::ShutdownOwed),
            (1, AssociationState::AbortOwed),
        ] {
            assert!(table.end(&mut slots, AssociationId(id), how));
        }
        assert!(!table.end(&mut slots, AssociationId(2), AssociationState::ShutdownOwed));
        assert!(table.end(&mut slots, AssociationId(3), AssociationState::AbortOwed));
        table.remove(&mut slots, AssociationId(0));
        let order: Vec<_> = core::iter::from_fn(|| table.next_ending(&mut slots)).collect();
        let abort = |id| (AssociationId(id), AssociationState::AbortOwed);
        assert_eq!(order, [abort(2), abort(3), abort(1)]);
        assert!(!table.end(&mut slots, AssociationId(1), AssociationState::AbortOwed));
    }

    #[test]
    fn random_use_agrees_with_a_set() {
        let mut random = SplitMix64::new(11);
        let mut slots = [AssociationSlot::FREE; 13];
        let mut table = Associations::NEW;
        let mut model = BTreeSet::new();
        for _ in 0..if cfg!(miri) { 20 } else { 20_000 } {
            let id = random.below(40) as u32;
            if random.below(2) == 0 {
                let added = table.add(&mut slots, AssociationId(id), &PEER, 1).is_ok();
                assert_eq!(added, !model.contains(&id) && model.len() < 13);
                if added {
                    model.insert(id);
                }
            } else {
                table.remove(&mut slots, AssociationId(id));
                model.remove(&id);
            }
            assert_eq!(table.count() as usize, model.len());
            for id in 0..40 {
                assert_eq!(find(&slots, AssociationId(id)).is_some(), model.contains(&id));
            }
        }
    }
}
