//! What can be set of a registrar: timers, thresholds and limits, each with its unit and source.
//!
//! RFC 5352 §7, RFC 5353 §4 and RFC 5355 are the sources; where they leave a value open, the
//! profile's column is ours or RSPLIB's, as the field says.

use core::time::Duration;

use crate::identifier::RegistrarId;
use crate::profile::Profile;

/// The most pool elements that one handle resolution response lists.
///
/// RSPLIB keeps no more than this of one response.
pub const HANDLE_RESOLUTION_ITEMS_MAX: u32 = 128;

/// How often something may be done: steadily once per interval, and in bursts.
///
/// An association that was idle long enough may do `burst` things at once, and from then on one
/// per `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RateLimit {
    /// The time that one costs. Zero: no limit.
    pub interval: Duration,
    /// How many may come at once; 0 counts as 1.
    pub burst: u32,
}

impl RateLimit {
    /// No limit at all.
    pub const UNLIMITED: Self = Self { interval: Duration::ZERO, burst: 1 };

    /// At most `rate` per second in the long run, `burst` at once. A rate of 0 is no limit.
    #[must_use]
    pub const fn per_second(rate: u32, burst: u32) -> Self {
        let micros = match rate {
            0 => 0,
            rate => 1_000_000 / rate as u64,
        };
        Self { interval: Duration::from_micros(micros), burst }
    }
}

