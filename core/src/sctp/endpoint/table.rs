//! How an endpoint finds its associations: by address, by deadline, by what they owe.
//!
//! All structures are woven into the slots by index, so they take no memory of their own and grow
//! with the storage: a hash table (bucket heads and chains), a binary heap of deadlines, two
//! queues, and the list of free slots. An index is kept plus one; 0 is none.

use core::net::IpAddr;

use crate::sctp::association::{State, Tcb};
use crate::sctp::storage::Slot;
use crate::time::Instant;

/// What ties a slot to others.
#[derive(Debug)]
pub(in crate::sctp) struct Links {
    /// Head of the chain of the bucket with this slot's index.
    bucket_head: u32,
    /// The next in the chain that this slot is in, or in the list of free slots.
    next: u32,
    /// The slot at the place of the heap with this slot's index.
    heap_entry: u32,
    /// This slot's place in the heap.
    heap_place: u32,
    deadline: Instant,
    queue_next: [u32; 2],
    is_queued: [bool; 2],
    /// Whether the slot has an association.
    is_taken: bool,
    /// Whether its association can be found by address.
    is_hashed: bool,
    generation: u32,
}

impl Links {
    pub(in crate::sctp) const EMPTY: Self = Self {
        bucket_head: 0,
        next: 0,
        heap_entry: 0,
        heap_place: 0,
        deadline: Instant::ZERO,
        queue_next: [0; 2],
        is_queued: [false; 2],
        is_taken: false,
        is_hashed: false,
        generation: 0,
    };
}

/// The two queues of associations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    /// Those that may have a packet to send.
    Transmit = 0,
    /// Those that have an event.
    Event = 1,
}

