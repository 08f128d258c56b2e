//! The element's side of CalcApp: jobs share its capacity evenly.
//!
//! All jobs get the same share of every moment, so one number tells for all of them what was done
//! since: it grows by the capacity over the number of jobs, and a job remembers where it began.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use super::{Cookie, Job, Kind, Message};
use crate::services::keep_alive::{KeepAlive, Pace};
use crate::services::{Output, Refusal, Serve, Service};

/// What an element offers, and when it speaks of it. The defaults are RSPLIB's.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Calculations a second, for all jobs together; at least 1.
    pub capacity: u64,
    /// More jobs are rejected.
    pub job_count_max: u32,
    /// The longest time between two cookies.
    pub cookie_interval: Duration,
    /// The most calculations between two cookies.
    pub cookie_calculations: u64,
    /// How users are asked for signs of life.
    pub keep_alive: Pace,
}

impl Default for Limits {
    /// A million calculations a second for 10 jobs, a cookie every 5 s or 5 million, 2.5 s.
    fn default() -> Self {
        let second = Duration::from_millis(2_500);
        Self {
            capacity: 1_000_000,
            job_count_max: 10,
            cookie_interval: Duration::from_secs(5),
            cookie_calculations: 5_000_000,
            keep_alive: Pace { interval: second, timeout: second },
        }
    }
}

/// CalcApp, as an element serves it.
#[derive(Clone, Debug)]
pub struct Server {
    limits: Limits,
    job_count: u32,
    /// Millionths of a calculation that every job got that was there all the time.
    done: u128,
    done_at: Instant,
}

/// A session of [`Server`].
#[derive(Clone, Debug, Default)]
pub struct Session {
    work: Option<Work>,
    owed: Owed,
    is_leaving: bool,
}

/// A job in work.
#[derive(Clone, Debug)]
struct Work {
    /// As it began here.
    job: Job,
    /// What [`Server::done`] was then.
    began_at: u128,
    cookie_at: Instant,
    /// What was completed at the last cookie.
    cookie_completed: u64,
    keep_alive: KeepAlive,
}

/// What a session owes its user, besides questions for signs of life.
#[derive(Clone, Debug, Default)]
struct Owed {
    acceptance: Option<u32>,
    rejection: Option<u32>,
    acknowledgement: Option<u32>,
    cookie: bool,
    completion: Option<Job>,
}

impl Server {
    /// Nothing to do yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, job_count: 0, done: 0, done_at: Instant::ZERO }
    }

    /// Brings all jobs to the present.
    fn advance(&mut self, now: Instant) {
        let micros = now.saturating_duration_since(self.done_at).as_micros();
        self.done_at = self.done_at.max(now);
        let share = u128::from(self.limits.capacity.max(1)) / u128::from(self.job_count.max(1));
        // Less than one calculation a second is none, so a share is at least one.
        self.done += micros * share.max(1);
    }

    /// A job, as it is when [`advance`](Self::advance) was called last.
    fn state(&self, work: &Work) -> Job {
        let here = (self.done - work.began_at) / MILLION;
        let here = u64::try_from(here).unwrap_or(u64::MAX);
        let completed = work.job.completed.saturating_add(here).min(work.job.size);
        Job { completed, ..work.job }
    }

    /// When a job has so many calculations more than it had at the beginning here.
    fn due(&self, work: &Work, calculations: u64) -> Instant {
        let share = u128::from(self.limits.capacity.max(1)) / u128::from(self.job_count.max(1));
        let until = work.began_at + u128::from(calculations) * MILLION;
        let micros = until.saturating_sub(self.done).div_ceil(share.max(1));
        let micros = u64::try_from(micros).unwrap_or(u64::MAX);
        self.done_at + Duration::from_micros(micros)
    }

    /// Begins a job, or goes on with it.
    fn begin(&mut self, now: Instant, session: &mut Session, job: Job) {
        self.advance(now);
        self.end(session);
        if self.job_count >= self.limits.job_count_max || session.is_leaving {
            session.owed.rejection = Some(job.id);
            return;
        }
        self.job_count += 1;
        session.owed.acceptance = Some(job.id);
        session.work = Some(Work {
            job,
            began_at: self.done,
            cookie_at: now + self.limits.cookie_interval,
            cookie_completed: job.completed,
            keep_alive: KeepAlive::new(now, self.limits.keep_alive),
        });
    }

    fn end(&mut self, session: &mut Session) -> Option<Work> {
        let work = session.work.take()?;
        self.job_count -= 1;
        Some(work)
    }

    /// Does what is due of a job.
    fn on_due(&mut self, now: Instant, session: &mut Session) {
        self.advance(now);
        let Some(work) = &mut session.work else { return };
        work.keep_alive.on_timeout(now);
        if work.keep_alive.is_silent() {
            session.is_leaving = true;
            self.end(session);
            return;
        }
        let work = &*work;
        let job = self.state(work);
        let since = job.completed - work.cookie_completed;
        if job.completed >= job.size {
            session.owed.completion = Some(job);
            self.end(session);
        } else if work.cookie_at <= now || since >= self.limits.cookie_calculations {
            session.owed.cookie = true;
        }
    }
}

