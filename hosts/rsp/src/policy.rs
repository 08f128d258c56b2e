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
    WeightedRandomDpf { weight: u32, dpf_percent: f64 },
    LeastUsedDpf { dpf_percent: f64 },
    LeastUsedDegradationDpf { degradation_percent: f64, dpf_percent: f64 },
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
        if name.ends_with("DPF") {
            return by_distance(name, value.unwrap_or_default());
        }
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

/// The delay-sensitive ones, whose last number is what a millisecond of distance costs.
fn by_distance(name: &str, value: &str) -> Result<PolicyChoice, String> {
    let (first, dpf) = value.rsplit_once(':').unwrap_or(("", value));
    let percent = |text: &str| {
        let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        percent.ok_or(format!("\"{text}\" is no percentage from 0 to 100 (in \"{name}:{value}\")"))
    };
    let dpf_percent = percent(dpf)?;
    match (name, first) {
        ("LeastUsedDPF", "") => Ok(PolicyChoice::LeastUsedDpf { dpf_percent }),
        ("WeightedRandomDPF", weight) => {
            let weight = weight.parse();
            let weight =
                weight.map_err(|_| format!("{name} needs numbers: {name}:WEIGHT:PERCENT"));
            Ok(PolicyChoice::WeightedRandomDpf { weight: weight?, dpf_percent })
        }
        ("LeastUsedDegradationDPF", degradation) => {
            let degradation_percent = percent(degradation)?;
            Ok(PolicyChoice::LeastUsedDegradationDpf { degradation_percent, dpf_percent })
        }
        _ => Err(format!("\"{name}:{value}\" is no policy: choose one of {NAMES}")),
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
            // How far away it is, its home measures.
            Self::WeightedRandomDpf { weight, dpf_percent } => {
                Policy::WeightedRandomDpf { weight, dpf: fraction(dpf_percent), distance: 0 }
            }
            Self::LeastUsedDpf { dpf_percent } => {
                Policy::LeastUsedDpf { load, dpf: fraction(dpf_percent), distance: 0 }
            }
            Self::LeastUsedDegradationDpf { degradation_percent, dpf_percent } => {
                let (degradation, dpf) = (fraction(degradation_percent), fraction(dpf_percent));
                Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance: 0 }
            }
        }
    }
}

/// A policy as [`PolicyChoice`] is written, with the load of the moment if it has any:
/// `LeastUsedDegradation:12.5 (load 40 %)`.
pub(crate) fn written(policy: &Policy) -> String {
    let kind = policy.policy_type();
    let name = kind.name().map_or_else(|| format!("{:#010x}", kind.0), str::to_owned);
    let (numbers, load) = match *policy {
        Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => {
            (vec![weight.to_string()], None)
        }
        Policy::Priority { priority } => (vec![priority.to_string()], None),
        Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => (vec![], Some(load)),
        Policy::LeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsed { load, degradation }
        | Policy::RandomizedPriorityLeastUsed { load, degradation }
        | Policy::RandomizedLeastUsedDegradation { load, degradation }
        | Policy::PriorityLeastUsedDegradation { load, degradation }
        | Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
            (vec![percent(degradation)], Some(load))
        }
        Policy::WeightedRandomDpf { weight, dpf, .. } => {
            (vec![weight.to_string(), finely(dpf)], None)
        }
        Policy::LeastUsedDpf { load, dpf, .. } => (vec![finely(dpf)], Some(load)),
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, .. } => {
            (vec![percent(degradation), finely(dpf)], Some(load))
        }
        _ => (vec![], None),
    };
    let load = load.map_or_else(String::new, |load| format!(" (load {} %)", percent(load)));
    [vec![name], numbers].concat().join(":") + &load
}

/// A fraction in percent, to a tenth.
fn percent(fraction: Load) -> String {
    let tenths = (f64::from(fraction.0) / f64::from(u32::MAX) * 1_000.0).round();
    format!("{}", tenths / 10.0)
}

/// A fraction in percent, to a millionth.
fn finely(fraction: Load) -> String {
    let millionths = (f64::from(fraction.0) / f64::from(u32::MAX) * 100e6).round();
    format!("{}", millionths / 1e6)
}

impl<'de> Deserialize<'de> for PolicyChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const NAMES: &str = "RoundRobin, WeightedRoundRobin:WEIGHT, Random, WeightedRandom:WEIGHT, \
    Priority:PRIORITY, LeastUsed, LeastUsedDegradation:PERCENT, PriorityLeastUsed:PERCENT, \
    RandomizedLeastUsed, WeightedRandomDPF:WEIGHT:PERCENT, LeastUsedDPF:PERCENT, \
    LeastUsedDegradationDPF:PERCENT:PERCENT";

#[cfg(test)]
mod tests {
    use rserpool_core::wire::PolicyType;

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
    fn policies_are_written_as_they_are_read() {
        for text in [
            "RoundRobin",
            "WeightedRoundRobin:3",
            "Random",
            "WeightedRandom:50",
            "Priority:7",
            "LeastUsed (load 0 %)",
            "LeastUsedDegradation:12.5 (load 0 %)",
            "PriorityLeastUsed:100 (load 0 %)",
            "RandomizedLeastUsed (load 0 %)",
            "WeightedRandomDPF:50:0.2",
            "LeastUsedDPF:0.001 (load 0 %)",
            "LeastUsedDegradationDPF:12.5:0.001 (load 0 %)",
        ] {
            let (choice, _) = text.split_once(" (").unwrap_or((text, ""));
            let policy = choice.parse::<PolicyChoice>().unwrap().to_policy();
            assert_eq!(written(&policy), text);
        }
        let half = Policy::LeastUsed { load: Load(u32::MAX / 2) };
        assert_eq!(written(&half), "LeastUsed (load 50 %)");
        let dpf = Policy::WeightedRandomDpf { weight: 3, dpf: Load(u32::MAX / 10), distance: 40 };
        assert_eq!(written(&dpf), "WeightedRandomDPF:3:10");
        let unknown = Policy::Unknown { policy_type: PolicyType(0xb000_2004) };
        assert_eq!(written(&unknown), "0xb0002004");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("Roundrobin", "is no policy"),
            ("RoundRobin:7", "takes no number"),
            ("WeightedRandom:x", "is no number"),
            ("LeastUsedDegradation", "needs a degradation"),
            ("PriorityLeastUsed:101", "is no percentage"),
            ("LeastUsedDPF", "is no percentage"),
            ("LeastUsedDPF:1:1", "is no policy"),
            ("WeightedRandomDPF:1", "needs numbers"),
            ("LeastUsedDegradationDPF:1", "is no percentage"),
            ("PriorityDPF:1", "is no policy"),
        ] {
            let refusal = text.parse::<PolicyChoice>().unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
