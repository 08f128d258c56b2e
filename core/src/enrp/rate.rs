//! Rate limits that cost eight bytes each: the generic cell rate algorithm.

use crate::time::Instant;

use super::config::RateLimit;

/// How far one association has used up one limit.
///
/// The value is the time at which the allowance would be whole again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meter(Instant);

impl Meter {
    /// A meter of which nothing is used.
    pub(super) const NEW: Self = Self(Instant::ZERO);

    /// Whether one more is within `limit` at `now`; if so it is counted.
    pub(super) fn admit(&mut self, now: Instant, limit: RateLimit) -> bool {
        if limit.interval.is_zero() {
            return true;
        }
        let whole_at = self.0.max(now);
        let allowance = limit.interval.saturating_mul(limit.burst.max(1) - 1);
        if whole_at.saturating_duration_since(now) > allowance {
            return false;
        }
        self.0 = whole_at + limit.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let limit = RateLimit::per_second(10, 3);
        let mut meter = Meter::NEW;
        let now = at(5_000);
        assert_eq!([0; 5].map(|_| meter.admit(now, limit)), [true, true, true, false, false]);
        assert!(!meter.admit(at(5_099), limit));
        assert!(meter.admit(at(5_100), limit));
        assert!(!meter.admit(at(5_100), limit));
    }

    #[test]
    fn idleness_restores_the_burst_and_not_more() {
        let limit = RateLimit::per_second(10, 3);
        let mut meter = Meter::NEW;
        for now in [at(0), at(3_600_000)] {
            assert_eq!([0; 4].map(|_| meter.admit(now, limit)), [true, true, true, false]);
        }
    }

    #[test]
    fn no_limit_limits_nothing() {
        let mut meter = Meter::NEW;
        assert!((0..10_000).all(|_| meter.admit(at(1), RateLimit::UNLIMITED)));
    }

    #[test]
    fn a_burst_of_nought_is_one() {
        let mut meter = Meter::NEW;
        let limit = RateLimit::per_second(1, 0);
        assert_eq!([0; 2].map(|_| meter.admit(at(9), limit)), [true, false]);
    }
}
