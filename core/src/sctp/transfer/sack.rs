//! What a SACK does to the sender: RFC 9260 §6.2.1, §6.7, §7.2.4.
//!
//! A SACK without gap blocks costs a step for every chunk that it acknowledges; one with gap
//! blocks, a few steps for every chunk that is outstanding.
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

use super::sender::{Sender, Stage, TxDescriptor};
use super::{Parameters, PathTransfer};
use crate::sctp::packet::{GapBlock, Sack};
use crate::sctp::serial::Tsn;
use crate::time::{Instant, Span};

/// What a SACK brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SackOutcome {
    /// It is not older than one seen before, so the peer is alive.
    pub(crate) is_current: bool,
    /// The cumulative TSN advanced: there is more room in the send queue.
    pub(crate) advanced: bool,
    /// Bit n: data last sent on path n was newly acknowledged, or a probe of a closed window was
    /// answered: the peer is alive (RFC 9260 §6.1 A, §8.1).
    pub(crate) acked_paths: u32,
    /// Those of them for which data speaks that was sent on no other path; their error counters
    /// are cleared (RFC 9260 §8.2, RFC 7829 §3.2).
    pub(crate) proven_paths: u32,
}

/// The peer acknowledges what was never sent: abort with cause 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeverSent;

/// Which chunks the gap blocks reach, counted from the first.
struct Swept {
    /// One past the highest reported.
    reported_end: u32,
    /// One past the highest newly acknowledged (HTNA).
    newly_end: u32,
}

