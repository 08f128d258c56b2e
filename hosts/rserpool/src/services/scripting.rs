//! Scripting: a user uploads a package, the element runs it, and the user downloads what it made.
//!
//! ```text
//! NotReady     | 0 | 0 | length | reason u32 | text |          element to user
//! Ready        | 1 | 0 | length | text |                       element to user
//! Upload       | 2 | 0 | length | data, none at the end |      user to element
//! Download     | 3 | 0 | length | data, none at the end |      element to user
//! KeepAlive    | 4 | 0 | 4 |                                   both
//! KeepAliveAck | 5 | 0 | length | status u32, if an element's | both
//! Status       | 6 | 0 | 8 | exit status u32 |                 element to user
//! Environment  | 7 | flag 1: upload it | 24 | SHA-1 |          both
//! ```
//!
//! A package is a tar archive with an executable `ssrun`, which is given the name of the file
//! that it is to make. There are no cookies: after a failover all of it is done again.

mod client;
mod server;

pub use client::{Client, Config, Event, Statistics};
pub use server::{Limits, Outcome, Run, Server};

use super::codec::{ParseError, Reader, Writer};

/// A SHA-1, which names an environment.
pub type Hash = [u8; 20];

/// A message of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The element takes no package now.
    NotReady {
        /// Why; see [`REASON_FULL`].
        reason: u32,
        /// Who says so, at most [`TEXT_LEN_MAX`] bytes.
        text: &'a [u8],
    },
    /// The element takes a package.
    Ready {
        /// Who says so, at most [`TEXT_LEN_MAX`] bytes.
        text: &'a [u8],
    },
    /// A part of a package or of an environment; nothing at its end.
    Upload(&'a [u8]),
    /// A part of the output; nothing at its end.
    Download(&'a [u8]),
    /// Is somebody there?
    KeepAlive,
    /// Yes.
    KeepAliveAck {
        /// An element tells a status, a user does not.
        status: Option<u32>,
    },
    /// The first time: the script runs. The second time: it has ended.
    Status(u32),
    /// The environment that the package needs.
    Environment {
        /// Which one.
        hash: Hash,
        /// The element does not have it.
        is_needed: bool,
    },
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (kind, flags, mut fields) = Reader::message(bytes)?;
        let (message, rest) = match kind {
            NOT_READY => {
                let reason = fields.u32()?;
                return Ok(Self::NotReady { reason, text: fields.rest(TEXT_LEN_MAX)? });
            }
            READY => return Ok(Self::Ready { text: fields.rest(TEXT_LEN_MAX)? }),
            UPLOAD => return Ok(Self::Upload(fields.rest(DATA_LEN_MAX)?)),
            DOWNLOAD => return Ok(Self::Download(fields.rest(DATA_LEN_MAX)?)),
            KEEP_ALIVE => (Self::KeepAlive, fields),
            KEEP_ALIVE_ACK => {
                let is_users = fields.end().is_ok();
                let status = if is_users { None } else { Some(fields.u32()?) };
                (Self::KeepAliveAck { status }, fields)
            }
            STATUS => (Self::Status(fields.u32()?), fields),
            ENVIRONMENT => {
                let is_needed = flags & IS_NEEDED != 0;
                (Self::Environment { hash: fields.array()?, is_needed }, fields)
            }
            other => return Err(ParseError::Type(other)),
        };
        rest.end()?;
        Ok(message)
    }

    /// Its bytes.
    ///
    /// # Panics
    ///
    /// If its data does not fit a message.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::NotReady { reason, text } => {
                Writer::message(NOT_READY, 0).u32(reason).bytes(text)
            }
            Self::Ready { text } => Writer::message(READY, 0).bytes(text),
            Self::Upload(data) => Writer::message(UPLOAD, 0).bytes(data),
            Self::Download(data) => Writer::message(DOWNLOAD, 0).bytes(data),
            Self::KeepAlive => Writer::message(KEEP_ALIVE, 0),
            Self::KeepAliveAck { status: None } => Writer::message(KEEP_ALIVE_ACK, 0),
            Self::KeepAliveAck { status: Some(status) } => {
                Writer::message(KEEP_ALIVE_ACK, 0).u32(status)
            }
            Self::Status(status) => Writer::message(STATUS, 0).u32(status),
            Self::Environment { hash, is_needed } => {
                Writer::message(ENVIRONMENT, u8::from(is_needed) * IS_NEEDED).bytes(&hash)
            }
        }
        .finish()
    }
}

/// The most data of an Upload or a Download.
pub const DATA_LEN_MAX: usize = 16_384;

/// The longest text of a Ready or a NotReady.
pub const TEXT_LEN_MAX: usize = 64;

/// The reason to be not ready: as many sessions as there may be.
pub const REASON_FULL: u32 = 1;

const NOT_READY: u8 = 0;
const READY: u8 = 1;
const UPLOAD: u8 = 2;
const DOWNLOAD: u8 = 3;
const KEEP_ALIVE: u8 = 4;
const KEEP_ALIVE_ACK: u8 = 5;
const STATUS: u8 = 6;
const ENVIRONMENT: u8 = 7;
const IS_NEEDED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Service, recorded};

    #[test]
    fn recorded_messages_are_written_again_as_they_came() {
        let mut kinds = [0; 8];
        for said in recorded::said("scripting-notready", Service::Scripting) {
            let message = Message::parse(&said.data).unwrap();
            assert_eq!(message.to_bytes(), said.data);
            kinds[usize::from(said.data[0])] += 1;
        }
        assert_eq!(kinds, [3, 2, 4, 4, 2, 2, 4, 0]);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for message in [
            Message::NotReady { reason: REASON_FULL, text: b"" },
            Message::Status(7),
            Message::KeepAliveAck { status: Some(7) },
            Message::Environment { hash: [7; 20], is_needed: true },
        ] {
            let bytes = message.to_bytes();
            assert_eq!(Message::parse(&bytes), Ok(message));
            for len in 0..bytes.len() {
                let mut cut = bytes[..len].to_vec();
                if let Some(said_len) = cut.get_mut(3) {
                    *said_len = len as u8;
                }
                // An acknowledgement without a status is a user's.
                let is_users = message == Message::KeepAliveAck { status: Some(7) } && len == 4;
                assert_eq!(Message::parse(&cut).is_ok(), is_users, "{message:?} {len}");
            }
        }
    }

    #[test]
    fn an_upload_has_its_bound() {
        let mut bytes = Message::Upload(&[7; DATA_LEN_MAX]).to_bytes();
        assert!(Message::parse(&bytes).is_ok());
        bytes.push(7);
        bytes[2..4].copy_from_slice(&(DATA_LEN_MAX as u16 + 5).to_be_bytes());
        assert_eq!(Message::parse(&bytes), Err(ParseError::TooLong(1)));
    }
}