impl Serve for Server {
    type Session = Session;

    fn ppid(&self) -> Ppid {
        Service::CalcApp.ppid()
    }

    fn open(&mut self, _: Instant) -> Option<Session> {
        Some(Session::default())
    }

    fn close(&mut self, now: Instant, mut session: Session) {
        self.advance(now);
        self.end(&mut session);
    }

    fn on_message(
        &mut self,
        now: Instant,
        session: &mut Session,
        data: &[u8],
    ) -> Result<(), Refusal> {
        let Message { kind, job } = Message::parse(data)?;
        let is_current = session.work.as_ref().is_some_and(|work| work.job.id == job.id);
        if is_current && let Some(work) = &mut session.work {
            work.keep_alive.on_heard(now);
        }
        match kind {
            Kind::Request => self.begin(now, session, Job { completed: 0, ..job }),
            Kind::Abort => {
                self.advance(now);
                self.end(session);
            }
            Kind::KeepAlive => session.owed.acknowledgement = Some(job.id),
            // It may come late, when the job is complete.
            Kind::KeepAliveAck => {}
            Kind::Accept | Kind::Reject | Kind::Complete => return Err(Refusal::Unexpected),
        }
        Ok(())
    }

    fn on_cookie_echo(
        &mut self,
        now: Instant,
        session: &mut Session,
        cookie: &[u8],
    ) -> Result<(), Refusal> {
        let Cookie { job } = Cookie::parse(cookie)?;
        self.begin(now, session, job);
        Ok(())
    }

    fn on_timeout(&mut self, now: Instant, session: &mut Session) {
        self.on_due(now, session);
    }

    fn poll_timeout(&self, session: &Session) -> Option<Instant> {
        let work = session.work.as_ref()?;
        let rest = work.job.size - work.job.completed;
        let mut due =
            Instant::earliest(Some(self.due(work, rest)), work.keep_alive.poll_timeout());
        if !session.owed.cookie {
            let next = work.cookie_completed.saturating_add(self.limits.cookie_calculations);
            let by_count = self.due(work, next.saturating_sub(work.job.completed));
            due = Instant::earliest(due, Some(by_count.min(work.cookie_at)));
        }
        due
    }

    fn poll(&mut self, now: Instant, session: &mut Session) -> Option<Output> {
        let of = |kind, id| Some(Output::Message(Message::of(kind, id).to_bytes()));
        if let Some(id) = session.owed.acceptance.take() {
            return of(Kind::Accept, id);
        }
        if let Some(id) = session.owed.rejection.take() {
            return of(Kind::Reject, id);
        }
        if session.owed.cookie {
            session.owed.cookie = false;
            self.advance(now);
            if let Some(mut work) = session.work.take() {
                let job = self.state(&work);
                work.cookie_at = now + self.limits.cookie_interval;
                work.cookie_completed = job.completed;
                session.work = Some(work);
                return Some(Output::Cookie(Cookie { job }.to_bytes().into()));
            }
        }
        if let Some(id) = session.owed.acknowledgement.take() {
            return of(Kind::KeepAliveAck, id);
        }
        if let Some(work) = &mut session.work
            && work.keep_alive.take_question()
        {
            return of(Kind::KeepAlive, work.job.id);
        }
        if let Some(job) = session.owed.completion.take() {
            return Some(Output::Message(Message { kind: Kind::Complete, job }.to_bytes()));
        }
        session.is_leaving.then_some(Output::Close)
    }

    fn hand_on(&mut self, _: Instant, session: &mut Session) {
        session.owed.cookie = session.work.is_some();
        session.is_leaving = true;
    }

    fn load(&self) -> f64 {
        f64::from(self.job_count) / f64::from(self.limits.job_count_max.max(1))
    }
}

