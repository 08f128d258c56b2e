//! What goes wrong: elements that are lost, packages that come back, time that runs out.

use rserpool_core::time::Instant;

use super::super::description::Job;
use super::element::{Element, Link};
use super::{Closing, Event, Farewell, JobError, JobRunner, LossReason};

impl<J: Job> JobRunner<J> {
    /// An element is gone: its packages go elsewhere, from their last cookies. The caller has
    /// dealt with the association.
    pub(super) fn lose(&mut self, now: Instant, index: usize, reason: LossReason) {
        let element = &mut self.elements[index];
        let id = element.id();
        let since = element.up().map_or(now, |up| up.last_heard);
        let was_up = element.is_usable();
        let attempts = core::mem::take(&mut element.attempts);
        element.statistics.lost_count += attempts.len() as u64;
        if reason != LossReason::Restarted {
            element.back_off(now, self.config.backoff);
            element.link = Link::Idle { retry_at: element.ready_at };
            element.listed = false;
        }
        if was_up {
            self.statistics.elements_lost += 1;
        }
        let package_count = attempts.len();
        self.tell(Event::ElementLost { element: id, reason, package_count });
        if !matches!(reason, LossReason::Shutdown | LossReason::Restarted) {
            self.tell(Event::Unreachable { element: id });
        }
        let deadly = !matches!(reason, LossReason::Shutdown | LossReason::ConnectFailed);
        // From the last to the first, so that the first comes to stand first in the queue.
        for (place, attempt) in attempts.into_iter().enumerate().rev() {
            let package = attempt.package;
            let computed = place == 0 && attempt.accepted;
            let done = attempt.progress.done;
            let rescued = self.packages.end_attempt(attempt, true);
            self.statistics.units_lost += done.saturating_sub(rescued.done);
            self.packages.note_loss(package, id, since);
            if computed && deadly {
                let elements = self.packages.note_death(package, id, rescued.done);
                if elements >= self.config.deaths_max {
                    self.finish(now, Err(JobError::Deadly { package, elements }));
                }
            }
        }
        self.resolve_soon(now);
    }

    /// An element is to be lost although its association stands: that is aborted.
    pub(super) fn drop_element(&mut self, now: Instant, index: usize, reason: LossReason) {
        if let Some(up) = self.elements[index].up() {
            let association = up.association;
            self.closing.push(Closing { association, owed: Farewell::Abort });
        }
        self.lose(now, index, reason);
    }

    /// A package comes back from an element that goes on: refused or given up.
    pub(super) fn give_back(
        &mut self,
        now: Instant,
        index: usize,
        place: usize,
        keep: bool,
        why: &'static str,
    ) {
        let element = &mut self.elements[index];
        let attempt = element.remove(place, now);
        let (package, done) = (attempt.package, attempt.progress.done);
        element.statistics.returned_count += 1;
        self.statistics.returned_count += 1;
        let lost_by = attempt.lost_by;
        let rescued = self.packages.end_attempt(attempt, keep);
        if keep {
            // It was not computed here; whoever lost it before still is who lost it.
            if let Some((element, since)) = lost_by {
                self.packages.note_loss(package, element, since);
            }
        }
        self.statistics.units_lost += done.saturating_sub(rescued.done);
        let element = self.elements[index].id();
        self.tell(Event::Returned { package, element, why });
    }

    /// A package failed at an element; on too many of them, and the job fails.
    pub(super) fn fail(&mut self, now: Instant, index: usize, place: usize, why: &'static str) {
        let (id, package) =
            (self.elements[index].id(), self.elements[index].attempts[place].package);
        self.give_back(now, index, place, false, why);
        self.elements[index].back_off(now, self.config.backoff);
        let (elements, failures) = self.packages.note_failure(package, id);
        if elements >= self.config.failures_max || failures >= 3 * self.config.failures_max {
            self.finish(now, Err(JobError::Poisonous { package, elements }));
        }
    }

    /// Does what is due.
    pub(super) fn on_time(&mut self, now: Instant) {
        for closing in &mut self.closing {
            if let Farewell::Wait { abort_at: Some(at) } = closing.owed
                && at <= now
            {
                closing.owed = Farewell::Abort;
            }
        }
        if self.finished {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let (done, all) = (self.packages.done_count(), self.packages.count());
            self.finish(now, Err(JobError::Deadline { done, all }));
            return;
        }
        for index in 0..self.elements.len() {
            self.on_time_of_element(now, index);
        }
    }

    fn on_time_of_element(&mut self, now: Instant, index: usize) {
        let element = &mut self.elements[index];
        match &mut element.link {
            Link::Idle { .. } => {}
            Link::Connecting { connect, owed, give_up } => {
                if *give_up <= now {
                    if !*owed {
                        self.cancelled.push_back(*connect);
                    }
                    self.lose(now, index, LossReason::ConnectFailed);
                }
            }
            Link::Up(up) => {
                if up.last_heard + self.config.silence_timeout <= now {
                    self.drop_element(now, index, LossReason::Silent);
                    return;
                }
                if up.last_heard.max(up.last_pinged) + self.config.ping_interval <= now {
                    up.owes_ping = true;
                    up.last_pinged = now;
                }
                let late = |at: Instant| at + self.config.accept_timeout <= now;
                let mute = up.window.is_none() && late(up.since);
                let mut unanswered = element.attempts.iter().filter(|it| !it.accepted && !it.owed);
                if mute || unanswered.any(|it| late(it.sent_at)) {
                    self.drop_element(now, index, LossReason::Misbehaves);
                }
            }
        }
    }

    /// When something is due next.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let mut next = None;
        for closing in &self.closing {
            if let Farewell::Wait { abort_at } = closing.owed {
                next = Instant::earliest(next, abort_at);
            }
        }
        if self.finished {
            return next;
        }
        next = Instant::earliest(next, Some(self.resolve_due));
        next = Instant::earliest(next, self.deadline);
        next = Instant::earliest(next, self.next_duplicate());
        let starved = self.starved_since.zip(self.config.starvation_timeout);
        next = Instant::earliest(next, starved.map(|(since, span)| since + span));
        for element in &self.elements {
            next = Instant::earliest(next, self.timeout_of(element));
        }
        next
    }

    fn timeout_of(&self, element: &Element) -> Option<Instant> {
        match &element.link {
            // A retry that is due and not made waits for a place, not for time.
            Link::Idle { retry_at } => {
                (element.listed && *retry_at > self.last_called).then_some(*retry_at)
            }
            Link::Connecting { give_up, .. } => Some(*give_up),
            Link::Up(up) => {
                let ping = up.last_heard.max(up.last_pinged) + self.config.ping_interval;
                let silent = up.last_heard + self.config.silence_timeout;
                let waiting = element.attempts.iter().filter(|it| !it.accepted && !it.owed);
                let since =
                    waiting.map(|it| it.sent_at).chain(up.window.is_none().then_some(up.since));
                let accept = since.min().map(|since| since + self.config.accept_timeout);
                // An element that was refused and has room again may get what waits.
                let ready = (element.ready_at > self.last_called).then_some(element.ready_at);
                let next = Instant::earliest(Some(ping.min(silent)), accept);
                Instant::earliest(next, ready)
            }
        }
    }
}
