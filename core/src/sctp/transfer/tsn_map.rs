//! Which TSNs were received: RFC 9260 §6.2, §6.7.
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

use crate::sctp::packet::GapBlock;
use crate::sctp::serial::Tsn;

/// TSNs above the cumulative one that can be told apart.
pub(super) const REACH: u32 = crate::few(64, 512) as u32;

const WORD_BITS: u32 = u32::BITS;
const WORDS: usize = (REACH / WORD_BITS) as usize;

/// The cumulative TSN and a ring of bits for the [`REACH`] TSNs above it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TsnMap {
    cumulative: Tsn,
    highest: Tsn,
    words: [u32; WORDS],
}

impl TsnMap {
    /// All bits zero.
    pub(super) const EMPTY: Self = Self { cumulative: Tsn(0), highest: Tsn(0), words: [0; WORDS] };

    /// Nothing received yet; the first TSN will be `initial`.
    pub(super) fn start(&mut self, initial: Tsn) {
        let cumulative = initial.previous();
        *self = Self { cumulative, highest: cumulative, ..Self::EMPTY };
    }

    /// All TSNs up to here were received.
    pub(super) fn cumulative(&self) -> Tsn {
        self.cumulative
    }

    /// The highest TSN received.
    pub(super) fn highest(&self) -> Tsn {
        self.highest
    }

    /// Whether a TSN below the highest is missing.
    pub(super) fn has_gap(&self) -> bool {
        self.cumulative != self.highest
    }

    /// Whether `tsn`, which is at most [`REACH`] above the cumulative one, was received.
    pub(super) fn contains(&self, tsn: Tsn) -> bool {
        if !self.cumulative.is_before(tsn) {
            return true;
        }
        tsn.distance_from(self.cumulative) <= REACH && self.bit(tsn)
    }

    /// Notes `tsn` as received; moves the cumulative TSN over all that are now in a row.
    pub(super) fn insert(&mut self, tsn: Tsn) {
        debug_assert!(!self.contains(tsn) && tsn.distance_from(self.cumulative) <= REACH);
        if let Some((word, mask)) = self.place(tsn) {
            *word |= mask;
        }
        if self.highest.is_before(tsn) {
            self.highest = tsn;
        }
        for _ in 0..REACH {
            let next = self.cumulative.next();
            if !self.bit(next) {
                break;
            }
            if let Some((word, mask)) = self.place(next) {
                *word &= !mask;
            }
            self.cumulative = next;
        }
    }

    /// Forgets that `tsn`, which is above the cumulative one, was received.
    pub(super) fn remove(&mut self, tsn: Tsn) {
        if let Some((word, mask)) = self.place(tsn) {
            *word &= !mask;
        }
        for _ in 0..REACH {
            if self.contains(self.highest) {
                break;
            }
            self.highest = self.highest.previous();
        }
    }

    /// The runs of TSNs received above the cumulative one, lowest first.
    pub(super) fn gap_blocks(&self) -> impl Iterator<Item = GapBlock> {
        let end = self.highest.distance_from(self.cumulative);
        let mut offset = 1_u32;
        core::iter::from_fn(move || {
            let start = self.find(offset, end, true)?;
            let past = self.find(start, end, false).unwrap_or(end.saturating_add(1));
            offset = past;
            Some(GapBlock {
                start: u16::try_from(start).ok()?,
                end: u16::try_from(past.saturating_sub(1)).ok()?,
            })
        })
    }

    /// The first offset from `from` to `end` whose bit is as `wanted`; word by word.
    fn find(&self, from: u32, end: u32, wanted: bool) -> Option<u32> {
        let mut offset = from;
        for _ in 0..=WORDS {
            if offset > end {
                return None;
            }
            let tsn = self.cumulative.plus(offset);
            let bit = tsn.0 % WORD_BITS;
            let word = self.words.get(word_index(tsn)).copied().unwrap_or(0);
            let word = if wanted { word } else { !word };
            let steps = word.checked_shr(bit).unwrap_or(0).trailing_zeros();
            let left_in_word = WORD_BITS.saturating_sub(bit);
            if steps < left_in_word {
                return Some(offset.saturating_add(steps)).filter(|&found| found <= end);
            }
            offset = offset.saturating_add(left_in_word);
        }
        None
    }

    fn bit(&self, tsn: Tsn) -> bool {
        self.words.get(word_index(tsn)).is_some_and(|word| word & mask(tsn) != 0)
    }

    fn place(&mut self, tsn: Tsn) -> Option<(&mut u32, u32)> {
        self.words.get_mut(word_index(tsn)).map(|word| (word, mask(tsn)))
    }
}

fn word_index(tsn: Tsn) -> usize {
    (tsn.0 / WORD_BITS) as usize % WORDS
}

fn mask(tsn: Tsn) -> u32 {
    1_u32.rotate_left(tsn.0 % WORD_BITS)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::entropy::{Entropy, SplitMix64};

    fn blocks(map: &TsnMap) -> Vec<(u16, u16)> {
        map.gap_blocks().map(|block| (block.start, block.end)).collect()
    }

    #[test]
    fn gaps_are_counted_from_the_cumulative_tsn() {
        let mut map = TsnMap::EMPTY;
        map.start(Tsn(10));
        for tsn in [10, 12, 13, 17] {
            map.insert(Tsn(tsn));
        }
        assert_eq!(map.cumulative(), Tsn(10));
        assert_eq!(blocks(&map), [(2, 3), (7, 7)]);
        map.insert(Tsn(11));
        assert_eq!(map.cumulative(), Tsn(13));
        assert_eq!(blocks(&map), [(4, 4)]);
    }

    #[test]
    fn the_whole_reach_around_the_wrap_is_told_apart() {
        let mut map = TsnMap::EMPTY;
        map.start(Tsn(u32::MAX - 99));
        let first = Tsn(u32::MAX - 99);
        for step in (1..REACH).rev() {
            map.insert(first.plus(step));
            assert!(map.contains(first.plus(step)));
        }
        assert!(!map.contains(first));
        assert_eq!(blocks(&map), [(2, 512)]);
        map.insert(first);
        assert_eq!(map.cumulative(), first.plus(REACH - 1));
        assert!(!map.has_gap());
        assert_eq!(blocks(&map), []);
    }

    #[test]
    fn blocks_agree_with_a_plain_set() {
        let mut random = SplitMix64::new(1);
        for round in 0..300_u32 {
            let first = Tsn(random.next_u32());
            let mut map = TsnMap::EMPTY;
            map.start(first);
            let mut set = [false; REACH as usize];
            for _ in 0..random.below(400) {
                let step = random.below(u64::from(REACH)) as usize;
                if !map.contains(first.plus(step as u32)) {
                    map.insert(first.plus(step as u32));
                }
                set[step] = true;
            }
            let row = set.iter().take_while(|&&bit| bit).count();
            assert_eq!(map.cumulative(), first.plus(row as u32).previous(), "round {round}");
            let mut covered = [false; REACH as usize];
            covered[..row].fill(true);
            for (start, end) in blocks(&map) {
                covered[row + usize::from(start) - 1..row + usize::from(end)].fill(true);
            }
            assert_eq!(covered, set, "round {round}");
        }
    }
}
