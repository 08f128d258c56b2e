//! Pool policies (RFC 5356) as a function from policy values to order keys and weights.
//!
//! A policy decides nothing by itself: it says where an element stands ([`rank`]), and the
//! handlespace's one ordered structure answers who is next. Read RFC 5356 §4 and §5 before
//! changing anything here. Where RSPLIB's own policies or its arithmetic differ, see "Policies"
//! in `docs/protocol-notes.md`.
//!
//! Deliberately absent: state. What a selection changes (how often an element was selected, its
//! pass in weighted round robin) is handed in.

/// The policies that can be selected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// RFC 5356 §4.1.
    RoundRobin,
    /// RFC 5356 §4.2.
    WeightedRoundRobin,
    /// RFC 5356 §4.3.
    Random,
    /// RFC 5356 §4.4.
    WeightedRandom,
    /// RFC 5356 §4.5.
    Priority,
    /// RFC 5356 §5.1.
    LeastUsed,
    /// RFC 5356 §5.2.
    LeastUsedDegradation,
    /// RFC 5356 §5.3.
    PriorityLeastUsed,
    /// RFC 5356 §5.4.
    RandomizedLeastUsed,
    /// RSPLIB's: random, by what is left after the next request.
    RandomizedPriorityLeastUsed,
    /// RSPLIB's: random, by what is left with degradation.
    RandomizedLeastUsedDegradation,
    /// RSPLIB's: both priority and degradation.
    PriorityLeastUsedDegradation,
    /// RSPLIB's: random, priority and degradation.
    RandomizedPriorityLeastUsedDegradation,
    /// RSPLIB's: weighted random, less by distance.
    WeightedRandomDpf,
    /// RSPLIB's: least used, more by distance.
    LeastUsedDpf,
    /// RSPLIB's: least used with degradation, more by distance.
    LeastUsedDegradationDpf,
}

/// The numbers of an element's policy; those that its [`Kind`] does not have are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Values {
    /// The load as a fraction of 2^32-1, or the weight, or the priority.
    pub base: u32,
    /// How much of 2^32-1 one more request adds to the load.
    pub degradation: u32,
    /// The penalty of one unit of distance, as a fraction of 2^32-1.
    pub distance_penalty: u32,
    /// The distance, in milliseconds.
    pub distance: u32,
}

/// Where an element stands among the others of its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Rank {
    /// The smallest keys come first; equal ones take turns.
    Ordered(u64),
    /// Takes turns, this many times as often as an element of weight 1. 0: never.
    Turns(u32),
    /// Drawn with a probability in proportion to this. 0: never.
    Weighted(u32),
}

/// How far the pass of an element of weight 1 advances at each selection (stride scheduling).
///
/// Passes of one pool spread over at most this, and are compared around the end of 64 bits.
const STRIDE_OF_ONE: u64 = 1 << 62;

/// The sum of loads from which on they are all the same; keeps keys comparable.
const KEY_MAX: u64 = i64::MAX as u64;

impl Kind {
    /// Whether elements are drawn at random, rather than taken in order.
    #[must_use]
    pub const fn is_random(self) -> bool {
        matches!(
            self,
            Self::Random
                | Self::WeightedRandom
                | Self::RandomizedLeastUsed
                | Self::RandomizedPriorityLeastUsed
                | Self::RandomizedLeastUsedDegradation
                | Self::RandomizedPriorityLeastUsedDegradation
                | Self::WeightedRandomDpf
        )
    }

    /// Whether elements take turns and nothing else counts.
    #[must_use]
    pub const fn takes_turns(self) -> bool {
        matches!(self, Self::RoundRobin)
    }

    /// Whether selections since the last registration count (RFC 5356 §5.2.2).
    #[must_use]
    pub const fn counts_selections(self) -> bool {
        matches!(
            self,
            Self::LeastUsedDegradation
                | Self::PriorityLeastUsedDegradation
                | Self::RandomizedLeastUsedDegradation
                | Self::RandomizedPriorityLeastUsedDegradation
                | Self::LeastUsedDegradationDpf
        )
    }
}

/// Where an element with `values` stands that was selected `selections` times since it told its
/// load.
#[inline]
#[must_use]
pub fn rank(kind: Kind, values: &Values, selections: u32) -> Rank {
    let load = u64::from(values.base);
    let step = u64::from(values.degradation);
    let degraded = || load.saturating_add(u64::from(selections).saturating_mul(step));
    let far = || u64::from(values.distance).saturating_mul(u64::from(values.distance_penalty));
    match kind {
        Kind::RoundRobin => Rank::Ordered(0),
        Kind::WeightedRoundRobin => Rank::Turns(values.base),
        // Larger numbers mean higher priorities.
        Kind::Priority => Rank::Ordered(u64::from(!values.base)),
        Kind::LeastUsed => Rank::Ordered(load),
        Kind::LeastUsedDegradation => ordered(degraded()),
        Kind::PriorityLeastUsed => ordered(load.saturating_add(step)),
        Kind::PriorityLeastUsedDegradation => ordered(degraded().saturating_add(step)),
        Kind::LeastUsedDpf => ordered(load.saturating_add(far())),
        Kind::LeastUsedDegradationDpf => ordered(degraded().saturating_add(far())),
        Kind::Random => Rank::Weighted(1),
        Kind::WeightedRandom => Rank::Weighted(values.base),
        Kind::WeightedRandomDpf => Rank::Weighted(weight_by_distance(values.base, far())),
        Kind::RandomizedLeastUsed => unload(load),
        Kind::RandomizedLeastUsedDegradation => unload(degraded()),
        Kind::RandomizedPriorityLeastUsed => unload(load.saturating_add(step)),
        Kind::RandomizedPriorityLeastUsedDegradation => unload(degraded().saturating_add(step)),
    }
}

