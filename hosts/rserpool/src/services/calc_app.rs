//! CalcApp: jobs of so many calculations, which an element pretends to do.
//!
//! ```text
//! message | type | 0 | 24 | job u32 | size u64 | completed u64 |
//! cookie  | job u32 | size u64 | completed u64 |
//! ```
//!
//! A user requests a job; the element accepts or rejects it, gives cookies meanwhile, and says
//! when it is complete. Both ask for signs of life.

mod client;
mod server;

pub use client::{Client, Config, Event, Statistics};
pub use server::{Limits, Server};

use super::codec::{ParseError, Reader, Writer};

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user wants a job done.
    Request = 1,
    /// The element does it.
    Accept = 2,
    /// The element does not.
    Reject = 3,
    /// The job is given up.
    Abort = 4,
    /// The job is done.
    Complete = 5,
    /// Is somebody there?
    KeepAlive = 6,
    /// Yes.
    KeepAliveAck = 7,
}

/// A job, as far as it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// The user's number of it.
    pub id: u32,
    /// How many calculations it has.
    pub size: u64,
    /// How many of them are done.
    pub completed: u64,
}

/// A message of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub kind: Kind,
    /// Of what job. Only [`Kind::Request`] and [`Kind::Complete`] tell its size, only the latter
    /// what is completed.
    pub job: Job,
}

impl Message {
    /// A message that tells no more of a job than its number.
    #[must_use]
    pub const fn of(kind: Kind, id: u32) -> Self {
        Self { kind, job: Job { id, size: 0, completed: 0 } }
    }

    /// Reads a message.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let (kind, _, fields) = Reader::message(bytes)?;
        let kind = match kind {
            1 => Kind::Request,
            2 => Kind::Accept,
            3 => Kind::Reject,
            4 => Kind::Abort,
            5 => Kind::Complete,
            6 => Kind::KeepAlive,
            7 => Kind::KeepAliveAck,
            other => return Err(ParseError::Type(other)),
        };
        Ok(Self { kind, job: read_job(fields)? })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let Job { id, size, completed } = self.job;
        Writer::message(self.kind as u8, 0).u32(id).u64(size).u64(completed).finish()
    }
}

/// What a job is at. It has no mark of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The job.
    pub job: Job,
}

impl Cookie {
    /// Reads a cookie.
    ///
    /// # Errors
    ///
    /// If it is none of this service.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let job = read_job(Reader::fields(bytes))?;
        match job.completed <= job.size {
            true => Ok(Self { job }),
            false => Err(ParseError::Value { field: "completed", value: job.completed }),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&self.job.id.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.job.size.to_be_bytes());
        bytes[12..].copy_from_slice(&self.job.completed.to_be_bytes());
        bytes
    }
}

fn read_job(mut fields: Reader<'_>) -> Result<Job, ParseError> {
    let job = Job { id: fields.u32()?, size: fields.u64()?, completed: fields.u64()? };
    fields.end()?;
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::{Service, recorded};

    #[test]
    fn recorded_messages_are_written_again_as_they_came() {
        let mut kinds = [0; 8];
        for recording in ["calcapp-session", "calcapp-reject"] {
            for said in recorded::said(recording, Service::CalcApp) {
                if said.ppid == Service::CalcApp.ppid() {
                    let message = Message::parse(&said.data).unwrap();
                    assert_eq!(message.to_bytes(), said.data);
                    kinds[message.kind as usize] += 1;
                }
            }
            for cookie in recorded::cookies(recording, Service::CalcApp) {
                assert_eq!(Cookie::parse(&cookie).unwrap().to_bytes()[..], cookie);
                kinds[0] += 1;
            }
        }
        // Nobody aborts a job there.
        assert_eq!(kinds.iter().filter(|&&count| count > 0).count(), 7, "{kinds:?}");
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_refused() {
        let message = Message::of(Kind::Accept, 7).to_bytes();
        for len in 0..message.len() {
            assert!(Message::parse(&message[..len]).is_err(), "{len}");
        }
        let mut long = message;
        long.extend([0; 4]);
        long[3] = 28;
        assert_eq!(Message::parse(&long), Err(ParseError::TooLong(4)));
        assert_eq!(Message::parse(&[8, 0, 0, 4]), Err(ParseError::Type(8)));
    }

    #[test]
    fn a_cookie_has_not_done_more_than_there_is() {
        let cookie = Cookie { job: Job { id: 1, size: 7, completed: 8 } }.to_bytes();
        let error = ParseError::Value { field: "completed", value: 8 };
        assert_eq!(Cookie::parse(&cookie), Err(error));
    }
}
