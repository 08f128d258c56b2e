//! One queue of deadlines, earliest first: a heap of fan-out four with back-pointers.
//!
//! A deadline later than most, which is what restarting a timer makes, moves by a level or two.

use super::{Link, slot};
use crate::time::Instant;

/// An entry of 16 bytes: a node's four children share a cache line or two.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    at: Instant,
    link: Link,
    kind: u8,
}

impl Due {
    /// An unused entry, all zero bits.
    pub const EMPTY: Self = Self { at: Instant::ZERO, link: 0, kind: 0 };
}

/// The queue: entries, and for each slot where its entry is (plus one; 0 if it has none).
pub(crate) struct Queue<'a> {
    pub(crate) entries: &'a mut [Due],
    pub(crate) positions: &'a mut [u32],
    pub(crate) count: &'a mut u32,
}

impl Queue<'_> {
    /// Sets or moves the one deadline of the slot `link`.
    pub(crate) fn set(&mut self, link: Link, at: Instant, kind: u8) {
        let entry = Due { at, link, kind };
        match self.positions[slot(link)] {
            0 => {
                let hole = *self.count as usize;
                *self.count += 1;
                self.rise(hole, entry);
            }
            position => {
                let hole = slot(position);
                if at < self.entries[hole].at {
                    self.rise(hole, entry);
                } else {
                    self.sink(hole, entry);
                }
            }
        }
    }

    /// Forgets the deadline of the slot `link`, if it has one.
    pub(crate) fn clear(&mut self, link: Link) {
        let position = core::mem::take(&mut self.positions[slot(link)]);
        if position == 0 {
            return;
        }
        *self.count -= 1;
        let (hole, last) = (slot(position), *self.count as usize);
        if hole == last {
            return;
        }
        let entry = self.entries[last];
        if entry.at < self.entries[hole].at {
            self.rise(hole, entry);
        } else {
            self.sink(hole, entry);
        }
    }

    /// Takes the earliest deadline out if it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Link, u8)> {
        let Due { at, link, kind } = *self.entries.first()?;
        if *self.count == 0 || at > now {
            return None;
        }
        self.clear(link);
        Some((link, kind))
    }

    fn put(&mut self, hole: usize, entry: Due) {
        self.entries[hole] = entry;
        self.positions[slot(entry.link)] = hole as u32 + 1;
    }

    fn rise(&mut self, hole: usize, entry: Due) {
        let mut hole = hole;
        while hole > 0 {
            let above = (hole - 1) / FAN_OUT;
            let other = self.entries[above];
            if other.at <= entry.at {
                break;
            }
            self.put(hole, other);
            hole = above;
        }
        self.put(hole, entry);
    }

    fn sink(&mut self, hole: usize, entry: Due) {
        let count = *self.count as usize;
        let mut hole = hole;
        loop {
            let first = hole * FAN_OUT + 1;
            let children = first.min(count)..(first + FAN_OUT).min(count);
            let mut least = entry;
            let mut least_at = hole;
            for child in children {
                if self.entries[child].at < least.at {
                    (least, least_at) = (self.entries[child], child);
                }
            }
            if least_at == hole {
                break;
            }
            self.put(hole, least);
            hole = least_at;
        }
        self.put(hole, entry);
    }
}

/// The earliest deadline of `count` entries.
pub(crate) fn earliest(entries: &[Due], count: u32) -> Option<Instant> {
    if count == 0 { None } else { entries.first().map(|due| due.at) }
}

/// The deadline of a slot.
pub(crate) fn deadline(entries: &[Due], positions: &[u32], link: Link) -> Option<(Instant, u8)> {
    match positions[slot(link)] {
        0 => None,
        position => entries.get(slot(position)).map(|due| (due.at, due.kind)),
    }
}

const FAN_OUT: usize = 4;

/// Panics unless the heap is in order and its back-pointers are right.
pub(crate) fn check(entries: &[Due], positions: &[u32], count: u32) {
    for (at, entry) in entries.iter().take(count as usize).enumerate() {
        assert_eq!(positions[slot(entry.link)] as usize, at + 1, "back-pointer of {at}");
        let above = at.saturating_sub(1) / FAN_OUT;
        assert!(entries[above].at <= entry.at, "the deadline at {at} is earlier than above it");
    }
    let set = positions.iter().filter(|&&position| position != 0).count();
    assert_eq!(set, count as usize, "deadlines");
}
