//! The user's side of CalcApp: one job after the other, each until it is complete.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::time::Instant;

use super::{Job, Kind, Message};
use crate::services::keep_alive::{KeepAlive, Pace};
use crate::services::{Act, Call, Refusal, Service};

/// What jobs there are.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How many.
    pub job_count: u32,
    /// Calculations of each.
    pub size: u64,
    /// From the beginning of one to the next.
    pub interval: Duration,
    /// Makes sizes and intervals negative-exponentially distributed, as RSPLIB's are.
    pub seed: Option<u64>,
    /// How long an element may take to accept a job.
    pub timeout: Duration,
    /// From a rejection to the next attempt.
    pub retry_delay: Duration,
    /// How elements are asked for signs of life.
    pub keep_alive: Pace,
}

impl Default for Config {
    /// 10 jobs of 5 million calculations, every 15 s, 5 s for a sign of life (RSPLIB's).
    fn default() -> Self {
        let five = Duration::from_secs(5);
        Self {
            job_count: 10,
            size: 5_000_000,
            interval: Duration::from_secs(15),
            seed: None,
            timeout: five,
            retry_delay: Duration::from_secs(1),
            keep_alive: Pace { interval: five, timeout: five },
        }
    }
}

/// What the user should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An element does a job.
    Accepted(Job),
    /// An element does not.
    Rejected(Job),
    /// A job is done.
    Complete {
        /// Which one.
        job: Job,
        /// How long it took, from its first request on.
        elapsed: Duration,
    },
}

/// What came of the jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Jobs that are done.
    pub complete_count: u32,
    /// Rejections.
    pub rejected_count: u64,
    /// Calculations of the jobs that are done.
    pub calculations: u64,
    /// How long they took.
    pub elapsed: Duration,
}

/// CalcApp, as a user calls it.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    random: SplitMix64,
    job: Job,
    /// When the job was first requested.
    began_at: Option<Instant>,
    state: State,
    keep_alive: Option<KeepAlive>,
    owes_acknowledgement: bool,
    told: Option<Event>,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No element.
    Alone,
    Owed,
    Requested {
        give_up_at: Instant,
    },
    InWork,
    Rejected,
    Silent,
    Complete,
}

impl Client {
    /// Nothing was requested yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut client = Self {
            config,
            random: SplitMix64::new(config.seed.unwrap_or(0)),
            job: Job::default(),
            began_at: None,
            state: State::Alone,
            keep_alive: None,
            owes_acknowledgement: false,
            told: None,
            statistics: Statistics::default(),
        };
        client.next_job();
        client
    }

    /// What came of it so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn next_job(&mut self) {
        let factor = self.factor();
        let size = ((self.config.size as f64 * factor) as u64).max(1);
        self.job = Job { id: self.job.id + 1, size, completed: 0 };
        self.began_at = None;
    }

    /// 1, or a negative-exponentially distributed number whose mean is 1.
    fn factor(&mut self) -> f64 {
        if self.config.seed.is_none() {
            return 1.0;
        }
        // 53 bits make a number from 0 to almost 1.
        let uniform = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        -(1.0 - uniform).ln()
    }

    fn on_complete(&mut self, now: Instant) {
        let began_at = self.began_at.unwrap_or(now);
        let elapsed = now.saturating_duration_since(began_at);
        self.statistics.complete_count += 1;
        self.statistics.calculations = self.statistics.calculations.saturating_add(self.job.size);
        self.statistics.elapsed += elapsed;
        let job = Job { completed: self.job.size, ..self.job };
        self.told = Some(Event::Complete { job, elapsed });
        self.state = State::Complete;
        self.keep_alive = None;
    }
}

impl Call for Client {
    type Event = Event;

    fn ppid(&self) -> Ppid {
        Service::CalcApp.ppid()
    }

    fn on_up(&mut self, now: Instant, is_resumed: bool) {
        self.began_at.get_or_insert(now);
        self.owes_acknowledgement = false;
        if is_resumed {
            // The cookie is the request.
            self.state = State::InWork;
            self.keep_alive = Some(KeepAlive::new(now, self.config.keep_alive));
        } else {
            self.state = State::Owed;
        }
    }

