//! What a user does: jobs, each in a session with one element of a pool after the other.
//!
//! A job goes one step at a time. When its element fails, the next one goes on from the newest
//! cookie that came; when all have failed, the pool is resolved again, and after too many attempts
//! the job fails.

use std::collections::VecDeque;
use std::time::Duration;

use rserpool_core::asap::{Control, PoolUser, PoolUserEvent, ResolutionId, Session, read_control};
use rserpool_core::association::{
    AssociationId, ConnectId, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::identifier::PoolHandle;
use rserpool_core::time::Instant;

use super::service::{CONTROL_LEN_MAX, Request, WORK, WORK_STREAM, opened_progress};

/// How long an element may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// How long the user waits before it resolves again.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a job tries to find an element that goes on without getting any further.
const ATTEMPTS_MAX: u32 = 24;

/// How a job has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// All its steps are done.
    Completed,
    /// Nobody was found who goes on with it.
    Failed,
}

/// What has happened in sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Jobs begun.
    pub begun: u64,
    /// Jobs completed.
    pub completed: u64,
    /// Jobs failed.
    pub failed: u64,
    /// Elements that failed in the middle of a job.
    pub failovers: u64,
    /// Echoes of cookies.
    pub echoes: u64,
    /// Resolutions that ended without elements.
    pub unresolved: u64,
}

struct Job {
    number: u32,
    session: Session,
    steps: u32,
    /// The step that the newest cookie names.
    sealed_step: u32,
    /// The last step whose answer has come.
    done: u32,
    attempts: u32,
    state: State,
}

enum State {
    /// Before the pool is resolved again.
    Waiting {
        until: Instant,
    },
    Resolving {
        resolution: ResolutionId,
    },
    Connecting {
        connect: ConnectId,
        until: Instant,
    },
    /// An element is at work.
    Asked {
        association: AssociationId,
        until: Instant,
    },
    /// The user thinks about the next step.
    Thinking {
        association: AssociationId,
        until: Instant,
    },
    Ended(JobOutcome),
}

enum Owed {
    Connect(ConnectId, Endpoint),
    Cancel(ConnectId),
    Message(AssociationId, StreamId, Ppid, Vec<u8>),
    Shutdown(AssociationId),
    Abort(AssociationId),
}

/// A user's jobs.
pub(super) struct Sessions {
    jobs: Vec<Job>,
    owed: VecDeque<Owed>,
    next_connect: u32,
    random: SplitMix64,
    counts: JobCounts,
}

