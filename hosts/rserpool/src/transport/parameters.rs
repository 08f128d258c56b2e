//! The parameters that both SCTPs have: the kernel's and ours.

use std::time::Duration;

use rserpool_core::sctp;

/// How patient SCTP is with its peers (RFC 9260 §16.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SctpParameters {
    /// The retransmission timeout before the first measurement (RTO.Initial).
    pub rto_initial: Duration,
    /// The least retransmission timeout (RTO.Min), in milliseconds.
    pub rto_min: Duration,
    /// The largest retransmission timeout (RTO.Max), an hour at most.
    pub rto_max: Duration,
    /// How often in a row a packet may go unanswered before the association is lost
    /// (Association.Max.Retrans).
    pub association_retransmissions_max: u8,
    /// How often before one of several paths is given up (Path.Max.Retrans); `None` stands for
    /// half of `association_retransmissions_max`.
    pub path_retransmissions_max: Option<u8>,
    /// How long a path is idle before it is probed, beyond its RTO (HB.interval); `None`: it is
    /// not probed.
    pub heartbeat_interval: Option<Duration>,
}

/// Parameters that make no sense together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// The retransmission timeout at first is not between the least and the largest.
    #[error(
        "retransmission timeouts of {min:?} at least, {initial:?} at first and {max:?} at most \
         are in no order"
    )]
    Rto {
        /// RTO.Min.
        min: Duration,
        /// RTO.Initial.
        initial: Duration,
        /// RTO.Max.
        max: Duration,
    },
    /// A retransmission timeout is out of range.
    #[error("a retransmission timeout of {rto:?} is not between a millisecond and an hour")]
    RtoRange {
        /// Which one.
        rto: Duration,
    },
    /// Nothing may be lost on an association or a path.
    #[error("with 0 retransmissions any loss would end an association; it takes 1 at least")]
    NoRetransmissions,
    /// The association would be lost before any path is.
    #[error(
        "a path that is given up after {path} retransmissions outlives its association, which \
         has {association}"
    )]
    Path {
        /// Path.Max.Retrans.
        path: u8,
        /// Association.Max.Retrans.
        association: u8,
    },
}

impl Default for SctpParameters {
    /// Those of RFC 9260, but that idle paths are probed every 3 s, so that a silent death is
    /// noticed.
    fn default() -> Self {
        let config = sctp::Config::DEFAULT;
        Self {
            rto_initial: config.rto_initial,
            rto_min: config.rto_min,
            rto_max: config.rto_max,
            association_retransmissions_max: config.association_retransmissions_max,
            path_retransmissions_max: None,
            heartbeat_interval: Some(HEARTBEAT_INTERVAL),
        }
    }
}

impl SctpParameters {
    /// Whether they make sense together.
    ///
    /// # Errors
    ///
    /// If not.
    pub fn check(&self) -> Result<(), ParametersError> {
        let Self { rto_min: min, rto_initial: initial, rto_max: max, .. } = *self;
        let is_in_range = |rto: &Duration| (RTO_LEAST..=RTO_MOST).contains(rto);
        if let Some(rto) = [min, initial, max].into_iter().find(|rto| !is_in_range(rto)) {
            return Err(ParametersError::RtoRange { rto });
        }
        if min > initial || initial > max {
            return Err(ParametersError::Rto { min, initial, max });
        }
        let association = self.association_retransmissions_max;
        match self.path_retransmissions_max() {
            _ if association == 0 => Err(ParametersError::NoRetransmissions),
            0 => Err(ParametersError::NoRetransmissions),
            path if path > association => Err(ParametersError::Path { path, association }),
            _ => Ok(()),
        }
    }

    /// Path.Max.Retrans. Before the association is lost its last path is, by which the kernel's
    /// user tells that from an abort.
    pub(super) fn path_retransmissions_max(&self) -> u8 {
        self.path_retransmissions_max.unwrap_or((self.association_retransmissions_max / 2).max(1))
    }

    /// What our own SCTP is told.
    pub(super) fn config(&self) -> sctp::Config {
        let mut config = sctp::Config::DEFAULT;
        config.rto_initial = self.rto_initial;
        config.rto_min = self.rto_min;
        config.rto_max = self.rto_max;
        config.association_retransmissions_max = self.association_retransmissions_max;
        config.path_retransmissions_max = self.path_retransmissions_max();
        config.heartbeat_interval = self.heartbeat_interval;
        config
    }
}

/// The kernel counts in them.
const RTO_LEAST: Duration = Duration::from_millis(1);
const RTO_MOST: Duration = Duration::from_secs(3_600);

/// How long an association is idle before it is probed. The RFC's 30 s would be how long an
/// element does not notice that its registrar was restarted at the same address.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SctpParameters)) -> ParametersError {
        let mut parameters = SctpParameters::default();
        change(&mut parameters);
        parameters.check().unwrap_err()
    }

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(SctpParameters::default().check(), Ok(()));
    }

    #[test]
    fn what_contradicts_is_refused() {
        let [ms, s] = [Duration::from_millis(1), Duration::from_secs(1)];
        let is_order = |error| matches!(error, ParametersError::Rto { .. });
        assert!(is_order(refused(|it| it.rto_min = 2 * s)));
        assert!(is_order(refused(|it| it.rto_max = s - ms)));
        assert!(is_order(refused(|it| it.rto_initial = 61 * s)));
        let range = ParametersError::RtoRange { rto: Duration::ZERO };
        assert_eq!(refused(|it| it.rto_min = Duration::ZERO), range);
        let range = ParametersError::RtoRange { rto: 3_601 * s };
        assert_eq!(refused(|it| it.rto_max = 3_601 * s), range);
        let none = ParametersError::NoRetransmissions;
        assert_eq!(refused(|it| it.association_retransmissions_max = 0), none);
        assert_eq!(refused(|it| it.path_retransmissions_max = Some(0)), none);
        let path = ParametersError::Path { path: 11, association: 10 };
        assert_eq!(refused(|it| it.path_retransmissions_max = Some(11)), path);
    }

    #[test]
    fn a_path_is_given_up_before_the_association() {
        let mut parameters = SctpParameters::default();
        for (association, path) in [(1, 1), (3, 1), (10, 5), (255, 127)] {
            parameters.association_retransmissions_max = association;
            assert_eq!(parameters.config().path_retransmissions_max, path);
            assert_eq!(parameters.check(), Ok(()));
        }
    }
}
