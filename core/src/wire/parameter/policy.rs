//! Pool member selection policy parameter (RFC 5354 §3.8, RFC 5356 §4, §5; RSPLIB's numbers from
//! 0xb0001001 on, those from 0xb0002001 on by draft-dreibholz-rserpool-delay).
//!
//! ```text
//! | 0x0008 | length | policy type u32 | up to four words u32, see `Policy::words` |
//! ```
//!
//! More words than the policy has are ignored (RSPLIB does the same).

use nom::Parser;

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{HEADER_LEN, Parsed, Tlv, Writer, be_u32};

/// A load, a load degradation or a distance penalty factor: a fraction of 2^32 - 1 (100 %).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Load(pub u32);

impl Load {
    /// Idle.
    pub const MIN: Self = Self(0);
    /// 100 %.
    pub const MAX: Self = Self(u32::MAX);
}

/// The number of a policy (RFC 5356 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PolicyType(pub u32);

impl PolicyType {
    /// Round robin.
    pub const ROUND_ROBIN: Self = Self(0x0000_0001);
    /// Weighted round robin.
    pub const WEIGHTED_ROUND_ROBIN: Self = Self(0x0000_0002);
    /// Random.
    pub const RANDOM: Self = Self(0x0000_0003);
    /// Weighted random.
    pub const WEIGHTED_RANDOM: Self = Self(0x0000_0004);
    /// Priority.
    pub const PRIORITY: Self = Self(0x0000_0005);
    /// Least used.
    pub const LEAST_USED: Self = Self(0x4000_0001);
    /// Least used with degradation.
    pub const LEAST_USED_DEGRADATION: Self = Self(0x4000_0002);
    /// Priority least used.
    pub const PRIORITY_LEAST_USED: Self = Self(0x4000_0003);
    /// Randomized least used.
    pub const RANDOMIZED_LEAST_USED: Self = Self(0x4000_0004);
    /// Randomized priority least used (RSPLIB).
    pub const RANDOMIZED_PRIORITY_LEAST_USED: Self = Self(0xb000_1001);
    /// Randomized least used with degradation (RSPLIB).
    pub const RANDOMIZED_LEAST_USED_DEGRADATION: Self = Self(0xb000_1002);
    /// Priority least used with degradation (RSPLIB).
    pub const PRIORITY_LEAST_USED_DEGRADATION: Self = Self(0xb000_1003);
    /// Randomized priority least used with degradation (RSPLIB).
    pub const RANDOMIZED_PRIORITY_LEAST_USED_DEGRADATION: Self = Self(0xb000_1004);
    /// Weighted random with distance penalty factor.
    pub const WEIGHTED_RANDOM_DPF: Self = Self(0xb000_2001);
    /// Least used with distance penalty factor.
    pub const LEAST_USED_DPF: Self = Self(0xb000_2002);
    /// Least used with degradation and distance penalty factor.
    pub const LEAST_USED_DEGRADATION_DPF: Self = Self(0xb000_2003);

    /// The policy's name as RSPLIB writes it; `None` if we do not know it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ROUND_ROBIN => "RoundRobin",
            Self::WEIGHTED_ROUND_ROBIN => "WeightedRoundRobin",
            Self::RANDOM => "Random",
            Self::WEIGHTED_RANDOM => "WeightedRandom",
            Self::PRIORITY => "Priority",
            Self::LEAST_USED => "LeastUsed",
            Self::LEAST_USED_DEGRADATION => "LeastUsedDegradation",
            Self::PRIORITY_LEAST_USED => "PriorityLeastUsed",
            Self::RANDOMIZED_LEAST_USED => "RandomizedLeastUsed",
            Self::RANDOMIZED_PRIORITY_LEAST_USED => "RandomizedPriorityLeastUsed",
            Self::RANDOMIZED_LEAST_USED_DEGRADATION => "RandomizedLeastUsedDegradation",
            Self::PRIORITY_LEAST_USED_DEGRADATION => "PriorityLeastUsedDegradation",
            Self::RANDOMIZED_PRIORITY_LEAST_USED_DEGRADATION => {
                "RandomizedPriorityLeastUsedDegradation"
            }
            Self::WEIGHTED_RANDOM_DPF => "WeightedRandomDPF",
            Self::LEAST_USED_DPF => "LeastUsedDPF",
            Self::LEAST_USED_DEGRADATION_DPF => "LeastUsedDegradationDPF",
            _ => return None,
        })
    }
}