/// What can be set of a registrar.
///
/// | Field | `rfc` | `rsplib` | Source |
/// |---|---|---|---|
/// | `keep_alive_interval` | 30 s | 5 s | RFC 5352 §3.5 gives none |
/// | `keep_alive_timeout` | 5 s | 5 s | RFC 5352 gives none |
/// | `probe_interval_min` | 1 s | 1 s | RFC 5355 §2.14 |
/// | `challenge_timeout` | 2 s | 2 s | ours; below RSPLIB's 3 s for a response |
/// | `max_bad_pe_reports` | 3 | 3 | MAX-BAD-PE-REPORT, RFC 5352 §3.5 gives none |
/// | `handle_resolution_items` | 128 | 3 | RFC 5352 §3.3 (all); RSPLIB's MaxHResItems |
/// | `expire_own_elements` | yes | no | RFC 5352 §3.2; RSPLIB expires only foreign elements |
/// | `t6_server_announce` | 1 s | 1 s | T6-Serverannounce, RFC 5352 §7.1 |
/// | `t7_enrp_outdate` | 5 s | 5 s | T7-ENRPoutdate, RFC 5352 §7.1 |
/// | `peer_heartbeat_cycle` | 30 s | 2.444 s | PEER-HEARTBEAT-CYCLE, RFC 5353 §4.2 |
/// | `max_time_last_heard` | 61 s | 5 s | MAX-TIME-LAST-HEARD, RFC 5353 §4.2 |
/// | `max_time_no_response` | 5 s | 5 s | MAX-TIME-NO-RESPONSE, RFC 5353 §4.2 |
/// | `distance_step` | 50 ms | 50 ms | RSPLIB |
/// | `mentor_timeout` | 5 s | 5 s | RFC 5353 gives none |
/// | `takeover_timeout` | 5 s | 5 s | RFC 5353 gives none |
/// | `hand_over_patience` | 3 s | 3 s | ours |
/// | `lower_identifier_takes_over` | no | yes | RFC 5353 §3.5.1; RSPLIB |
/// | unit of the registration life | 1 s | 1 ms | RFC 5354 §3.9; RSPLIB |
/// | `known_identifier` | challenge | move | RFC 5354 §3.12.5; RSPLIB |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Config {
    /// Whose habits decide where RFC and RSPLIB differ.
    pub profile: Profile,
    /// This registrar's identifier; [`RegistrarId::UNKNOWN`] draws one at start (RFC 5353 §2.1).
    pub identifier: RegistrarId,
    /// Mean time between two keep-alives to one element; each is drawn from half to one and a
    /// half of it (RFC 5352 §3.5). Zero: no periodic keep-alives.
    pub keep_alive_interval: Duration,
    /// How long a keep-alive may stay unanswered before the element is given up.
    pub keep_alive_timeout: Duration,
    /// After an answered probe, unreachable reports wait this long before they probe again.
    pub probe_interval_min: Duration,
    /// How long the holder of an identifier may take to prove that it lives when another
    /// association registers the same one.
    pub challenge_timeout: Duration,
    /// An element is removed when more than this many distinct reporters call it unreachable
    /// although it answers (MAX-BAD-PE-REPORT); `u8::MAX` never removes.
    pub max_bad_pe_reports: u8,
    /// The time between two announces; with profile `rfc` of all registrars together, with
    /// `rsplib` of this one, an eighth more or less (T6-Serverannounce).
    pub t6_server_announce: Duration,
    /// How long another registrar is remembered after its next announce was due
    /// (T7-ENRPoutdate).
    pub t7_enrp_outdate: Duration,
    /// The time between two presences, an eighth more or less.
    pub peer_heartbeat_cycle: Duration,
    /// How long a peer may be silent before it is asked whether it lives.
    pub max_time_last_heard: Duration,
    /// How long a peer may take to answer before it is dead.
    pub max_time_no_response: Duration,
    /// How long a mentor is looked for, and waited for, before this registrar does without.
    pub mentor_timeout: Duration,
    /// How long acknowledgements of a takeover are waited for.
    pub takeover_timeout: Duration,
    /// A registrar that stops waits as long as this for the next of its elements to find another
    /// home.
    pub hand_over_patience: Duration,
    /// Who gives way when two registrars want to take over the same one: the one with the larger
    /// identifier, or, as the RFC has it, the one with the smaller.
    pub lower_identifier_takes_over: bool,
    /// Whether to become the home of elements that a peer suggests
    /// (draft-dreibholz-rserpool-enrp-takeover).
    pub accept_takeover_suggestion: bool,
    /// Whether to suggest to that peer whose identifier fits an element best that it become the
    /// element's home (the same draft), so that elements spread again after a failure.
    pub suggest_takeover: bool,
    /// Distances are rounded to multiples of this (draft-dreibholz-rserpool-delay), so that small
    /// changes make no updates. Zero: nothing is measured, and elements keep the distance that
    /// they name themselves.
    pub distance_step: Duration,
    /// The longest handle table response, in bytes.
    pub table_len_max: usize,
    /// The most elements in a handle table response.
    pub table_items_max: usize,
    /// How many elements a handle resolution yields that does not say how many it wants.
    pub handle_resolution_items: u32,
    /// Whether an element of this registrar is removed when its registration life ends.
    pub expire_own_elements: bool,
    /// What to do with a registration of an identifier that another association holds.
    pub known_identifier: KnownIdentifier,
    /// Where none of an element's addresses is one of its association, register the observed
    /// address of the association instead of refusing (for elements behind NAT).
    pub observed_address: bool,
    /// Whether any association may deregister any element. Otherwise only those that share an
    /// address with it.
    pub foreign_deregistration: bool,
    /// The most elements that one association may register.
    pub elements_per_association_max: u32,
    /// The most distinct unreachable elements that are remembered for one reporter.
    pub reports_per_reporter_max: u32,
    /// The most pools that one association is told the changes of (RFC 5352 §2.2.5).
    pub subscriptions_per_association_max: u32,
    /// The shortest time between two updates of one subscription.
    pub subscription_interval_min: Duration,
    /// Registrations and deregistrations of one association.
    pub registration_rate: RateLimit,
    /// Handle resolutions of one association.
    pub handle_resolution_rate: RateLimit,
    /// Unreachable reports of one association.
    pub unreachable_rate: RateLimit,
    /// Errors answered to one association; more are dropped.
    pub error_rate: RateLimit,
}

/// What to do with a registration of an identifier that another living association holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum KnownIdentifier {
    /// Ask the holder for a sign of life; if it answers, the newcomer is rejected.
    Challenge,
    /// The element moves to the newcomer's association, as RSPLIB does it.
    Move,
}

