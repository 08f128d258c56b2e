//! What a receiver keeps of a run of fragments, or of a message: 20 bytes.
//!
//! A run is known by its last TSN and by how many lie before it; of one that begins below all
//! that is missing nobody asks where that was, so that a few bits are enough.
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

use super::super::STREAMS_MAX;
use super::super::store::{Chain, Link};
use super::super::tsn_map::REACH;
use crate::sctp::packet::DataChunk;
use crate::sctp::serial::{Ssn, Tsn};

/// A run of fragments, or a message.
#[derive(Clone, Copy, Debug)]
pub struct RxDescriptor {
    pub(super) last: Tsn,
    pub(super) ppid: u32,
    pub(super) chain: Chain,
    /// Not of this run: the run that begins or ends at the TSN that maps to this slot.
    pub(super) by_tsn: Link,
    /// Not of this run: the first waiting message whose stream and SSN map to this slot.
    pub(super) bucket: Link,
    /// The next in the list that it is in: free, ready, or waiting in the same bucket. And
    /// whether it is unordered, in the bit that no link needs.
    next: u16,
    ssn: Ssn,
    /// From the lowest bit: stream, stage, TSNs before the last.
    marks: u16,
}

const _: () = assert!(size_of::<RxDescriptor>() == 20);

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Free = 0,
    /// Fragments are missing at both ends.
    Inner,
    /// Fragments are missing behind it.
    Beginning,
    /// Fragments are missing before it.
    Ending,
    /// A message.
    Whole,
    /// A message that waits for an earlier one of its stream.
    Waiting,
    /// A message that can be read.
    Ready,
}

impl Stage {
    const fn of_run(begins: bool, ends: bool) -> Self {
        match (begins, ends) {
            (false, false) => Self::Inner,
            (true, false) => Self::Beginning,
            (false, true) => Self::Ending,
            (true, true) => Self::Whole,
        }
    }

    const fn of_bits(bits: u16) -> Self {
        match bits {
            1 => Self::Inner,
            2 => Self::Beginning,
            3 => Self::Ending,
            4 => Self::Whole,
            5 => Self::Waiting,
            6 => Self::Ready,
            _ => Self::Free,
        }
    }
}

impl RxDescriptor {
    /// Of no chunk: all bits zero.
    pub const EMPTY: Self = Self {
        last: Tsn(0),
        ppid: 0,
        chain: Chain::EMPTY,
        by_tsn: Link::NONE,
        bucket: Link::NONE,
        next: 0,
        ssn: Ssn(0),
        marks: 0,
    };

    /// A run of one chunk, whose user data is not stored yet.
    pub(super) fn of(chunk: &DataChunk<'_>) -> Self {
        let stage = Stage::of_run(chunk.beginning, chunk.ending);
        Self {
            last: chunk.tsn,
            ppid: chunk.ppid,
            next: if chunk.unordered { UNORDERED } else { 0 },
            ssn: chunk.ssn,
            marks: (chunk.stream & STREAM_MASK) | (stage as u16) << STAGE_SHIFT,
            ..Self::EMPTY
        }
    }

    /// Puts `run` here, and leaves what is not of a run as it is.
    pub(super) fn replace(&mut self, run: Self) {
        *self = Self { by_tsn: self.by_tsn, bucket: self.bucket, ..run };
    }

    /// All TSNs up to `last` belong to the run now; whether it ends with that one.
    pub(super) fn grow(&mut self, last: Tsn, ends: bool) {
        let added = last.distance_from(self.last).min(BEFORE_MAX.into());
        let before = self.before().saturating_add(added as u16).min(BEFORE_MAX);
        let stage = Stage::of_run(self.begins(), ends);
        self.last = last;
        self.marks = (self.marks & STREAM_MASK)
            | (stage as u16) << STAGE_SHIFT
            | before.wrapping_shl(BEFORE_SHIFT);
    }

    /// How many TSNs of the run lie before its last; [`BEFORE_MAX`] stands for more, too.
    fn before(&self) -> u16 {
        self.marks.wrapping_shr(BEFORE_SHIFT)
    }

    /// The first TSN of the run, unless that is too far back for anybody to ask.
    pub(super) fn first(&self) -> Option<Tsn> {
        let before = self.before();
        (before < BEFORE_MAX).then(|| self.last.minus(before.into()))
    }

    pub(super) fn stage(&self) -> Stage {
        Stage::of_bits((self.marks & STAGE_MASK) >> STAGE_SHIFT)
    }

    pub(super) fn set_stage(&mut self, stage: Stage) {
        self.marks = (self.marks & !STAGE_MASK) | (stage as u16) << STAGE_SHIFT;
    }

    /// Whether fragments are missing at one end or both.
    pub(super) fn is_partial(&self) -> bool {
        matches!(self.stage(), Stage::Inner | Stage::Beginning | Stage::Ending)
    }

    /// Whether the first fragment of its message is there; of a run.
    pub(super) fn begins(&self) -> bool {
        matches!(self.stage(), Stage::Beginning | Stage::Whole)
    }

    /// Whether the last fragment of its message is there; of a run.
    pub(super) fn ends(&self) -> bool {
        matches!(self.stage(), Stage::Ending | Stage::Whole)
    }

    pub(super) fn stream(&self) -> u16 {
        self.marks & STREAM_MASK
    }

    pub(super) fn ssn(&self) -> Ssn {
        self.ssn
    }

    pub(super) fn is_unordered(&self) -> bool {
        self.next & UNORDERED != 0
    }

    pub(super) fn next(&self) -> Link {
        Link::of_bits(self.next & !UNORDERED)
    }

    pub(super) fn set_next(&mut self, next: Link) {
        self.next = (self.next & UNORDERED) | next.bits();
    }

    pub(super) fn is_waiting_as(&self, stream: u16, ssn: Ssn) -> bool {
        self.stage() == Stage::Waiting && self.stream() == stream && self.ssn == ssn
    }

    /// Whether `chunk` can belong to the same message.
    pub(super) fn agrees_with(&self, chunk: &DataChunk<'_>) -> bool {
        self.stream() == chunk.stream
            && self.is_unordered() == chunk.unordered
            && (chunk.unordered || self.ssn == chunk.ssn)
    }
}

/// Links of descriptors have 15 bits, and one value is none.
pub(super) const DESCRIPTORS_MAX: usize = (1 << 15) - 1;

const UNORDERED: u16 = 1 << 15;
const STREAM_MASK: u16 = 0b1111;
const STAGE_SHIFT: u32 = 4;
const STAGE_MASK: u16 = 0b111_0000;
const BEFORE_SHIFT: u32 = 7;
const BEFORE_MAX: u16 = u16::MAX >> BEFORE_SHIFT;

const _: () = assert!(STREAMS_MAX <= STREAM_MASK as usize + 1);
// A run with something missing before it lies within the reach, less what is missing and all up
// to there.
const _: () = assert!(REACH - 2 < BEFORE_MAX as u32);
