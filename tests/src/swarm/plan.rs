//! What a seed draws before anything happens.

use std::time::Duration;

use rserpool_core::asap::Timers;
use rserpool_core::enrp::{Config, KnownIdentifier};
use rserpool_core::profile::Profile;
use rserpool_core::wire::{Load, Policy};

use super::Draw;
use crate::scope::{TableSizes, Weather};

/// The names of the pools.
pub(super) const POOLS: [&str; 3] = ["Pool A", "Pool B", "Another pool, with a longer name"];

/// What a scope is like.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) profile: Profile,
    pub(super) config: Config,
    pub(super) timers: Timers,
    pub(super) sizes: TableSizes,
    pub(super) registrars: u64,
    pub(super) elements: u64,
    pub(super) users: u64,
    pub(super) policies: Vec<Policy>,
    pub(super) blows: u64,
    /// The longest time between two blows.
    pub(super) breath: Duration,
    pub(super) weather: Weather,
    pub(super) lost_after: Duration,
    pub(super) stopped_are_silent: bool,
    pub(super) drift_max_ppm: i64,
    /// Some nodes are so far away that a round trip takes some 600 ms.
    pub(super) is_wide: bool,
    /// Nobody knows registrars but by their announces.
    pub(super) is_multicast: bool,
    /// Users that want to be told of all changes of a pool.
    pub(super) watchers: u64,
    /// Machines become slow for a while.
    pub(super) is_sluggish: bool,
}

impl Plan {
    /// What is in `extra` was added later: where it says no, the scope is what it was before.
    pub(super) fn new(draw: &mut Draw, extra: &mut Draw) -> Self {
        let profile = if draw.one_in(3) { Profile::Rfc } else { Profile::Rsplib };
        let is_big = draw.one_in(20);
        let registrars = if is_big { draw.between(3, 7) } else { draw.between(1, 4) };
        let elements = if is_big { draw.between(10, 40) } else { draw.between(1, 8) };
        let users = if is_big { draw.between(1, 6) } else { draw.between(0, 3) };
        let (mut config, mut timers) = times(draw, profile);
        let is_long = extra.one_in(3);
        config.suggest_takeover = extra.one_in(4);
        config.accept_takeover_suggestion = !extra.one_in(8);
        let watchers = if extra.one_in(3) { extra.between(1, 2) } else { 0 };
        let drift_max_ppm = draw.pick(&[0, 0, 0, 500, 20_000, 80_000]).unwrap_or(0);
        // What is wrong has to be noticed before it ends by itself. The RFC's elements renew a
        // registration 20 s before its end, which clocks so far apart do not keep in 600 s.
        let keeps_time = profile == Profile::Rsplib || drift_max_ppm <= 500;
        if is_long && keeps_time {
            timers.registration_life = Duration::from_secs(600);
        }
        let is_tight = draw.one_in(3);
        let mut sizes = sizes(draw, is_tight, registrars, elements + users);
        sizes.associations += usize::try_from(watchers).expect("small");
        Self {
            profile,
            config,
            timers,
            sizes,
            registrars,
            elements,
            users,
            policies: policies(draw),
            blows: draw.between(2, if is_big { 40 } else { 24 }),
            breath: draw.millis(500, 9_000),
            weather: weather(draw),
            lost_after: draw.millis(2_500, 30_000),
            stopped_are_silent: draw.one_in(2),
            drift_max_ppm,
            is_wide: draw.one_in(3),
            is_multicast: draw.one_in(4),
            watchers,
            is_sluggish: extra.one_in(4),
        }
    }

    /// How long it takes at most until a registrar that was heard last just now is taken over.
    pub(super) fn detection(&self) -> Duration {
        let config = &self.config;
        let silence = config.max_time_last_heard + config.max_time_no_response;
        self.stretched(silence + config.takeover_timeout) + Duration::from_millis(500)
    }

    /// How long it takes at most until the home of an element that is gone says so.
    pub(super) fn keep_alive(&self) -> Duration {
        let config = &self.config;
        let wait = config.keep_alive_interval * 3 / 2 + config.keep_alive_timeout * 2;
        self.stretched(wait) + Duration::from_secs(1)
    }

    /// How long an element that leaves is known at most when all is well; whether a registrar that
    /// was its home before has kept its association is `is_held`.
    pub(super) fn leaving(&self, is_held: bool) -> Duration {
        let config = &self.config;
        let told = Duration::from_secs(2);
        if !config.suggest_takeover || !config.accept_takeover_suggestion {
            // Who has kept it asks the element if it has come back.
            return told + self.stretched(config.keep_alive_timeout * u32::from(is_held));
        }
        // Whom it was suggested to a moment before cannot tell whether its home has lost it to the
        // suggestion or for good: the element is sought and asked, each with its time-out.
        told + self.stretched(config.keep_alive_timeout * 2)
    }

    /// How long an element that is gone can be listed at most when all is well.
    pub(super) fn forgetting(&self) -> Duration {
        let life = self.stretched(self.timers.registration_life + Duration::from_secs(2));
        life + self.detection() * 2 + self.keep_alive() * 2
    }

    /// How long it takes at most until all agree when all is well.
    pub(super) fn agreement(&self) -> Duration {
        self.forgetting() + self.settling()
    }

    /// How long two registrars may have different checksums of the elements of one of them when
    /// all is well: audits are sooner than the ends of registrations.
    pub(super) fn audit(&self) -> Duration {
        self.detection() * 2 + self.keep_alive() * 2 + self.settling()
    }

