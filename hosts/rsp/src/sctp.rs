//! Flags about SCTP itself, for all commands that speak it.

use clap::Args;
use rserpool::transport::SctpParameters;
use serde::Deserialize;

use crate::failure::Failure;
use crate::values::{Span, SpanOrOff};

/// How patient SCTP is, the kernel's or ours; section `[scope.sctp]` of the configuration file.
#[derive(Args, Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct SctpOptions {
    /// The retransmission timeout before the first measurement (RTO.Initial). [default: 1s]
    #[arg(long, value_name = "SPAN", help_heading = "SCTP")]
    pub(crate) rto_initial: Option<Span>,
    /// The least retransmission timeout (RTO.Min). [default: 1s]
    #[arg(long, value_name = "SPAN", help_heading = "SCTP")]
    pub(crate) rto_min: Option<Span>,
    /// The largest retransmission timeout (RTO.Max). [default: 60s]
    #[arg(long, value_name = "SPAN", help_heading = "SCTP")]
    pub(crate) rto_max: Option<Span>,
    /// How often in a row a packet may go unanswered before the association is lost
    /// (Association.Max.Retrans): 1 to 255. [default: 10]
    #[arg(long, value_name = "COUNT", help_heading = "SCTP")]
    pub(crate) association_retransmissions: Option<u8>,
    /// How often before one of several paths to a peer is given up (Path.Max.Retrans). [default:
    /// half of --association-retransmissions]
    #[arg(long, value_name = "COUNT", help_heading = "SCTP")]
    pub(crate) path_retransmissions: Option<u8>,
    /// How long a path is idle before it is probed, beyond its retransmission timeout
    /// (HB.interval); off: it is not. [default: 3s]
    #[arg(long, value_name = "SPAN|off", help_heading = "SCTP")]
    pub(crate) heartbeat_interval: Option<SpanOrOff>,
}

impl SctpOptions {
    /// Fills what is not said here with what `file` says.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            rto_initial: self.rto_initial.or(file.rto_initial),
            rto_min: self.rto_min.or(file.rto_min),
            rto_max: self.rto_max.or(file.rto_max),
            association_retransmissions: self
                .association_retransmissions
                .or(file.association_retransmissions),
            path_retransmissions: self.path_retransmissions.or(file.path_retransmissions),
            heartbeat_interval: self.heartbeat_interval.or(file.heartbeat_interval),
        }
    }

    /// What the flags stand for.
    pub(crate) fn parameters(&self) -> Result<SctpParameters, Failure> {
        let mut parameters = SctpParameters::default();
        for (said, value) in [
            (self.rto_initial, &mut parameters.rto_initial),
            (self.rto_min, &mut parameters.rto_min),
            (self.rto_max, &mut parameters.rto_max),
        ] {
            *value = said.map_or(*value, |Span(span)| span);
        }
        if let Some(count) = self.association_retransmissions {
            parameters.association_retransmissions_max = count;
        }
        parameters.path_retransmissions_max = self.path_retransmissions;
        if let Some(SpanOrOff(interval)) = self.heartbeat_interval {
            parameters.heartbeat_interval = interval;
        }
        parameters.check().map_err(|error| {
            Failure::usage(error).hint(
                "--rto-min <= --rto-initial <= --rto-max (without the flags 1s, 1s and 60s), and \
                 1 <= --path-retransmissions <= --association-retransmissions (5 and 10)",
            )
        })?;
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_said_is_used_and_the_rest_is_as_ever() {
        let said = SctpOptions {
            rto_min: Some("200ms".parse().unwrap()),
            path_retransmissions: Some(2),
            heartbeat_interval: Some("off".parse().unwrap()),
            ..SctpOptions::default()
        };
        let file = SctpOptions {
            rto_min: Some("300ms".parse().unwrap()),
            rto_max: Some("5s".parse().unwrap()),
            ..SctpOptions::default()
        };
        let parameters = said.or(file).parameters().unwrap();
        assert_eq!(parameters.rto_min, Duration::from_millis(200));
        assert_eq!(parameters.rto_initial, Duration::from_secs(1));
        assert_eq!(parameters.rto_max, Duration::from_secs(5));
        assert_eq!(parameters.association_retransmissions_max, 10);
        assert_eq!(parameters.path_retransmissions_max, Some(2));
        assert_eq!(parameters.heartbeat_interval, None);
    }

    #[test]
    fn nonsense_is_refused_with_what_would_make_sense() {
        let said = SctpOptions { rto_max: Some("900ms".parse().unwrap()), ..Default::default() };
        let message = said.parameters().unwrap_err().to_string();
        assert!(message.contains("900ms at most") && message.contains("--rto-min"), "{message}");
        let said = SctpOptions { path_retransmissions: Some(11), ..Default::default() };
        assert!(said.parameters().unwrap_err().to_string().contains("11 retransmissions"));
        assert!("on".parse::<SpanOrOff>().is_err());
    }
}
