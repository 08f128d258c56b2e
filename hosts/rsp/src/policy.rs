//! Pool policies as they are written: RSPLIB's names, their numbers after colons.

use std::str::FromStr;

use rserpool_core::wire::{Load, Policy};
use serde::{Deserialize, Deserializer};

/// A pool policy and its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PolicyChoice {
    RoundRobin,
    WeightedRoundRobin { weight: u32 },
    Random,
    WeightedRandom { weight: u32 },
    Priority { priority: u32 },
    LeastUsed,
    LeastUsedDegradation { degradation_percent: f64 },
    PriorityLeastUsed { degradation_percent: f64 },
    RandomizedLeastUsed,
}

impl FromStr for PolicyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let count = || {
            let value = value.unwrap_or("1");
            value.parse().map_err(|_| format!("\"{value}\" is no number (in \"{text}\")"))
        };
        let percent = || {
            let value = value.ok_or(format!("{name} needs a degradation: {name}:PERCENT"))?;
            let percent = value.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
            percent.ok_or(format!("\"{value}\" is no percentage from 0 to 100 (in \"{text}\")"))
        };
        let choice = match name {
            "WeightedRoundRobin" => return Ok(Self::WeightedRoundRobin { weight: count()? }),
            "WeightedRandom" => return Ok(Self::WeightedRandom { weight: count()? }),
            "Priority" => return Ok(Self::Priority { priority: count()? }),
            "LeastUsedDegradation" => {
                return Ok(Self::LeastUsedDegradation { degradation_percent: percent()? });
            }
            "PriorityLeastUsed" => {
                return Ok(Self::PriorityLeastUsed { degradation_percent: percent()? });
            }
            "RoundRobin" => Self::RoundRobin,
            "Random" => Self::Random,
            "LeastUsed" => Self::LeastUsed,
            "RandomizedLeastUsed" => Self::RandomizedLeastUsed,
            _ => return Err(format!("\"{name}\" is no policy: choose one of {NAMES}")),
        };
        match value {
            Some(value) => Err(format!("{name} takes no number, but \"{value}\" is given")),
            None => Ok(choice),
        }
    }
}

impl PolicyChoice {
    /// The policy, with no load yet.
    pub(crate) fn to_policy(self) -> Policy {
        let load = Load(0);
        let fraction = |percent: f64| Load((percent / 100.0 * f64::from(u32::MAX)) as u32);
        match self {
            Self::RoundRobin => Policy::RoundRobin,
            Self::WeightedRoundRobin { weight } => Policy::WeightedRoundRobin { weight },
            Self::Random => Policy::Random,
            Self::WeightedRandom { weight } => Policy::WeightedRandom { weight },
            Self::Priority { priority } => Policy::Priority { priority },
            Self::LeastUsed => Policy::LeastUsed { load },
            Self::LeastUsedDegradation { degradation_percent } => {
                Policy::LeastUsedDegradation { load, degradation: fraction(degradation_percent) }
            }
            Self::PriorityLeastUsed { degradation_percent } => {
                Policy::PriorityLeastUsed { load, degradation: fraction(degradation_percent) }
            }
            Self::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
        }
    }
}

impl<'de> Deserialize<'de> for PolicyChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const NAMES: &str = "RoundRobin, WeightedRoundRobin:WEIGHT, Random, WeightedRandom:WEIGHT, \
    Priority:PRIORITY, LeastUsed, LeastUsedDegradation:PERCENT, PriorityLeastUsed:PERCENT, \
    RandomizedLeastUsed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_name_and_its_number() {
        assert_eq!("RoundRobin".parse(), Ok(PolicyChoice::RoundRobin));
        assert_eq!("WeightedRandom:7".parse(), Ok(PolicyChoice::WeightedRandom { weight: 7 }));
        assert_eq!(
            "LeastUsedDegradation:12.5".parse(),
            Ok(PolicyChoice::LeastUsedDegradation { degradation_percent: 12.5 })
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("Roundrobin", "is no policy"),
            ("RoundRobin:7", "takes no number"),
            ("WeightedRandom:x", "is no number"),
            ("LeastUsedDegradation", "needs a degradation"),
            ("PriorityLeastUsed:101", "is no percentage"),
        ] {
            let refusal = text.parse::<PolicyChoice>().unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
