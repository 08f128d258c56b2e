//! A registrar's timers as they are written on the command line: `NAME=SPAN`.

use std::str::FromStr;
use std::time::Duration;

use rserpool_core::enrp::Config;
use serde::{Deserialize, Deserializer};

use crate::values::Span;

/// One of a registrar's timers, set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    field: Field,
    span: Duration,
}

impl Timer {
    /// Sets it in `config`.
    pub(crate) fn set(self, config: &mut Config) {
        *(self.field)(config) = self.span;
    }
}

impl FromStr for Timer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, span) = text.split_once('=').unwrap_or((text, ""));
        let Some((_, field)) = TIMERS.iter().find(|(timer, _)| *timer == name) else {
            let names: Vec<_> = TIMERS.iter().map(|(timer, _)| *timer).collect();
            return Err(format!("\"{name}\" is no timer: there are {}", names.join(", ")));
        };
        let Span(span) = span.parse()?;
        // Zero measures no distances.
        if span.is_zero() && name != "distance-step" {
            return Err(format!("{name} cannot be zero"));
        }
        Ok(Self { field: *field, span })
    }
}

impl<'de> Deserialize<'de> for Timer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

type Field = fn(&mut Config) -> &mut Duration;

const TIMERS: [(&str, Field); 11] = [
    ("peer-heartbeat-cycle", |config| &mut config.peer_heartbeat_cycle),
    ("max-time-last-heard", |config| &mut config.max_time_last_heard),
    ("max-time-no-response", |config| &mut config.max_time_no_response),
    ("mentor-timeout", |config| &mut config.mentor_timeout),
    ("takeover-timeout", |config| &mut config.takeover_timeout),
    ("hand-over-patience", |config| &mut config.hand_over_patience),
    ("keep-alive-interval", |config| &mut config.keep_alive_interval),
    ("keep-alive-timeout", |config| &mut config.keep_alive_timeout),
    ("probe-interval-min", |config| &mut config.probe_interval_min),
    ("subscription-interval-min", |config| &mut config.subscription_interval_min),
    ("distance-step", |config| &mut config.distance_step),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timer_sets_a_field_of_its_own() {
        let mut config = Config::default();
        for (number, (name, _)) in TIMERS.iter().enumerate() {
            format!("{name}={}ms", number + 1).parse::<Timer>().unwrap().set(&mut config);
        }
        let spans = TIMERS.map(|(_, field)| field(&mut config).as_millis());
        assert_eq!(spans, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        assert_eq!(
            (config.takeover_timeout.as_millis(), config.keep_alive_timeout.as_millis()),
            (5, 8)
        );
    }

    #[test]
    fn what_is_no_timer_is_refused_with_what_would_be() {
        for (text, error) in [
            ("heartbeat=1s", "\"heartbeat\" is no timer: there are peer-heartbeat-cycle, "),
            ("mentor-timeout", "\"\" is no span of time"),
            ("mentor-timeout=5", "\"5\" is no span of time"),
            ("mentor-timeout=0s", "mentor-timeout cannot be zero"),
            ("subscription-interval-min=0s", "subscription-interval-min cannot be zero"),
        ] {
            let refused = text.parse::<Timer>().unwrap_err();
            assert!(refused.starts_with(error), "{text}: {refused}");
        }
    }
}