    /// How long it takes at most until each element has a home.
    fn settling(&self) -> Duration {
        let timers = &self.timers;
        let hunt = timers.retran_max * 2 + timers.t5_server_hunt * 4;
        let answer = timers.t2_registration.max(timers.t3_deregistration) * 6;
        self.stretched(hunt + answer) + Duration::from_secs(60)
    }

    /// How long an element that moves from one registrar to another may be unknown at a third,
    /// which may hear from the first before it hears from the second.
    pub(super) fn gap_max(&self) -> Duration {
        // The first may get ahead of itself, and only the next audit shows that.
        let audit = self.stretched(self.config.peer_heartbeat_cycle * 9 / 8);
        let tables = match self.is_wide {
            // They may come element by element.
            true => audit + Duration::from_millis(700) * 40,
            false => Duration::from_millis(500),
        };
        audit + tables
    }

    /// How long a span of a slow clock may last.
    fn stretched(&self, span: Duration) -> Duration {
        let ppm = u32::try_from(self.drift_max_ppm).expect("small");
        span + span / 1_000_000 * (ppm + ppm / 5)
    }

    /// How many elements every registrar has room for, with all users.
    pub(super) fn capacity(&self) -> usize {
        let beside = self.users + self.watchers + self.registrars;
        let beside = usize::try_from(beside).expect("small");
        self.sizes.elements.min(self.sizes.associations.saturating_sub(beside))
    }
}

fn times(draw: &mut Draw, profile: Profile) -> (Config, Timers) {
    let (mut config, mut timers) = (Config::new(profile), Timers::of(profile));
    timers.registration_retry = Some(draw.millis(2_000, 6_000));
    if draw.one_in(6) && profile == Profile::Rsplib {
        // As they are shipped.
        return (config, timers);
    }
    let cycle = draw.between(400, 2_500);
    config.peer_heartbeat_cycle = Duration::from_millis(cycle);
    config.max_time_last_heard = draw.millis(cycle * 2, cycle * 3);
    config.max_time_no_response = draw.millis(500, 3_000);
    config.takeover_timeout = draw.millis(500, 3_000);
    config.mentor_timeout = draw.millis(1_000, 5_000);
    config.keep_alive_interval = draw.millis(1_000, 8_000);
    config.keep_alive_timeout = draw.millis(800, 4_000);
    config.table_items_max = draw.pick(&[1, 2, 128]).unwrap_or(128);
    if draw.one_in(4) {
        config.known_identifier = match config.known_identifier {
            KnownIdentifier::Move => KnownIdentifier::Challenge,
            KnownIdentifier::Challenge => KnownIdentifier::Move,
        };
    }
    config.expire_own_elements ^= draw.one_in(5);
    timers.registration_life = life(draw, profile, &config);
    timers.t1_request = draw.millis(1_000, 4_000);
    timers.t2_registration = draw.millis(1_000, 4_000);
    timers.t3_deregistration = draw.millis(1_000, 4_000);
    timers.t5_server_hunt = draw.millis(1_500, 6_000);
    timers.retran_max = draw.millis(2_000, 12_000);
    timers.dead_memory = draw.millis(1_000, 20_000);
    (config, timers)
}

/// A registration's life, long enough for what is left of it when it is renewed to outlast the
/// takeover of its home.
fn life(draw: &mut Draw, profile: Profile, config: &Config) -> Duration {
    let takeover =
        config.max_time_last_heard + config.max_time_no_response + config.takeover_timeout;
    let least = takeover.as_secs() + 2;
    match profile {
        // Half of it is left, but never more than 20 s.
        Profile::Rfc => Duration::from_secs((2 * least + draw.below(20)).min(40)),
        Profile::Rsplib => Duration::from_secs(3 * least / 2 + draw.below(20)),
    }
}

fn sizes(draw: &mut Draw, is_tight: bool, registrars: u64, nodes: u64) -> TableSizes {
    let peers = usize::try_from(registrars).expect("small") + 4;
    if is_tight {
        let little = |draw: &mut Draw, most: u64| draw.between(1, most) as usize;
        return TableSizes {
            elements: little(draw, nodes + 2),
            associations: little(draw, nodes + 6) + 2,
            reports: little(draw, 3),
            challenges: little(draw, 2),
            peers,
            adoptions: little(draw, 2),
            changes_len: draw.between(256, 1_024) as usize,
        };
    }
    TableSizes {
        elements: 64,
        associations: 96,
        reports: 32,
        challenges: 8,
        peers,
        adoptions: 8,
        changes_len: 8_192,
    }
}

fn policies(draw: &mut Draw) -> Vec<Policy> {
    let all = [
        Policy::RoundRobin,
        Policy::Random,
        Policy::WeightedRoundRobin { weight: 3 },
        Policy::LeastUsed { load: Load(7) },
        Policy::LeastUsedDpf { load: Load(7), dpf: Load(1_000), distance: 0 },
    ];
    POOLS.iter().filter_map(|_| draw.pick(&all)).collect()
}

fn weather(draw: &mut Draw) -> Weather {
    if draw.one_in(3) {
        return Weather::FAIR;
    }
    let share = |draw: &mut Draw, most: u64| if draw.one_in(2) { 0 } else { draw.below(most) };
    Weather {
        delay: draw.millis(0, 80),
        jitter: draw.millis(1, 250),
        loss: share(draw, 50),
        datagram_loss: share(draw, 200),
        duplication: share(draw, 80),
        retransmission: draw.millis(200, 1_500),
    }
}
