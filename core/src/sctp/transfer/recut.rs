//! What a smaller path MTU does to the send queue: RFC 9260 §6.9.
//!
//! A chunk that was sent keeps its TSN and its size. One that was not has no TSN that anybody
//! knows of, so it can become several; they need free descriptors. What cannot be cut is left to
//! IP, which fragments it.
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

use super::PathTransfer;
use super::sender::{BEGINNING, ENDING, Sender, Stage, TxDescriptor, fragment_len, wrap};
use crate::time::Timer;

impl Sender<'_> {
    /// Cuts chunks that were never sent into such of at most `chunk_len_max` bytes, header
    /// included; from the first on, as many as there are descriptors for.
    pub(crate) fn recut(&mut self, chunk_len_max: u16) {
        let fragment_len = fragment_len(chunk_len_max);
        let (first, count) = (self.state.sent_count, self.state.count);
        let pieces = |chunk: &TxDescriptor| {
            u32::try_from(usize::from(chunk.len).div_ceil(fragment_len)).unwrap_or(1).max(1)
        };
        let free = self.descriptors.len().saturating_sub(count as usize);
        let (mut end, mut added) = (first, 0_u32);
        while end < count {
            let sum = added.saturating_add(pieces(&self.chunk(end))).saturating_sub(1);
            if sum as usize > free {
                break;
            }
            (end, added) = (end.saturating_add(1), sum);
        }
        if added == 0 {
            return;
        }
        // From the last to the first: each moves back, and no place is needed after it was
        // written.
        for index in (end..count).rev() {
            let chunk = self.chunk(index);
            self.modify(index.saturating_add(added), |slot| *slot = chunk);
        }
        let mut place = end.saturating_add(added);
        for index in (first..end).rev() {
            let chunk = self.chunk(index);
            for piece in (0..pieces(&chunk)).rev() {
                place = place.saturating_sub(1);
                let cut = self.piece(&chunk, piece, fragment_len);
                self.modify(place, |slot| *slot = cut);
            }
        }
        debug_assert_eq!(place, first, "pieces were counted twice");
        self.state.count = count.saturating_add(added);
    }

    /// Piece `index` of a chunk that is cut into such of `fragment_len` bytes of user data.
    fn piece(&self, chunk: &TxDescriptor, index: u32, fragment_len: usize) -> TxDescriptor {
        let len = usize::from(chunk.len);
        let start = fragment_len.saturating_mul(index as usize).min(len);
        let end = start.saturating_add(fragment_len).min(len);
        let mut piece = *chunk;
        piece.offset = wrap(chunk.offset.saturating_add(start as u32), self.bytes.len());
        piece.len = end.saturating_sub(start) as u16;
        if start > 0 {
            piece.bits &= !BEGINNING;
        }
        if end < len {
            piece.bits &= !ENDING;
        }
        piece
    }

    /// All that is in flight on a path was dropped, and not for congestion: it is to be sent
    /// again. RFC 8899 §4.6.
    pub(crate) fn resend(&mut self, path_index: u8, path: &mut PathTransfer) {
        path.t3_rtx = Timer::OFF;
        self.mark_path_lost(path_index, path);
    }

    /// Marks all that is in flight on a path as lost.
    pub(super) fn mark_path_lost(&mut self, path_index: u8, path: &mut PathTransfer) {
        for index in 0..self.state.sent_count {
            let chunk = self.chunk(index);
            if chunk.stage == Stage::InFlight && chunk.path == path_index {
                self.mark_lost(index, path);
            }
        }
    }

    /// Bytes that the chunk that goes next takes in a packet; 0 if none goes.
    pub(crate) fn next_size(&self) -> u32 {
        if self.state.lost_count == 0 {
            return self.next_unsent().map_or(0, |chunk| chunk.size());
        }
        let mut sent = (self.state.lost_from..self.state.sent_count).map(|at| self.chunk(at));
        sent.find(|chunk| chunk.stage == Stage::Lost).map_or(0, |chunk| chunk.size())
    }
}
