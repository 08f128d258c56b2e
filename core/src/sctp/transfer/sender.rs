//! Queues user messages and sends them as DATA chunks: RFC 9260 §6.1, §6.3, §6.9.
//!
//! Messages lie in the lent byte ring in the order in which they came, cut into chunks when they
//! are queued; one descriptor a chunk, in a ring of their own, in TSN order. So a TSN is a
//! position in the ring, an acknowledgement moves the two heads, and nothing is ever moved.
//! Chunk sizes are fixed once sent (§6.9); those still queued can be cut smaller (`recut`).
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

use super::{Parameters, PathTransfer, STREAMS_MAX};
use crate::sctp::packet::{DataChunk, PacketWriter};
use crate::sctp::serial::{Ssn, Tsn};
use crate::time::{Instant, Timer};

/// One DATA chunk in the send queue.
#[derive(Clone, Copy, Debug)]
pub struct TxDescriptor {
    /// Where its user data starts in the byte ring.
    pub(super) offset: u32,
    ppid: u32,
    pub(super) len: u16,
    stream: u16,
    ssn: Ssn,
    pub(super) bits: u8,
    pub(super) stage: Stage,
    pub(super) misses: u8,
    /// The path it was last sent on.
    pub(super) path: u8,
    /// It was fast retransmitted, which happens once.
    pub(super) was_fast: bool,
}

impl TxDescriptor {
    /// Of no chunk: all bits zero.
    pub const EMPTY: Self = Self {
        offset: 0,
        ppid: 0,
        len: 0,
        stream: 0,
        ssn: Ssn(0),
        bits: 0,
        stage: Stage::Queued,
        misses: 0,
        path: 0,
        was_fast: false,
    };

    /// Bytes that the chunk takes in a packet: header, user data, padding.
    pub(super) fn size(&self) -> u32 {
        let len = u32::from(self.len).saturating_add(DataChunk::HEADER_LEN as u32);
        len.checked_next_multiple_of(4).unwrap_or(len)
    }

    fn begins(&self) -> bool {
        self.bits & BEGINNING != 0
    }

    fn is_ordered(&self) -> bool {
        self.bits & UNORDERED == 0
    }

    /// So that it is not known which path an acknowledgement speaks for.
    pub(super) fn took_several_paths(&self) -> bool {
        self.bits & SEVERAL_PATHS != 0
    }
}

/// How far a chunk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Never sent.
    Queued = 0,
    InFlight,
    /// Given up as lost: to be sent again.
    Lost,
    /// Acknowledged by a gap block; the peer may still renege.
    Acked,
}

/// The part of a sender that lives in its association.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SenderState {
    /// The TSN of the first descriptor: one above the cumulative TSN acknowledged.
    pub(super) first_tsn: Tsn,
    /// The place of the first descriptor in the ring.
    head: u32,
    /// Descriptors in use, and how many of them, from the first on, were sent at least once.
    pub(super) count: u32,
    pub(super) sent_count: u32,
    pub(super) lost_count: u32,
    /// No descriptor before this one (counted from the first) is lost.
    pub(super) lost_from: u32,
    pub(super) acked_count: u32,
    /// Where the next user data goes in the byte ring.
    tail: u32,
    /// User data in flight, and the peer's window less that.
    pub(super) outstanding: u32,
    pub(super) peer_window: u32,
    /// Fast recovery lasts until this TSN is acknowledged.
    pub(super) recovery_exit: Option<Tsn>,
    /// One packet of lost chunks may leave whatever the window. RFC 9260 §7.2.4 step 3.
    pub(super) is_fast_due: bool,
    /// The chunk in flight probes a closed window.
    pub(super) is_probing: bool,
    /// A SACK came since the last T3-rtx expiry.
    pub(super) has_heard: bool,
    /// Bit n: the SACK being processed acknowledges data that was sent on no path but n.
    pub(super) proven_paths: u8,
    /// The user will queue no more; ask for quick acknowledgements.
    is_closing: bool,
    stream_count: u16,
    next_ssn: [Ssn; STREAMS_MAX],
}

