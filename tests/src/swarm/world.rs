//! The scope, who is in it, and what is known of them for sure.

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_core::asap::{PoolElementConfig, PoolUserConfig};
use rserpool_core::enrp::Event;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::time::Instant;

use super::plan::{POOLS, Plan};
use super::{Counts, Draw};
use crate::scope::{JobCounts, Node, Scope};

/// A node where a registrar runs now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) node: Node,
    pub(super) id: RegistrarId,
    pub(super) state: SeatState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeatState {
    Empty,
    Running,
    /// It was asked to stop, and may still be about to.
    Stopping,
}

/// An element, or one that was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) pe_id: PeId,
    pub(super) pool: usize,
    pub(super) state: MemberState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It wants to be registered.
    In,
    /// It wants to be so no more, or its process is gone; since when.
    Out { since: Instant },
}

pub(super) struct World {
    pub(super) scope: Scope,
    pub(super) plan: Plan,
    pub(super) draw: Draw,
    /// Draws of what was added later, so that the others stay the same.
    pub(super) extra: Draw,
    pub(super) seats: Vec<Seat>,
    pub(super) members: Vec<Member>,
    pub(super) users: Vec<Node>,
    /// Users that watch a pool and do nothing else.
    pub(super) watchers: Vec<(Node, usize)>,
    /// Machines that are slow for a while, and how far away they are otherwise.
    pub(super) slow: Vec<(Node, Duration)>,
    /// Since when a registrar, the first, has had another checksum of the elements of the second
    /// than the second itself.
    pub(super) differing: BTreeMap<(usize, usize), Instant>,
    /// When anything was last done to the scope.
    pub(super) last_blow: Instant,
    pub(super) counts: Counts,
}

