//! The pool user's side of the work-package protocol, for one job.
//!
//! Driven like the machines of the core. What is owed stands on the object that owes it: an
//! attempt that is to be sent, an element that is to be pinged, an association to be closed.
//!
//! Invariants: a package that is not done either waits or has one or two attempts; an attempt
//! is at exactly one element; a package is completed once, and with that all its attempts end.

mod assign;
mod element;
mod inputs;
mod losses;
mod packages;
mod report;
mod transmit;

use std::collections::VecDeque;

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Transmit,
};
use rserpool_core::compute::{JobNonce, PackageId, WorkId};
use rserpool_core::identifier::PeId;
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;

use self::element::{Element, Link};
use self::packages::Packages;
use super::description::Job;

pub use self::report::{
    ElementStatistics, Event, JobError, JobStatistics, LossReason, RunnerConfig, RunnerError,
};
pub use self::transmit::TRANSMIT_LEN_MAX;

/// Gets a job computed by a pool.
///
/// The driver resolves the pool handle when [`Event::Resolve`] asks for it, carries messages,
/// and passes [`Event::Unreachable`] on to the pool user. Its buffer for
/// [`Machine::poll_transmit`] has [`TRANSMIT_LEN_MAX`] bytes.
#[derive(Debug)]
pub struct JobRunner<J> {
    job: J,
    nonce: JobNonce,
    config: RunnerConfig,
    elements: Vec<Element>,
    packages: Packages,
    finished: bool,
    /// Associations that are being shut down or aborted.
    closing: Vec<Closing>,
    /// Attempts to connect that are given up.
    cancelled: VecDeque<ConnectId>,
    next_connect: u32,
    next_token: u32,
    resolve_due: Instant,
    deadline: Option<Instant>,
    /// Since when there has been no usable element.
    starved_since: Option<Instant>,
    last_called: Instant,
    /// How long a package takes, smoothed over all elements, in microseconds.
    package_time_us: Option<u64>,
    events: VecDeque<Event>,
    statistics: JobStatistics,
}

/// What an association that is being closed still owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    Bye,
    Shutdown,
    Abort,
    /// Nothing: its end is awaited. Aborted if it does not come by then.
    Wait {
        abort_at: Option<Instant>,
    },
}

#[derive(Debug)]
struct Closing {
    association: AssociationId,
    owed: Farewell,
}

impl<J: Job> JobRunner<J> {
    /// A runner for `job`, named by the random `nonce`. It begins at once: drain it.
    #[must_use]
    pub fn new(now: Instant, job: J, nonce: JobNonce, config: RunnerConfig) -> Self {
        let packages = Packages::new(job.package_count());
        let statistics =
            JobStatistics { package_count: packages.count(), ..JobStatistics::default() };
        let mut runner = Self {
            deadline: config.deadline.map(|span| now + span),
            job,
            nonce,
            config,
            elements: Vec::new(),
            packages,
            finished: false,
            closing: Vec::new(),
            cancelled: VecDeque::new(),
            next_connect: 0,
            next_token: 0,
            resolve_due: now,
            starved_since: Some(now),
            last_called: now,
            package_time_us: None,
            events: VecDeque::new(),
            statistics,
        };
        runner.pump(now);
        runner
    }

    /// The job, with what has come so far.
    pub fn job(&self) -> &J {
        &self.job
    }

    /// The job.
    pub fn into_job(self) -> J {
        self.job
    }

    /// The nonce that names the job.
    pub fn nonce(&self) -> JobNonce {
        self.nonce
    }

    /// Answers [`Event::Resolve`]: the elements that the pool has, or some of them. Those that
    /// are in use stay so, named or not.
    pub fn update_elements(&mut self, now: Instant, elements: &[(PeId, Endpoint)]) {
        self.wake(now);
        for element in &mut self.elements {
            element.listed = false;
        }
        for (id, endpoint) in elements {
            match self.elements.iter_mut().find(|element| element.id() == *id) {
                Some(element) => {
                    element.listed = true;
                    if element.up().is_none() && element.endpoint != *endpoint {
                        element.endpoint = endpoint.clone();
                        element.statistics.endpoint = endpoint.clone();
                    }
                }
                None => self.add_element(Element::new(*id, endpoint.clone(), now)),
            }
        }
        self.pump(now);
    }

    /// Elements that are restarted come with new identifiers; the oldest that are gone for good
    /// are forgotten, with what they have done.
    fn add_element(&mut self, element: Element) {
        if self.elements.len() >= ELEMENTS_KNOWN_MAX {
            let gone = |it: &Element| !it.listed && matches!(it.link, Link::Idle { .. });
            match self.elements.iter().position(gone) {
                Some(index) => drop(self.elements.remove(index)),
                None => return,
            }
        }
        self.elements.push(element);
    }