/// The entry points into the structures.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Slots from here on were never used.
    fresh: u32,
    free: u32,
    bucket_count: u32,
    heap_len: u32,
    queue_head: [u32; 2],
    queue_tail: [u32; 2],
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            fresh: 0,
            free: 0,
            bucket_count: 0,
            heap_len: 0,
            queue_head: [0; 2],
            queue_tail: [0; 2],
        }
    }

    /// The free slot that is taken next.
    pub(super) fn next_free(&self, slots: &[Slot]) -> Option<usize> {
        if self.free != 0 {
            return Some(at(self.free));
        }
        let fresh = self.fresh as usize;
        (fresh < slots.len()).then_some(fresh)
    }

    /// Takes a free slot.
    pub(super) fn take(&mut self, slots: &mut [Slot]) -> Option<usize> {
        let index = self.next_free(slots)?;
        if self.free != 0 {
            self.free = slots[index].links.next;
        } else {
            self.fresh += 1;
        }
        let links = &mut slots[index].links;
        links.next = 0;
        links.is_taken = true;
        Some(index)
    }

    /// Frees a slot; handles to it are refused from now on.
    pub(super) fn free(&mut self, slots: &mut [Slot], index: usize) {
        self.unhash(slots, index);
        self.schedule(slots, index, None);
        let links = &mut slots[index].links;
        debug_assert!(links.is_taken, "freed twice");
        links.is_taken = false;
        links.generation = links.generation.wrapping_add(1);
        links.next = self.free;
        self.free = link(index);
    }

    /// Whether the association in a slot is not over.
    pub(super) fn is_up(slots: &[Slot], index: usize) -> bool {
        slots.get(index).is_some_and(|slot| slot.tcb.state != State::Closed)
    }

    /// The generation of a taken slot.
    pub(super) fn generation(slots: &[Slot], index: usize) -> Option<u32> {
        let links = &slots.get(index)?.links;
        links.is_taken.then_some(links.generation)
    }

    /// Lets the association of a slot be found by its ports and address.
    pub(super) fn hash(&mut self, slots: &mut [Slot], index: usize) {
        self.fit_buckets(slots);
        self.chain(slots, index);
    }

    /// Grows the number of buckets with the storage.
    fn fit_buckets(&mut self, slots: &mut [Slot]) {
        let count = slots.len() as u32;
        if self.bucket_count != 0 && count < self.bucket_count.saturating_mul(2) {
            return;
        }
        self.bucket_count = count;
        for slot in slots.iter_mut() {
            slot.links.bucket_head = 0;
        }
        for index in 0..self.fresh as usize {
            if slots[index].links.is_hashed {
                self.chain(slots, index);
            }
        }
    }

    fn chain(&mut self, slots: &mut [Slot], index: usize) {
        let bucket = self.bucket(slots[index].tcb.local_port, slots[index].tcb.remote_port);
        slots[index].links.next = slots[bucket].links.bucket_head;
        slots[index].links.is_hashed = true;
        slots[bucket].links.bucket_head = link(index);
    }

    /// Lets it be found no more.
    pub(super) fn unhash(&mut self, slots: &mut [Slot], index: usize) {
        if !slots[index].links.is_hashed {
            return;
        }
        let bucket = self.bucket(slots[index].tcb.local_port, slots[index].tcb.remote_port);
        let next = slots[index].links.next;
        slots[index].links.is_hashed = false;
        if slots[bucket].links.bucket_head == link(index) {
            slots[bucket].links.bucket_head = next;
            return;
        }
        let mut walk = slots[bucket].links.bucket_head;
        while walk != 0 {
            let links = &mut slots[at(walk)].links;
            if links.next == link(index) {
                links.next = next;
                return;
            }
            walk = links.next;
        }
    }

    fn bucket(&self, local_port: u16, remote_port: u16) -> usize {
        let ports = u32::from(local_port) << 16 | u32::from(remote_port);
        let mixed = u64::from(ports.wrapping_mul(0x9e37_79b9));
        // The high bits of the product choose, in place of a division.
        ((mixed * u64::from(self.bucket_count)) >> 32) as usize
    }

    /// The association with these ports and `own_tag`, or else the one with these ports whose peer
    /// is known to be at `remote`. The tag comes first, and an address that was only listed does
    /// not count: anybody may list an address of somebody else.
    pub(super) fn find(
        &self,
        slots: &[Slot],
        ports: (u16, u16),
        remote: IpAddr,
        own_tag: u32,
    ) -> Option<usize> {
        // Every association that can be found has a tag, and 0 is none.
        self.find_by(slots, ports, |tcb| tcb.own_tag == own_tag)
            .or_else(|| self.find_by(slots, ports, |tcb| tcb.is_confirmed_at(remote)))
    }

    /// The association with these ports, the local one first, of which `is_it` is true.
    pub(super) fn find_by(
        &self,
        slots: &[Slot],
        (local_port, remote_port): (u16, u16),
        is_it: impl Fn(&Tcb) -> bool,
    ) -> Option<usize> {
        if self.bucket_count == 0 {
            return None;
        }
        let mut walk = slots[self.bucket(local_port, remote_port)].links.bucket_head;
        while walk != 0 {
            let index = at(walk);
            let Slot { tcb, links } = &slots[index];
            if tcb.local_port == local_port && tcb.remote_port == remote_port && is_it(tcb) {
                return Some(index);
            }
            walk = links.next;
        }
        None
    }

    /// Puts a slot at the end of a queue unless it is in it.
    pub(super) fn enqueue(&mut self, slots: &mut [Slot], queue: Queue, index: usize) {
        let queue = queue as usize;
        let links = &mut slots[index].links;
        if links.is_queued[queue] {
            return;
        }
        links.is_queued[queue] = true;
        links.queue_next[queue] = 0;
        match self.queue_tail[queue] {
            0 => self.queue_head[queue] = link(index),
            tail => slots[at(tail)].links.queue_next[queue] = link(index),
        }
        self.queue_tail[queue] = link(index);
    }

    /// Takes the first slot out of a queue.
    pub(super) fn dequeue(&mut self, slots: &mut [Slot], queue: Queue) -> Option<usize> {
        let queue = queue as usize;
        let head = self.queue_head[queue];
        if head == 0 {
            return None;
        }
        let links = &mut slots[at(head)].links;
        links.is_queued[queue] = false;
        self.queue_head[queue] = links.queue_next[queue];
        if self.queue_head[queue] == 0 {
            self.queue_tail[queue] = 0;
        }
        Some(at(head))
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self, slots: &[Slot]) -> Option<Instant> {
        self.first_due(slots).map(|(deadline, _)| deadline)
    }

    /// The slot with the earliest deadline.
    pub(super) fn first_due(&self, slots: &[Slot]) -> Option<(Instant, usize)> {
        if self.heap_len == 0 {
            return None;
        }
        let index = at(slots.first()?.links.heap_entry);
        Some((slots[index].links.deadline, index))
    }

    /// Sets, moves or removes the deadline of a slot.
    pub(super) fn schedule(&mut self, slots: &mut [Slot], index: usize, to: Option<Instant>) {
        let Links { heap_place: place, deadline, .. } = slots[index].links;
        match (place, to) {
            (0, None) => {}
            // Most of what happens moves no deadline.
            (1.., Some(to)) if to == deadline => {}
            (0, Some(deadline)) => {
                slots[index].links.deadline = deadline;
                let last = self.heap_len as usize;
                self.heap_len += 1;
                self.put(slots, last, index);
                self.sift_up(slots, last);
            }
            (place, Some(deadline)) => {
                slots[index].links.deadline = deadline;
                self.sift_up(slots, at(place));
                self.sift_down(slots, at(slots[index].links.heap_place));
            }
            (place, None) => {
                slots[index].links.heap_place = 0;
                self.heap_len -= 1;
                let last = self.heap_len as usize;
                let moved = at(slots[last].links.heap_entry);
                if at(place) != last {
                    self.put(slots, at(place), moved);
                    self.sift_up(slots, at(place));
                    self.sift_down(slots, at(slots[moved].links.heap_place));
                }
            }
        }
    }

    fn put(&self, slots: &mut [Slot], place: usize, index: usize) {
        slots[place].links.heap_entry = link(index);
        slots[index].links.heap_place = link(place);
    }

    fn deadline_at(&self, slots: &[Slot], place: usize) -> Instant {
        slots[at(slots[place].links.heap_entry)].links.deadline
    }

    fn swap(&self, slots: &mut [Slot], a: usize, b: usize) {
        let (at_a, at_b) = (at(slots[a].links.heap_entry), at(slots[b].links.heap_entry));
        self.put(slots, a, at_b);
        self.put(slots, b, at_a);
    }

    fn sift_up(&self, slots: &mut [Slot], mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.deadline_at(slots, parent) <= self.deadline_at(slots, place) {
                break;
            }
            self.swap(slots, parent, place);
            place = parent;
        }
    }

    fn sift_down(&self, slots: &mut [Slot], mut place: usize) {
        let len = self.heap_len as usize;
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            if left >= len {
                break;
            }
            let right_is_less =
                right < len && self.deadline_at(slots, right) < self.deadline_at(slots, left);
            let child = if right_is_less { right } else { left };
            if self.deadline_at(slots, place) <= self.deadline_at(slots, child) {
                break;
            }
            self.swap(slots, place, child);
            place = child;
        }
    }
}