impl SenderState {
    /// Of no association: all bits zero. [`Sender::start`] makes it usable.
    pub(crate) const EMPTY: Self = Self {
        first_tsn: Tsn(0),
        head: 0,
        count: 0,
        sent_count: 0,
        lost_count: 0,
        lost_from: 0,
        acked_count: 0,
        tail: 0,
        outstanding: 0,
        peer_window: 0,
        recovery_exit: None,
        is_fast_due: false,
        is_probing: false,
        has_heard: false,
        proven_paths: 0,
        is_closing: false,
        stream_count: 0,
        next_ssn: [Ssn(0); STREAMS_MAX],
    };

    /// How many chunks are sent and not acknowledged, and how many are not sent.
    pub(crate) const fn chunk_counts(&self) -> (u32, u32) {
        let unsent = self.count.saturating_sub(self.sent_count);
        (self.sent_count.saturating_sub(self.acked_count), unsent)
    }

    /// Streams that messages can be sent on.
    pub(crate) const fn stream_count(&self) -> u16 {
        self.stream_count
    }

    /// What the peer's window has room for, data in flight taken off.
    pub(crate) const fn peer_window(&self) -> u32 {
        self.peer_window
    }
}

/// Why a message was not queued. Nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// There is no room now; there will be when the peer acknowledges.
    Full,
    /// There will never be room for it.
    TooLong,
    /// The association has no such outbound stream.
    NoSuchStream,
    /// A message has at least one byte (RFC 9260 §6.2).
    Empty,
}

/// A sender at work: the state with the memory that is lent for it.
#[derive(Debug)]
pub(crate) struct Sender<'s> {
    pub(super) state: &'s mut SenderState,
    pub(super) bytes: &'s mut [u8],
    pub(super) descriptors: &'s mut [TxDescriptor],
}

impl<'s> Sender<'s> {
    /// Puts a sender together.
    pub(crate) fn new(
        state: &'s mut SenderState,
        bytes: &'s mut [u8],
        descriptors: &'s mut [TxDescriptor],
    ) -> Self {
        debug_assert!(descriptors.len() <= DESCRIPTORS_MAX, "SSNs would be ambiguous");
        debug_assert!(u32::try_from(bytes.len()).is_ok(), "offsets have 32 bits");
        Self { state, bytes, descriptors }
    }

    /// Begins with TSN `initial`. With `keep_unsent`, messages of which nothing was sent stay
    /// queued, except those of streams that do not exist (any more).
    pub(crate) fn start(&mut self, initial: Tsn, peer_window: u32, streams: u16, keep: bool) {
        let kept = if keep { self.keep_unsent(streams) } else { 0 };
        let (head, tail) = (self.state.head, self.state.tail);
        let mut next_ssn = [Ssn(0); STREAMS_MAX];
        if kept > 0 {
            next_ssn = self.state.next_ssn;
        }
        *self.state = SenderState {
            first_tsn: initial,
            head,
            count: kept,
            tail,
            peer_window,
            stream_count: streams.min(STREAMS_MAX as u16),
            next_ssn,
            ..SenderState::EMPTY
        };
    }

    /// Compacts the ring to the messages never sent, renumbers them, returns how many chunks.
    fn keep_unsent(&mut self, streams: u16) -> u32 {
        let (count, sent) = (self.state.count, self.state.sent_count);
        self.state.next_ssn = [Ssn(0); STREAMS_MAX];
        let mut kept = 0_u32;
        let mut is_whole = false;
        for index in sent..count {
            let mut chunk = self.chunk(index);
            is_whole |= chunk.begins();
            if !is_whole || chunk.stream >= streams {
                continue;
            }
            chunk.ssn = self.take_ssn(&chunk);
            let to = kept;
            self.modify(to, |slot| *slot = chunk);
            kept = kept.saturating_add(1);
        }
        kept
    }

