//! Delivers messages in the order of their streams: RFC 9260 §6.5, §6.6.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use super::{Link, Receiver, RxDescriptor, Stage};
use crate::sctp::serial::Ssn;

impl Receiver<'_> {
    /// A message is whole: it is ready, or waits for its turn. Whether its SSN is possible.
    pub(super) fn dispatch(&mut self, index: usize, message: RxDescriptor) -> bool {
        if message.is_unordered() {
            self.make_ready(index);
            return true;
        }
        let (stream, ssn) = (message.stream(), message.ssn());
        let next = self.next_ssn(stream);
        if ssn.is_before(next) || self.find_waiting(stream, ssn).is_some() {
            return false;
        }
        if ssn != next {
            self.make_waiting(index, stream, ssn);
            return true;
        }
        self.make_ready(index);
        let mut next = next.next();
        // Every turn takes a waiting message.
        for _ in 0..self.descriptors.len() {
            let Some((before, index)) = self.find_waiting(stream, next) else { break };
            self.unlink_waiting(stream, next, before, index);
            self.make_ready(index);
            next = next.next();
        }
        if let Some(slot) = self.state.next_ssn.get_mut(usize::from(stream)) {
            *slot = next;
        }
        true
    }

    fn next_ssn(&self, stream: u16) -> Ssn {
        self.state.next_ssn.get(usize::from(stream)).copied().unwrap_or_default()
    }

    fn make_ready(&mut self, index: usize) {
        self.modify(index, |slot| {
            slot.set_stage(Stage::Ready);
            slot.set_next(Link::NONE);
        });
        match self.state.ready_last.index() {
            Some(last) => self.modify(last, |slot| slot.set_next(Link::to(index))),
            None => self.state.ready_first = Link::to(index),
        }
        self.state.ready_last = Link::to(index);
    }

    fn make_waiting(&mut self, index: usize, stream: u16, ssn: Ssn) {
        let bucket = self.bucket_slot(stream, ssn);
        let first = self.run(bucket).bucket;
        self.modify(index, |slot| {
            slot.set_stage(Stage::Waiting);
            slot.set_next(first);
        });
        self.modify(bucket, |slot| slot.bucket = Link::to(index));
    }

    /// The waiting message with that number, and the one before it in its bucket.
    pub(super) fn find_waiting(&self, stream: u16, ssn: Ssn) -> Option<(Link, usize)> {
        let mut before = Link::NONE;
        let mut link = self.run(self.bucket_slot(stream, ssn)).bucket;
        for _ in 0..self.descriptors.len() {
            let index = link.index()?;
            let run = self.run(index);
            if run.is_waiting_as(stream, ssn) {
                return Some((before, index));
            }
            before = link;
            link = run.next();
        }
        None
    }

    pub(super) fn unlink_waiting(&mut self, stream: u16, ssn: Ssn, before: Link, index: usize) {
        let next = self.run(index).next();
        match before.index() {
            Some(before) => self.modify(before, |slot| slot.set_next(next)),
            None => {
                let bucket = self.bucket_slot(stream, ssn);
                self.modify(bucket, |slot| slot.bucket = next);
            }
        }
    }

    fn bucket_slot(&self, stream: u16, ssn: Ssn) -> usize {
        let spread = usize::from(stream).wrapping_mul(BUCKET_SPREAD);
        usize::from(ssn.0).wrapping_add(spread) & self.slot_mask()
    }
}

/// Messages of different streams with the same SSN fall into different buckets.
const BUCKET_SPREAD: usize = 37;
