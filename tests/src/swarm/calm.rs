//! When all is healed: agreement, and blows one at a time whose outcome is promised.

use std::time::Duration;

use rserpool_core::identifier::PeId;
use rserpool_core::time::Instant;

use super::plan::POOLS;
use super::world::{MemberState, Seat, SeatState, World};
use crate::scope::{JobOutcome, Node, Weather};

/// How often the scope is looked at while something is promised all the time.
const GLANCE: Duration = Duration::from_millis(100);

/// How long jobs may take when all is well; each of their attempts is bounded.
const JOBS_MAX: Duration = Duration::from_secs(1_500);

/// How a registrar fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Killed,
    Crashed,
    Paused,
    Unplugged,
    Stopped,
}

/// Registrars that have to know elements all the time, but for short gaps.
struct Watch {
    seats: Vec<usize>,
    members: Vec<usize>,
    /// When they last knew all of them.
    known_at: Instant,
}

/// A job that has to succeed.
struct Promise {
    user: Node,
    job: usize,
}

impl World {
    /// All trouble ends.
    pub(super) fn heal(&mut self) {
        self.scope.weather = Weather::FAIR;
        self.scope.mend();
        for node in self.scope.troubled() {
            self.scope.resume(node);
            self.scope.plug_in(node);
        }
        for (node, remoteness) in std::mem::take(&mut self.slow) {
            self.scope.move_away(node, remoteness);
        }
        let empty = self.seats_in(SeatState::Empty);
        for place in empty {
            if self.draw.one_in(2) || self.seats_in(SeatState::Running).is_empty() {
                self.start_registrar(place);
            }
        }
        // Who is about to stop does so before anything is promised.
        let patience = self.plan.agreement();
        self.await_that("registrars stop", patience, GLANCE, |world| {
            let stopping = world.seats_in(SeatState::Stopping);
            stopping.first().map(|&place| format!("{:?} does not", world.seats[place].id))
        });
        if self.seats_in(SeatState::Running).is_empty() {
            self.start_registrar(0);
        }
        for place in self.members_in().into_iter().skip(self.plan.capacity()) {
            self.leave(place);
        }
        // What was on its way comes, and ends that are alone notice it.
        let aftermath = self.plan.lost_after + Duration::from_secs(15);
        self.pass(aftermath);
        self.last_blow = self.scope.now;
        self.settle();
    }

    /// Waits until all agree, and looks whether that lasts.
    fn settle(&mut self) {
        let most = self.plan.agreement();
        let step = Duration::from_millis(500);
        self.differing.clear();
        let took = self.await_that("all agree", most, step, |world| {
            world.audit();
            world.disagreement()
        });
        self.counts.add("agreements", 1);
        self.counts.add("seconds until all agreed", took.as_secs());
        let mut watch = self.new_watch(self.seats_in(SeatState::Running));
        let span = self.plan.config.peer_heartbeat_cycle * 2 + Duration::from_secs(1);
        self.watch(&mut watch, span);
        // Who renews its registration may be asked to move to a home that fits better, and whoever
        // watches its pool and hears that there is none asks again later.
        let most = match self.plan.config.suggest_takeover {
            true => self.plan.gap_max() + Duration::from_secs(7),
            false => Duration::ZERO,
        };
        self.await_that("the agreement lasts", most, GLANCE, |world| world.disagreement());
    }

    fn new_watch(&self, seats: Vec<usize>) -> Watch {
        Watch { seats, members: self.members_in(), known_at: self.scope.now }
    }

    /// Lets time pass in which registrars know elements all the time.
    fn watch(&mut self, watch: &mut Watch, span: Duration) {
        let end = self.scope.now + span;
        while self.scope.now < end {
            self.pass(GLANCE);
            let Some((seat, member)) = self.missing(&watch.seats, &watch.members) else {
                watch.known_at = self.scope.now;
                continue;
            };
            let gap = self.scope.now.saturating_duration_since(watch.known_at);
            let (seat, member) = (self.seats[seat].id, self.members[member].pe_id);
            let is_short = gap <= self.plan.gap_max() + GLANCE;
            assert!(is_short, "{seat:?} has lost {member:?}, which lives, for {gap:?}");
        }
    }

