//! Takes DATA chunks, joins fragments, orders messages and says when to acknowledge: RFC 9260
//! §6.2, §6.5 to §6.7, §6.9.
//!
//! A descriptor stands for a run of fragments in a row that belong to one message, or for a
//! whole message. Neighbours of a run are found by TSN, messages that wait for earlier ones by
//! stream and SSN, both through tables that lie in the descriptors themselves; so no packet
//! costs a search. What was acknowledged by a gap block is dropped again only where the chunk
//! that closes the gap has no room and nobody could ever make some.
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

mod descriptor;
mod order;

use super::STREAMS_MAX;
use super::acknowledge::SackDebt;
use super::store::{Chain, Link, Store, StoreState};
use super::tsn_map::{REACH, TsnMap};
use crate::sctp::packet::DataChunk;
use crate::sctp::serial::{Ssn, Tsn};
use crate::time::Timer;
pub use descriptor::RxDescriptor;
use descriptor::{DESCRIPTORS_MAX, Stage};

/// The part of a receiver that lives in its association.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiverState {
    pub(super) map: TsnMap,
    store: StoreState,
    free: Link,
    /// Descriptors from here on were never used.
    fresh: u16,
    used_count: u16,
    ready_first: Link,
    ready_last: Link,
    /// The longest chunk seen: what is kept free for the one that fills the gap.
    chunk_len_max: u16,
    pub(super) debt: SackDebt,
    stream_count: u16,
    next_ssn: [Ssn; STREAMS_MAX],
}

impl ReceiverState {
    /// Of no association: all bits zero. [`Receiver::start`] makes it usable.
    pub(crate) const EMPTY: Self = Self {
        map: TsnMap::EMPTY,
        store: StoreState::EMPTY,
        free: Link::NONE,
        fresh: 0,
        used_count: 0,
        ready_first: Link::NONE,
        ready_last: Link::NONE,
        chunk_len_max: 0,
        debt: SackDebt::EMPTY,
        stream_count: 0,
        next_ssn: [Ssn(0); STREAMS_MAX],
    };

    /// Whether there is a message to read.
    pub(crate) const fn is_readable(&self) -> bool {
        !self.ready_first.is_none()
    }

    /// Streams that messages are taken on.
    pub(crate) const fn stream_count(&self) -> u16 {
        self.stream_count
    }

    /// When a delayed SACK falls due; off if none is delayed.
    pub(crate) const fn sack_timer(&self) -> Timer {
        self.debt.deadline
    }
}

/// What became of a DATA chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataOutcome {
    /// It is kept.
    Accepted,
    /// It was received before.
    Duplicate,
    /// It was dropped and is not acknowledged: no room, or too far ahead.
    NoRoom,
    /// It is acknowledged and dropped: answer with ERROR cause 1.
    NoSuchStream,
    /// It has no user data: abort with cause 9.
    NoUserData,
    /// The message that it belongs to can never fit: abort with cause 4.
    NeverFits,
    /// It contradicts what came before: abort with cause 13.
    Violation,
}

/// A message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The stream it came on.
    pub(crate) stream: u16,
    /// What the peer says it is.
    pub(crate) ppid: u32,
    /// Whether it was sent unordered.
    pub(crate) unordered: bool,
    /// Its length.
    pub(crate) len: usize,
}

/// The runs just before and just after a chunk that belong to the same message.
#[derive(Clone, Copy)]
struct Companions {
    left: Option<usize>,
    right: Option<usize>,
}

impl Companions {
    /// Of `chunk` with these neighbours.
    fn of(chunk: &DataChunk<'_>, left: Option<usize>, right: Option<usize>) -> Self {
        Self { left: left.filter(|_| !chunk.beginning), right: right.filter(|_| !chunk.ending) }
    }
}

/// A receiver at work: the state with the memory that is lent for it.
#[derive(Debug)]
pub(crate) struct Receiver<'s> {
    pub(super) state: &'s mut ReceiverState,
    bytes: &'s mut [u8],
    descriptors: &'s mut [RxDescriptor],
}

impl<'s> Receiver<'s> {
    /// Puts a receiver together.
    pub(crate) fn new(
        state: &'s mut ReceiverState,
        bytes: &'s mut [u8],
        descriptors: &'s mut [RxDescriptor],
    ) -> Self {
        Self { state, bytes, descriptors }
    }

