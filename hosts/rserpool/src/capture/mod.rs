//! Reads captures (pcap and pcapng) and takes the messages out of them: SCTP user messages, put
//! together from their fragments, and UDP datagrams.
//!
//! Ethernet, Linux cooked and raw IP; IPv4 and IPv6; SCTP over IP and over UDP (RFC 6951). IP
//! fragments are not put together: SCTP fragments by itself.

mod check;
mod file;
mod name;
mod packet;
mod reassembly;

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rserpool_core::association::Ppid;

pub use check::{RoundTrip, counts};
pub use name::Protocol;

use file::Frames;
use packet::{Content, Packet};
use reassembly::Reassembly;

/// The UDP port of SCTP encapsulation (RFC 6951).
pub const ENCAPSULATION_PORT: u16 = 9899;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be opened or read.
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    /// The file is no capture, or a broken one.
    #[error("not a well-formed pcap or pcapng file: {0}")]
    Format(#[from] pcap_file::PcapError),
}

/// A message found in a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The frame that completed it, counted from 1.
    pub frame: u64,
    /// When that was, since the first frame.
    pub time: Duration,
    /// From where; SCTP ports for SCTP.
    pub source: SocketAddr,
    /// To where.
    pub destination: SocketAddr,
    /// What carried it.
    pub carrier: Carrier,
    /// Whether it has been sent before: then [`data`](Self::data) may be but a fragment.
    pub retransmission: bool,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// What carried a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A user message of an SCTP association.
    Sctp {
        /// Its payload protocol identifier.
        ppid: Ppid,
        /// Its stream.
        stream: u16,
        /// The transmission sequence number of its last fragment.
        tsn: u32,
        /// Whether the association runs over UDP.
        over_udp: bool,
    },
    /// A UDP datagram.
    Udp,
}

/// The messages of a capture, in the order of the frames that completed them.
#[derive(Debug)]
pub struct Capture {
    frames: Frames<BufReader<File>>,
    reassembly: Reassembly,
    ready: VecDeque<Message>,
}

impl Capture {
    /// Opens a capture.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or is neither pcap nor pcapng.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Ok(Self {
            frames: Frames::new(BufReader::new(File::open(path)?))?,
            reassembly: Reassembly::default(),
            ready: VecDeque::new(),
        })
    }
}

impl Iterator for Capture {
    type Item = Result<Message, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(Ok(message));
            }
            let frame = match self.frames.next()? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(error)),
            };
            let Some(packet) = Packet::parse(frame.link, &frame.data) else {
                continue;
            };
            match packet.content {
                Content::Udp(data) => self.ready.push_back(Message {
                    frame: frame.number,
                    time: frame.time,
                    source: packet.source,
                    destination: packet.destination,
                    carrier: Carrier::Udp,
                    retransmission: false,
                    data: data.to_vec(),
                }),
                Content::Sctp { .. } => {
                    self.reassembly.on_packet(frame.number, frame.time, &packet, &mut self.ready);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_capture_is_refused() {
        let path = std::env::temp_dir().join(format!("no-capture-{}", std::process::id()));
        std::fs::write(&path, b"this is a text, and not a capture").unwrap();
        assert!(matches!(Capture::open(&path), Err(CaptureError::Format(_))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Capture::open(&path), Err(CaptureError::Io(_))));
    }
}
