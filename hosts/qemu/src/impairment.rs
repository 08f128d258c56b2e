//! What a bad network does to frames, from a seed.

use std::time::Duration;

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::time::Instant;

/// How often a link does what; shares are in thousandths of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impairment {
    /// Frames that vanish.
    pub drop_per_mille: u16,
    /// How many frames vanish in a row, at most, in either direction.
    pub drops_in_a_row_max: u16,
    /// Frames that arrive twice.
    pub duplicate_per_mille: u16,
    /// Frames that are held back so long that those behind them overtake.
    pub reorder_per_mille: u16,
    /// How long every frame takes.
    pub delay: Duration,
}

impl Impairment {
    /// A link that does nothing wrong.
    pub const NONE: Self = Self {
        drop_per_mille: 0,
        drops_in_a_row_max: u16::MAX,
        duplicate_per_mille: 0,
        reorder_per_mille: 0,
        delay: Duration::ZERO,
    };

    /// A link that loses `per_mille` thousandths of the frames.
    #[must_use]
    pub const fn drop(per_mille: u16) -> Self {
        Self { drop_per_mille: per_mille, ..Self::NONE }
    }

    /// The same link, which loses `count` frames in a row and no more.
    #[must_use]
    pub const fn in_a_row(self, count: u16) -> Self {
        Self { drops_in_a_row_max: count, ..self }
    }

    /// The same link, which doubles `per_mille` thousandths, too.
    #[must_use]
    pub const fn duplicate(self, per_mille: u16) -> Self {
        Self { duplicate_per_mille: per_mille, ..self }
    }

    /// The same link, which lets `per_mille` thousandths be overtaken, too.
    #[must_use]
    pub const fn reorder(self, per_mille: u16) -> Self {
        Self { reorder_per_mille: per_mille, ..self }
    }

    /// The same link, slower by `delay`.
    #[must_use]
    pub const fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// When a frame that is sent now arrives: never, once or twice. `drops_in_a_row` counts what
    /// vanished in its direction since anything arrived.
    pub(crate) fn arrivals(
        &self,
        now: Instant,
        drops_in_a_row: &mut u16,
        random: &mut SplitMix64,
    ) -> impl Iterator<Item = Instant> {
        // The same number of draws for every frame, so that one rate does not disturb another.
        let mut hits = |per_mille: u16| random.below(1_000) < u64::from(per_mille);
        let is_dropped = hits(self.drop_per_mille) && *drops_in_a_row < self.drops_in_a_row_max;
        *drops_in_a_row = if is_dropped { drops_in_a_row.saturating_add(1) } else { 0 };
        let is_doubled = hits(self.duplicate_per_mille);
        let is_late = hits(self.reorder_per_mille);
        let at = now + self.delay + if is_late { HELD_BACK } else { Duration::ZERO };
        let second = (is_doubled && !is_dropped).then_some(at);
        (!is_dropped).then_some(at).into_iter().chain(second)
    }
}

/// How long a frame is held back that is to be overtaken.
const HELD_BACK: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1_000);

    #[test]
    fn a_good_link_delivers_once_and_at_once() {
        let mut random = SplitMix64::new(1);
        let arrivals: Vec<_> = Impairment::NONE.arrivals(NOW, &mut 0, &mut random).collect();
        assert_eq!(arrivals, [NOW]);
    }

    #[test]
    fn a_bad_link_does_what_it_says_about_as_often() {
        let mut random = SplitMix64::new(2);
        let delay = Duration::from_millis(1);
        let link = Impairment::drop(100).duplicate(200).reorder(300).delay(delay);
        let (mut dropped, mut doubled, mut late) = (0, 0, 0);
        for _ in 0..10_000 {
            let arrivals: Vec<_> = link.arrivals(NOW, &mut 0, &mut random).collect();
            match arrivals.as_slice() {
                [] => dropped += 1,
                [at] => late += u32::from(*at > NOW + delay),
                _ => doubled += 1,
            }
        }
        assert!((900..1_100).contains(&dropped), "{dropped}");
        assert!((1_650..1_950).contains(&doubled), "{doubled}");
        assert!((2_000..2_400).contains(&late), "{late}");
    }

    #[test]
    fn no_more_vanish_in_a_row_than_may() {
        let (mut random, mut in_a_row) = (SplitMix64::new(3), 0);
        let link = Impairment::drop(700).in_a_row(2);
        let longest = (0..1_000).map(|_| {
            let _ = link.arrivals(NOW, &mut in_a_row, &mut random).count();
            in_a_row
        });
        assert_eq!(longest.max(), Some(2));
    }

    #[test]
    fn the_same_seed_gives_the_same_fate() {
        let link = Impairment::drop(500).reorder(500);
        let fates = |seed| {
            let mut random = SplitMix64::new(seed);
            (0..64)
                .map(|_| link.arrivals(NOW, &mut 0, &mut random).collect())
                .collect::<Vec<Vec<_>>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }
}
