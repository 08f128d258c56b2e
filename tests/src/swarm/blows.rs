//! What is done to a scope while nothing is promised but safety.

use std::time::Duration;

use rserpool_core::wire::{Load, Policy};

use super::world::{MemberState, SeatState, World};
use crate::scope::{Node, Weather};

#[derive(Clone, Copy, Debug)]
enum Blow {
    EndRegistrar,
    StartRegistrar,
    StopRegistrar,
    Pause,
    Resume,
    Cut,
    Split,
    Unplug,
    PlugIn,
    Mend,
    CutAssociation,
    Storm,
    Fair,
    EndElement,
    RestartElement,
    Join,
    Leave,
    Reregister,
    BeginJob,
    EndUser,
}

/// How often each comes, in proportion.
const BLOWS: [(Blow, u64); 20] = [
    (Blow::EndRegistrar, 6),
    (Blow::StartRegistrar, 7),
    (Blow::StopRegistrar, 2),
    (Blow::Pause, 4),
    (Blow::Resume, 4),
    (Blow::Cut, 6),
    (Blow::Split, 2),
    (Blow::Unplug, 3),
    (Blow::PlugIn, 3),
    (Blow::Mend, 4),
    (Blow::CutAssociation, 5),
    (Blow::Storm, 2),
    (Blow::Fair, 2),
    (Blow::EndElement, 5),
    (Blow::RestartElement, 4),
    (Blow::Join, 3),
    (Blow::Leave, 3),
    (Blow::Reregister, 2),
    (Blow::BeginJob, 12),
    (Blow::EndUser, 1),
];

impl World {
    /// One blow after the other.
    pub(super) fn trouble(&mut self) {
        for _ in 0..self.plan.blows {
            let blow = self.draw_blow();
            self.deal(blow);
            if self.plan.is_sluggish && self.extra.one_in(6) {
                self.slow_down();
            }
            self.last_blow = self.scope.now;
            let most = self.plan.breath.as_millis() as u64;
            let breath = match self.draw.one_in(4) {
                true => self.draw.millis(0, 50),
                false => self.draw.millis(0, most),
            };
            self.pass(breath);
        }
        self.last_blow = self.scope.now;
    }

    fn draw_blow(&mut self) -> Blow {
        let total: u64 = BLOWS.iter().map(|(_, weight)| weight).sum();
        let mut place = self.draw.below(total);
        for (blow, weight) in BLOWS {
            match place.checked_sub(weight) {
                Some(rest) => place = rest,
                None => return blow,
            }
        }
        unreachable!("the draw is below the sum")
    }

    fn deal(&mut self, blow: Blow) {
        match blow {
            Blow::EndRegistrar => self.end_a_registrar(),
            Blow::StartRegistrar => {
                let empty = self.seats_in(SeatState::Empty);
                if let Some(place) = self.draw.pick(&empty) {
                    self.start_registrar(place);
                    self.counts.add("registrars started", 1);
                }
            }
            Blow::StopRegistrar => {
                let running = self.seats_in(SeatState::Running);
                if let Some(place) = self.draw.pick(&running) {
                    self.scope.stop_registrar(self.seats[place].node);
                    self.seats[place].state = SeatState::Stopping;
                    self.counts.add("registrars stopped cleanly", 1);
                }
            }
            Blow::Pause | Blow::Resume | Blow::Unplug | Blow::PlugIn => self.disturb_node(blow),
            Blow::Cut | Blow::Split | Blow::Mend => self.disturb_ways(blow),
            Blow::CutAssociation => {
                let count = u64::from(self.scope.cut_one());
                self.counts.add("associations cut", count);
            }
            Blow::Storm => {
                let (jitter, retransmission) =
                    (self.draw.millis(0, 2_000), Duration::from_secs(1));
                let (loss, datagram_loss, duplication) = (60, 128, 100);
                let delay = self.draw.millis(0, 300);
                self.scope.weather =
                    Weather { delay, jitter, loss, datagram_loss, duplication, retransmission };
                self.counts.add("storms", 1);
            }
            Blow::Fair => self.scope.weather = self.plan.weather,
            Blow::BeginJob => self.begin_a_job(),
            Blow::EndUser => {
                if !self.users.is_empty() {
                    let place = self.draw.below(self.users.len() as u64) as usize;
                    let node = self.users.swap_remove(place);
                    self.note_end_of_user(node);
                    self.scope.kill(node);
                    self.counts.add("users killed", 1);
                }
            }
            Blow::EndElement | Blow::RestartElement | Blow::Join => self.come_and_go(blow),
            Blow::Leave | Blow::Reregister => self.change_an_element(blow),
        }
    }

    fn end_a_registrar(&mut self) {
        let running = self.seats_in(SeatState::Running);
        let Some(place) = self.draw.pick(&running) else { return };
        self.end_registrar(place);
    }

    /// Its process ends, with or without its system telling so.
    pub(super) fn end_registrar(&mut self, place: usize) {
        self.note_end_of_registrar(place);
        let node = self.seats[place].node;
        self.end_process(node);
        self.seats[place].state = SeatState::Empty;
        self.counts.add("registrars crashed", 1);
    }

    fn end_process(&mut self, node: Node) {
        match self.draw.one_in(2) {
            true => self.scope.kill(node),
            false => self.scope.crash(node),
        }
    }

