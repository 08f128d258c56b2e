//! Congestion window of one path: RFC 9260 §6.1 B and D, §7.2.
//!
//! Sizes count the header and padding of a DATA chunk (§7.2).
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

use crate::time::{Instant, Span, Timer};

/// How much may be in flight on a path, and how much is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Congestion {
    /// The largest DATA chunk, header and padding included, that one packet can carry (PMDCS).
    chunk_len_max: u32,
    window: u32,
    slow_start_threshold: u32,
    partial_bytes_acked: u32,
    flight: u32,
    /// No packet starts at or above this flight size until the next acknowledgement (Max.Burst).
    burst_limit: u32,
    /// When the last chunk left; off before the first one.
    sent_at: Timer,
}

impl Congestion {
    /// Of no path: all bits zero. [`Congestion::reset`] makes it usable.
    pub(crate) const EMPTY: Self = Self {
        chunk_len_max: 0,
        window: 0,
        slow_start_threshold: 0,
        partial_bytes_acked: 0,
        flight: 0,
        burst_limit: 0,
        sent_at: Timer::OFF,
    };

    /// Starts afresh with nothing in flight. RFC 9260 §7.2.1, §7.2.5.
    pub(crate) fn reset(&mut self, chunk_len_max: u32, is_ipv6: bool) {
        let floor = if is_ipv6 { INITIAL_IPV6 } else { INITIAL_IPV4 };
        let two = chunk_len_max.saturating_mul(2);
        *self = Self {
            chunk_len_max,
            window: chunk_len_max.saturating_mul(4).min(two.max(floor)),
            slow_start_threshold: u32::MAX,
            ..Self::EMPTY
        };
    }

    /// Bytes in flight.
    pub(crate) fn flight(&self) -> u32 {
        self.flight
    }

    /// The congestion window.
    #[cfg(test)]
    pub(crate) fn window(&self) -> u32 {
        self.window
    }

    /// The largest DATA chunk that one packet can carry is another one now. A window of one packet
    /// (§7.2.3) stays one.
    pub(crate) fn set_chunk_len_max(&mut self, chunk_len_max: u32) {
        if self.window == self.chunk_len_max {
            self.window = chunk_len_max;
        }
        self.chunk_len_max = chunk_len_max;
    }

    /// Whether one more packet may be begun. RFC 9260 §6.1 B: that packet may exceed the window.
    pub(crate) fn may_send(&self) -> bool {
        self.flight == 0 || (self.flight < self.window && self.flight < self.burst_limit)
    }

    /// A DATA chunk of `size` leaves.
    pub(crate) fn on_sent(&mut self, now: Instant, size: u32, timeout: Span) {
        if self.flight == 0 {
            self.decay(now, timeout);
            self.burst_limit = self.chunk_len_max.saturating_mul(BURST_MAX);
        }
        self.sent_at = Timer::at(now);
        self.flight = self.flight.saturating_add(size);
    }

    /// A DATA chunk of `size` is in flight no more: acknowledged, or given up as lost.
    pub(crate) fn on_landed(&mut self, size: u32) {
        debug_assert!(size <= self.flight, "more landed than was in flight");
        self.flight = self.flight.saturating_sub(size);
    }

    /// A chunk counted as landed turns out to be missing: the peer reneged.
    pub(crate) fn on_reneged(&mut self, size: u32) {
        self.flight = self.flight.saturating_add(size);
    }

    /// A SACK newly acknowledged `acked` bytes of this path, when `flight_before` were in flight.
    ///
    /// `advanced`: it moved the cumulative TSN; `recovering`: fast recovery is on. RFC 9260
    /// §7.2.1, §7.2.2.
    pub(crate) fn on_acked(
        &mut self,
        acked: u32,
        flight_before: u32,
        advanced: bool,
        recovering: bool,
    ) {
        let was_full = flight_before >= self.window;
        if self.window <= self.slow_start_threshold {
            if was_full && advanced && !recovering {
                self.window = self.window.saturating_add(acked.min(self.chunk_len_max));
            }
            return;
        }
        self.partial_bytes_acked = self.partial_bytes_acked.saturating_add(acked);
        if self.partial_bytes_acked >= self.window {
            if was_full {
                self.partial_bytes_acked = self.partial_bytes_acked.saturating_sub(self.window);
                if !recovering {
                    self.window = self.window.saturating_add(self.chunk_len_max);
                }
            } else {
                self.partial_bytes_acked = self.window;
            }
        }
    }

    /// Nothing of this path is outstanding any more. RFC 9260 §7.2.2.
    pub(crate) fn on_all_landed(&mut self) {
        self.partial_bytes_acked = 0;
    }

    /// An acknowledgement came in: another burst of packets may leave. RFC 9260 §6.1 D.
    pub(crate) fn open_burst(&mut self) {
        let burst = self.chunk_len_max.saturating_mul(BURST_MAX);
        self.burst_limit = self.flight.saturating_add(burst);
    }

    /// SACKs showed a loss. RFC 9260 §7.2.3.
    pub(crate) fn on_loss(&mut self) {
        self.slow_start_threshold = self.halved();
        self.window = self.slow_start_threshold;
        self.partial_bytes_acked = 0;
    }