    /// Queues a message, cut into DATA chunks of at most `chunk_len_max` bytes, header included.
    ///
    /// # Errors
    ///
    /// [`PushError`]; then nothing was queued.
    pub(crate) fn push(
        &mut self,
        stream: u16,
        ppid: u32,
        unordered: bool,
        data: &[u8],
        chunk_len_max: u16,
    ) -> Result<(), PushError> {
        if data.is_empty() {
            return Err(PushError::Empty);
        }
        if stream >= self.state.stream_count {
            return Err(PushError::NoSuchStream);
        }
        let fragment_len = fragment_len(chunk_len_max);
        let fragment_count = data.len().div_ceil(fragment_len);
        if data.len() > self.bytes.len() || fragment_count > self.descriptors.len() {
            return Err(PushError::TooLong);
        }
        let free = self.descriptors.len().saturating_sub(self.state.count as usize);
        if data.len() > self.free_len() || fragment_count > free {
            return Err(PushError::Full);
        }
        let bits = if unordered { UNORDERED } else { 0 };
        let mut message = TxDescriptor { ppid, stream, bits, ..TxDescriptor::EMPTY };
        message.bits |= BEGINNING;
        message.ssn = self.take_ssn(&message);
        let last = fragment_count.saturating_sub(1);
        for (index, fragment) in data.chunks(fragment_len).enumerate() {
            message.bits = bits
                | if index == 0 { BEGINNING } else { 0 }
                | if index == last { ENDING } else { 0 };
            self.append(message, fragment);
        }
        Ok(())
    }

    /// The SSN of the message that `chunk` belongs to; counts on at its first chunk.
    fn take_ssn(&mut self, chunk: &TxDescriptor) -> Ssn {
        let Some(next) = self.state.next_ssn.get_mut(usize::from(chunk.stream)) else {
            return Ssn(0);
        };
        if !chunk.is_ordered() {
            return Ssn(0);
        }
        if chunk.begins() {
            *next = next.next();
        }
        next.previous()
    }

    fn append(&mut self, message: TxDescriptor, fragment: &[u8]) {
        let offset = self.state.tail;
        let (behind, before) = self.bytes.split_at_mut((offset as usize).min(self.bytes.len()));
        let (first, second) = fragment.split_at(fragment.len().min(before.len()));
        for (to, from) in [(before, first), (behind, second)] {
            if let Some(to) = to.get_mut(..from.len()) {
                to.copy_from_slice(from);
            }
        }
        let len = fragment.len() as u32;
        self.state.tail = wrap(offset.saturating_add(len), self.bytes.len());
        let index = self.state.count;
        self.state.count = index.saturating_add(1);
        self.modify(index, |slot| *slot = TxDescriptor { offset, len: len as u16, ..message });
    }

    /// Bytes of user data that the ring has room for.
    pub(crate) fn free_len(&self) -> usize {
        if self.state.count == 0 {
            return self.bytes.len();
        }
        let head = self.chunk(0).offset as usize;
        let tail = self.state.tail as usize;
        if head >= tail {
            head.saturating_sub(tail)
        } else {
            self.bytes.len().saturating_sub(tail.saturating_sub(head))
        }
    }

    /// Whether a message of `len` bytes could be queued now.
    pub(crate) fn is_writable(&self, len: usize, chunk_len_max: u16) -> bool {
        let free = self.descriptors.len().saturating_sub(self.state.count as usize);
        len <= self.free_len() && len.div_ceil(fragment_len(chunk_len_max)) <= free
    }

    /// The user closes: chunks sent from now on ask for a SACK at once. RFC 9260 §6.1.
    pub(crate) fn close(&mut self) {
        self.state.is_closing = true;
    }

    /// Whether nothing is queued or unacknowledged.
    pub(crate) fn all_acked(&self) -> bool {
        self.state.count == 0
    }

    /// All TSNs up to here were acknowledged.
    pub(crate) fn cumulative(&self) -> Tsn {
        self.state.first_tsn.previous()
    }

    /// Whether a packet to this destination could carry DATA now, if it has the room.
    pub(crate) fn wants_to_send(&self, path: &PathTransfer) -> bool {
        let state = &self.state;
        let may_send = path.congestion.may_send();
        (state.lost_count > 0 && (may_send || state.is_fast_due))
            || (state.lost_count == 0 && may_send && self.next_unsent().is_some())
    }

    /// The next chunk that was never sent, if the peer's window allows it. RFC 9260 §6.1 A.
    pub(super) fn next_unsent(&self) -> Option<TxDescriptor> {
        let state = &self.state;
        if state.sent_count >= state.count {
            return None;
        }
        let chunk = self.chunk(state.sent_count);
        // A probe of a closed window leaves only when all before it was acknowledged.
        (u32::from(chunk.len) <= state.peer_window || state.sent_count == 0).then_some(chunk)
    }

