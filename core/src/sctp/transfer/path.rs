//! What data transfer keeps of one destination.
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

use super::Parameters;
use super::congestion::Congestion;
use super::rto::Rto;
use crate::sctp::serial::Tsn;
use crate::time::{Instant, Span, Timer};

/// Congestion window, timeout and timer of one destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathTransfer {
    pub(super) congestion: Congestion,
    pub(super) rto: Rto,
    pub(super) t3_rtx: Timer,
    /// The chunk whose acknowledgement gives the next round-trip sample, and when it was sent; off
    /// if none does.
    timed: Tsn,
    timed_at: Timer,
    pub(super) now_acked: NowAcked,
}

/// What the SACK being processed says about one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct NowAcked {
    /// Bytes newly acknowledged.
    pub(super) len: u32,
    pub(super) flight_before: u32,
    /// The earliest outstanding chunk of the path was among them.
    pub(super) earliest: bool,
    /// An outstanding chunk of the path was passed over.
    pub(super) passed: bool,
    /// A chunk acknowledged before is missing again.
    pub(super) reneged: bool,
    /// A chunk had its third miss indication.
    pub(super) lost: bool,
}

impl NowAcked {
    const EMPTY: Self = Self {
        len: 0,
        flight_before: 0,
        earliest: false,
        passed: false,
        reneged: false,
        lost: false,
    };
}

impl PathTransfer {
    /// Of no path: all bits zero. [`PathTransfer::start`] makes it usable.
    pub(crate) const EMPTY: Self = Self {
        congestion: Congestion::EMPTY,
        rto: Rto::EMPTY,
        t3_rtx: Timer::OFF,
        timed: Tsn(0),
        timed_at: Timer::OFF,
        now_acked: NowAcked::EMPTY,
    };

    /// Starts afresh, with nothing in flight. `chunk_len_max` is PMDCS: what a packet can carry of
    /// DATA chunks. RFC 9260 §7.2.1.
    pub(crate) fn start(&mut self, parameters: &Parameters, chunk_len_max: u16, is_ipv6: bool) {
        *self = Self::EMPTY;
        self.congestion.reset(chunk_len_max.into(), is_ipv6);
        self.rto.reset(parameters);
    }

    /// The current retransmission timeout.
    pub(crate) fn rto(&self) -> Span {
        self.rto.timeout()
    }

    /// The smoothed round-trip time, once one was measured.
    pub(crate) fn srtt(&self) -> Option<Span> {
        self.rto.srtt()
    }

    /// Takes in a round trip measured elsewhere: by HEARTBEAT, or in the handshake.
    pub(crate) fn on_rtt(&mut self, parameters: &Parameters, round_trip: Span) {
        self.rto.on_sample(round_trip, parameters);
    }

    /// Doubles the timeout. RFC 9260 §6.3.3 E2.
    pub(crate) fn back_off(&mut self, parameters: &Parameters) {
        self.rto.back_off(parameters);
    }

    /// T3-rtx, which is off if nothing is in flight.
    pub(crate) const fn t3_rtx(&self) -> Timer {
        self.t3_rtx
    }

    /// The path MTU has changed, and PMDCS with it.
    pub(crate) fn set_chunk_len_max(&mut self, chunk_len_max: u32) {
        self.congestion.set_chunk_len_max(chunk_len_max);
    }

    /// Bytes that the last SACK newly acknowledged.
    pub(crate) fn acked_len(&self) -> u32 {
        self.now_acked.len
    }

    /// Bytes in flight to this destination.
    pub(crate) fn flight(&self) -> u32 {
        self.congestion.flight()
    }

    /// The congestion window.
    #[cfg(test)]
    pub(crate) fn window(&self) -> u32 {
        self.congestion.window()
    }

    pub(super) fn begin_sack(&mut self) {
        self.now_acked = NowAcked { flight_before: self.congestion.flight(), ..NowAcked::EMPTY };
    }

    /// Chunk `tsn` is sent for the first time. It is timed if no other is. RFC 9260 §6.3.1 C4.
    pub(super) fn time_chunk(&mut self, tsn: Tsn, now: Instant) {
        if self.timed_at.is_off() {
            self.timed = tsn;
            self.timed_at = Timer::at(now);
        }
    }

    /// A chunk was newly acknowledged. RFC 9260 §6.3.1 C4.
    pub(super) fn on_chunk_acked(&mut self, now: Instant, tsn: Tsn, size: u32, p: &Parameters) {
        self.now_acked.len = self.now_acked.len.saturating_add(size);
        self.now_acked.earliest |= !self.now_acked.passed;
        if self.timed == tsn
            && let Some(sent_at) = self.timed_at.get()
        {
            self.timed_at = Timer::OFF;
            self.rto.on_sample(Span::between(sent_at, now), p);
        }
    }

    /// Chunk `tsn` is given up as lost: nothing from it on may be timed. RFC 9260 §6.3.1 C5.
    pub(super) fn on_chunk_lost(&mut self, tsn: Tsn, size: u32) {
        self.congestion.on_landed(size);
        if !self.timed.is_before(tsn) {
            self.timed_at = Timer::OFF;
        }
    }

    /// Grows the window by what was acknowledged. RFC 9260 §7.2.1, §7.2.2.
    pub(super) fn grow_window(&mut self, advanced: bool, recovering: bool) {
        let NowAcked { len, flight_before, .. } = self.now_acked;
        if len > 0 {
            self.congestion.on_acked(len, flight_before, advanced, recovering);
        }
    }

    /// Adjusts the timer and allows another burst. RFC 9260 §6.3.2 R2 to R4, §6.1 D.
    pub(super) fn end_sack(&mut self, now: Instant) {
        if self.congestion.flight() == 0 {
            self.congestion.on_all_landed();
            self.t3_rtx = Timer::OFF;
        } else if self.now_acked.earliest || (self.now_acked.reneged && self.t3_rtx.is_off()) {
            self.t3_rtx = Timer::at(now + self.rto());
        }
        self.congestion.open_burst();
    }
}