    fn on_message(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        let Message { kind, job } = Message::parse(data)?;
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.on_heard(now);
        }
        if job.id != self.job.id {
            return Err(Refusal::Unexpected);
        }
        match kind {
            Kind::Accept => {
                self.told = Some(Event::Accepted(self.job));
                self.state = State::InWork;
                self.keep_alive = Some(KeepAlive::new(now, self.config.keep_alive));
            }
            Kind::Reject | Kind::Abort => {
                self.statistics.rejected_count += 1;
                self.told = Some(Event::Rejected(self.job));
                self.state = State::Rejected;
                self.keep_alive = None;
            }
            Kind::Complete if job.completed == self.job.size => self.on_complete(now),
            Kind::KeepAlive => self.owes_acknowledgement = true,
            Kind::KeepAliveAck => {}
            Kind::Complete | Kind::Request => return Err(Refusal::Unexpected),
        }
        Ok(())
    }

    fn on_down(&mut self, _: Instant) {
        self.state = State::Alone;
        self.keep_alive = None;
    }

    fn on_timeout(&mut self, now: Instant) {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.on_timeout(now);
            if keep_alive.is_silent() {
                self.state = State::Silent;
            }
        }
        if let State::Requested { give_up_at } = self.state
            && give_up_at <= now
        {
            self.state = State::Silent;
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let request = match self.state {
            State::Requested { give_up_at } => Some(give_up_at),
            _ => None,
        };
        let life = self.keep_alive.as_ref().and_then(KeepAlive::poll_timeout);
        Instant::earliest(request, life)
    }

    fn poll(&mut self, now: Instant) -> Option<Act<Event>> {
        if let Some(event) = self.told.take() {
            return Some(Act::Tell(event));
        }
        let id = self.job.id;
        if self.owes_acknowledgement {
            self.owes_acknowledgement = false;
            return Some(Act::Message(Message::of(Kind::KeepAliveAck, id).to_bytes()));
        }
        if self.keep_alive.as_mut().is_some_and(KeepAlive::take_question) {
            return Some(Act::Message(Message::of(Kind::KeepAlive, id).to_bytes()));
        }
        match self.state {
            State::Owed => {
                self.state = State::Requested { give_up_at: now + self.config.timeout };
                let request = Message { kind: Kind::Request, job: self.job };
                Some(Act::Message(request.to_bytes()))
            }
            State::Rejected => {
                self.state = State::Alone;
                let at = now + self.config.retry_delay;
                Some(Act::FailOver { at, with_cookie: true })
            }
            State::Silent => {
                self.state = State::Alone;
                Some(Act::FailOver { at: now, with_cookie: true })
            }
            State::Complete if self.statistics.complete_count >= self.config.job_count => {
                self.state = State::Alone;
                Some(Act::Finish)
            }
            State::Complete => {
                self.state = State::Alone;
                let began_at = self.began_at.unwrap_or(now);
                self.next_job();
                let pause = self.config.interval.mul_f64(self.factor());
                Some(Act::Next { at: (began_at + pause).max(now) })
            }
            State::Alone | State::Requested { .. } | State::InWork => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn said(kind: Kind, job: Job) -> Vec<u8> {
        Message { kind, job }.to_bytes()
    }

    #[test]
    fn a_recorded_job_is_requested_with_the_recorded_bytes() {
        let recorded = recorded::said("calcapp-session", Service::CalcApp);
        let config = Config { job_count: 1, size: 559_817, ..Config::default() };
        let mut client = Client::new(config);
        client.on_up(at(0), false);
        assert_eq!(client.poll(at(0)), Some(Act::Message(recorded[0].data.clone())));
        client.on_message(at(1), &recorded[1].data).unwrap();
        assert!(matches!(client.poll(at(1)), Some(Act::Tell(Event::Accepted(_)))));
        assert_eq!(client.poll(at(1)), None);
        client.on_message(at(600), &recorded[2].data).unwrap();
        let Some(Act::Tell(Event::Complete { job, elapsed })) = client.poll(at(600)) else {
            panic!("not complete");
        };
        assert_eq!((job.completed, elapsed), (559_817, Duration::from_millis(600)));
        assert_eq!(client.poll(at(600)), Some(Act::Finish));
    }

    #[test]
    fn a_job_with_a_cookie_is_not_requested_again() {
        let mut client = Client::new(Config { job_count: 2, ..Config::default() });
        client.on_up(at(0), false);
        assert!(matches!(client.poll(at(0)), Some(Act::Message(_))));
        client.on_down(at(10));
        client.on_up(at(20), true);
        assert_eq!(client.poll(at(20)), None);
        let job = Job { id: 1, size: 5_000_000, completed: 5_000_000 };
        client.on_message(at(30), &said(Kind::Complete, job)).unwrap();
        assert!(matches!(client.poll(at(30)), Some(Act::Tell(_))));
        // The next one in its time.
        assert_eq!(client.poll(at(30)), Some(Act::Next { at: at(15_000) }));
    }

    #[test]
    fn signs_of_life_are_asked_for_and_given() {
        let mut client = Client::new(Config::default());
        client.on_up(at(0), false);
        client.poll(at(0));
        let job = Job { id: 1, ..Job::default() };
        client.on_message(at(0), &said(Kind::Accept, job)).unwrap();
        client.poll(at(0));
        client.on_message(at(100), &said(Kind::KeepAlive, job)).unwrap();
        let acknowledgement = said(Kind::KeepAliveAck, job);
        assert_eq!(client.poll(at(100)), Some(Act::Message(acknowledgement)));
        client.on_timeout(at(5_100));
        let question = said(Kind::KeepAlive, job);
        assert_eq!(client.poll(at(5_100)), Some(Act::Message(question)));
        client.on_timeout(at(10_100));
        let fail_over = Act::FailOver { at: at(10_100), with_cookie: true };
        assert_eq!(client.poll(at(10_100)), Some(fail_over));
    }

    #[test]
    fn who_is_rejected_tries_another_element_a_little_later() {
        let mut client = Client::new(Config::default());
        client.on_up(at(0), false);
        client.poll(at(0));
        let job = Job { id: 1, ..Job::default() };
        client.on_message(at(5), &said(Kind::Reject, job)).unwrap();
        assert!(matches!(client.poll(at(5)), Some(Act::Tell(Event::Rejected(_)))));
        let fail_over = Act::FailOver { at: at(1_005), with_cookie: true };
        assert_eq!(client.poll(at(5)), Some(fail_over));
    }

    #[test]
    fn sizes_of_a_seed_are_spread_around_their_mean() {
        let seed = 7;
        let mut client =
            Client::new(Config { seed: Some(seed), size: 1_000, ..Config::default() });
        let mut sum = 0;
        for _ in 0..10_000 {
            sum += client.job.size;
            client.next_job();
        }
        assert!((900..1_100).contains(&(sum / 10_000)), "seed {seed}: {sum}");
    }
}