const MILLION: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn request(server: &mut Server, millis: u64, id: u32, size: u64) -> Session {
        let mut session = server.open(at(millis)).unwrap();
        let job = Job { id, size, completed: 0 };
        let message = Message { kind: Kind::Request, job }.to_bytes();
        server.on_message(at(millis), &mut session, &message).unwrap();
        session
    }

    fn messages(server: &mut Server, millis: u64, session: &mut Session) -> Vec<Message> {
        std::iter::from_fn(|| server.poll(at(millis), session))
            .take(20)
            .filter_map(|output| match output {
                Output::Message(bytes) => Some(Message::parse(&bytes).unwrap()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_job_takes_as_long_as_the_capacity_says() {
        let mut server = Server::new(Limits::default());
        let mut session = request(&mut server, 1_000, 7, 2_000_000);
        assert_eq!(messages(&mut server, 1_000, &mut session), [Message::of(Kind::Accept, 7)]);
        // Bytes of the recording: accept of job 1.
        assert_eq!(Message::of(Kind::Accept, 1).to_bytes()[..8], [2, 0, 0, 24, 0, 0, 0, 1]);
        server.on_timeout(at(2_999), &mut session);
        assert_eq!(messages(&mut server, 2_999, &mut session), []);
        assert_eq!(server.poll_timeout(&session), Some(at(3_000)));
        server.on_timeout(at(3_000), &mut session);
        let job = Job { id: 7, size: 2_000_000, completed: 2_000_000 };
        let complete = Message { kind: Kind::Complete, job };
        assert_eq!(messages(&mut server, 3_000, &mut session), [complete]);
        assert_eq!(server.load(), 0.0);
    }

    #[test]
    fn two_jobs_take_twice_as_long() {
        let mut server = Server::new(Limits::default());
        let first = request(&mut server, 0, 1, 2_000_000);
        assert_eq!(server.poll_timeout(&first), Some(at(2_000)));
        let _second = request(&mut server, 1_000, 2, 5_000_000);
        // Keep-alives come earlier, but the job would take a second more.
        let work = first.work.as_ref().unwrap();
        assert_eq!(server.due(work, 2_000_000), at(3_000));
    }

    #[test]
    fn a_job_too_many_is_rejected() {
        let mut server = Server::new(Limits { job_count_max: 1, ..Limits::default() });
        let _first = request(&mut server, 0, 1, 10);
        let mut second = request(&mut server, 0, 2, 10);
        assert_eq!(messages(&mut server, 0, &mut second), [Message::of(Kind::Reject, 2)]);
    }

    #[test]
    fn a_job_goes_on_from_a_cookie_and_gives_cookies_itself() {
        let mut server = Server::new(Limits::default());
        let mut session = server.open(at(0)).unwrap();
        let job = Job { id: 9, size: 20_000_000, completed: 14_000_000 };
        let cookie = Cookie { job }.to_bytes();
        server.on_cookie_echo(at(0), &mut session, &cookie).unwrap();
        assert_eq!(messages(&mut server, 0, &mut session), [Message::of(Kind::Accept, 9)]);
        session.work.as_mut().unwrap().keep_alive.on_heard(at(4_000));
        server.on_timeout(at(5_000), &mut session);
        let job = Job { completed: 19_000_000, ..job };
        let cookie = Output::Cookie(Cookie { job }.to_bytes().into());
        assert_eq!(server.poll(at(5_000), &mut session), Some(cookie));
        server.on_timeout(at(6_000), &mut session);
        let said = messages(&mut server, 6_000, &mut session);
        assert_eq!(said.last().map(|message| message.job.completed), Some(20_000_000));
    }

    #[test]
    fn a_silent_user_loses_its_job() {
        let mut server = Server::new(Limits::default());
        let mut session = request(&mut server, 0, 1, 100_000_000);
        messages(&mut server, 0, &mut session);
        server.on_timeout(at(2_500), &mut session);
        assert_eq!(messages(&mut server, 2_500, &mut session), [Message::of(Kind::KeepAlive, 1)]);
        server.on_timeout(at(5_000), &mut session);
        assert_eq!(server.poll(at(5_000), &mut session), Some(Output::Close));
        assert_eq!(server.load(), 0.0);
    }

    #[test]
    fn who_leaves_gives_a_last_cookie() {
        let mut server = Server::new(Limits::default());
        let mut session = request(&mut server, 0, 1, 10_000_000);
        messages(&mut server, 0, &mut session);
        server.hand_on(at(1_000), &mut session);
        let job = Job { id: 1, size: 10_000_000, completed: 1_000_000 };
        let cookie = Output::Cookie(Cookie { job }.to_bytes().into());
        assert_eq!(server.poll(at(1_000), &mut session), Some(cookie));
        assert_eq!(server.poll(at(1_000), &mut session), Some(Output::Close));
    }
}
