//! Retransmission timeout of one path: RFC 9260 §6.3.1 and §6.3.3 E2.
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
use crate::time::Span;

/// Smoothed round-trip time, its variation and the timeout that follows, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rto {
    /// Zero until the first sample.
    srtt: u32,
    variation: u32,
    timeout: u32,
}

impl Rto {
    /// Of no path: all bits zero. [`Rto::reset`] makes it usable.
    pub(crate) const EMPTY: Self = Self { srtt: 0, variation: 0, timeout: 0 };

    /// Forgets every sample. RFC 9260 §6.3.1 C1.
    pub(crate) fn reset(&mut self, parameters: &Parameters) {
        *self = Self { timeout: parameters.rto_initial.0, ..Self::EMPTY };
    }

    /// The current timeout.
    pub(crate) fn timeout(&self) -> Span {
        Span(self.timeout)
    }

    /// The smoothed round-trip time; `None` before the first sample.
    pub(crate) fn srtt(&self) -> Option<Span> {
        (self.srtt > 0).then_some(Span(self.srtt))
    }

    /// Takes in a measured round trip. RFC 9260 §6.3.1 C2, C3, C6, C7 and G1.
    pub(crate) fn on_sample(&mut self, round_trip: Span, parameters: &Parameters) {
        let sample = round_trip.0.max(GRANULARITY_MICROS);
        if self.srtt == 0 {
            self.srtt = sample;
            self.variation = sample / 2;
        } else {
            let error = self.srtt.abs_diff(sample);
            self.variation = self.variation.saturating_sub(self.variation / 4);
            self.variation = self.variation.saturating_add(error / 4);
            self.srtt = self.srtt.saturating_sub(self.srtt / 8).saturating_add(sample / 8);
            self.srtt = self.srtt.max(GRANULARITY_MICROS);
        }
        self.variation = self.variation.max(GRANULARITY_MICROS);
        let timeout = self.srtt.saturating_add(self.variation.saturating_mul(4));
        let (least, most) = (parameters.rto_min.0, parameters.rto_max.0);
        self.timeout = timeout.max(least).min(most);
    }

    /// Doubles the timeout. RFC 9260 §6.3.3 E2.
    pub(crate) fn back_off(&mut self, parameters: &Parameters) {
        self.timeout = self.timeout.saturating_mul(2).min(parameters.rto_max.0);
    }
}

/// The granularity of the clock: RTTVAR and SRTT never fall below it.
const GRANULARITY_MICROS: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (Rto, Parameters) {
        let parameters = Parameters::DEFAULT;
        let mut rto = Rto::EMPTY;
        rto.reset(&parameters);
        (rto, parameters)
    }

    #[test]
    fn before_any_sample_it_is_the_initial_second() {
        let (rto, _) = fresh();
        assert_eq!(rto.timeout(), Span(1_000_000));
        assert_eq!(rto.srtt(), None);
    }

    #[test]
    fn the_first_sample_gives_three_times_itself() {
        let (mut rto, parameters) = fresh();
        rto.on_sample(Span(500 * 1_000), &parameters);
        assert_eq!(rto.srtt(), Some(Span(500 * 1_000)));
        assert_eq!(rto.timeout(), Span(1_500 * 1_000));
    }

    #[test]
    fn later_samples_are_smoothed() {
        let (mut rto, parameters) = fresh();
        rto.on_sample(Span(800 * 1_000), &parameters);
        rto.on_sample(Span(1_600 * 1_000), &parameters);
        // RTTVAR = 3/4 * 400 + 1/4 * 800 = 500; SRTT = 7/8 * 800 + 1/8 * 1600 = 900.
        assert_eq!(rto.srtt(), Some(Span(900 * 1_000)));
        assert_eq!(rto.timeout(), Span((900 + 4 * 500) * 1_000));
    }

    #[test]
    fn it_is_clamped_at_both_ends() {
        let (mut rto, parameters) = fresh();
        rto.on_sample(Span(300), &parameters);
        assert_eq!(rto.timeout(), Span(1_000_000));
        for _ in 0..40 {
            rto.back_off(&parameters);
        }
        assert_eq!(rto.timeout(), Span(60 * 1_000_000));
        rto.on_sample(Span(500 * 1_000_000), &parameters);
        assert_eq!(rto.timeout(), Span(60 * 1_000_000));
    }

    #[test]
    fn a_sample_collapses_the_back_off() {
        let (mut rto, parameters) = fresh();
        rto.back_off(&parameters);
        rto.back_off(&parameters);
        assert_eq!(rto.timeout(), Span(4 * 1_000_000));
        rto.on_sample(Span(10 * 1_000), &parameters);
        assert_eq!(rto.timeout(), Span(1_000_000));
    }

    #[test]
    fn equal_samples_leave_a_variation_of_the_granularity() {
        let (mut rto, mut parameters) = fresh();
        parameters.rto_min = Span::ZERO;
        for _ in 0..200 {
            rto.on_sample(Span::ZERO, &parameters);
        }
        assert!(rto.timeout() > Span::ZERO);
    }
}