    /// Registrars and elements that run.
    fn running_nodes(&self) -> Vec<Node> {
        let seats = self.seats.iter().filter(|seat| seat.state != SeatState::Empty);
        let members = self.members.iter().filter(|member| self.scope.is_running(member.node));
        seats.map(|seat| seat.node).chain(members.map(|member| member.node)).collect()
    }

    fn disturb_node(&mut self, blow: Blow) {
        let running = self.running_nodes();
        let troubled: Vec<Node> = self.scope.troubled().into_iter().collect();
        let of = match blow {
            Blow::Pause | Blow::Unplug => &running,
            _ => &troubled,
        };
        let Some(node) = self.draw.pick(of) else { return };
        match blow {
            Blow::Pause => {
                self.scope.pause(node);
                self.counts.add("processes stopped for a while", 1);
            }
            Blow::Unplug => {
                self.scope.unplug(node);
                self.counts.add("machines unplugged", 1);
            }
            _ => {
                self.scope.resume(node);
                self.scope.plug_in(node);
            }
        }
    }

    /// A machine takes its time for a while.
    fn slow_down(&mut self) {
        let nodes = self.running_nodes();
        let Some(node) = self.extra.pick(&nodes) else { return };
        let (before, slow) = (self.scope.remoteness(node), self.extra.millis(200, 2_000));
        if self.slow.iter().all(|&(known, _)| known != node) {
            self.slow.push((node, before));
            self.counts.add("machines slow for a while", 1);
        }
        self.scope.move_away(node, slow);
    }

    fn disturb_ways(&mut self, blow: Blow) {
        let nodes = self.running_nodes();
        match blow {
            Blow::Cut => {
                let (Some(from), Some(to)) = (self.draw.pick(&nodes), self.draw.pick(&nodes))
                else {
                    return;
                };
                if self.draw.one_in(2) {
                    self.scope.cut(from, to);
                    self.counts.add("ways cut", 1);
                } else {
                    self.scope.cut_way(from, to);
                    self.counts.add("ways cut in one direction", 1);
                }
            }
            Blow::Split => {
                let is_asymmetric = self.draw.one_in(3);
                let (mut here, mut there) = (Vec::new(), Vec::new());
                for node in nodes {
                    match self.draw.one_in(2) {
                        true => here.push(node),
                        false => there.push(node),
                    }
                }
                for &a in &here {
                    for &b in &there {
                        self.scope.cut_way(a, b);
                        if !is_asymmetric {
                            self.scope.cut_way(b, a);
                        }
                    }
                }
                self.counts.add("partitions", 1);
            }
            _ => {
                self.scope.mend();
                self.counts.add("partitions mended", 1);
            }
        }
    }

    fn come_and_go(&mut self, blow: Blow) {
        match blow {
            Blow::EndElement => {
                let alive = self.members_in();
                let Some(place) = self.draw.pick(&alive) else { return };
                self.end_element(place);
            }
            Blow::RestartElement => {
                let is_gone = |place: &usize| !self.scope.is_running(self.members[*place].node);
                let gone: Vec<usize> = (0..self.members.len()).filter(is_gone).collect();
                let Some(place) = self.draw.pick(&gone) else { return };
                self.start_element(place);
                self.counts.add("elements restarted without memory", 1);
            }
            _ => {
                self.join();
                self.counts.add("elements joined", 1);
            }
        }
    }

    /// An element's process ends.
    pub(super) fn end_element(&mut self, place: usize) {
        let node = self.members[place].node;
        self.note_end_of_element(node);
        self.end_process(node);
        self.members[place].state = MemberState::Out { since: self.scope.now };
        self.counts.add("elements crashed", 1);
    }

    /// An element leaves its pool as it should.
    pub(super) fn leave(&mut self, place: usize) {
        let node = self.members[place].node;
        let now = self.scope.local_now(node);
        self.scope.with_element(node, |element| element.deregister(now)).expect("it is in");
        self.members[place].state = MemberState::Out { since: self.scope.now };
        self.counts.add("elements deregistered", 1);
    }

    fn change_an_element(&mut self, blow: Blow) {
        let awake = self.members_in().into_iter();
        let awake: Vec<usize> =
            awake.filter(|&place| !self.scope.is_paused(self.members[place].node)).collect();
        let Some(place) = self.draw.pick(&awake) else { return };
        if let Blow::Leave = blow {
            self.leave(place);
            return;
        }
        let node = self.members[place].node;
        let policy = match self.plan.policies[self.members[place].pool] {
            Policy::LeastUsed { .. } => {
                Policy::LeastUsed { load: Load(self.draw.below(1 << 32) as u32) }
            }
            Policy::WeightedRoundRobin { .. } => {
                Policy::WeightedRoundRobin { weight: self.draw.between(1, 9) as u32 }
            }
            policy => policy,
        };
        let now = self.scope.local_now(node);
        let changed = self.scope.with_element(node, |element| element.update_policy(now, policy));
        changed.expect("it is in");
        self.counts.add("elements changed", 1);
    }

    /// A user begins a job in any of the pools.
    fn begin_a_job(&mut self) {
        let users = self.users.clone();
        let Some(user) = self.draw.pick(&users) else { return };
        let pool = self.draw.pick(&super::plan::POOLS).expect("some");
        let steps = self.draw.between(1, 20) as u32;
        self.scope.begin_job(user, pool, steps);
    }
}