/// A pool member selection policy with an element's values for it.
///
/// Weights, priorities and distances (milliseconds) are plain integers.
#[expect(missing_docs, reason = "the fields say what they are")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Policy {
    RoundRobin,
    WeightedRoundRobin {
        weight: u32,
    },
    Random,
    WeightedRandom {
        weight: u32,
    },
    Priority {
        priority: u32,
    },
    LeastUsed {
        load: Load,
    },
    LeastUsedDegradation {
        load: Load,
        degradation: Load,
    },
    PriorityLeastUsed {
        load: Load,
        degradation: Load,
    },
    RandomizedLeastUsed {
        load: Load,
    },
    RandomizedPriorityLeastUsed {
        load: Load,
        degradation: Load,
    },
    RandomizedLeastUsedDegradation {
        load: Load,
        degradation: Load,
    },
    PriorityLeastUsedDegradation {
        load: Load,
        degradation: Load,
    },
    RandomizedPriorityLeastUsedDegradation {
        load: Load,
        degradation: Load,
    },
    WeightedRandomDpf {
        weight: u32,
        dpf: Load,
        distance: u32,
    },
    LeastUsedDpf {
        load: Load,
        dpf: Load,
        distance: u32,
    },
    LeastUsedDegradationDpf {
        load: Load,
        degradation: Load,
        dpf: Load,
        distance: u32,
    },
    /// A policy that we do not know. Its values are not kept here: a message that came with it is
    /// repeated byte by byte, but in a message of our own it has its type alone.
    Unknown {
        policy_type: PolicyType,
    },
}

impl Policy {
    /// The policy's number.
    #[must_use]
    #[inline]
    pub const fn policy_type(&self) -> PolicyType {
        match self {
            Self::RoundRobin => PolicyType::ROUND_ROBIN,
            Self::WeightedRoundRobin { .. } => PolicyType::WEIGHTED_ROUND_ROBIN,
            Self::Random => PolicyType::RANDOM,
            Self::WeightedRandom { .. } => PolicyType::WEIGHTED_RANDOM,
            Self::Priority { .. } => PolicyType::PRIORITY,
            Self::LeastUsed { .. } => PolicyType::LEAST_USED,
            Self::LeastUsedDegradation { .. } => PolicyType::LEAST_USED_DEGRADATION,
            Self::PriorityLeastUsed { .. } => PolicyType::PRIORITY_LEAST_USED,
            Self::RandomizedLeastUsed { .. } => PolicyType::RANDOMIZED_LEAST_USED,
            Self::RandomizedPriorityLeastUsed { .. } => PolicyType::RANDOMIZED_PRIORITY_LEAST_USED,
            Self::RandomizedLeastUsedDegradation { .. } => {
                PolicyType::RANDOMIZED_LEAST_USED_DEGRADATION
            }
            Self::PriorityLeastUsedDegradation { .. } => {
                PolicyType::PRIORITY_LEAST_USED_DEGRADATION
            }
            Self::RandomizedPriorityLeastUsedDegradation { .. } => {
                PolicyType::RANDOMIZED_PRIORITY_LEAST_USED_DEGRADATION
            }
            Self::WeightedRandomDpf { .. } => PolicyType::WEIGHTED_RANDOM_DPF,
            Self::LeastUsedDpf { .. } => PolicyType::LEAST_USED_DPF,
            Self::LeastUsedDegradationDpf { .. } => PolicyType::LEAST_USED_DEGRADATION_DPF,
            Self::Unknown { policy_type } => *policy_type,
        }
    }

    /// How far away the element is, in milliseconds, if that matters to the policy.
    #[must_use]
    pub const fn distance(&self) -> Option<u32> {
        match *self {
            Self::WeightedRandomDpf { distance, .. }
            | Self::LeastUsedDpf { distance, .. }
            | Self::LeastUsedDegradationDpf { distance, .. } => Some(distance),
            _ => None,
        }
    }

    /// The same policy at another distance, if that matters to it.
    #[must_use]
    pub const fn at_distance(mut self, millis: u32) -> Self {
        if let Self::WeightedRandomDpf { distance, .. }
        | Self::LeastUsedDpf { distance, .. }
        | Self::LeastUsedDegradationDpf { distance, .. } = &mut self
        {
            *distance = millis;
        }
        self
    }

