//! The element's side of Fractal.

use std::time::Duration;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use super::render::value;
use super::{Cookie, Message, POINT_COUNT_MAX, Parameter, Values};
use crate::services::places::Places;
use crate::services::{Output, Refusal, Serve, Service};

/// What an element takes, and when it speaks. The intervals are RSPLIB's.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The most sessions.
    pub session_count_max: usize,
    /// The largest picture, in pixels.
    pub pixel_count_max: u64,
    /// The longest time between two Data messages.
    pub data_interval: Duration,
    /// The longest time between two cookies.
    pub cookie_interval: Duration,
    /// The most Data messages between two cookies.
    pub cookie_messages: u32,
    /// Each session is ended after so many Data messages, for those who test failovers.
    pub failure_after: Option<u64>,
    /// Values are (x·y) modulo 256, which takes no time.
    pub is_test: bool,
}

impl Default for Limits {
    /// 4 sessions of 3 million pixels; data and cookies every second, a cookie every 10 messages.
    fn default() -> Self {
        Self {
            session_count_max: 4,
            pixel_count_max: 3 << 20,
            data_interval: Duration::from_secs(1),
            cookie_interval: Duration::from_secs(1),
            cookie_messages: 10,
            failure_after: None,
            is_test: false,
        }
    }
}

/// Fractal, as an element serves it.
#[derive(Clone, Debug)]
pub struct Server {
    limits: Limits,
    places: Places,
}

impl Server {
    /// Nothing to do yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits, places: Places::new(limits.session_count_max) }
    }

    fn begin(
        &self,
        now: Instant,
        session: &mut Session,
        parameter: Parameter,
        next: u64,
    ) -> Result<(), Refusal> {
        if parameter.pixel_count() > self.limits.pixel_count_max {
            return Err(Refusal::TooMuch(self.limits.pixel_count_max));
        }
        session.owes_cookie = true;
        session.work = Some(Work {
            parameter,
            next,
            values: Vec::with_capacity(4 * POINT_COUNT_MAX),
            is_flushed: false,
            data_at: now + self.limits.data_interval,
            cookie_at: now + self.limits.cookie_interval,
            since_cookie: 0,
        });
        Ok(())
    }
}

/// A session of [`Server`].
#[derive(Clone, Debug, Default)]
pub struct Session {
    work: Option<Work>,
    owes_cookie: bool,
    message_count: u64,
    is_leaving: bool,
}

/// A picture in work.
#[derive(Clone, Debug)]
struct Work {
    parameter: Parameter,
    /// The pixel to compute next.
    next: u64,
    /// What was computed and not sent, four bytes a value.
    values: Vec<u8>,
    /// They are sent although there is room for more.
    is_flushed: bool,
    data_at: Instant,
    cookie_at: Instant,
    since_cookie: u32,
}

impl Work {
    fn value_count(&self) -> usize {
        self.values.len() / 4
    }

    /// All is computed.
    fn is_complete(&self) -> bool {
        self.next >= self.parameter.pixel_count()
    }

    /// There is something to send.
    fn is_ready(&self) -> bool {
        let has_values = !self.values.is_empty();
        let is_full = self.value_count() >= POINT_COUNT_MAX;
        is_full || self.is_complete() || (has_values && self.is_flushed)
    }

    /// The first pixel that was not sent.
    fn unsent(&self) -> u64 {
        self.next - self.value_count() as u64
    }
}

impl Serve for Server {
    type Session = Session;

    fn ppid(&self) -> Ppid {
        Service::Fractal.ppid()
    }

    fn open(&mut self, _: Instant) -> Option<Session> {
        self.places.take().then(Session::default)
    }

    fn close(&mut self, _: Instant, _: Session) {
        self.places.free();
    }

    fn on_message(
        &mut self,
        now: Instant,
        session: &mut Session,
        data: &[u8],
    ) -> Result<(), Refusal> {
        match Message::parse(data)? {
            Message::Parameter(parameter) => self.begin(now, session, parameter, 0),
            Message::Data { .. } | Message::End => Err(Refusal::Unexpected),
        }
    }

    fn on_cookie_echo(
        &mut self,
        now: Instant,
        session: &mut Session,
        cookie: &[u8],
    ) -> Result<(), Refusal> {
        let Cookie { parameter, next } = Cookie::parse(cookie)?;
        self.begin(now, session, parameter, next)
    }

