//! Who gets which package, when a second one gets it too, and where elements come from.

use core::time::Duration;

use rserpool_core::association::ConnectId;
use rserpool_core::compute::PackageId;
use rserpool_core::time::Instant;

use super::super::description::Job;
use super::element::{Attempt, Link};
use super::{Event, JobError, JobRunner};

impl<J: Job> JobRunner<J> {
    /// Sets up associations with elements that the pool has and we do not.
    pub(super) fn connect(&mut self, now: Instant) {
        let mut used =
            self.elements.iter().filter(|it| !matches!(it.link, Link::Idle { .. })).count();
        let give_up = now + self.config.connect_timeout;
        for element in &mut self.elements {
            let Link::Idle { retry_at } = element.link else { continue };
            if element.listed && retry_at <= now && used < self.config.elements_max {
                let connect = ConnectId(self.next_connect);
                self.next_connect = self.next_connect.wrapping_add(1);
                element.link = Link::Connecting { connect, owed: true, give_up };
                used += 1;
            }
        }
    }

    /// Gives waiting packages to elements with room, the one with the least in flight first.
    pub(super) fn assign(&mut self, now: Instant) {
        while self.packages.any_waiting() {
            let with_room = self.elements.iter().enumerate().filter(|(_, it)| it.room(now) > 0);
            let mut by_load: Vec<_> =
                with_room.map(|(index, it)| (it.attempts.len(), index)).collect();
            by_load.sort_unstable();
            let usable = self.elements.iter().filter(|it| it.is_usable());
            let usable: Vec<_> = usable.map(|it| it.id()).collect();
            let next = by_load.iter().find_map(|&(_, index)| {
                let id = self.elements[index].id();
                self.packages.next_for(id, &usable).map(|package| (index, package))
            });
            let Some((index, package)) = next else { return };
            let attempt = self.packages.attempt(package, now);
            self.elements[index].attempts.push(attempt);
        }
    }

    /// Gives packages that are in work at slow elements to elements that have nothing to do.
    pub(super) fn duplicate(&mut self, now: Instant) {
        if self.packages.any_waiting() {
            return;
        }
        for index in 0..self.elements.len() {
            let idle = self.elements[index].attempts.is_empty();
            if !idle || self.elements[index].room(now) == 0 {
                continue;
            }
            let Some((owner, package)) = self.straggler_for(index, now) else { continue };
            let Some(at) = self.elements[owner].attempt_at(package) else { continue };
            let attempt = self.packages.second_attempt(&self.elements[owner].attempts[at], now);
            self.elements[index].attempts.push(attempt);
            self.elements[index].statistics.duplicate_count += 1;
            self.statistics.duplicated_count += 1;
            let (first, second) = (self.elements[owner].id(), self.elements[index].id());
            self.tell(Event::Duplicated { package, first, second });
        }
    }

    /// The package that an idle element should double: the one furthest back in a queue, then
    /// the one longest in work.
    fn straggler_for(&self, idle: usize, now: Instant) -> Option<(usize, PackageId)> {
        let id = self.elements[idle].id();
        let mut best = None;
        for (owner, element) in self.elements.iter().enumerate() {
            if owner == idle {
                continue;
            }
            for (place, attempt) in element.attempts.iter().enumerate() {
                let due = self.duplicate_due(owner, place, attempt);
                if due.is_some_and(|due| due <= now)
                    && !self.packages.failed_at(attempt.package, id)
                {
                    let age = now.saturating_duration_since(attempt.sent_at);
                    let candidate = (place, age, owner, attempt.package);
                    best = best.max(Some(candidate));
                }
            }
        }
        best.map(|(_, _, owner, package)| (owner, package))
    }

    /// From when on an attempt may be doubled; `None` if it is already.
    fn duplicate_due(&self, owner: usize, place: usize, attempt: &Attempt) -> Option<Instant> {
        if self.packages.attempt_count(attempt.package) != 1 {
            return None;
        }
        let least = self.config.duplicate_after_min;
        if place > 0 {
            return Some(attempt.sent_at + least);
        }
        let usual = self.package_time_us.map_or(least, |us| Duration::from_micros(us * 2));
        Some(self.elements[owner].head_since.max(attempt.sent_at) + least.max(usual))
    }

    /// When an idle element could next double something.
    pub(super) fn next_duplicate(&self) -> Option<Instant> {
        if self.packages.any_waiting() {
            return None;
        }
        let idle = self.elements.iter().filter(|it| it.attempts.is_empty() && it.is_usable());
        let ready = idle.map(|element| element.ready_at).min()?;
        let mut next = None;
        for (owner, element) in self.elements.iter().enumerate() {
            for (place, attempt) in element.attempts.iter().enumerate() {
                next = Instant::earliest(next, self.duplicate_due(owner, place, attempt));
            }
        }
        // What is due and still not doubled failed at the idle ones; nothing to wake up for.
        next.map(|next| next.max(ready)).filter(|&next| next > self.last_called)
    }

    /// Asks for a resolution when it is time, and gives up after long starvation.
    pub(super) fn watch_supply(&mut self, now: Instant) {
        let usable = self.elements.iter().filter(|element| element.is_usable()).count();
        if usable > 0 {
            self.starved_since = None;
        }
        let since = *self.starved_since.get_or_insert(now);
        if usable > 0 {
            self.starved_since = None;
        } else if self.config.starvation_timeout.is_some_and(|span| since + span <= now) {
            let waited = now.saturating_duration_since(since);
            self.finish(now, Err(JobError::NoElements { waited }));
            return;
        }
        if self.resolve_due <= now {
            let interval = if usable < self.config.elements_min {
                self.config.resolve_interval_short
            } else {
                self.config.resolve_interval
            };
            self.resolve_due = now + interval;
            self.tell(Event::Resolve);
        }
    }

    /// Asks for a resolution soon: an element was lost.
    pub(super) fn resolve_soon(&mut self, now: Instant) {
        self.resolve_due = self.resolve_due.min(now + self.config.resolve_interval_short);
    }
}