    /// Whether chunks are lost and not sent again.
    pub(crate) fn has_lost(&self) -> bool {
        self.state.lost_count > 0
    }

    /// Writes DATA chunks into `packet`, lost ones first; returns their length, 0 if none may be
    /// sent or fits. `path_index` says later where they went; whether the path takes chunks that
    /// were never sent comes with it. RFC 9260 §6.1, §6.10.
    pub(crate) fn next_data(
        &mut self,
        now: Instant,
        (path_index, takes_new): (u8, bool),
        path: &mut PathTransfer,
        packet: &mut PacketWriter<'_>,
    ) -> usize {
        let before = packet.len();
        let may_send = path.congestion.may_send();
        if !(may_send || (self.state.is_fast_due && self.state.lost_count > 0)) {
            return 0;
        }
        let is_drained = self.write_lost(now, path_index, path, packet);
        if packet.len() > before {
            self.state.is_fast_due = false;
        }
        if is_drained && may_send && takes_new {
            self.write_unsent(now, path_index, path, packet);
        }
        packet.len().saturating_sub(before)
    }

    /// Writes lost chunks, lowest TSN first; whether there are no more.
    fn write_lost(
        &mut self,
        now: Instant,
        path_index: u8,
        path: &mut PathTransfer,
        packet: &mut PacketWriter<'_>,
    ) -> bool {
        while self.state.lost_count > 0 && self.state.lost_from < self.state.sent_count {
            let index = self.state.lost_from;
            let chunk = self.chunk(index);
            if chunk.stage == Stage::Lost {
                if !self.write_chunk(index, &chunk, packet) {
                    return false;
                }
                self.state.lost_count = self.state.lost_count.saturating_sub(1);
                // RFC 9260 §6.1, §7.2.4 step 4: the earliest outstanding chunk restarts T3-rtx.
                if index == 0 {
                    path.t3_rtx = Timer::OFF;
                }
                self.on_chunk_sent(now, index, path_index, path);
            }
            self.state.lost_from = index.saturating_add(1);
        }
        true
    }

    fn write_unsent(
        &mut self,
        now: Instant,
        path_index: u8,
        path: &mut PathTransfer,
        packet: &mut PacketWriter<'_>,
    ) {
        // Every turn takes a chunk off the queue.
        while let Some(chunk) = self.next_unsent() {
            let index = self.state.sent_count;
            if !self.write_chunk(index, &chunk, packet) {
                break;
            }
            self.state.sent_count = index.saturating_add(1);
            self.state.is_probing = u32::from(chunk.len) > self.state.peer_window;
            // What came before a probe does not answer it.
            self.state.has_heard &= !self.state.is_probing;
            path.time_chunk(self.state.first_tsn.plus(index), now);
            self.on_chunk_sent(now, index, path_index, path);
        }
    }

    fn write_chunk(
        &self,
        index: u32,
        chunk: &TxDescriptor,
        packet: &mut PacketWriter<'_>,
    ) -> bool {
        let len = usize::from(chunk.len);
        let from_offset = self.bytes.get(chunk.offset as usize..).unwrap_or_default();
        let (payload, _) = from_offset.split_at(len.min(from_offset.len()));
        let wrapped_len = len.saturating_sub(payload.len());
        let wrapped = self.bytes.get(..wrapped_len).unwrap_or_default();
        // RFC 9260 §6.1: the sender gains by a quick SACK if it waits for nothing else.
        let is_last = index.saturating_add(1) == self.state.count;
        let is_cramped = self.free_len() < len;
        let data = DataChunk {
            tsn: self.state.first_tsn.plus(index),
            stream: chunk.stream,
            ssn: chunk.ssn,
            ppid: chunk.ppid,
            immediate: is_last && (self.state.is_closing || is_cramped),
            unordered: !chunk.is_ordered(),
            beginning: chunk.begins(),
            ending: chunk.bits & ENDING != 0,
            payload,
        };
        packet.data(&data, wrapped)
    }