impl Config {
    /// The defaults of `profile`.
    #[must_use]
    pub const fn new(profile: Profile) -> Self {
        let rfc = matches!(profile, Profile::Rfc);
        Self {
            profile,
            identifier: RegistrarId::UNKNOWN,
            keep_alive_interval: Duration::from_secs(if rfc { 30 } else { 5 }),
            keep_alive_timeout: Duration::from_secs(5),
            probe_interval_min: Duration::from_secs(1),
            challenge_timeout: Duration::from_secs(2),
            max_bad_pe_reports: 3,
            t6_server_announce: Duration::from_secs(1),
            t7_enrp_outdate: Duration::from_secs(5),
            peer_heartbeat_cycle: Duration::from_millis(if rfc { 30_000 } else { 2_444 }),
            max_time_last_heard: Duration::from_secs(if rfc { 61 } else { 5 }),
            max_time_no_response: Duration::from_secs(5),
            mentor_timeout: Duration::from_secs(5),
            takeover_timeout: Duration::from_secs(5),
            hand_over_patience: Duration::from_secs(3),
            lower_identifier_takes_over: !rfc,
            accept_takeover_suggestion: true,
            suggest_takeover: false,
            distance_step: Duration::from_millis(50),
            // RSPLIB's numbers: what fits into a packet.
            table_len_max: 1_400,
            table_items_max: 128,
            handle_resolution_items: if rfc { HANDLE_RESOLUTION_ITEMS_MAX } else { 3 },
            expire_own_elements: rfc,
            known_identifier: if rfc { KnownIdentifier::Challenge } else { KnownIdentifier::Move },
            observed_address: false,
            foreign_deregistration: false,
            elements_per_association_max: 128,
            reports_per_reporter_max: 16,
            subscriptions_per_association_max: 16,
            subscription_interval_min: Duration::from_millis(500),
            // A pool of 128 elements on one association can register in one go; a busy element
            // that re-registers at each change of its load stays well below 20 a second.
            registration_rate: RateLimit::per_second(20, 256),
            // RSPLIB's pool users ask up to four times a second while they find nothing.
            handle_resolution_rate: RateLimit::per_second(20, 100),
            // Simulations show that reports must stay well below one a second and user.
            unreachable_rate: RateLimit { interval: Duration::from_secs(2), burst: 16 },
            error_rate: RateLimit::per_second(5, 20),
        }
    }

    /// The span that a registration life on the wire stands for.
    #[must_use]
    pub const fn registration_life(&self, raw: u32) -> Duration {
        match self.profile {
            Profile::Rfc => Duration::from_secs(raw as u64),
            Profile::Rsplib => Duration::from_millis(raw as u64),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new(Profile::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_decides_the_unit_of_the_registration_life() {
        assert_eq!(Config::new(Profile::Rfc).registration_life(90), Duration::from_secs(90));
        assert_eq!(Config::new(Profile::Rsplib).registration_life(90), Duration::from_millis(90));
    }

    #[test]
    fn the_table_of_defaults_is_what_is_set() {
        let (rfc, rsplib) = (Config::new(Profile::Rfc), Config::default());
        assert_eq!(rsplib.profile, Profile::Rsplib);
        assert_eq!(rfc.keep_alive_interval, Duration::from_secs(30));
        assert_eq!(rsplib.keep_alive_interval, Duration::from_secs(5));
        for config in [rfc, rsplib] {
            assert_eq!(config.keep_alive_timeout, Duration::from_secs(5));
            assert_eq!(config.probe_interval_min, Duration::from_secs(1));
            assert_eq!(config.challenge_timeout, Duration::from_secs(2));
            assert_eq!(config.max_bad_pe_reports, 3);
            assert_eq!(config.t6_server_announce, Duration::from_secs(1));
            assert_eq!(config.t7_enrp_outdate, Duration::from_secs(5));
        }
        assert_eq!((rfc.handle_resolution_items, rsplib.handle_resolution_items), (128, 3));
        assert!(rfc.expire_own_elements && !rsplib.expire_own_elements);
        assert_eq!(rfc.known_identifier, KnownIdentifier::Challenge);
        assert_eq!(rsplib.known_identifier, KnownIdentifier::Move);
    }
}