impl World {
    /// The scope of a seed, begun but not yet in trouble.
    pub(super) fn new(seed: u64, is_printed: bool) -> Self {
        let mut draw = Draw::new(seed);
        let mut extra = Draw::new(!seed);
        let plan = Plan::new(&mut draw, &mut extra);
        let mut scope = Scope::new(plan.profile, seed);
        if is_printed {
            scope.print_trace();
            eprintln!("{plan:#?}");
        }
        scope.lost_after = plan.lost_after;
        scope.stopped_are_silent = plan.stopped_are_silent;
        let now = scope.now;
        let mut world = Self {
            scope,
            plan,
            draw,
            extra,
            seats: Vec::new(),
            members: Vec::new(),
            users: Vec::new(),
            watchers: Vec::new(),
            slow: Vec::new(),
            differing: BTreeMap::new(),
            last_blow: now,
            counts: Counts::default(),
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        // One seat more, for whoever joins later.
        for number in 0..=self.plan.registrars {
            let node = self.add_node();
            let id = RegistrarId(0x1111_1111 * (number as u32 + 1));
            self.seats.push(Seat { node, id, state: SeatState::Empty });
        }
        for place in 0..self.plan.registrars as usize {
            self.start_registrar(place);
            let pause = self.draw.millis(0, 1_000);
            self.pass(pause);
        }
        for _ in 0..self.plan.elements {
            self.join();
        }
        for _ in 0..self.plan.users {
            self.add_user();
        }
        for _ in 0..self.plan.watchers {
            self.add_watcher();
        }
        let pause = self.draw.millis(0, 3_000);
        self.pass(pause);
        self.scope.weather = self.plan.weather;
    }

    fn add_node(&mut self) -> Node {
        let node = self.scope.add_empty();
        let most = self.plan.drift_max_ppm;
        if most > 0 {
            let ppm = self.draw.below(2 * most as u64 + 1) as i64 - most;
            self.scope.set_drift(node, ppm);
        }
        if self.plan.is_wide && self.draw.one_in(3) {
            let one_way = self.draw.millis(1, 150);
            self.scope.move_away(node, one_way);
        }
        node
    }

    /// All nodes where registrars may be, as elements and users are configured.
    fn known_registrars(&self) -> Vec<Node> {
        match self.plan.is_multicast {
            true => Vec::new(),
            false => self.seats.iter().map(|seat| seat.node).collect(),
        }
    }

    pub(super) fn start_registrar(&mut self, place: usize) {
        let Seat { node, id, .. } = self.seats[place];
        let mut config = self.plan.config;
        config.identifier = id;
        let others = self.seats.iter().filter(|seat| seat.node != node);
        let others: Vec<Node> = match self.plan.is_multicast {
            true => Vec::new(),
            false => others.map(|seat| seat.node).collect(),
        };
        self.scope.start_registrar(node, config, self.plan.sizes, &others);
        if self.plan.is_multicast {
            let now = self.scope.local_now(node);
            self.scope.with_registrar(node, |registrar| registrar.seek_mentor(now));
            self.scope.announce(node);
        }
        self.seats[place].state = SeatState::Running;
    }

    /// A new element joins.
    pub(super) fn join(&mut self) {
        let node = self.add_node();
        let pe_id = PeId(0x0a00_0001 + self.members.len() as u32);
        let pool = self.draw.below(POOLS.len() as u64) as usize;
        let since = self.scope.now;
        self.members.push(Member { node, pe_id, pool, state: MemberState::Out { since } });
        self.start_element(self.members.len() - 1);
    }

    pub(super) fn start_element(&mut self, place: usize) {
        let Member { node, pe_id, pool, .. } = self.members[place];
        let mut config = PoolElementConfig::new(self.plan.profile);
        config.timers = self.plan.timers;
        config.pe_id = Some(pe_id);
        let (registrars, policy) = (self.known_registrars(), self.plan.policies[pool]);
        self.scope.start_element(node, config, &registrars, POOLS[pool], policy);
        self.members[place].state = MemberState::In;
    }

    pub(super) fn add_user(&mut self) {
        let node = self.add_node();
        let mut config = PoolUserConfig::new(self.plan.profile);
        config.timers = self.plan.timers;
        config.timers.idle_close = Some(Duration::from_secs(5));
        let registrars = self.known_registrars();
        self.scope.start_user(node, config, &registrars, true);
        self.users.push(node);
    }

    fn add_watcher(&mut self) {
        let node = self.scope.add_empty();
        let mut config = PoolUserConfig::new(self.plan.profile);
        config.timers = self.plan.timers;
        let registrars = self.known_registrars();
        self.scope.start_user(node, config, &registrars, false);
        let pool = self.extra.below(POOLS.len() as u64) as usize;
        let handle = PoolHandle::new(POOLS[pool].as_bytes()).expect("a handle");
        let now = self.scope.local_now(node);
        self.scope.with_user(node, |user| user.watch(now, handle)).expect("there is room for one");
        self.watchers.push((node, pool));
        self.counts.add("pools watched", 1);
    }

    /// A process is about to end: what its machine has counted is kept.
    pub(super) fn note_end_of_registrar(&mut self, place: usize) {
        let counters = *self.scope.registrar(self.seats[place].node).counters();
        for (what, count) in [
            ("registrations", counters.registrations + counters.reregistrations),
            ("registrations rejected", counters.registrations_rejected),
            ("resolutions", counters.handle_resolutions),
            ("keep-alives missed", counters.keep_alive_timeouts),
            ("unreachable reports", counters.unreachable_reports),
            ("audits failed", counters.audits_failed),
            ("peers lapped", counters.peers_lapped),
            ("elements without room at a peer", counters.unlearnable),
            ("limits met", counters.limited),
            ("takeovers begun", counters.takeovers_started),
            ("takeovers", counters.takeovers),
            ("adoptions", counters.adoptions),
        ] {
            self.counts.add(what, count);
        }
    }

    pub(super) fn note_end_of_element(&mut self, node: Node) {
        let counts = self.scope.service_counts(node);
        self.counts.add("steps of jobs", counts.steps);
        self.counts.add("jobs resumed from a cookie", counts.resumed);
    }

    pub(super) fn note_end_of_user(&mut self, node: Node) {
        let counts: JobCounts = self.scope.job_counts(node);
        for (what, count) in [
            ("jobs begun", counts.begun),
            ("jobs completed", counts.completed),
            ("jobs failed", counts.failed),
            ("failovers", counts.failovers),
        ] {
            self.counts.add(what, count);
        }
    }

    pub(super) fn seats_in(&self, state: SeatState) -> Vec<usize> {
        let places = self.seats.iter().enumerate().filter(|(_, seat)| seat.state == state);
        places.map(|(place, _)| place).collect()
    }

    pub(super) fn members_in(&self) -> Vec<usize> {
        let places = self.members.iter().enumerate();
        places
            .filter(|(_, member)| member.state == MemberState::In)
            .map(|(place, _)| place)
            .collect()
    }

    /// Lets time pass, looking now and then whether all is well.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.scope.now + span;
        while self.scope.now < end {
            let left = end.saturating_duration_since(self.scope.now);
            self.scope.run_for(left.min(Duration::from_millis(800)));
            self.inspect();
            self.note_stops();
        }
    }

    /// A registrar that was asked to stop has done so.
    fn note_stops(&mut self) {
        for place in self.seats_in(SeatState::Stopping) {
            let node = self.seats[place].node;
            if self.scope.registrar(node).is_stopped() {
                self.note_end_of_registrar(place);
                self.scope.kill(node);
                self.seats[place].state = SeatState::Empty;
            }
        }
        for event in std::mem::take(&mut self.scope.registrar_events) {
            match event {
                Event::Synchronized { .. } => self.counts.add("tables taken", 1),
                Event::PeerDown { .. } => self.counts.add("peers lost", 1),
                Event::EventsLost { .. } => panic!("events are taken at once"),
                _ => {}
            }
        }
    }
}