    /// The words after the type, in the order of the wire.
    #[must_use]
    #[inline]
    pub const fn words(&self) -> PolicyWords {
        let (words, count) = match *self {
            Self::RoundRobin | Self::Random | Self::Unknown { .. } => ([0; 4], 0),
            Self::WeightedRoundRobin { weight } | Self::WeightedRandom { weight } => {
                ([weight, 0, 0, 0], 1)
            }
            Self::Priority { priority } => ([priority, 0, 0, 0], 1),
            Self::LeastUsed { load } | Self::RandomizedLeastUsed { load } => {
                ([load.0, 0, 0, 0], 1)
            }
            Self::LeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsed { load, degradation }
            | Self::RandomizedPriorityLeastUsed { load, degradation }
            | Self::RandomizedLeastUsedDegradation { load, degradation }
            | Self::PriorityLeastUsedDegradation { load, degradation }
            | Self::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                ([load.0, degradation.0, 0, 0], 2)
            }
            Self::WeightedRandomDpf { weight, dpf, distance } => ([weight, dpf.0, distance, 0], 3),
            Self::LeastUsedDpf { load, dpf, distance } => ([load.0, dpf.0, distance, 0], 3),
            Self::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                ([load.0, degradation.0, dpf.0, distance], 4)
            }
        };
        PolicyWords { words, count }
    }

    /// How many words there are after the type.
    const fn word_count(&self) -> u8 {
        match self {
            Self::RoundRobin | Self::Random | Self::Unknown { .. } => 0,
            Self::WeightedRoundRobin { .. }
            | Self::WeightedRandom { .. }
            | Self::Priority { .. }
            | Self::LeastUsed { .. }
            | Self::RandomizedLeastUsed { .. } => 1,
            Self::LeastUsedDegradation { .. }
            | Self::PriorityLeastUsed { .. }
            | Self::RandomizedPriorityLeastUsed { .. }
            | Self::RandomizedLeastUsedDegradation { .. }
            | Self::PriorityLeastUsedDegradation { .. }
            | Self::RandomizedPriorityLeastUsedDegradation { .. } => 2,
            Self::WeightedRandomDpf { .. } | Self::LeastUsedDpf { .. } => 3,
            Self::LeastUsedDegradationDpf { .. } => 4,
        }
    }

    /// How many bytes it takes in a message.
    #[must_use]
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        FIXED_LEN.wrapping_add((self.word_count() as usize).wrapping_mul(4))
    }

    #[inline(always)]
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        match self.one_word() {
            Some((kind, word)) if cfg!(not(feature = "small")) => {
                writer.put(block::<12>(12, [kind.0, word, 0, 0, 0]))
            }
            _ => self.write_any(writer),
        }
    }

    /// The number and the word of a policy that has one word, as nearly all policies in use have.
    #[inline]
    pub(crate) const fn one_word(&self) -> Option<(PolicyType, u32)> {
        Some(match *self {
            Self::WeightedRoundRobin { weight } => (PolicyType::WEIGHTED_ROUND_ROBIN, weight),
            Self::WeightedRandom { weight } => (PolicyType::WEIGHTED_RANDOM, weight),
            Self::Priority { priority } => (PolicyType::PRIORITY, priority),
            Self::LeastUsed { load } => (PolicyType::LEAST_USED, load.0),
            Self::RandomizedLeastUsed { load } => (PolicyType::RANDOMIZED_LEAST_USED, load.0),
            _ => return None,
        })
    }

    #[inline(never)]
    fn write_any(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        let PolicyWords { words: [a, b, c, d], count } = self.words();
        let len = FIXED_LEN.wrapping_add(usize::from(count).wrapping_mul(4));
        let kind = self.policy_type().0;
        if cfg!(feature = "small") {
            writer.put_header(ParameterType::POLICY, len)?;
            writer.put_u32(kind)?;
            return self.words().as_slice().iter().try_for_each(|&word| writer.put_u32(word));
        }
        match count {
            0 => writer.put(block::<8>(len, [kind, 0, 0, 0, 0])),
            1 => writer.put(block::<12>(len, [kind, a, 0, 0, 0])),
            2 => writer.put(block::<16>(len, [kind, a, b, 0, 0])),
            3 => writer.put(block::<20>(len, [kind, a, b, c, 0])),
            _ => writer.put(block::<24>(len, [kind, a, b, c, d])),
        }
    }
}

/// The values of a policy: up to four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyWords {
    words: [u32; 4],
    count: u8,
}