    /// T3-rtx expired. RFC 9260 §7.2.3: one packet until the next acknowledgement.
    pub(crate) fn on_timeout(&mut self) {
        self.slow_start_threshold = self.halved();
        self.window = self.chunk_len_max;
        self.partial_bytes_acked = 0;
    }

    /// Shrinks the window by half for every timeout in which nothing was sent. RFC 9260 §7.2.1.
    fn decay(&mut self, now: Instant, timeout: Span) {
        let Some(sent_at) = self.sent_at.get() else { return };
        let mut idle = Span::between(sent_at, now);
        if idle < timeout || timeout == Span::ZERO {
            return;
        }
        self.slow_start_threshold = self.slow_start_threshold.max(self.window);
        for _ in 0..u32::BITS {
            let halved = self.halved();
            if idle < timeout || halved >= self.window {
                break;
            }
            self.window = halved;
            idle = Span(idle.0.saturating_sub(timeout.0));
        }
    }

    fn halved(&self) -> u32 {
        (self.window / 2).max(self.chunk_len_max.saturating_mul(4))
    }
}

const INITIAL_IPV4: u32 = 4404;
const INITIAL_IPV6: u32 = 4344;
/// Max.Burst: packets that may leave without an acknowledgement in between (RFC 9260 §16).
const BURST_MAX: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span(1_000_000);

    fn fresh() -> Congestion {
        let mut congestion = Congestion::EMPTY;
        congestion.reset(1_468, false);
        congestion
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn the_initial_window_follows_the_packet_size() {
        assert_eq!(fresh().window(), 4_404);
        let mut congestion = Congestion::EMPTY;
        congestion.reset(1_448, true);
        assert_eq!(congestion.window(), 4_344);
        congestion.reset(500, false);
        assert_eq!(congestion.window(), 2_000);
        congestion.reset(9_000, false);
        assert_eq!(congestion.window(), 18_000);
    }

    #[test]
    fn the_window_may_be_exceeded_by_one_packet() {
        let mut congestion = fresh();
        for _ in 0..3 {
            assert!(congestion.may_send());
            congestion.on_sent(at(1), 1_467, SECOND);
        }
        assert_eq!(congestion.flight(), 4_401);
        assert!(congestion.may_send());
        congestion.on_sent(at(1), 1_468, SECOND);
        assert!(!congestion.may_send());
    }

    #[test]
    fn slow_start_grows_by_at_most_a_packet_and_only_when_full() {
        let mut congestion = fresh();
        congestion.on_acked(2_936, 4_403, true, false);
        assert_eq!(congestion.window(), 4_404, "was not fully used");
        congestion.on_acked(2_936, 4_404, false, false);
        assert_eq!(congestion.window(), 4_404, "cumulative TSN did not advance");
        congestion.on_acked(2_936, 4_404, true, true);
        assert_eq!(congestion.window(), 4_404, "in fast recovery");
        congestion.on_acked(2_936, 4_404, true, false);
        assert_eq!(congestion.window(), 5_872);
        congestion.on_acked(100, 5_872, true, false);
        assert_eq!(congestion.window(), 5_972);
    }

    #[test]
    fn avoidance_grows_by_a_packet_per_window() {
        let mut congestion = fresh();
        congestion.window = 20_000;
        congestion.on_loss();
        congestion.window = 10_001;
        congestion.slow_start_threshold = 10_000;
        congestion.on_acked(6_000, 10_001, true, false);
        assert_eq!(congestion.window(), 10_001);
        congestion.on_acked(6_000, 10_001, true, false);
        assert_eq!(congestion.window(), 11_469);
        assert_eq!(congestion.partial_bytes_acked, 1_999);
        congestion.on_acked(20_000, 100, true, false);
        assert_eq!(congestion.partial_bytes_acked, 11_469, "capped while not full");
    }

    #[test]
    fn loss_halves_and_timeout_leaves_one_packet() {
        let mut congestion = fresh();
        congestion.window = 40_000;
        congestion.on_loss();
        assert_eq!(congestion.window(), 20_000);
        congestion.on_timeout();
        assert_eq!(congestion.window(), 1_468);
        assert_eq!(congestion.slow_start_threshold, 10_000);
        congestion.on_loss();
        assert_eq!(congestion.window(), 5_872, "never below four packets");
    }

    #[test]
    fn an_unused_path_decays_per_timeout_and_never_grows() {
        let mut congestion = fresh();
        congestion.window = 80_000;
        congestion.on_sent(at(1), 100, SECOND);
        congestion.on_landed(100);
        congestion.on_sent(at(2_100), 100, SECOND);
        assert_eq!(congestion.window(), 20_000);
        congestion.on_landed(100);
        congestion.window = 1_468;
        congestion.on_sent(at(90_000), 100, SECOND);
        assert_eq!(congestion.window(), 1_468);
    }

    #[test]
    fn a_burst_is_four_packets() {
        let mut congestion = fresh();
        congestion.window = 1_000_000;
        let mut sent = 0;
        while congestion.may_send() {
            congestion.on_sent(at(1), 1_468, SECOND);
            sent += 1;
        }
        assert_eq!(sent, 4);
        congestion.on_landed(1_468);
        congestion.open_burst();
        while congestion.may_send() {
            congestion.on_sent(at(1), 1_468, SECOND);
            sent += 1;
        }
        assert_eq!(sent, 8);
    }
}