impl Sender<'_> {
    /// Takes in a SACK. `paths` are those whose indices were given to
    /// [`next_data`](Sender::next_data).
    ///
    /// # Errors
    ///
    /// [`NeverSent`].
    pub(crate) fn on_sack(
        &mut self,
        now: Instant,
        sack: &Sack<'_>,
        parameters: &Parameters,
        paths: &mut [PathTransfer],
    ) -> Result<SackOutcome, NeverSent> {
        let Some(steps) = self.steps_to(sack.cumulative)? else {
            return Ok(SackOutcome::default());
        };
        paths.iter_mut().for_each(PathTransfer::begin_sack);
        let was_recovering = self.state.recovery_exit.is_some();
        self.ack_cumulatively(now, steps, parameters, paths);
        let blocks = &mut sack.gap_blocks();
        let swept = self.sweep(now, blocks, parameters, paths);
        let is_recovering = self.state.recovery_exit.is_some();
        for path in &mut *paths {
            path.grow_window(steps > 0, is_recovering);
        }
        let count_all = was_recovering && is_recovering && steps > 0;
        let miss_end = if count_all { swept.reported_end } else { swept.newly_end };
        self.count_misses(miss_end, paths);
        self.state.peer_window = sack.a_rwnd.saturating_sub(self.state.outstanding);
        self.state.has_heard = true;
        // What was sent while the window was open and found it closed probes it from now on.
        let is_closed = sack.a_rwnd < u32::from(self.chunk(0).len);
        self.state.is_probing |= is_closed && self.state.sent_count > 0;
        let answered = self.answered_probe_path();
        self.recover_probe(now, paths);
        let mut outcome = self.finish(now, steps, paths);
        outcome.acked_paths |= answered;
        Ok(outcome)
    }

    /// The bit of the path whose probe found the window still closed: a peer that answers probes
    /// is alive, however many of them get lost over time. §6.1 A.
    fn answered_probe_path(&mut self) -> u32 {
        let chunk = self.chunk(0);
        if !self.state.is_probing || self.state.peer_window >= u32::from(chunk.len) {
            return 0;
        }
        self.note_proof(&chunk);
        bit_of(chunk.path)
    }

    /// What was answered speaks for its path, if it took no other.
    fn note_proof(&mut self, chunk: &TxDescriptor) {
        if !chunk.took_several_paths() {
            self.state.proven_paths |= bit_of(chunk.path) as u8;
        }
    }

    /// Takes in the cumulative TSN of a SHUTDOWN. RFC 9260 §9.2.
    ///
    /// One that was never sent acknowledges nothing: the crate sctp-proto and its kin put a TSN
    /// of their own there.
    pub(crate) fn on_cumulative(
        &mut self,
        now: Instant,
        cumulative: Tsn,
        parameters: &Parameters,
        paths: &mut [PathTransfer],
    ) -> SackOutcome {
        let Ok(Some(steps)) = self.steps_to(cumulative) else {
            return SackOutcome::default();
        };
        paths.iter_mut().for_each(PathTransfer::begin_sack);
        let outstanding = self.state.outstanding;
        self.ack_cumulatively(now, steps, parameters, paths);
        // No a_rwnd came along: what was acknowledged is taken to have been read.
        let landed = outstanding.saturating_sub(self.state.outstanding);
        self.state.peer_window = self.state.peer_window.saturating_add(landed);
        for path in &mut *paths {
            path.grow_window(steps > 0, self.state.recovery_exit.is_some());
        }
        self.finish(now, steps, paths)
    }

    /// How many chunks `cumulative` acknowledges; `None` if it is an old one. §6.2.1 D i.
    fn steps_to(&self, cumulative: Tsn) -> Result<Option<u32>, NeverSent> {
        if cumulative.is_before(self.cumulative()) {
            return Ok(None);
        }
        let steps = cumulative.distance_from(self.cumulative());
        if steps > self.state.sent_count { Err(NeverSent) } else { Ok(Some(steps)) }
    }

    fn finish(&mut self, now: Instant, steps: u32, paths: &mut [PathTransfer]) -> SackOutcome {
        let mut acked_paths = 0;
        for (path, index) in paths.iter_mut().zip(0..) {
            path.end_sack(now);
            if path.now_acked.len > 0 {
                acked_paths |= bit_of(index);
            }
        }
        let proven_paths = core::mem::take(&mut self.state.proven_paths).into();
        SackOutcome { is_current: true, advanced: steps > 0, acked_paths, proven_paths }
    }

    fn ack_cumulatively(
        &mut self,
        now: Instant,
        steps: u32,
        parameters: &Parameters,
        paths: &mut [PathTransfer],
    ) {
        for index in 0..steps {
            if self.chunk(index).stage == Stage::Acked {
                self.state.acked_count = self.state.acked_count.saturating_sub(1);
            } else {
                self.ack_chunk(now, index, parameters, paths);
            }
        }
        self.advance(steps);
        if steps > 0 {
            self.state.is_probing = false;
        }
        // §6.2.1 D iv.
        if self.state.recovery_exit.is_some_and(|exit| !self.cumulative().is_before(exit)) {
            self.state.recovery_exit = None;
        }
    }

    /// A chunk in flight, or lost, is acknowledged for the first time.
    fn ack_chunk(
        &mut self,
        now: Instant,
        index: u32,
        parameters: &Parameters,
        paths: &mut [PathTransfer],
    ) {
        let chunk = self.chunk(index);
        if chunk.stage == Stage::Lost {
            self.state.lost_count = self.state.lost_count.saturating_sub(1);
        } else {
            let len = u32::from(chunk.len);
            self.state.outstanding = self.state.outstanding.saturating_sub(len);
        }
        self.note_proof(&chunk);
        let Some(path) = paths.get_mut(usize::from(chunk.path)) else { return };
        if chunk.stage == Stage::InFlight {
            path.congestion.on_landed(chunk.size());
        }
        let tsn = self.state.first_tsn.plus(index);
        path.on_chunk_acked(now, tsn, chunk.size(), parameters);
    }

    /// Walks the outstanding chunks along the gap blocks. Blocks out of order are ignored, and so
    /// is what lies beyond the last chunk sent.
    ///
    /// The first chunk is missing by definition (§3.3.4): a block that reaches it is ignored too,
    /// or else nothing would be in flight and no timer run while it is not acknowledged.
    fn sweep(
        &mut self,
        now: Instant,
        blocks: &mut dyn Iterator<Item = GapBlock>,
        parameters: &Parameters,
        paths: &mut [PathTransfer],
    ) -> Swept {
        let mut swept = Swept { reported_end: 0, newly_end: 0 };
        // Chunks before this one are done; block offsets count from 1 at the first chunk.
        let mut next = 0;
        for block in blocks {
            let start = u32::from(block.start).saturating_sub(1);
            let end = u32::from(block.end).min(self.state.sent_count);
            if block.start < 2 || start < next || end <= start {
                continue;
            }
            self.pass_over(next, start, paths);
            for index in start..end {
                if self.chunk(index).stage != Stage::Acked {
                    self.ack_chunk(now, index, parameters, paths);
                    self.modify(index, |slot| slot.stage = Stage::Acked);
                    self.state.acked_count = self.state.acked_count.saturating_add(1);
                    swept.newly_end = index.saturating_add(1);
                }
            }
            next = end;
            swept.reported_end = end;
        }
        if self.state.acked_count > 0 {
            self.pass_over(next, self.state.sent_count, paths);
        }
        swept
    }

    /// Chunks that no block covers; those covered before were reneged. §6.2.1 D iii.
    fn pass_over(&mut self, start: u32, end: u32, paths: &mut [PathTransfer]) {
        for index in start..end {
            let chunk = self.chunk(index);
            let Some(path) = paths.get_mut(usize::from(chunk.path)) else { continue };
            match chunk.stage {
                Stage::InFlight => path.now_acked.passed = true,
                Stage::Acked => {
                    self.state.acked_count = self.state.acked_count.saturating_sub(1);
                    let len = u32::from(chunk.len);
                    self.state.outstanding = self.state.outstanding.saturating_add(len);
                    path.congestion.on_reneged(chunk.size());
                    path.now_acked.reneged = true;
                    self.modify(index, |slot| {
                        slot.stage = Stage::InFlight;
                        slot.misses = 1;
                    });
                }
                Stage::Queued | Stage::Lost => {}
            }
        }
    }

    /// Counts a miss for every chunk in flight before `end`; the third loses it. §7.2.4.
    fn count_misses(&mut self, end: u32, paths: &mut [PathTransfer]) {
        let mut has_lost = false;
        for index in 0..end {
            let chunk = self.chunk(index);
            if chunk.stage != Stage::InFlight {
                continue;
            }
            let misses = chunk.misses.saturating_add(1);
            self.modify(index, |slot| slot.misses = misses);
            if misses < MISSES_UNTIL_LOST || chunk.was_fast {
                continue;
            }
            let Some(path) = paths.get_mut(usize::from(chunk.path)) else { continue };
            self.mark_lost(index, path);
            self.modify(index, |slot| slot.was_fast = true);
            path.now_acked.lost = true;
            has_lost = true;
        }
        if !has_lost || self.state.recovery_exit.is_some() {
            return;
        }
        for path in paths.iter_mut().filter(|path| path.now_acked.lost) {
            path.congestion.on_loss();
        }
        let last = self.cumulative().plus(self.state.sent_count);
        self.state.recovery_exit = Some(last);
        self.state.is_fast_due = true;
    }

    /// The window opened, but the probe that found it closed was dropped by the peer: send it
    /// again now if its timer has backed off far.
    fn recover_probe(&mut self, now: Instant, paths: &mut [PathTransfer]) {
        let chunk = self.chunk(0);
        if !self.state.is_probing
            || chunk.stage != Stage::InFlight
            || self.state.peer_window < u32::from(chunk.len)
        {
            return;
        }
        let Some(path) = paths.get_mut(usize::from(chunk.path)) else { return };
        if path.t3_rtx.get().is_some_and(|deadline| deadline > now + PROBE_WAIT_MAX) {
            self.mark_lost(0, path);
            self.state.is_probing = false;
        }
    }
}

/// The bit that stands for a path.
fn bit_of(path: u8) -> u32 {
    1_u32.checked_shl(path.into()).unwrap_or(0)
}

/// Miss indications that lose a chunk.
const MISSES_UNTIL_LOST: u8 = 3;
/// How long a probe that the peer dropped may wait for its timer once the window is open.
const PROBE_WAIT_MAX: Span = Span(1_000_000);
