//! Points in time as the caller counts them.

use core::ops::{Add, AddAssign};
use core::time::Duration;

/// Microseconds since an arbitrary start that the caller chose.
///
/// Arithmetic saturates: a deadline past the end of time never comes, which is what it means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The caller's start of time.
    pub const ZERO: Self = Self(0);
    /// The end of time; a deadline here never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `micros` microseconds after the caller's start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The point `millis` milliseconds after the caller's start.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the caller's start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The span since `earlier`; zero if `earlier` is later.
    #[must_use]
    #[cfg_attr(feature = "small", inline(never))]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The earlier of two deadlines, either of which may be absent.
    #[must_use]
    #[cfg_attr(feature = "small", inline(never))]
    pub fn earliest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

/// When a timer expires, if it runs: all that an `Option<Instant>` says, in eight bytes that need
/// no more alignment than a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer([u32; 2]);

impl Timer {
    /// It does not run: all bits zero.
    pub(crate) const OFF: Self = Self([0; 2]);

    /// It expires at `at`; the last two points of time are one.
    pub(crate) const fn at(at: Instant) -> Self {
        let one_more = at.0.saturating_add(1);
        Self([one_more as u32, (one_more >> u32::BITS) as u32])
    }

    const fn one_more(self) -> u64 {
        let Self([low, high]) = self;
        (high as u64) << u32::BITS | low as u64
    }

    /// When it expires, if it runs.
    pub(crate) const fn get(self) -> Option<Instant> {
        match self.one_more().checked_sub(1) {
            Some(micros) => Some(Instant(micros)),
            None => None,
        }
    }

    /// Of two the one that expires first.
    pub(crate) const fn earlier(self, other: Self) -> Self {
        // One that does not run comes last.
        let is_earlier = self.one_more().wrapping_sub(1) <= other.one_more().wrapping_sub(1);
        if is_earlier { self } else { other }
    }

    /// Whether it does not run.
    pub(crate) fn is_off(self) -> bool {
        self == Self::OFF
    }

    /// Whether it has expired.
    pub(crate) fn is_due(self, now: Instant) -> bool {
        self.get().is_some_and(|at| at <= now)
    }
}

/// The microseconds of a span, saturating. (`Duration::as_micros` counts in 128 bits.)
#[cfg_attr(feature = "small", inline(never))]
pub(crate) const fn micros(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(span.subsec_micros() as u64)
}

impl Add<Duration> for Instant {
    type Output = Self;

    // Called from many places: on a board a call is smaller than this.
    #[cfg_attr(feature = "small", inline(never))]
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

/// A short span in microseconds, saturating after 71 minutes: what protocol timers add and
/// compare, in one word where a `Duration` takes three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) u32);

impl Span {
    /// No time.
    pub(crate) const ZERO: Self = Self(0);

    /// The span of a duration.
    pub(crate) const fn of(duration: Duration) -> Self {
        let micros = micros(duration);
        Self(if micros > u32::MAX as u64 { u32::MAX } else { micros as u32 })
    }

    /// The span since `earlier`; zero if `earlier` is later.
    pub(crate) fn between(earlier: Instant, later: Instant) -> Self {
        Self(u32::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX))
    }

    /// Twice as long.
    pub(crate) const fn doubled(self) -> Self {
        Self(self.0.saturating_mul(2))
    }

    /// The span as others know it.
    pub(crate) const fn to_duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

impl Add<Span> for Instant {
    type Output = Self;

    #[cfg_attr(feature = "small", inline(never))]
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0.into()))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_at_the_end_of_time() {
        assert_eq!(Instant::from_micros(u64::MAX - 1) + Duration::from_secs(1), Instant::NEVER);
        assert_eq!(Instant::ZERO + Duration::MAX, Instant::NEVER);
    }

    #[test]
    fn time_running_backwards_is_no_span() {
        let (early, late) = (Instant::from_millis(5), Instant::from_millis(9));
        assert_eq!(late.saturating_duration_since(early), Duration::from_millis(4));
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }

    #[test]
    fn spans_saturate_too() {
        assert_eq!(Span::of(Duration::from_millis(5)), Span(5_000));
        assert_eq!(Span::of(Duration::MAX), Span(u32::MAX));
        assert_eq!(Span(5_000).to_duration(), Duration::from_millis(5));
        let (early, late) = (Instant::from_millis(5), Instant::from_millis(9));
        assert_eq!(Span::between(early, late), Span(4_000));
        assert_eq!(Span::between(late, early), Span::ZERO);
        assert_eq!(Span::between(early, Instant::NEVER), Span(u32::MAX));
        assert_eq!(early + Span(4_000), late);
    }

    #[test]
    fn a_timer_keeps_its_time_or_that_it_has_none() {
        assert_eq!(Timer::OFF.get(), None);
        assert!(Timer::OFF.is_off() && !Timer::OFF.is_due(Instant::NEVER));
        for micros in [0, 1, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40, u64::MAX - 1] {
            let at = Instant::from_micros(micros);
            assert_eq!(Timer::at(at).get(), Some(at));
            assert!(Timer::at(at).is_due(at) && !Timer::at(at).is_off());
        }
        let (early, late) = (Timer::at(Instant::ZERO), Timer::at(Instant::from_millis(1)));
        for (a, b) in [(early, late), (late, Timer::OFF), (Timer::OFF, Timer::OFF)] {
            assert_eq!([a.earlier(b), b.earlier(a)], [a; 2]);
        }
        assert!(!Timer::at(Instant::NEVER).is_due(Instant::from_micros(u64::MAX - 2)));
    }

    #[test]
    fn an_absent_deadline_is_later_than_any() {
        let at = Some(Instant::from_millis(1));
        assert_eq!(Instant::earliest(None, at), at);
        assert_eq!(Instant::earliest(at, Some(Instant::ZERO)), Some(Instant::ZERO));
        assert_eq!(Instant::earliest(None, None), None);
    }
}
