//! The element's side of PingPong.

use std::collections::VecDeque;

use rserpool_core::association::Ppid;
use rserpool_core::time::Instant;

use super::{Cookie, Message};
use crate::services::places::Places;
use crate::services::{Output, Refusal, Serve, Service};

/// PingPong, as an element serves it.
#[derive(Clone, Debug)]
pub struct Server {
    places: Places,
    /// Each session is ended after so many replies, for those who test failovers.
    failure_after: Option<u64>,
}

impl Server {
    /// At most `session_count_max` sessions, each ended after `failure_after` replies.
    #[must_use]
    pub const fn new(session_count_max: usize, failure_after: Option<u64>) -> Self {
        Self { places: Places::new(session_count_max), failure_after }
    }
}

/// A session of [`Server`].
#[derive(Clone, Debug)]
pub struct Session {
    next_reply: u64,
    reply_count: u64,
    /// What was not answered yet.
    pings: VecDeque<(u64, Vec<u8>)>,
    waiting_len: usize,
    owes_cookie: bool,
    is_leaving: bool,
}

impl Serve for Server {
    type Session = Session;

    fn ppid(&self) -> Ppid {
        Service::PingPong.ppid()
    }

    fn open(&mut self, _: Instant) -> Option<Session> {
        if !self.places.take() {
            return None;
        }
        Some(Session {
            next_reply: 1,
            reply_count: 0,
            pings: VecDeque::new(),
            waiting_len: 0,
            owes_cookie: false,
            is_leaving: false,
        })
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
        let Message::Ping { number, data } = Message::parse(data)? else {
            return Err(Refusal::Unexpected);
        };
        session.waiting_len += data.len() + PING_OVERHEAD_LEN;
        if session.waiting_len > WAITING_LEN_MAX {
            return Err(Refusal::TooMuch(WAITING_LEN_MAX as u64));
        }
        session.pings.push_back((number, data.to_vec()));
        Ok(())
    }

    fn on_cookie_echo(
        &mut self,
        _: Instant,
        session: &mut Session,
        cookie: &[u8],
    ) -> Result<(), Refusal> {
        session.next_reply = Cookie::parse(cookie)?.next_reply;
        Ok(())
    }

    fn poll(&mut self, _: Instant, session: &mut Session) -> Option<Output> {
        if session.owes_cookie {
            session.owes_cookie = false;
            let cookie = Cookie { next_reply: session.next_reply };
            return Some(Output::Cookie(cookie.to_bytes().into()));
        }
        if session.is_leaving
            || self.failure_after.is_some_and(|count| session.reply_count >= count)
        {
            return Some(Output::Close);
        }
        let (number, data) = session.pings.pop_front()?;
        session.waiting_len -= data.len() + PING_OVERHEAD_LEN;
        let pong = Message::Pong { number, reply: session.next_reply, data: &data };
        session.next_reply = session.next_reply.wrapping_add(1);
        session.reply_count += 1;
        session.owes_cookie = true;
        Some(Output::Message(pong.to_bytes()))
    }

    fn hand_on(&mut self, _: Instant, session: &mut Session) {
        // The user has a cookie for every reply.
        session.is_leaving = true;
    }

    fn load(&self) -> f64 {
        self.places.load()
    }
}

/// What may wait of a user that does not read its replies.
const WAITING_LEN_MAX: usize = 1 << 20;

/// What a waiting ping takes beside its data, more or less.
const PING_OVERHEAD_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::recorded;

    /// All that a session owes.
    fn owed(server: &mut Server, session: &mut Session) -> Vec<Output> {
        std::iter::from_fn(|| server.poll(Instant::ZERO, session)).take(1_000).collect()
    }

    #[test]
    fn a_recorded_session_is_answered_with_the_recorded_bytes() {
        // Frame by frame: what the user says goes in, what RSPLIB's elements say must come out.
        let mut server = Server::new(4, None);
        let mut session = server.open(Instant::ZERO).unwrap();
        let (mut expected, mut answers) = (Vec::new(), Vec::new());
        for said in recorded::said("pingpong-failover-kill9", Service::PingPong) {
            let is_asap = said.ppid == Ppid::ASAP;
            match (is_asap, said.data[0]) {
                (false, 1) => {
                    server.on_message(Instant::ZERO, &mut session, &said.data).unwrap();
                    answers.extend(owed(&mut server, &mut session));
                }
                (false, _) => expected.push(Output::Message(said.data)),
                (true, 12) => {
                    // The other element.
                    session = server.open(Instant::ZERO).unwrap();
                    let cookie = &said.data[8..];
                    server.on_cookie_echo(Instant::ZERO, &mut session, cookie).unwrap();
                }
                (true, _) => expected.push(Output::Cookie(said.data[8..].to_vec())),
            }
        }
        assert_eq!(expected.len(), 38);
        assert_eq!(answers, expected);
    }

    #[test]
    fn a_session_ends_after_as_many_replies_as_wanted() {
        let mut server = Server::new(4, Some(1));
        let mut session = server.open(Instant::ZERO).unwrap();
        let ping = Message::Ping { number: 1, data: b"x" }.to_bytes();
        for _ in 0..2 {
            server.on_message(Instant::ZERO, &mut session, &ping).unwrap();
        }
        let owed: Vec<_> =
            std::iter::from_fn(|| server.poll(Instant::ZERO, &mut session)).take(3).collect();
        assert!(matches!(owed[..], [Output::Message(_), Output::Cookie(_), Output::Close]));
    }

    #[test]
    fn sessions_and_what_waits_in_them_have_bounds() {
        let mut server = Server::new(1, None);
        let mut session = server.open(Instant::ZERO).unwrap();
        assert!(server.open(Instant::ZERO).is_none());
        assert_eq!(server.load(), 1.0);
        let ping = Message::Ping { number: 1, data: &[0; 60_000] }.to_bytes();
        let refused = (0..100)
            .find_map(|_| server.on_message(Instant::ZERO, &mut session, &ping).err())
            .unwrap();
        assert_eq!(refused, Refusal::TooMuch(WAITING_LEN_MAX as u64));
        server.close(Instant::ZERO, session);
        assert!(server.open(Instant::ZERO).is_some());
    }
}