    /// Blows one at a time.
    pub(super) fn calm(&mut self) {
        let promises = self.promise_jobs();
        let kept = self.members_in().first().copied();
        for _ in 0..self.draw.between(1, 3) {
            self.last_blow = self.scope.now;
            match self.draw.below(6) {
                0..=2 => self.lose_a_registrar(),
                3 => self.lose_an_element(kept, true),
                4 => self.lose_an_element(kept, false),
                _ if self.members_in().len() < self.plan.capacity() => self.join(),
                _ => {}
            }
            self.settle();
        }
        self.finish_jobs(&promises);
        self.assert_nothing_stale();
    }

    /// Every user begins a job with an element that will not leave.
    fn promise_jobs(&mut self) -> Vec<Promise> {
        let Some(&kept) = self.members_in().first() else { return Vec::new() };
        let pool = POOLS[self.members[kept].pool];
        let users = self.users.clone();
        let promises = users.into_iter().map(|user| {
            let job = self.scope.jobs(user).len();
            let steps = self.draw.between(1, 9) as u32;
            self.scope.begin_job(user, pool, steps);
            Promise { user, job }
        });
        promises.collect()
    }

    fn finish_jobs(&mut self, promises: &[Promise]) {
        let step = Duration::from_millis(500);
        self.await_that("all jobs end", JOBS_MAX, step, |world| {
            let going = world.users.iter().find(|&&user| world.scope.jobs(user).contains(&None));
            going.map(|user| format!("one of {user:?} does not"))
        });
        for Promise { user, job } in promises {
            let outcome = self.scope.jobs(*user)[*job];
            assert_eq!(outcome, Some(JobOutcome::Completed), "job {job} of {user:?}");
        }
    }

    /// A registrar fails and is taken over in time, and its elements are known all the while;
    /// then it comes back, and can do no harm.
    fn lose_a_registrar(&mut self) {
        let running = self.seats_in(SeatState::Running);
        if running.len() < 2 {
            return;
        }
        let failures = [
            Failure::Killed,
            Failure::Crashed,
            Failure::Paused,
            Failure::Unplugged,
            Failure::Stopped,
        ];
        let (victim, failure) =
            (self.draw.pick(&running).expect("two"), self.draw.pick(&failures).expect("five"));
        let survivors: Vec<usize> = running.into_iter().filter(|&seat| seat != victim).collect();
        let (node, id) = (self.seats[victim].node, self.seats[victim].id);
        let mut watch = self.new_watch(survivors.clone());
        self.fail(victim, failure);
        let begin = self.scope.now;
        let most = self.plan.detection()
            + match failure {
                Failure::Stopped => Duration::from_secs(4),
                _ => Duration::ZERO,
            };
        while self.is_home_at_any(&survivors, id) {
            let age = self.scope.now.saturating_duration_since(begin);
            assert!(age <= most, "{id:?} ({failure:?}) is still a home after {most:?}");
            self.watch(&mut watch, GLANCE);
        }
        self.counts.add("registrars replaced in time", 1);
        let rest = self.draw.millis(0, 4_000);
        self.watch(&mut watch, rest);
        match failure {
            Failure::Paused => self.scope.resume(node),
            Failure::Unplugged => self.scope.plug_in(node),
            _ if self.seats[victim].state == SeatState::Empty && self.draw.one_in(2) => {
                self.start_registrar(victim);
            }
            _ => {}
        }
        if failure == Failure::Unplugged {
            // It may have won back elements that its peers do not know of yet, and ends of
            // associations may be alone.
            let aftermath = self.plan.lost_after + Duration::from_secs(3);
            self.pass(aftermath);
            return;
        }
        // It may contradict the others for as long as it takes an element to answer.
        let span = self.plan.config.peer_heartbeat_cycle * 2 + Duration::from_secs(2);
        self.watch(&mut watch, span);
    }