/// The index that a link stands for.
const fn at(link: u32) -> usize {
    debug_assert!(link != 0, "no index");
    link.wrapping_sub(1) as usize
}

const fn link(index: usize) -> u32 {
    index as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SplitMix64};
    use core::net::Ipv4Addr;
    use std::vec::Vec;

    fn slots(count: usize) -> Vec<Slot> {
        (0..count).map(|_| Slot::EMPTY).collect()
    }

    fn take(table: &mut Table, slots: &mut [Slot], port: u16, last: u8) -> usize {
        let index = table.take(slots).unwrap();
        slots[index].tcb.local_port = 3863;
        slots[index].tcb.remote_port = port;
        let path = &mut slots[index].tcb.paths[0];
        path.remote = Ipv4Addr::new(10, 0, 0, last).into();
        path.is_confirmed = true;
        slots[index].tcb.path_count = 1;
        slots[index].tcb.own_tag = 100 + u32::from(last);
        table.hash(slots, index);
        index
    }

    #[test]
    fn associations_are_found_by_tag_and_else_by_a_confirmed_address() {
        let (mut table, mut slots) = (Table::new(), slots(4));
        let a = take(&mut table, &mut slots, 5000, 1);
        let b = take(&mut table, &mut slots, 5000, 2);
        let find = |table: &Table, slots: &[Slot], last: u8, tag| {
            table.find(slots, (3863, 5000), Ipv4Addr::new(10, 0, 0, last).into(), tag)
        };
        assert_eq!(find(&table, &slots, 1, 0), Some(a));
        assert_eq!(find(&table, &slots, 2, 101), Some(a));
        assert_eq!(find(&table, &slots, 9, 102), Some(b));
        assert_eq!(find(&table, &slots, 9, 0), None);
        slots[b].tcb.paths[0].is_confirmed = false;
        assert_eq!(find(&table, &slots, 2, 0), None);
        assert_eq!(find(&table, &slots, 2, 102), Some(b));
        slots[b].tcb.paths[0].is_confirmed = true;
        table.free(&mut slots, a);
        assert_eq!(find(&table, &slots, 1, 0), None);
        assert_eq!(find(&table, &slots, 2, 0), Some(b));
        assert_eq!(take(&mut table, &mut slots, 5000, 3), a);
        assert_eq!(Table::generation(&slots, a), Some(1));
    }

    #[test]
    fn all_are_found_after_the_storage_grew() {
        let (mut table, mut slots) = (Table::new(), slots(2));
        for port in 0..200_u16 {
            if slots.len() == usize::from(port) {
                slots.push(Slot::EMPTY);
            }
            take(&mut table, &mut slots, port, 7);
        }
        assert_eq!(table.next_free(&slots), None);
        for port in 0..200_u16 {
            let found = table.find(&slots, (3863, port), Ipv4Addr::new(10, 0, 0, 7).into(), 0);
            assert_eq!(found, Some(usize::from(port)));
        }
    }

    #[test]
    fn deadlines_come_out_in_order() {
        let (mut table, mut slots) = (Table::new(), slots(50));
        let mut random = SplitMix64::new(3);
        for index in 0..50 {
            assert_eq!(table.take(&mut slots), Some(index));
        }
        for _ in 0..1_000 {
            let index = random.below(50) as usize;
            let to = (random.below(4) > 0).then(|| Instant::from_micros(random.below(1_000)));
            table.schedule(&mut slots, index, to);
            let least = slots.iter().filter(|slot| slot.links.heap_place != 0);
            let least = least.map(|slot| slot.links.deadline).min();
            assert_eq!(table.next_deadline(&slots), least);
        }
    }

    #[test]
    fn a_queue_holds_each_once_in_order() {
        let (mut table, mut slots) = (Table::new(), slots(3));
        for index in [2, 0, 2, 1, 0] {
            table.enqueue(&mut slots, Queue::Event, index);
        }
        let order: Vec<_> =
            core::iter::from_fn(|| table.dequeue(&mut slots, Queue::Event)).collect();
        assert_eq!(order, [2, 0, 1]);
        assert_eq!(table.dequeue(&mut slots, Queue::Transmit), None);
    }
}
