//! What happened, as a number and, if wanted, as text.

use rserpool_core::association::Input;
use rserpool_core::time::Instant;
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::enrp::EnrpMessage;

use super::{ENRP_PORT, PORT};

/// A hash of all inputs of all machines, and when they came.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) is_printed: bool,
    hash: u64,
}

impl Trace {
    pub(super) fn digest(&self) -> u64 {
        self.hash
    }

    pub(super) fn note_input(&mut self, now: Instant, node: usize, port: u16, input: &Input<'_>) {
        self.take(now.as_micros());
        self.take((node as u64) << 16 | u64::from(port));
        match *input {
            Input::Up { association, connect, .. } => {
                self.take(1 << 32 | u64::from(association.0));
                self.take(connect.map_or(u64::MAX, |connect| u64::from(connect.0)));
            }
            Input::ConnectFailed { connect } => self.take(2 << 32 | u64::from(connect.0)),
            Input::Message { association, stream, data, .. } => {
                self.take(3 << 32 | u64::from(association.0));
                self.take(u64::from(stream.0));
                self.take_bytes(data);
            }
            Input::Down { association, reason } => {
                self.take(4 << 32 | u64::from(association.0));
                self.take(reason as u64);
            }
            Input::RoundTrip { association, micros } => {
                self.take(6 << 32 | u64::from(association.0));
                self.take(u64::from(micros));
            }
            ref other => panic!("the scope makes no {other:?}"),
        }
        if self.is_printed {
            eprintln!("{} node {node} :{port} {}", seconds(now), described(port, input));
        }
    }

    pub(super) fn note_datagram(&mut self, now: Instant, node: usize, port: u16, data: &[u8]) {
        self.take(now.as_micros());
        self.take(5 << 32 | (node as u64) << 16 | u64::from(port));
        self.take_bytes(data);
        if self.is_printed {
            eprintln!("{} node {node} :{port} multicast, {} bytes", seconds(now), data.len());
        }
    }

    /// What was done to the scope.
    pub(super) fn note_blow(&mut self, now: Instant, text: impl FnOnce() -> String) {
        self.take(now.as_micros());
        if self.is_printed {
            eprintln!("{} ==== {}", seconds(now), text());
        }
    }

    fn take(&mut self, word: u64) {
        // The multiplier of FNV-1a, on words: nobody forges traces.
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }

    fn take_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.take(u64::from_le_bytes(word));
        }
        for &byte in rest {
            self.take(u64::from(byte));
        }
    }
}

fn seconds(at: Instant) -> String {
    format!("{:>5}.{:06}", at.as_micros() / 1_000_000, at.as_micros() % 1_000_000)
}

fn described(port: u16, input: &Input<'_>) -> String {
    let Input::Message { association, data, .. } = input else { return format!("{input:?}") };
    let id = association.0;
    match port {
        PORT => format!("#{id} {:?}", AsapMessage::parse(data)),
        ENRP_PORT => format!("#{id} {:?}", EnrpMessage::parse(data)),
        _ => format!("#{id} {data:02x?}"),
    }
}
