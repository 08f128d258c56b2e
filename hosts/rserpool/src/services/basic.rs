//! Echo, Discard and Daytime: bare messages, no header, no cookies.

mod client;

pub use client::{Client, Config, Event, Statistics, What};

use std::collections::VecDeque;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use super::places::Places;
use super::{Output, Refusal, Serve, Service};

/// Which of them, as an element serves it.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// What comes in goes back.
    Echo,
    /// What comes in is forgotten.
    Discard,
    /// Who comes is told the time of day, and sent away.
    Daytime {
        /// Tells it, as a line of text.
        tell: fn() -> String,
    },
}

/// Echo, Discard or Daytime, as an element serves it.
#[derive(Clone, Debug)]
pub struct Server {
    kind: Kind,
    places: Places,
}

impl Server {
    /// At most `session_count_max` sessions.
    #[must_use]
    pub const fn new(kind: Kind, session_count_max: usize) -> Self {
        Self { kind, places: Places::new(session_count_max) }
    }
}

/// A session of [`Server`].
#[derive(Clone, Debug)]
pub struct Session {
    waiting: VecDeque<Vec<u8>>,
    waiting_len: usize,
    is_leaving: bool,
}

impl Serve for Server {
    type Session = Session;

    fn ppid(&self) -> Ppid {
        Service::Echo.ppid()
    }

    fn open(&mut self, _: Instant) -> Option<Session> {
        if !self.places.take() {
            return None;
        }
        let (waiting, is_leaving) = match self.kind {
            Kind::Daytime { tell } => ([tell().into_bytes()].into(), true),
            Kind::Echo | Kind::Discard => (VecDeque::new(), false),
        };
        Some(Session { waiting, waiting_len: 0, is_leaving })
    }

    fn close(&mut self, _: Instant, _: Session) {
        self.places.free();
    }

    fn on_message(
        &mut self,
        _: Instant,
        session: &mut Session,
        data: &[u8],
    ) -> Result<(), Refusal> {
        if let Kind::Echo = self.kind {
            session.waiting_len += data.len() + MESSAGE_OVERHEAD_LEN;
            if session.waiting_len > WAITING_LEN_MAX {
                return Err(Refusal::TooMuch(WAITING_LEN_MAX as u64));
            }
            session.waiting.push_back(data.to_vec());
        }
        Ok(())
    }

    fn poll(&mut self, _: Instant, session: &mut Session) -> Option<Output> {
        match session.waiting.pop_front() {
            Some(data) => {
                let len = data.len() + MESSAGE_OVERHEAD_LEN;
                session.waiting_len = session.waiting_len.saturating_sub(len);
                Some(Output::Message(data))
            }
            None => session.is_leaving.then_some(Output::Close),
        }
    }

    fn hand_on(&mut self, _: Instant, session: &mut Session) {
        session.is_leaving = true;
    }

    fn load(&self) -> f64 {
        self.places.load()
    }
}

/// What may wait of a user that does not read its echoes.
const WAITING_LEN_MAX: usize = 4 << 20;

/// What a waiting message takes beside its bytes, more or less.
const MESSAGE_OVERHEAD_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    #[test]
    fn a_recorded_echo_is_given() {
        let said = recorded::said("basic-services", Service::Echo);
        let (user, element) = (&said[0], &said[1]);
        let mut server = Server::new(Kind::Echo, 4);
        let mut session = server.open(Instant::ZERO).unwrap();
        server.on_message(Instant::ZERO, &mut session, &user.data).unwrap();
        let echo = server.poll(Instant::ZERO, &mut session);
        assert_eq!(echo, Some(Output::Message(element.data.clone())));
        assert_eq!(server.poll(Instant::ZERO, &mut session), None);
    }

    #[test]
    fn nothing_comes_back_from_discard() {
        let mut server = Server::new(Kind::Discard, 4);
        let mut session = server.open(Instant::ZERO).unwrap();
        server.on_message(Instant::ZERO, &mut session, b"hello").unwrap();
        assert_eq!(server.poll(Instant::ZERO, &mut session), None);
    }

    #[test]
    fn the_time_is_told_once() {
        let mut server = Server::new(Kind::Daytime { tell: || "noon\n".into() }, 4);
        let mut session = server.open(Instant::ZERO).unwrap();
        let told = server.poll(Instant::ZERO, &mut session);
        assert_eq!(told, Some(Output::Message(b"noon\n".to_vec())));
        assert_eq!(server.poll(Instant::ZERO, &mut session), Some(Output::Close));
    }
}