impl PolicyWords {
    /// The words.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        self.words.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// Header and policy type.
const FIXED_LEN: usize = 8;

/// A policy parameter of `N` bytes: the header and as many words as there is room for.
#[inline(always)]
fn block<const N: usize>(len: usize, words: [u32; 5]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut writer = Writer::new(&mut bytes);
    let mut written = writer.put_header(ParameterType::POLICY, len);
    for word in words {
        written = written.and_then(|()| writer.put_u32(word));
    }
    // The words that do not fit are not wanted.
    let _ = written;
    bytes
}

/// Takes a policy that we know and that has just the words it needs, as nearly all have.
#[inline(always)]
pub(crate) fn usual_policy(input: &[u8]) -> Option<(&[u8], Policy)> {
    // One word: the sizes of all parts are known.
    if let Some((&[a, b, c, d, e, f, g, h, i, j, k, l], rest)) = input.split_first_chunk()
        && u32::from_be_bytes([a, b, c, d]) == 0x0008_000c
    {
        let word = u32::from_be_bytes([i, j, k, l]);
        let policy = match PolicyType(u32::from_be_bytes([e, f, g, h])) {
            PolicyType::WEIGHTED_ROUND_ROBIN => Policy::WeightedRoundRobin { weight: word },
            PolicyType::WEIGHTED_RANDOM => Policy::WeightedRandom { weight: word },
            PolicyType::PRIORITY => Policy::Priority { priority: word },
            PolicyType::LEAST_USED => Policy::LeastUsed { load: Load(word) },
            PolicyType::RANDOMIZED_LEAST_USED => Policy::RandomizedLeastUsed { load: Load(word) },
            _ => return None,
        };
        return Some((rest, policy));
    }
    usual_policy_of_any_size(input)
}

fn usual_policy_of_any_size(input: &[u8]) -> Option<(&[u8], Policy)> {
    let &[0, 8, high, low] = input.first_chunk()? else { return None };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (bytes, rest) = input.split_at_checked(len)?;
    match value(bytes.get(HEADER_LEN..)?) {
        // Whole words leave no padding.
        Ok(([], policy)) if len & 3 == 0 => Some((rest, policy)),
        _ => None,
    }
}

/// As [`policy`], but first tries what is usual.
#[inline(always)]
pub(crate) fn usual_or_any_policy(tlv: Tlv<'_>) -> Result<(Policy, bool), ParseError<'_>> {
    match usual_policy(tlv.bytes) {
        Some(([], found)) => Ok((found, true)),
        _ => policy(tlv),
    }
}

/// Reads a policy. Also says whether the fields say all that was there.
pub(crate) fn policy(tlv: Tlv<'_>) -> Result<(Policy, bool), ParseError<'_>> {
    let (rest, policy) = match any_policy(tlv.value()) {
        Ok(ok) => ok,
        Err(_) => return Err(tlv.error(crate::wire::error::ParseErrorKind::ParameterLength)),
    };
    Ok((policy, rest.is_empty()))
}

#[inline(never)]
fn any_policy(input: &[u8]) -> Parsed<'_, Policy> {
    value(input)
}

#[inline]
fn value(input: &[u8]) -> Parsed<'_, Policy> {
    let (rest, kind) = be_u32(input)?;
    let load = || be_u32.map(Load);
    match PolicyType(kind) {
        PolicyType::ROUND_ROBIN => Ok((rest, Policy::RoundRobin)),
        PolicyType::WEIGHTED_ROUND_ROBIN => {
            be_u32.map(|weight| Policy::WeightedRoundRobin { weight }).parse(rest)
        }
        PolicyType::RANDOM => Ok((rest, Policy::Random)),
        PolicyType::WEIGHTED_RANDOM => {
            be_u32.map(|weight| Policy::WeightedRandom { weight }).parse(rest)
        }
        PolicyType::PRIORITY => be_u32.map(|priority| Policy::Priority { priority }).parse(rest),
        PolicyType::LEAST_USED => load().map(|load| Policy::LeastUsed { load }).parse(rest),
        PolicyType::RANDOMIZED_LEAST_USED => {
            load().map(|load| Policy::RandomizedLeastUsed { load }).parse(rest)
        }
        PolicyType::WEIGHTED_RANDOM_DPF => (be_u32, load(), be_u32)
            .map(|(weight, dpf, distance)| Policy::WeightedRandomDpf { weight, dpf, distance })
            .parse(rest),
        PolicyType::LEAST_USED_DPF => (load(), load(), be_u32)
            .map(|(load, dpf, distance)| Policy::LeastUsedDpf { load, dpf, distance })
            .parse(rest),
        PolicyType::LEAST_USED_DEGRADATION_DPF => (load(), load(), load(), be_u32)
            .map(|(load, degradation, dpf, distance)| Policy::LeastUsedDegradationDpf {
                load,
                degradation,
                dpf,
                distance,
            })
            .parse(rest),
        kind => degrading(kind, rest),
    }
}

/// The policies that have a load and a degradation, and what is left.
fn degrading(kind: PolicyType, input: &[u8]) -> Parsed<'_, Policy> {
    let make: fn(Load, Load) -> Policy = match kind {
        PolicyType::LEAST_USED_DEGRADATION => {
            |load, degradation| Policy::LeastUsedDegradation { load, degradation }
        }
        PolicyType::PRIORITY_LEAST_USED => {
            |load, degradation| Policy::PriorityLeastUsed { load, degradation }
        }
        PolicyType::RANDOMIZED_PRIORITY_LEAST_USED => {
            |load, degradation| Policy::RandomizedPriorityLeastUsed { load, degradation }
        }
        PolicyType::RANDOMIZED_LEAST_USED_DEGRADATION => {
            |load, degradation| Policy::RandomizedLeastUsedDegradation { load, degradation }
        }
        PolicyType::PRIORITY_LEAST_USED_DEGRADATION => {
            |load, degradation| Policy::PriorityLeastUsedDegradation { load, degradation }
        }
        PolicyType::RANDOMIZED_PRIORITY_LEAST_USED_DEGRADATION => |load, degradation| {
            Policy::RandomizedPriorityLeastUsedDegradation { load, degradation }
        },
        policy_type => return Ok((input, Policy::Unknown { policy_type })),
    };
    let load = || be_u32.map(Load);
    (load(), load()).map(|(load, degradation)| make(load, degradation)).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec;

    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let (load, degradation, dpf) = (Load(0x3fff_ffff), Load(0x4000_0000), Load(0x0006_8db9));
        let mut names = BTreeSet::new();
        for (expected, text) in [
            (Policy::RoundRobin, "00080008 00000001"),
            (Policy::WeightedRoundRobin { weight: 3 }, "0008000c 00000002 00000003"),
            (Policy::Random, "00080008 00000003"),
            (Policy::WeightedRandom { weight: 5 }, "0008000c 00000004 00000005"),
            (Policy::Priority { priority: 7 }, "0008000c 00000005 00000007"),
            (Policy::LeastUsed { load: Load(1) }, "0008000c 40000001 00000001"),
            (
                Policy::LeastUsedDegradation { load, degradation },
                "00080010 40000002 3fffffff 40000000",
            ),
            (
                Policy::PriorityLeastUsed { load, degradation },
                "00080010 40000003 3fffffff 40000000",
            ),
            (Policy::RandomizedLeastUsed { load }, "0008000c 40000004 3fffffff"),
            (
                Policy::RandomizedPriorityLeastUsed { load, degradation },
                "00080010 b0001001 3fffffff 40000000",
            ),
            (
                Policy::RandomizedLeastUsedDegradation { load, degradation },
                "00080010 b0001002 3fffffff 40000000",
            ),
            (
                Policy::PriorityLeastUsedDegradation { load, degradation },
                "00080010 b0001003 3fffffff 40000000",
            ),
            (
                Policy::RandomizedPriorityLeastUsedDegradation { load, degradation },
                "00080010 b0001004 3fffffff 40000000",
            ),
            (
                Policy::WeightedRandomDpf { weight: 1000, dpf, distance: 50 },
                "00080014 b0002001 000003e8 00068db9 00000032",
            ),
            (
                Policy::LeastUsedDpf { load, dpf, distance: 50 },
                "00080014 b0002002 3fffffff 00068db9 00000032",
            ),
            (
                Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance: 50 },
                "00080018 b0002003 3fffffff 40000000 00068db9 00000032",
            ),
        ] {
            let bytes = hex(text);
            assert_eq!(policy(parameter(&bytes)), Ok((expected, true)));
            assert_eq!(expected.encoded_len(), bytes.len());
            let mut buf = vec![0xff; bytes.len()];
            expected.write(&mut Writer::new(&mut buf)).unwrap();
            assert_eq!(buf, bytes);
            assert!(names.insert(expected.policy_type().name().unwrap()));
            for len in 4..bytes.len() {
                let mut cut = bytes[..len].to_vec();
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                assert!(policy(parameter(&cut)).is_err(), "{len} of {text}");
            }
        }
    }

    #[test]
    fn more_words_than_the_policy_has_are_ignored() {
        let bytes = hex("00080010 40000001 00000007 12345678");
        assert_eq!(policy(parameter(&bytes)), Ok((Policy::LeastUsed { load: Load(7) }, false)));
    }

    #[test]
    fn an_unknown_policy_is_known_by_its_number() {
        let unknown = Policy::Unknown { policy_type: PolicyType(0xb000_2005) };
        let bytes = hex("0008000c b0002005 00000007");
        assert_eq!(policy(parameter(&bytes)), Ok((unknown, false)));
        assert_eq!(policy(parameter(&hex("00080008 b0002005"))), Ok((unknown, true)));
        assert_eq!(unknown.policy_type().name(), None);
    }
}