    fn on_timeout(&mut self, now: Instant, session: &mut Session) {
        let Some(work) = &mut session.work else { return };
        if work.data_at <= now {
            work.is_flushed = true;
            work.data_at = now + self.limits.data_interval;
        }
        if work.cookie_at <= now {
            session.owes_cookie = true;
            work.cookie_at = now + self.limits.cookie_interval;
        }
    }

    fn poll_timeout(&self, session: &Session) -> Option<Instant> {
        session.work.as_ref().map(|work| work.data_at.min(work.cookie_at))
    }

    fn poll(&mut self, now: Instant, session: &mut Session) -> Option<Output> {
        if let Some(work) = &mut session.work {
            if session.owes_cookie {
                session.owes_cookie = false;
                work.since_cookie = 0;
                work.cookie_at = now + self.limits.cookie_interval;
                let cookie = Cookie { parameter: work.parameter, next: work.unsent() };
                return Some(Output::Cookie(cookie.to_bytes()));
            }
            if session.is_leaving || self.is_failing(session.message_count) {
                return Some(Output::Close);
            }
            if work.is_ready() {
                return Some(Output::Message(self.next_message(now, session)?));
            }
        }
        session.is_leaving.then_some(Output::Close)
    }

    fn run(&mut self, _: Instant, session: &mut Session, units: u32) -> bool {
        let Some(work) = &mut session.work else { return false };
        let mut used = 0;
        while used < units && !work.is_ready() {
            let (x, y) = work.parameter.place(work.next);
            let value = match self.limits.is_test {
                true => x.wrapping_mul(y) % 256,
                false => value(&work.parameter, x, y),
            };
            work.values.extend_from_slice(&value.to_be_bytes());
            work.next += 1;
            used += value.max(1);
        }
        true
    }

    fn hand_on(&mut self, _: Instant, session: &mut Session) {
        session.owes_cookie = session.work.is_some();
        session.is_leaving = true;
    }

    fn load(&self) -> f64 {
        self.places.load()
    }
}

impl Server {
    /// Whether a session has had all the messages that it is to have.
    fn is_failing(&self, message_count: u64) -> bool {
        self.limits.failure_after.is_some_and(|count| message_count >= count)
    }

    /// The next message of a picture that has one.
    fn next_message(&self, now: Instant, session: &mut Session) -> Option<Vec<u8>> {
        let work = session.work.as_mut()?;
        if work.values.is_empty() {
            session.work = None;
            return Some(Message::End.to_bytes());
        }
        let (x, y) = work.parameter.place(work.unsent());
        let message = Message::Data { x, y, values: Values(&work.values) }.to_bytes();
        work.values.clear();
        work.is_flushed = false;
        work.data_at = now + self.limits.data_interval;
        session.message_count += 1;
        work.since_cookie += 1;
        let is_failing = self.is_failing(session.message_count);
        session.owes_cookie |= is_failing || work.since_cookie >= self.limits.cookie_messages;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    /// Serves a session to its end, or to as many outputs as wanted.
    fn outputs(server: &mut Server, session: &mut Session, count: usize) -> Vec<Output> {
        let mut outputs = Vec::new();
        while outputs.len() < count {
            match server.poll(Instant::ZERO, session) {
                Some(Output::Close) => break,
                Some(output) => outputs.push(output),
                None if !server.run(Instant::ZERO, session, 1_000) => break,
                None => {}
            }
        }
        outputs
    }

    #[test]
    fn a_recorded_picture_is_computed_to_the_recorded_bytes() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let mut server = Server::new(Limits { cookie_messages: 1_000, ..Limits::default() });
        let mut session = server.open(Instant::ZERO).unwrap();
        let request = said.iter().find(|said| said.data[0] == 1).unwrap();
        server.on_message(Instant::ZERO, &mut session, &request.data).unwrap();
        let expected: Vec<_> = said
            .iter()
            .filter(|said| said.by != request.by)
            .map(|said| match said.ppid == Ppid::ASAP {
                true => Output::Cookie(said.data[8..].to_vec()),
                false => Output::Message(said.data.clone()),
            })
            .collect();
        assert_eq!(expected.len(), 48);
        assert!(outputs(&mut server, &mut session, 100) == expected);
    }