    fn fail(&mut self, victim: usize, failure: Failure) {
        let node = self.seats[victim].node;
        match failure {
            Failure::Killed | Failure::Crashed => {
                self.note_end_of_registrar(victim);
                match failure {
                    Failure::Killed => self.scope.kill(node),
                    _ => self.scope.crash(node),
                }
                self.seats[victim].state = SeatState::Empty;
            }
            Failure::Paused => self.scope.pause(node),
            Failure::Unplugged => self.scope.unplug(node),
            Failure::Stopped => {
                self.scope.stop_registrar(node);
                self.seats[victim].state = SeatState::Stopping;
            }
        }
    }

    /// Whether a registrar that is not an element's home has an association with it.
    fn is_held_elsewhere(&self, pe_id: PeId) -> bool {
        self.seats_in(SeatState::Running).into_iter().any(|seat| {
            let Seat { id, node, .. } = self.seats[seat];
            let mut is_held = false;
            self.scope.registrar(node).handlespace().walk_after(None, None, |view| {
                is_held |=
                    view.pe_id() == pe_id && view.home() != id && view.association().is_some();
                true
            });
            is_held
        })
    }

    /// An element leaves or dies, and is forgotten in time.
    fn lose_an_element(&mut self, kept: Option<usize>, is_clean: bool) {
        let others: Vec<usize> =
            self.members_in().into_iter().filter(|&place| Some(place) != kept).collect();
        let Some(place) = self.draw.pick(&others) else { return };
        let most = if is_clean {
            let most = self.plan.leaving(self.is_held_elsewhere(self.members[place].pe_id));
            self.leave(place);
            most
        } else {
            self.end_element(place);
            self.plan.keep_alive()
        };
        let pe_id = self.members[place].pe_id;
        let what = format!("{pe_id:?} (clean: {is_clean}) is forgotten");
        self.await_that(&what, most, GLANCE, |world| {
            let running = world.seats_in(SeatState::Running);
            let knows = |seat: &&usize| {
                let beliefs = world.scope.beliefs(world.seats[**seat].node);
                beliefs.iter().any(|&(_, known, _)| known == pe_id)
            };
            running.iter().find(knows).map(|&seat| format!("{:?} knows it", world.seats[seat].id))
        });
        self.counts.add("elements forgotten in time", 1);
    }

    /// Everybody leaves, and nothing is left.
    pub(super) fn end(&mut self) {
        for place in self.members_in() {
            self.leave(place);
        }
        for place in 0..self.users.len() {
            let user = self.users[place];
            self.note_end_of_user(user);
            self.scope.with_user(user, |user| user.stop());
        }
        for (watcher, _) in self.watchers.clone() {
            self.scope.with_user(watcher, |user| user.stop());
        }
        self.last_blow = self.scope.now;
        let (most, step) = (self.plan.forgetting(), Duration::from_millis(500));
        self.await_that("nothing is left", most, step, Self::leak);
        for place in self.seats_in(SeatState::Running) {
            self.scope.stop_registrar(self.seats[place].node);
            self.seats[place].state = SeatState::Stopping;
        }
        self.await_that("all registrars stop", Duration::from_secs(60), step, |world| {
            let stopping = world.seats_in(SeatState::Stopping);
            stopping.first().map(|&place| format!("{:?} does not", world.seats[place].id))
        });
        for place in 0..self.members.len() {
            assert!(matches!(self.members[place].state, MemberState::Out { .. }));
            let node = self.members[place].node;
            self.note_end_of_element(node);
        }
        let most = self.plan.lost_after * 2 + Duration::from_secs(5);
        self.await_that("all associations end", most, step, |world| {
            let count = world.scope.held_association_count();
            (count > 0).then(|| format!("{count} are left"))
        });
        let messages = self.scope.message_count;
        self.counts.add("messages", messages);
        let seconds = self.scope.now.as_micros() / 1_000_000;
        self.counts.add("virtual seconds", seconds);
    }
}
