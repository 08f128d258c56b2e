//! A registrar's limits against floods (RFC 5355) as they are written on the command line:
//! `NAME=VALUE`.

use std::str::FromStr;
use std::time::Duration;

use rserpool_core::enrp::{Config, RateLimit};
use serde::{Deserialize, Deserializer};

/// One of a registrar's limits, set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Rate { field: RateField, interval: Duration, burst: Option<u32> },
    Count { set: SetCount, count: u32 },
}

impl Limit {
    /// Sets it in `config`.
    pub(crate) fn set(self, config: &mut Config) {
        match self {
            Self::Rate { field, interval, burst } => {
                let limit = field(config);
                limit.interval = interval;
                limit.burst = burst.unwrap_or(limit.burst);
            }
            Self::Count { set, count } => set(config, count),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if let Some((_, field)) = RATES.iter().find(|(rate, _)| *rate == name) {
            let (interval, burst) = rate(value).ok_or(format!(
                "\"{value}\" is no rate: write {name}=PER_SECOND, {name}=PER_SECOND:BURST or \
                 {name}=off"
            ))?;
            return Ok(Self::Rate { field: *field, interval, burst });
        }
        if let Some((_, set)) = COUNTS.iter().find(|(count, _)| *count == name) {
            let count = value.parse();
            let count = count.map_err(|_| format!("\"{value}\" is no number: write {name}=7"))?;
            return Ok(Self::Count { set: *set, count });
        }
        let rates = RATES.iter().map(|(name, _)| *name);
        let names: Vec<_> = rates.chain(COUNTS.iter().map(|(name, _)| *name)).collect();
        Err(format!("\"{name}\" is no limit: there are {}", names.join(", ")))
    }
}

/// The time that one costs, and how many may come at once if that is said.
fn rate(text: &str) -> Option<(Duration, Option<u32>)> {
    if text == "off" {
        return Some((Duration::ZERO, None));
    }
    let (per_second, burst) = match text.split_once(':') {
        Some((per_second, burst)) => (per_second, Some(burst.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let per_second: f64 = per_second.parse().ok()?;
    let interval = Duration::try_from_secs_f64(1.0 / per_second).ok()?;
    // Less than one a day is none, and more than one a microsecond is no limit.
    let is_sound = (1..=86_400_000_000).contains(&interval.as_micros());
    is_sound.then_some((interval, burst.map(|burst| burst.max(1))))
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

type RateField = fn(&mut Config) -> &mut RateLimit;
type SetCount = fn(&mut Config, u32);

const RATES: [(&str, RateField); 4] = [
    ("registration-rate", |config| &mut config.registration_rate),
    ("handle-resolution-rate", |config| &mut config.handle_resolution_rate),
    ("unreachable-rate", |config| &mut config.unreachable_rate),
    ("error-rate", |config| &mut config.error_rate),
];

const COUNTS: [(&str, SetCount); 5] = [
    ("elements-per-association", |config, count| config.elements_per_association_max = count),
    ("reports-per-reporter", |config, count| config.reports_per_reporter_max = count),
    ("subscriptions-per-association", |config, count| {
        config.subscriptions_per_association_max = count;
    }),
    // Above 254 none removes.
    ("max-bad-pe-reports", |config, count| {
        config.max_bad_pe_reports = u8::try_from(count).unwrap_or(u8::MAX);
    }),
    ("handle-resolution-items", |config, count| config.handle_resolution_items = count.max(1)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Config {
        let mut config = Config::default();
        text.parse::<Limit>().unwrap().set(&mut config);
        config
    }

    #[test]
    fn each_limit_is_set_by_its_name() {
        let default = Config::default();
        for (name, field) in RATES {
            let mut config = set(&format!("{name}=0.5:7"));
            assert_eq!(
                *field(&mut config),
                RateLimit { interval: Duration::from_secs(2), burst: 7 }
            );
            let burst = field(&mut default.clone()).burst;
            let mut config = set(&format!("{name}=100"));
            let rate = *field(&mut config);
            assert_eq!(rate, RateLimit { interval: Duration::from_millis(10), burst });
            assert!(field(&mut set(&format!("{name}=off"))).interval.is_zero());
        }
        for (name, _) in COUNTS {
            assert_ne!(set(&format!("{name}=77")), default, "{name}");
        }
        assert_eq!(set("max-bad-pe-reports=1000").max_bad_pe_reports, u8::MAX);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("rate=1", "is no limit: there are registration-rate, "),
            ("error-rate", "is no rate"),
            ("error-rate=0", "is no rate"),
            ("error-rate=-1", "is no rate"),
            ("error-rate=1:x", "is no rate"),
            ("error-rate=1e-9", "is no rate"),
            ("error-rate=1e9", "is no rate"),
            ("elements-per-association=x", "is no number"),
        ] {
            let refusal = text.parse::<Limit>().unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }
}