    /// Gives the job up.
    pub fn cancel(&mut self, now: Instant) {
        self.wake(now);
        self.finish(now, Err(JobError::Cancelled));
    }

    /// Whether the job is over and all associations are down.
    pub fn is_closed(&self) -> bool {
        self.finished && self.closing.is_empty() && self.cancelled.is_empty()
    }

    /// What has happened so far.
    pub fn statistics(&self) -> JobStatistics {
        JobStatistics { done_count: self.packages.done_count(), ..self.statistics }
    }

    /// What each element has done, in the order in which they were first seen.
    pub fn elements(&self) -> impl Iterator<Item = ElementStatistics> + '_ {
        self.elements.iter().map(|element| ElementStatistics {
            up: element.up().is_some(),
            in_flight_count: element.attempts.len(),
            ..element.statistics.clone()
        })
    }

    /// The elements that there are associations with, and since when.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (PeId, Instant)> + '_ {
        let up = |element: &Element| Some((element.statistics.element, element.up()?.since));
        self.elements.iter().filter_map(up)
    }

    /// The share of the job that is done, from 0 to 1, packages in work included.
    pub fn progress(&self) -> f64 {
        let all = f64::from(self.packages.count().max(1));
        let mut partial = 0.0;
        for attempt in self.elements.iter().flat_map(|element| &element.attempts) {
            if !attempt.duplicate && attempt.progress.all > 0 {
                partial += attempt.progress.done as f64 / attempt.progress.all as f64;
            }
        }
        ((f64::from(self.packages.done_count()) + partial) / all).min(1.0)
    }

    fn work(&self, package: PackageId) -> WorkId {
        WorkId { job: self.nonce, package }
    }

    fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Notes that time has passed. If it was we who slept (stopped, suspended), the silence of
    /// the elements was ours, too.
    fn wake(&mut self, now: Instant) {
        let slept = now.saturating_duration_since(self.last_called);
        self.last_called = self.last_called.max(now);
        if slept < self.config.ping_interval * 2 {
            return;
        }
        for element in &mut self.elements {
            element.head_since += slept;
            for attempt in &mut element.attempts {
                attempt.sent_at += slept;
            }
            match &mut element.link {
                Link::Up(up) => {
                    up.since += slept;
                    up.last_heard += slept;
                    up.last_pinged += slept;
                }
                Link::Connecting { give_up, .. } => *give_up += slept,
                Link::Idle { .. } => {}
            }
        }
    }

    /// After whatever happened: gives out work, looks for elements, and sees whether it is over.
    fn pump(&mut self, now: Instant) {
        if self.finished {
            return;
        }
        if self.packages.is_complete() {
            self.finish(now, Ok(()));
            return;
        }
        self.connect(now);
        self.assign(now);
        self.duplicate(now);
        self.watch_supply(now);
    }

    /// Ends the job, however.
    fn finish(&mut self, now: Instant, result: Result<(), JobError>) {
        if self.finished {
            return;
        }
        self.finished = true;
        for index in 0..self.elements.len() {
            let element = &mut self.elements[index];
            element.attempts.clear();
            let link = core::mem::replace(&mut element.link, Link::Idle { retry_at: now });
            match link {
                Link::Up(up) => {
                    self.closing.push(Closing { association: up.association, owed: Farewell::Bye })
                }
                Link::Connecting { connect, owed: false, .. } => self.cancelled.push_back(connect),
                _ => {}
            }
        }
        self.tell(Event::Finished(result));
    }
}

impl<J: Job> Machine for JobRunner<J> {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = Event;
    type Error = RunnerError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), RunnerError> {
        self.wake(now);
        let result = match input {
            Input::Up { association, connect, .. } => self.on_up(now, association, connect),
            Input::ConnectFailed { connect } => self.on_connect_failed(now, connect),
            Input::Message { association, ppid, data, .. } => {
                self.on_message(now, association, ppid, data)
            }
            Input::Restarted { association } => self.on_restarted(now, association),
            Input::Down { association, reason } => self.on_down(now, association, reason),
            _ => Ok(()),
        };
        self.pump(now);
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
        self.on_time(now);
        self.pump(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.next_transmit(now, buf)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

/// The most elements that are remembered.
const ELEMENTS_KNOWN_MAX: usize = 1_024;

/// How the end of an association reads to the user.
fn loss_of(reason: DownReason) -> LossReason {
    match reason {
        DownReason::Shutdown => LossReason::Shutdown,
        DownReason::Aborted | DownReason::Lost => LossReason::AssociationLost,
    }
}

#[cfg(test)]
mod tests;