    /// Begins with TSN `initial` of the peer. All messages not read are gone.
    pub(crate) fn start(&mut self, initial: Tsn, streams: u16) {
        self.descriptors.fill(RxDescriptor::EMPTY);
        *self.state = ReceiverState {
            stream_count: streams.min(STREAMS_MAX as u16),
            ..ReceiverState::EMPTY
        };
        self.state.map.start(initial);
        let window = self.a_rwnd();
        self.state.debt.on_window_told(window);
    }

    /// All TSNs up to here were received.
    pub(crate) fn cumulative(&self) -> Tsn {
        self.state.map.cumulative()
    }

    /// The window to advertise: user data for which there is room.
    ///
    /// It shrinks with the descriptors as well as with the bytes, each of them standing for its
    /// share. A peer that fills it with tiny messages nobody reads has the last ones dropped.
    pub(crate) fn a_rwnd(&mut self) -> u32 {
        let descriptors_free = self.free_count();
        let descriptor_count = self.descriptor_count().max(1);
        let store = self.store();
        let free = store.free_count().saturating_mul(store.payload_len());
        let all = store.block_count().saturating_mul(store.payload_len());
        let window = free.min(descriptors_free.saturating_mul(all.div_ceil(descriptor_count)));
        u32::try_from(window).unwrap_or(u32::MAX)
    }

