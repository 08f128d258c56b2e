//! What goes wrong, and how.

use std::time::Duration;

use rserpool::job::Job;
use rserpool_core::association::{AssociationId, DownReason, Input};
use rserpool_core::compute::Stop;
use rserpool_core::entropy::Entropy;
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

use super::{ComputePool, Delivery, Fate, Host, Owned, State, Wire, input};

impl<J: Job> ComputePool<J> {
    /// Ends the host's associations as its runner sees it, and forgets the host's side.
    fn cut(&mut self, index: usize, reason: Option<DownReason>) {
        let mine = self.wires.iter_mut().filter(|(_, wire)| wire.host == index);
        let mut cut = Vec::new();
        for (&association, wire) in mine {
            wire.host_up = false;
            cut.push(association);
        }
        if let Some(reason) = reason {
            for association in cut {
                self.carry(association, false, Owned::Down(reason));
            }
        }
    }

    pub(super) fn befall(&mut self, index: usize, fate: Fate) {
        match fate {
            Fate::Lives => {}
            Fate::Dies(_) => {
                self.hosts[index].state = State::Absent;
                self.cut(index, Some(DownReason::Lost));
            }
            Fate::Freezes(_) => self.hosts[index].state = State::Frozen,
            Fate::Leaves(_) => self.hosts[index].worker.stop(Stop::HandOn),
            Fate::Arrives(_) => self.come_back(index),
        }
    }

    /// A worker has stopped and its process ends.
    pub(super) fn leave(&mut self, index: usize) {
        self.hosts[index].state = State::Absent;
        self.hosts[index].listed = false;
        self.cut(index, Some(DownReason::Shutdown));
    }

    /// The frozen thaw, the dead are started again under a new identifier.
    pub(super) fn come_back(&mut self, index: usize) {
        match self.hosts[index].state {
            State::Running => {}
            State::Frozen => {
                self.hosts[index].state = State::Running;
                self.hosts[index].listed = true;
                for (association, what) in core::mem::take(&mut self.hosts[index].held) {
                    self.give_host(index, association, what);
                }
            }
            State::Absent => {
                let speed = self.hosts[index].speed;
                self.hosts[index] = self.host(index, speed);
            }
        }
    }

    /// Something happens to somebody.
    pub(super) fn trouble(&mut self) {
        let elapsed = self.now.saturating_duration_since(Instant::from_millis(1_000));
        if elapsed >= self.troubles.until {
            for index in 0..self.hosts.len() {
                self.come_back(index);
            }
            return;
        }
        let interval_us = self.troubles.interval.as_micros() as u64;
        let next = self.now + Duration::from_micros(self.random.below(2 * interval_us) + 1);
        self.post(next, Delivery::Trouble);
        let index = self.random.below(self.hosts.len() as u64) as usize;
        if self.hosts[index].state != State::Running {
            return;
        }
        let absence = Duration::from_millis(self.random.below(8_000));
        match self.random.below(6) {
            0 => {
                self.hosts[index].state = State::Absent;
                self.cut(index, Some(DownReason::Lost));
                self.post(self.now + absence, Delivery::Return(index));
            }
            1 => {
                // Dead, and nobody says so.
                self.hosts[index].state = State::Absent;
                self.cut(index, None);
                self.post(self.now + absence, Delivery::Return(index));
            }
            2 => {
                self.hosts[index].state = State::Frozen;
                self.post(self.now + absence, Delivery::Return(index));
            }
            3 => {
                self.hosts[index].worker.stop(Stop::HandOn);
                self.post(self.now + absence, Delivery::Return(index));
            }
            4 => self.restart_in_place(index),
            _ => self.hosts[index].speed = 20 + self.random.below(300) as u32,
        }
    }

    /// The process restarts so fast that SCTP restarts the association (RFC 9260 §5.2).
    fn restart_in_place(&mut self, index: usize) {
        let speed = self.hosts[index].speed;
        let (id, endpoint) = (self.hosts[index].id, self.hosts[index].endpoint.clone());
        self.hosts[index] = Host { id, endpoint, ..self.host(index, speed) };
        let mine = |(_, wire): &(&AssociationId, &Wire)| wire.host == index && wire.host_up;
        let associations: Vec<_> = self.wires.iter().filter(mine).map(|(&id, _)| id).collect();
        for association in associations {
            // What was under way is lost on both sides.
            self.queue.retain(|_, delivery| match delivery {
                Delivery::ToRunner(to, Owned::Message(..))
                | Delivery::ToHost(_, to, Owned::Message(..)) => *to != association,
                _ => true,
            });
            let up = input(association, &Owned::Up(None));
            let _ = self.hosts[index].worker.handle_input(self.now, up);
            let restarted = self.runner.handle_input(self.now, Input::Restarted { association });
            assert_eq!(restarted.is_ok(), self.wires[&association].runner_up);
        }
    }
}
