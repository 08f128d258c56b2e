//! PingPong: numbered replies to numbered messages.
//!
//! ```text
//! Ping    | 1 | 0 | length | message number u64 | data |
//! Pong    | 2 | 0 | length | message number u64 | reply number u64 | data of the ping |
//! cookie  | "<PP-TD1>" | number of the next reply u64 |
//! ```
//!
//! An element counts its replies from 1 and gives a cookie after each, by which another goes on
//! counting.

mod client;
mod server;

pub use client::{Client, Config, Event, Statistics};
pub use server::Server;

use super::codec::{MESSAGE_LEN_MAX, ParseError, Reader, Writer};

/// A message of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A user's.
    Ping {
        /// Counted from 1.
        number: u64,
        /// At most [`DATA_LEN_MAX`] bytes.
        data: &'a [u8],
    },
    /// An element's answer.
    Pong {
        /// The number of the ping.
        number: u64,
        /// How many replies there were, by all elements of the session.
        reply: u64,
        /// The data of the ping.
        data: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads a message. A ping is refused if its data would not fit a pong.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (kind, _, mut fields) = Reader::message(bytes)?;
        match kind {
            PING => Ok(Self::Ping { number: fields.u64()?, data: fields.rest(DATA_LEN_MAX)? }),
            PONG => Ok(Self::Pong {
                number: fields.u64()?,
                reply: fields.u64()?,
                data: fields.rest(DATA_LEN_MAX)?,
            }),
            other => Err(ParseError::Type(other)),
        }
    }

    /// Its bytes.
    ///
    /// # Panics
    ///
    /// If there are more than [`DATA_LEN_MAX`] bytes of data.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Ping { number, data } => Writer::message(PING, 0).u64(number).bytes(data),
            Self::Pong { number, reply, data } => {
                Writer::message(PONG, 0).u64(number).u64(reply).bytes(data)
            }
        }
        .finish()
    }
}

/// What a session is at: the number of the next reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// That number.
    pub next_reply: u64,
}

impl Cookie {
    /// Reads a cookie.
    ///
    /// # Errors
    ///
    /// If it is none of this service.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let mut fields = Reader::fields(bytes);
        if fields.array()? != COOKIE_MARK {
            return Err(ParseError::Cookie);
        }
        let next_reply = fields.u64()?;
        fields.end()?;
        Ok(Self { next_reply })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&COOKIE_MARK);
        bytes[8..].copy_from_slice(&self.next_reply.to_be_bytes());
        bytes
    }
}

/// The most data that a ping and its pong can have.
pub const DATA_LEN_MAX: usize = MESSAGE_LEN_MAX - 20;

const PING: u8 = 1;
const PONG: u8 = 2;
const COOKIE_MARK: [u8; 8] = *b"<PP-TD1>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Service, recorded};

    #[test]
    fn recorded_messages_are_written_again_as_they_came() {
        let mut count = 0;
        for recording in
            ["pingpong-session", "pingpong-failover-kill9", "pingpong-failover-failureafter"]
        {
            for said in recorded::said(recording, Service::PingPong) {
                if said.ppid == Service::PingPong.ppid() {
                    assert_eq!(Message::parse(&said.data).unwrap().to_bytes(), said.data);
                    count += 1;
                }
            }
            for cookie in recorded::cookies(recording, Service::PingPong) {
                assert_eq!(Cookie::parse(&cookie).unwrap().to_bytes()[..], cookie);
                count += 1;
            }
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn a_recorded_pong_has_both_numbers_and_the_data() {
        let said = recorded::said("pingpong-failover-kill9", Service::PingPong);
        let last = said.iter().rev().find(|said| said.data[0] == PONG).unwrap();
        let Ok(Message::Pong { number: 19, reply: 19, data }) = Message::parse(&last.data) else {
            panic!("{:?}", Message::parse(&last.data));
        };
        assert!(data.starts_with(b"Nachricht: 19, Zeitstempel: "));
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let pong = Message::Pong { number: 1, reply: 2, data: b"" }.to_bytes();
        for len in 0..pong.len() {
            assert!(Message::parse(&pong[..len]).is_err(), "{len}");
        }
        let cookie = Cookie { next_reply: 7 }.to_bytes();
        for len in 0..cookie.len() {
            assert!(Cookie::parse(&cookie[..len]).is_err(), "{len}");
        }
        assert_eq!(Cookie::parse(b"<FG-TD1>\0\0\0\0\0\0\0\x07"), Err(ParseError::Cookie));
    }

    #[test]
    fn a_ping_that_no_pong_can_answer_is_refused() {
        let mut ping = vec![0; MESSAGE_LEN_MAX];
        ping[..4].copy_from_slice(&[PING, 0, 0xff, 0xff]);
        assert_eq!(Message::parse(&ping), Err(ParseError::TooLong(8)));
    }
}
