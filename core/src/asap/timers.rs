//! Timers and thresholds of RFC 5352 §7, their defaults by profile in one table.
//!
//! Read RFC 5352 §3.1, §3.2, §3.6, §3.7 and §7 before editing this file.

use core::time::Duration;

use crate::profile::Profile;

/// Declares [`Timers`] and both columns of its defaults from one table:
/// `name: type = RFC value, RSPLIB value;`.
macro_rules! timer_table {
    ($($(#[$doc:meta])+ $name:ident: $kind:ty = $rfc:expr, $rsplib:expr;)+) => {
        /// Timers and thresholds of pool elements and pool users.
        ///
        /// [`Timers::of`] gives the defaults of a profile; change single fields afterwards.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[non_exhaustive]
        pub struct Timers {
            $($(#[$doc])+ #[doc = concat!(
                "\n\nDefault: RFC `", stringify!($rfc), "`, RSPLIB `", stringify!($rsplib), "`."
            )] pub $name: $kind,)+
        }

        impl Timers {
            const RFC: Self = Self { $($name: $rfc,)+ };
            const RSPLIB: Self = Self { $($name: $rsplib,)+ };
        }
    };
}

timer_table! {
    /// T1-ENRPrequest (RFC 5352 §7.1): how long a handle resolution waits for its answer.
    t1_request: Duration = seconds(15), seconds(3);
    /// T2-registration (RFC 5352 §7.1): how long a registration waits for its answer.
    t2_registration: Duration = seconds(30), seconds(3);
    /// T3-deregistration (RFC 5352 §7.1): how long a deregistration waits for its answer.
    t3_deregistration: Duration = seconds(30), seconds(3);
    /// T4-reregistration (RFC 5352 §7.1): the longest time between two registrations. The
    /// registration life bounds it as well; see [`Timers::t4_for_life`].
    t4_reregistration_max: Duration = seconds(600), seconds(30);
    /// T5-Serverhunt (RFC 5352 §3.6): how long one set of candidates may take; it doubles.
    t5_server_hunt: Duration = seconds(10), millis(7_500);
    /// T6-Serverannounce (RFC 5352 §3.6): the time between two announces of a registrar.
    t6_server_announce: Duration = seconds(1), seconds(1);
    /// T7-ENRPoutdate (RFC 5352 §3.6): how long an announced registrar is remembered.
    t7_enrp_outdate: Duration = seconds(5), seconds(5);
    /// MAX-REG-ATTEMPT (RFC 5352 §3.1, §7.3): registrations in a row that may go unanswered
    /// before the user is told. Also bounds deregistrations.
    max_reg_attempt: u8 = 2, 2;
    /// MAX-REQUEST-RETRANSMIT (RFC 5352 §3.7.2, §7.3): how often a handle resolution is repeated.
    max_request_retransmit: u8 = 2, 2;
    /// RETRAN-MAX (RFC 5352 §7.3): the ceiling of every back-off. RSPLIB has none; 30 s is the
    /// longest that it waits for anything (its re-registration interval).
    retran_max: Duration = seconds(60), seconds(30);
    /// How long a registration holds at the registrar if it is not renewed (RFC 5354 §3.10).
    registration_life: Duration = seconds(900), seconds(90);
    /// stale_cache_value (RFC 5352 §7.2): how long a resolved pool is answered from the cache.
    stale_cache: Duration = seconds(0), seconds(0);
    /// How long after a rejection registration is tried again, and at most how long after
    /// MAX-REG-ATTEMPT (the pause begins with T2 and doubles); `None`: not before the user
    /// changes something (RFC 5352 §3.1 forbids to repeat it unchanged).
    registration_retry: Option<Duration> = None, Some(seconds(30));
    /// How long a pool user keeps an association to a registrar that it has no use for.
    idle_close: Option<Duration> = None, Some(seconds(30));
    /// Our own: a hunt asks its candidates one after the other, this far apart.
    hunt_stagger: Duration = millis(200), millis(200);
    /// Our own: the pause after the first round of a hunt in which every registrar refused;
    /// it doubles up to RETRAN-MAX.
    hunt_pause_min: Duration = millis(250), millis(250);
    /// Our own: how long a registrar that failed is asked only after all the others.
    dead_memory: Duration = seconds(60), seconds(60);
}

impl Timers {
    /// The defaults of `profile`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use rserpool_core::{asap::Timers, profile::Profile};
    ///
    /// let mut timers = Timers::of(Profile::Rsplib);
    /// assert_eq!(timers.t2_registration, Duration::from_secs(3));
    /// timers.registration_life = Duration::from_secs(30);
    /// ```
    #[must_use]
    pub const fn of(profile: Profile) -> Self {
        match profile {
            Profile::Rfc => Self::RFC,
            Profile::Rsplib => Self::RSPLIB,
        }
    }

    /// When a registration of this life is renewed.
    ///
    /// RFC 5352 §7.1: 20 s before its end; RSPLIB: after a third of it. Never later than
    /// [`t4_reregistration_max`](Self::t4_reregistration_max). A life too short for the RFC's
    /// margin is renewed halfway.
    #[must_use]
    pub fn t4_for_life(&self, profile: Profile, life: Duration) -> Duration {
        let by_life = match profile {
            Profile::Rfc if life > RFC_T4_MARGIN * 2 => life.saturating_sub(RFC_T4_MARGIN),
            Profile::Rfc => life / 2,
            Profile::Rsplib => life / 3,
        };
        by_life.min(self.t4_reregistration_max).max(T4_MIN)
    }
}

/// A registration life in the unit that `profile` has on the wire, saturating.
///
/// RFC 5354 §3.10 counts seconds (here rounded up, so that it is never 0 unless asked for),
/// RSPLIB milliseconds: `docs/protocol-notes.md`, "Registration life".
#[must_use]
pub fn registration_life_on_wire(profile: Profile, life: Duration) -> u32 {
    let millis = life.subsec_millis();
    let units = match profile {
        Profile::Rfc => life.as_secs().saturating_add(u64::from(millis > 0)),
        Profile::Rsplib => life.as_secs().saturating_mul(1_000).saturating_add(millis.into()),
    };
    u32::try_from(units).unwrap_or(u32::MAX)
}

const RFC_T4_MARGIN: Duration = seconds(20);
/// No life, however short, makes an element register more often than this.
const T4_MIN: Duration = millis(100);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rfc_profile_has_the_values_of_section_7() {
        let timers = Timers::of(Profile::Rfc);
        assert_eq!(timers.t1_request.as_secs(), 15);
        assert_eq!(timers.t2_registration.as_secs(), 30);
        assert_eq!(timers.t3_deregistration.as_secs(), 30);
        assert_eq!(timers.t4_reregistration_max.as_secs(), 600);
        assert_eq!(timers.t5_server_hunt.as_secs(), 10);
        assert_eq!(timers.t6_server_announce.as_secs(), 1);
        assert_eq!(timers.t7_enrp_outdate.as_secs(), 5);
        assert_eq!(timers.max_reg_attempt, 2);
        assert_eq!(timers.max_request_retransmit, 2);
        assert_eq!(timers.retran_max.as_secs(), 60);
    }

    #[test]
    fn t4_is_ten_minutes_or_life_less_20_seconds() {
        let timers = Timers::of(Profile::Rfc);
        assert_eq!(timers.t4_for_life(Profile::Rfc, seconds(3_600)).as_secs(), 600);
        assert_eq!(timers.t4_for_life(Profile::Rfc, seconds(620)).as_secs(), 600);
        assert_eq!(timers.t4_for_life(Profile::Rfc, seconds(619)).as_secs(), 599);
        assert_eq!(timers.t4_for_life(Profile::Rfc, seconds(41)).as_secs(), 21);
        assert_eq!(timers.t4_for_life(Profile::Rfc, seconds(40)).as_secs(), 20);
        assert_eq!(timers.t4_for_life(Profile::Rfc, seconds(10)).as_secs(), 5);
        assert_eq!(timers.t4_for_life(Profile::Rfc, Duration::ZERO), T4_MIN);
    }

    #[test]
    fn rsplib_renews_after_a_third_of_the_life() {
        let timers = Timers::of(Profile::Rsplib);
        assert_eq!(timers.t4_for_life(Profile::Rsplib, timers.registration_life).as_secs(), 30);
        assert_eq!(timers.t4_for_life(Profile::Rsplib, seconds(15)).as_secs(), 5);
    }

    #[test]
    fn life_is_seconds_in_the_rfc_and_milliseconds_in_rsplib() {
        assert_eq!(registration_life_on_wire(Profile::Rsplib, seconds(90)), 0x0001_5f90);
        assert_eq!(registration_life_on_wire(Profile::Rfc, seconds(90)), 90);
        assert_eq!(registration_life_on_wire(Profile::Rfc, millis(1)), 1);
        assert_eq!(registration_life_on_wire(Profile::Rfc, Duration::ZERO), 0);
        assert_eq!(registration_life_on_wire(Profile::Rsplib, Duration::MAX), u32::MAX);
    }
}