impl Sessions {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            jobs: Vec::new(),
            owed: VecDeque::new(),
            next_connect: 0,
            random: SplitMix64::new(seed),
            counts: JobCounts::default(),
        }
    }

    pub(super) fn begin(
        &mut self,
        now: Instant,
        pool: PoolHandle<'_>,
        steps: u32,
        user: &mut PoolUser,
    ) {
        self.counts.begun += 1;
        self.jobs.push(Job {
            number: self.jobs.len() as u32,
            session: Session::new(pool),
            steps,
            sealed_step: 0,
            done: 0,
            attempts: 0,
            state: State::Waiting { until: now },
        });
        self.resolve(now, self.jobs.len() - 1, user);
    }

    pub(super) fn counts(&self) -> JobCounts {
        self.counts
    }

    pub(super) fn outcomes(&self) -> Vec<Option<JobOutcome>> {
        let outcomes = self.jobs.iter().map(|job| match job.state {
            State::Ended(outcome) => Some(outcome),
            _ => None,
        });
        outcomes.collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let times = self.jobs.iter().filter_map(|job| match job.state {
            State::Waiting { until }
            | State::Connecting { until, .. }
            | State::Asked { until, .. }
            | State::Thinking { until, .. } => Some(until),
            State::Resolving { .. } | State::Ended(_) => None,
        });
        times.min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, user: &mut PoolUser) {
        for place in 0..self.jobs.len() {
            match self.jobs[place].state {
                State::Waiting { until } if until <= now => self.resolve(now, place, user),
                State::Connecting { connect, until } if until <= now => {
                    self.owed.push_back(Owed::Cancel(connect));
                    self.fail_over(now, place, user);
                }
                State::Asked { association, until } if until <= now => {
                    self.owed.push_back(Owed::Abort(association));
                    self.fail_over(now, place, user);
                }
                State::Thinking { association, until } if until <= now => {
                    self.ask(now, place, association);
                }
                _ => {}
            }
        }
    }

    pub(super) fn on_user_event(
        &mut self,
        now: Instant,
        event: PoolUserEvent,
        user: &mut PoolUser,
    ) {
        let (resolution, is_resolved) = match event {
            PoolUserEvent::Resolved { resolution, .. } => (resolution, true),
            PoolUserEvent::UnknownPool { resolution, .. }
            | PoolUserEvent::NoRegistrar { resolution, .. }
            | PoolUserEvent::Failed { resolution, .. } => (resolution, false),
            _ => return,
        };
        let waits = |state: &State| match state {
            State::Resolving { resolution: of } => *of == resolution,
            _ => false,
        };
        let Some(place) = self.jobs.iter().position(|job| waits(&job.state)) else { return };
        if is_resolved {
            let job = &mut self.jobs[place];
            job.session.offer(user.elements(job.session.pool()));
            self.choose(now, place);
        } else {
            self.counts.unresolved += 1;
            self.wait(now, place);
        }
    }

    pub(super) fn handle_input(&mut self, now: Instant, input: Input<'_>, user: &mut PoolUser) {
        match input {
            Input::Up { association, connect, .. } => self.on_up(now, association, connect),
            Input::ConnectFailed { connect } => {
                if let Some(place) = self.place_of_connect(connect) {
                    self.fail_over(now, place, user);
                }
            }
            Input::Message { association, stream, data, .. } => {
                if let Some(place) = self.place_of(association) {
                    match stream {
                        WORK_STREAM => self.on_answer(now, place, association, data),
                        _ => self.on_control(place, association, data),
                    }
                }
            }
            Input::Down { association, .. } => {
                if let Some(place) = self.place_of(association) {
                    self.fail_over(now, place, user);
                }
            }
            _ => {}
        }
    }

    fn place_of(&self, association: AssociationId) -> Option<usize> {
        self.jobs.iter().position(|job| match job.state {
            State::Asked { association: of, .. } | State::Thinking { association: of, .. } => {
                of == association
            }
            _ => false,
        })
    }

    fn place_of_connect(&self, connect: ConnectId) -> Option<usize> {
        self.jobs.iter().position(
            |job| matches!(job.state, State::Connecting { connect: of, .. } if of == connect),
        )
    }

    fn on_up(&mut self, now: Instant, association: AssociationId, connect: Option<ConnectId>) {
        let place = connect.and_then(|connect| self.place_of_connect(connect));
        let Some(place) = place else {
            self.owed.push_back(Owed::Abort(association));
            return;
        };
        let session = &mut self.jobs[place].session;
        session.on_up(association);
        let mut buffer = [0; CONTROL_LEN_MAX];
        if let Some(Transmit::Message { stream, ppid, len, .. }) =
            session.poll_control(&mut buffer)
        {
            self.counts.echoes += 1;
            self.owed.push_back(Owed::Message(association, stream, ppid, buffer[..len].to_vec()));
        }
        self.ask(now, place, association);
    }

    /// Asks the element for the next step: on a new association, the one after the newest cookie.
    fn ask(&mut self, now: Instant, place: usize, association: AssociationId) {
        let job = &mut self.jobs[place];
        let is_new = matches!(job.state, State::Connecting { .. });
        if is_new {
            job.done = job.sealed_step;
        }
        let (step, is_resumed) = (job.done + 1, is_new && job.done > 0);
        let request = Request { job: job.number, step, is_resumed }.to_bytes();
        self.owed.push_back(Owed::Message(association, WORK_STREAM, WORK, request.to_vec()));
        job.state = State::Asked { association, until: now + SILENCE_MAX };
    }

    fn on_answer(&mut self, now: Instant, place: usize, association: AssociationId, data: &[u8]) {
        let think = Duration::from_millis(self.random.below(1_500));
        let job = &mut self.jobs[place];
        let step = u32::from_be_bytes(data.try_into().expect("a step"));
        assert!(step <= job.done + 1, "job {} did not ask for step {step}", job.number);
        job.done = step;
        (job.attempts, job.state) = (0, State::Thinking { association, until: now + think });
        job.session.forgive();
        if step == job.steps {
            job.session.drop_cookie();
            job.state = State::Ended(JobOutcome::Completed);
            self.counts.completed += 1;
            self.owed.push_back(Owed::Shutdown(association));
        }
    }

    fn on_control(&mut self, place: usize, association: AssociationId, data: &[u8]) {
        let job = &mut self.jobs[place];
        job.session.on_control(association, data).expect("elements send cookies of theirs");
        if let Ok(Control::Cookie(cookie)) = read_control(data) {
            let (number, step) = opened_progress(job.session.pool(), cookie);
            assert_eq!(number, job.number, "a cookie of another job");
            job.sealed_step = step;
        }
    }

    fn resolve(&mut self, now: Instant, place: usize, user: &mut PoolUser) {
        let job = &mut self.jobs[place];
        job.attempts += 1;
        if job.attempts > ATTEMPTS_MAX {
            job.state = State::Ended(JobOutcome::Failed);
            self.counts.failed += 1;
            return;
        }
        match user.resolve(now, job.session.pool(), Some(4)) {
            Ok(resolution) => job.state = State::Resolving { resolution },
            Err(_) => self.wait(now, place),
        }
    }

    fn wait(&mut self, now: Instant, place: usize) {
        let pause = PAUSE + Duration::from_millis(self.random.below(500));
        self.jobs[place].state = State::Waiting { until: now + pause };
    }

    fn choose(&mut self, now: Instant, place: usize) {
        let job = &mut self.jobs[place];
        let Some(element) = job.session.next_element() else {
            // All that there are have failed; they get another chance after a pause.
            job.session.forgive();
            self.wait(now, place);
            return;
        };
        let connect = ConnectId(self.next_connect);
        self.next_connect += 1;
        self.owed.push_back(Owed::Connect(connect, element.transport.endpoint.clone()));
        job.state = State::Connecting { connect, until: now + SILENCE_MAX };
    }

    fn fail_over(&mut self, now: Instant, place: usize, user: &mut PoolUser) {
        let job = &mut self.jobs[place];
        if !matches!(job.state, State::Connecting { .. }) {
            self.counts.failovers += 1;
        }
        if job.sealed_step == job.steps {
            // The last answer got lost, but not its cookie.
            job.state = State::Ended(JobOutcome::Completed);
            self.counts.completed += 1;
            return;
        }
        if let Some(element) = job.session.on_failed() {
            let _ = user.report_unreachable(now, job.session.pool(), element);
        }
        job.attempts += 1;
        if job.attempts > ATTEMPTS_MAX {
            job.state = State::Ended(JobOutcome::Failed);
            self.counts.failed += 1;
        } else if job.session.next_element().is_some() {
            self.choose(now, place);
        } else {
            self.resolve(now, place, user);
        }
    }

    pub(super) fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        Some(match self.owed.pop_front()? {
            Owed::Connect(connect, endpoint) => Transmit::Connect { connect, endpoint },
            Owed::Cancel(connect) => Transmit::CancelConnect { connect },
            Owed::Shutdown(association) => Transmit::Shutdown { association },
            Owed::Abort(association) => Transmit::Abort { association },
            Owed::Message(association, stream, ppid, bytes) => {
                buffer[..bytes.len()].copy_from_slice(&bytes);
                Transmit::Message { association, stream, ppid, len: bytes.len() }
            }
        })
    }
}