    fn on_chunk_sent(
        &mut self,
        now: Instant,
        index: u32,
        path_index: u8,
        path: &mut PathTransfer,
    ) {
        let chunk = self.chunk(index);
        let len = u32::from(chunk.len);
        self.state.outstanding = self.state.outstanding.saturating_add(len);
        self.state.peer_window = self.state.peer_window.saturating_sub(len);
        path.congestion.on_sent(now, chunk.size(), path.rto());
        if path.t3_rtx.is_off() {
            path.t3_rtx = Timer::at(now + path.rto());
        }
        let is_other_path = chunk.stage != Stage::Queued && chunk.path != path_index;
        self.modify(index, |slot| {
            slot.stage = Stage::InFlight;
            slot.path = path_index;
            slot.bits |= if is_other_path { SEVERAL_PATHS } else { 0 };
            slot.misses = 0;
        });
    }

    /// T3-rtx of a path expired: what was sent there is lost. RFC 9260 §6.3.3.
    ///
    /// Returns whether it counts as an error of the path and the association: a probe of a closed
    /// window does not while the peer answers (§6.1 A).
    pub(crate) fn on_t3(
        &mut self,
        parameters: &Parameters,
        path_index: u8,
        path: &mut PathTransfer,
    ) -> bool {
        path.t3_rtx = Timer::OFF;
        self.mark_path_lost(path_index, path);
        path.congestion.on_timeout();
        path.back_off(parameters);
        self.state.recovery_exit = None;
        self.state.is_fast_due = false;
        let is_probe = self.state.is_probing && self.state.has_heard;
        self.state.has_heard = false;
        !is_probe
    }

    /// RFC 9260 §6.2.1 C.
    pub(super) fn mark_lost(&mut self, index: u32, path: &mut PathTransfer) {
        let chunk = self.chunk(index);
        let len = u32::from(chunk.len);
        path.on_chunk_lost(self.state.first_tsn.plus(index), chunk.size());
        self.state.outstanding = self.state.outstanding.saturating_sub(len);
        self.state.peer_window = self.state.peer_window.saturating_add(len);
        self.state.lost_count = self.state.lost_count.saturating_add(1);
        self.state.lost_from = self.state.lost_from.min(index);
        self.modify(index, |slot| {
            slot.stage = Stage::Lost;
            slot.misses = 0;
        });
    }

    /// Takes the first `steps` descriptors off the ring.
    pub(super) fn advance(&mut self, steps: u32) {
        let state = &mut *self.state;
        state.head = wrap(state.head.saturating_add(steps), self.descriptors.len());
        state.first_tsn = state.first_tsn.plus(steps);
        state.count = state.count.saturating_sub(steps);
        state.sent_count = state.sent_count.saturating_sub(steps);
        state.lost_from = state.lost_from.saturating_sub(steps);
    }

    /// The descriptor `index` steps after the first.
    #[cfg_attr(feature = "small", inline(never))]
    pub(super) fn chunk(&self, index: u32) -> TxDescriptor {
        self.descriptors.get(self.slot(index)).copied().unwrap_or(TxDescriptor::EMPTY)
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn slot(&self, index: u32) -> usize {
        wrap(self.state.head.saturating_add(index), self.descriptors.len()) as usize
    }

    pub(super) fn modify(&mut self, index: u32, change: impl FnOnce(&mut TxDescriptor)) {
        let slot = self.slot(index);
        if let Some(descriptor) = self.descriptors.get_mut(slot) {
            change(descriptor);
        }
    }
}

const SEVERAL_PATHS: u8 = 8;
const UNORDERED: u8 = 4;
pub(super) const BEGINNING: u8 = 2;
pub(super) const ENDING: u8 = 1;

/// SSNs in the queue must be told apart by their order (RFC 9260 §6.1, last but one rule).
const DESCRIPTORS_MAX: usize = 1 << 15;

/// User data of a full chunk: a multiple of 4, so that only the last one is padded.
pub(super) fn fragment_len(chunk_len_max: u16) -> usize {
    let room = usize::from(chunk_len_max).saturating_sub(DataChunk::HEADER_LEN);
    (room & !3).max(4)
}

/// `position`, which is less than twice `len`, in a ring of `len`.
pub(super) fn wrap(position: u32, len: usize) -> u32 {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    if position >= len { position.saturating_sub(len) } else { position }
}