    /// User data that fits when nothing is held.
    pub(crate) fn capacity(&mut self) -> u32 {
        let store = self.store();
        let all = store.block_count().saturating_mul(store.payload_len());
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    /// Takes in a DATA chunk. [`Receiver::on_packet_end`] follows once for all of a packet.
    pub(crate) fn on_data(&mut self, chunk: &DataChunk<'_>) -> DataOutcome {
        if chunk.payload.is_empty() {
            return DataOutcome::NoUserData;
        }
        let has_gap = self.state.map.has_gap();
        self.state.debt.on_chunk(chunk.immediate, has_gap);
        let steps = chunk.tsn.distance_from(self.cumulative());
        if steps == 0 || chunk.tsn.is_before(self.cumulative()) {
            self.state.debt.on_duplicate(chunk.tsn);
            return DataOutcome::Duplicate;
        }
        if steps > self.reach() {
            self.state.debt.on_dropped();
            return DataOutcome::NoRoom;
        }
        if self.state.map.contains(chunk.tsn) {
            self.state.debt.on_duplicate(chunk.tsn);
            return DataOutcome::Duplicate;
        }
        if chunk.stream >= self.state.stream_count {
            self.state.map.insert(chunk.tsn);
            self.state.debt.on_new(0);
            return DataOutcome::NoSuchStream;
        }
        self.on_new_chunk(chunk)
    }

    fn on_new_chunk(&mut self, chunk: &DataChunk<'_>) -> DataOutcome {
        let (left, right) = self.neighbours(chunk.tsn);
        if !self.is_consistent(chunk, left, right) {
            return DataOutcome::Violation;
        }
        let len = u16::try_from(chunk.payload.len()).unwrap_or(u16::MAX);
        self.state.chunk_len_max = self.state.chunk_len_max.max(len);
        let mut companions = Companions::of(chunk, left, right);
        if !self.has_room(chunk, companions) {
            self.state.debt.on_dropped();
            if chunk.tsn != self.cumulative().next() || self.is_readable() {
                return DataOutcome::NoRoom;
            }
            // Nobody but this chunk can free room.
            if !self.make_room(chunk) {
                return DataOutcome::NeverFits;
            }
            companions = self.companions(chunk);
        }
        let Some(index) = self.keep(chunk, companions) else { return DataOutcome::NoRoom };
        self.state.map.insert(chunk.tsn);
        self.state.debt.on_new(len.into());
        let run = *self.run(index);
        if run.stage() == Stage::Whole && !self.dispatch(index, run) {
            return DataOutcome::Violation;
        }
        DataOutcome::Accepted
    }

    /// The runs just before and just after a TSN.
    fn neighbours(&self, tsn: Tsn) -> (Option<usize>, Option<usize>) {
        let left = self.run_at(tsn.previous(), |run| Some(run.last));
        // Mostly nothing came that is later.
        let is_latest = !tsn.is_before(self.state.map.highest());
        let right = if is_latest { None } else { self.run_at(tsn.next(), RxDescriptor::first) };
        (left, right)
    }

    /// Those of them that belong to the same message as `chunk`.
    fn companions(&self, chunk: &DataChunk<'_>) -> Companions {
        let (left, right) = self.neighbours(chunk.tsn);
        Companions::of(chunk, left, right)
    }

    /// Whether the B and E bits, stream and SSN of a chunk go with those of its neighbours.
    fn is_consistent(
        &self,
        chunk: &DataChunk<'_>,
        left: Option<usize>,
        right: Option<usize>,
    ) -> bool {
        let left_fits = match left.map(|index| self.run(index)) {
            Some(run) if run.ends() => chunk.beginning,
            Some(run) => !chunk.beginning && run.agrees_with(chunk),
            // The chunk before was the last of a message, or did not come yet.
            None => chunk.beginning || !self.state.map.contains(chunk.tsn.previous()),
        };
        let right_fits = match right.map(|index| self.run(index)) {
            Some(run) if run.begins() => chunk.ending,
            Some(run) => !chunk.ending && run.agrees_with(chunk),
            None => chunk.ending || !self.state.map.contains(chunk.tsn.next()),
        };
        left_fits && right_fits
    }

    /// Whether there is room for a chunk. One that leaves a gap open must leave room for one more.
    fn has_room(&mut self, chunk: &DataChunk<'_>, companions: Companions) -> bool {
        let Companions { left, right } = companions;
        let chain = left.map_or(Chain::EMPTY, |index| self.run(index).chain);
        let is_next = chunk.tsn == self.cumulative().next();
        let longest = usize::from(self.state.chunk_len_max);
        let store = self.store();
        let mut blocks = store.blocks_for(&chain, chunk.payload.len());
        let mut descriptors = usize::from(left.is_none() && right.is_none());
        if !is_next {
            let reserve = store.blocks_for(&Chain::EMPTY, longest);
            blocks = blocks.saturating_add(reserve.min(store.block_count() / 2));
            descriptors = descriptors.saturating_add(1);
        }
        blocks <= store.free_count() && descriptors <= self.free_count()
    }

    /// Gives up what came too early, highest TSN first, until `chunk` fits; whether it does.
    ///
    /// RFC 9260 §6.2 asks for it when the buffer is full: otherwise the gap could never close.
    /// What then still is there is what comes before it, of the same message.
    fn make_room(&mut self, chunk: &DataChunk<'_>) -> bool {
        for _ in 0..self.descriptors.len() {
            if self.has_room(chunk, self.companions(chunk)) {
                return true;
            }
            if !self.renege_on_highest() {
                break;
            }
        }
        let companions = self.companions(chunk);
        if let Some(index) = companions.left.filter(|_| CLOSES_UP) {
            let chain = self.run(index).chain;
            let chain = self.store().compacted(chain);
            self.modify(index, |slot| slot.chain = chain);
        }
        self.has_room(chunk, companions)
    }

    /// Drops the run with the highest TSN above the gap; whether there was one.
    fn renege_on_highest(&mut self) -> bool {
        let mut tsn = self.state.map.highest();
        for _ in 0..REACH {
            if tsn == self.cumulative() {
                return false;
            }
            let slot = self.tsn_slot(tsn);
            if let Some(index) = self.run(slot).by_tsn.index()
                && let run = *self.run(index)
                && run.last == tsn
                && (run.is_partial() || run.stage() == Stage::Waiting)
            {
                self.renege(index, &run);
                return true;
            }
            tsn = tsn.previous();
        }
        false
    }

    fn renege(&mut self, index: usize, run: &RxDescriptor) {
        if run.stage() == Stage::Waiting
            && let Some((before, _)) = self.find_waiting(run.stream(), run.ssn())
        {
            self.unlink_waiting(run.stream(), run.ssn(), before, index);
        }
        let first = run.first().unwrap_or(run.last);
        let mut tsn = run.last;
        for _ in 0..=run.last.distance_from(first) {
            self.state.map.remove(tsn);
            tsn = tsn.previous();
        }
        let mut store = self.store();
        let measure = store.measure(run.chain);
        store.free(run.chain, measure);
        self.release(index);
    }

    /// Stores a chunk with its neighbours of the same message; returns their descriptor.
    fn keep(&mut self, chunk: &DataChunk<'_>, companions: Companions) -> Option<usize> {
        let Companions { left, right } = companions;
        let (index, mut run) = match left {
            Some(index) => {
                let mut run = *self.run(index);
                run.grow(chunk.tsn, chunk.ending);
                (index, run)
            }
            None => (self.take_free()?, RxDescriptor::of(chunk)),
        };
        self.store().append(&mut run.chain, chunk.payload);
        if let Some(right) = right {
            let behind = *self.run(right);
            self.store().join(&mut run.chain, behind.chain);
            run.grow(behind.last, behind.ends());
            self.release(right);
        }
        self.modify(index, |slot| slot.replace(run));
        // The two ends are where a neighbour will look. Where none will, the slot is another's.
        self.note_end(run.last, index);
        let cumulative = self.cumulative();
        if let Some(first) = run.first()
            && first != run.last
            && cumulative.is_before(first)
        {
            self.note_end(first, index);
        }
        Some(index)
    }

    /// Whether a message can be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.state.is_readable()
    }