    #[test]
    fn another_element_goes_on_from_any_cookie() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let request = said.iter().find(|said| said.data[0] == 1).unwrap();
        let mut server = Server::new(Limits { cookie_messages: 3, ..Limits::default() });
        let mut session = server.open(Instant::ZERO).unwrap();
        server.on_message(Instant::ZERO, &mut session, &request.data).unwrap();
        let all = outputs(&mut server, &mut session, 1_000);
        let cookies = all.iter().enumerate().filter_map(|(index, output)| match output {
            Output::Cookie(cookie) => Some((index, cookie)),
            _ => None,
        });
        let mut count = 0;
        for (index, cookie) in cookies {
            let mut other = server.open(Instant::ZERO).unwrap();
            server.on_cookie_echo(Instant::ZERO, &mut other, cookie).unwrap();
            assert!(outputs(&mut server, &mut other, 1_000) == all[index..], "{index}");
            server.close(Instant::ZERO, other);
            count += 1;
        }
        assert_eq!(count, 16);
    }

    #[test]
    fn a_slow_picture_is_sent_all_the_same() {
        let parameter = Parameter {
            width: 100,
            height: 100,
            iterations_max: 1_000,
            algorithm: super::super::Algorithm::Mandelbrot,
            c1: (-0.01, 0.01),
            c2: (0.01, -0.01),
            n: 2.0,
        };
        let mut server = Server::new(Limits::default());
        let mut session = server.open(Instant::ZERO).unwrap();
        let request = Message::Parameter(parameter).to_bytes();
        server.on_message(Instant::ZERO, &mut session, &request).unwrap();
        assert!(matches!(server.poll(Instant::ZERO, &mut session), Some(Output::Cookie(_))));
        assert!(server.run(Instant::ZERO, &mut session, 5_000));
        assert_eq!(server.poll(Instant::ZERO, &mut session), None);
        let later = Instant::from_millis(1_000);
        assert_eq!(server.poll_timeout(&session), Some(later));
        server.on_timeout(later, &mut session);
        let Some(Output::Cookie(cookie)) = server.poll(later, &mut session) else {
            panic!("no cookie");
        };
        assert_eq!(Cookie::parse(&cookie).unwrap().next, 0);
        let Some(Output::Message(data)) = server.poll(later, &mut session) else {
            panic!("no data");
        };
        let Ok(Message::Data { x: 0, y: 0, values }) = Message::parse(&data) else {
            panic!("{data:?}");
        };
        assert_eq!(values.iter().collect::<Vec<_>>(), [1_000; 5]);
    }

    #[test]
    fn pictures_have_a_bound() {
        let parameter = Parameter {
            width: 65_536,
            height: 65_536,
            iterations_max: 1,
            algorithm: super::super::Algorithm::Mandelbrot,
            c1: (0.0, 0.0),
            c2: (0.0, 0.0),
            n: f64::NAN,
        };
        let mut server = Server::new(Limits::default());
        let mut session = server.open(Instant::ZERO).unwrap();
        let request = Message::Parameter(parameter).to_bytes();
        let refused = server.on_message(Instant::ZERO, &mut session, &request).unwrap_err();
        assert_eq!(refused, Refusal::TooMuch(3 << 20));
    }

    #[test]
    fn a_session_ends_after_as_many_messages_as_wanted_with_a_cookie() {
        let said = recorded::said("fractal-session", Service::Fractal);
        let request = said.iter().find(|said| said.data[0] == 1).unwrap();
        let mut server = Server::new(Limits { failure_after: Some(2), ..Limits::default() });
        let mut session = server.open(Instant::ZERO).unwrap();
        server.on_message(Instant::ZERO, &mut session, &request.data).unwrap();
        let all = outputs(&mut server, &mut session, 100);
        let [Output::Cookie(_), Output::Message(_), Output::Message(_), Output::Cookie(last)] =
            &all[..]
        else {
            panic!("{} outputs", all.len());
        };
        assert_eq!(Cookie::parse(last).unwrap().next, 648);
        assert_eq!(server.poll(Instant::ZERO, &mut session), Some(Output::Close));
    }
}