/// How far the pass of an element advances when it is selected. `weight` must not be 0.
pub(crate) fn stride(weight: u32) -> u64 {
    STRIDE_OF_ONE.checked_div(u64::from(weight)).unwrap_or(STRIDE_OF_ONE)
}

fn ordered(sum: u64) -> Rank {
    Rank::Ordered(sum.min(KEY_MAX))
}

/// What is left of an element's capacity, at least 1: a full element stays selectable.
fn unload(load: u64) -> Rank {
    let left = u64::from(u32::MAX).saturating_sub(load).max(1);
    Rank::Weighted(u32::try_from(left).unwrap_or(u32::MAX))
}

/// The weight less its fraction `far` of 2^32-1, rounded, but at least 1 unless it was 0.
fn weight_by_distance(weight: u32, far: u64) -> u32 {
    const ALL: u64 = u32::MAX as u64;
    let product = u64::from(weight) * far.min(ALL);
    let less = product / ALL + u64::from(product % ALL > ALL / 2);
    let left = u64::from(weight).saturating_sub(less).max(u64::from(weight.min(1)));
    u32::try_from(left).unwrap_or(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: u32 = u32::MAX / 10;

    fn values(base: u32, degradation: u32) -> Values {
        Values { base, degradation, ..Values::default() }
    }

    fn far(base: u32, distance_penalty: u32, distance: u32) -> Values {
        Values { base, distance_penalty, distance, ..Values::default() }
    }

    #[test]
    fn higher_priorities_come_first() {
        let key = |priority| rank(Kind::Priority, &values(priority, 0), 0);
        assert_eq!(key(u32::MAX), Rank::Ordered(0));
        assert_eq!(key(0), Rank::Ordered(u64::from(u32::MAX)));
    }

    #[test]
    fn degradation_adds_once_per_selection() {
        let key = |selections| rank(Kind::LeastUsedDegradation, &values(7, TENTH), selections);
        assert_eq!(key(0), Rank::Ordered(7));
        assert_eq!(key(3), Rank::Ordered(7 + 3 * u64::from(TENTH)));
        let most = values(u32::MAX, u32::MAX);
        assert_eq!(rank(Kind::LeastUsedDegradation, &most, u32::MAX), Rank::Ordered(KEY_MAX));
    }

    #[test]
    fn priority_least_used_prefers_60_percent_to_100() {
        // The example of RFC 5356 §5.3.1.
        let a = rank(Kind::PriorityLeastUsed, &values(5 * TENTH, TENTH), 9);
        let b = rank(Kind::PriorityLeastUsed, &values(5 * TENTH, 5 * TENTH), 0);
        assert_eq!(a, Rank::Ordered(6 * u64::from(TENTH)));
        assert_eq!(b, Rank::Ordered(10 * u64::from(TENTH)));
    }

    #[test]
    fn a_full_element_still_weighs_one() {
        assert_eq!(rank(Kind::RandomizedLeastUsed, &values(0, 0), 0), Rank::Weighted(u32::MAX));
        assert_eq!(rank(Kind::RandomizedLeastUsed, &values(u32::MAX, 0), 0), Rank::Weighted(1));
        let twice = rank(Kind::RandomizedLeastUsedDegradation, &values(TENTH, TENTH), 2);
        assert_eq!(twice, Rank::Weighted(u32::MAX - 3 * TENTH));
    }

    #[test]
    fn distance_adds_to_load_and_takes_from_weight() {
        // 100 ms at 0.001 of the full load each make a tenth of it.
        let penalty = u32::MAX / 1000;
        let key = rank(Kind::LeastUsedDpf, &far(5, penalty, 100), 0);
        assert_eq!(key, Rank::Ordered(5 + 100 * u64::from(penalty)));
        let weight = |w, distance| rank(Kind::WeightedRandomDpf, &far(w, penalty, distance), 0);
        assert_eq!(weight(1000, 0), Rank::Weighted(1000));
        assert_eq!(weight(1000, 100), Rank::Weighted(900));
        assert_eq!(weight(1000, 5000), Rank::Weighted(1));
        assert_eq!(weight(0, 5000), Rank::Weighted(0));
        assert_eq!(weight(u32::MAX, u32::MAX), Rank::Weighted(1));
    }

    #[test]
    fn strides_are_in_inverse_proportion_to_weights() {
        assert_eq!(stride(1), STRIDE_OF_ONE);
        assert_eq!(stride(4), STRIDE_OF_ONE / 4);
        assert!(stride(u32::MAX) > 0);
    }
}