    /// The length of the message that is read next.
    #[cfg(test)]
    pub(crate) fn peek_len(&mut self) -> Option<usize> {
        let chain = self.run(self.state.ready_first.index()?).chain;
        Some(self.store().measure(chain).len)
    }

    /// Reads a message; `None` if there is none or `buf` is shorter than it.
    pub(crate) fn pop(&mut self, buf: &mut [u8]) -> Option<Message> {
        let index = self.state.ready_first.index()?;
        let message = *self.run(index);
        let measure = self.store().read(message.chain, buf)?;
        self.state.ready_first = message.next();
        if message.next().is_none() {
            self.state.ready_last = Link::NONE;
        }
        self.store().free(message.chain, measure);
        self.release(index);
        let (window, capacity) = (self.a_rwnd(), self.capacity());
        self.state.debt.on_window_opened(window, capacity);
        Some(Message {
            stream: message.stream(),
            ppid: message.ppid,
            unordered: message.is_unordered(),
            len: measure.len,
        })
    }

    /// Lets the run `index`, which begins or ends at `tsn`, be found there.
    fn note_end(&mut self, tsn: Tsn, index: usize) {
        let slot = self.tsn_slot(tsn);
        self.modify(slot, |slot| slot.by_tsn = Link::to(index));
    }

    /// The run of which `end` is at `tsn`.
    fn run_at(&self, tsn: Tsn, end: impl FnOnce(&RxDescriptor) -> Option<Tsn>) -> Option<usize> {
        let index = self.run(self.tsn_slot(tsn)).by_tsn.index()?;
        let run = self.run(index);
        (run.is_partial() && end(run) == Some(tsn)).then_some(index)
    }

    /// How far above the cumulative TSN chunks are taken: runs must have distinct slots.
    fn reach(&self) -> u32 {
        u32::try_from(self.slot_mask()).unwrap_or(REACH).min(REACH)
    }

    /// One less than the largest power of two that the descriptors hold.
    fn slot_mask(&self) -> usize {
        self.descriptors
            .len()
            .checked_ilog2()
            .map_or(0, |bits| 1_usize.checked_shl(bits).unwrap_or(1).saturating_sub(1))
    }

    fn tsn_slot(&self, tsn: Tsn) -> usize {
        tsn.0 as usize & self.slot_mask()
    }

    /// Descriptors in all.
    fn descriptor_count(&self) -> usize {
        self.descriptors.len().min(DESCRIPTORS_MAX)
    }

    fn free_count(&self) -> usize {
        self.descriptor_count().saturating_sub(usize::from(self.state.used_count))
    }

    fn take_free(&mut self) -> Option<usize> {
        let index = match self.state.free.index() {
            Some(index) => {
                self.state.free = self.run(index).next();
                index
            }
            None => {
                let index = usize::from(self.state.fresh);
                if index >= self.descriptor_count() {
                    return None;
                }
                self.state.fresh = self.state.fresh.saturating_add(1);
                index
            }
        };
        self.state.used_count = self.state.used_count.saturating_add(1);
        Some(index)
    }

    fn release(&mut self, index: usize) {
        let free = self.state.free;
        self.modify(index, |slot| {
            slot.set_stage(Stage::Free);
            slot.set_next(free);
        });
        self.state.free = Link::to(index);
        self.state.used_count = self.state.used_count.saturating_sub(1);
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn run(&self, index: usize) -> &RxDescriptor {
        static NONE: RxDescriptor = RxDescriptor::EMPTY;
        self.descriptors.get(index).unwrap_or(&NONE)
    }

    fn modify(&mut self, index: usize, change: impl FnOnce(&mut RxDescriptor)) {
        if let Some(descriptor) = self.descriptors.get_mut(index) {
            change(descriptor);
        }
    }

    fn store(&mut self) -> Store<'_> {
        Store::new(&mut self.state.store, self.bytes)
    }
}

/// Whether a message is closed up that would not fit else; boards have not the stack for it.
const CLOSES_UP: bool = crate::few(0, 1) == 1;
