//! Lets tests of machines read like packet traces: what goes in is called, what comes out is
//! logged as lines of text with the time in milliseconds.

use core::fmt::Debug;
use std::string::String;
use std::vec::Vec;
use std::{format, println};

use super::InputError;
use crate::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use crate::machine::Machine;
use crate::time::Instant;

/// A machine, a clock and a log.
pub(crate) struct Trace<M> {
    pub(crate) machine: M,
    now_ms: u64,
    log: Vec<String>,
    buf: [u8; 2_048],
}

impl<M> Trace<M>
where
    M: for<'a> Machine<
            Input<'a> = Input<'a>,
            Transmit = Transmit,
            Error = InputError,
            Event: Debug,
        >,
{
    pub(crate) fn new(machine: M) -> Self {
        Self { machine, now_ms: 0, log: Vec::new(), buf: [0xee; 2_048] }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_millis(self.now_ms)
    }

    /// Runs a command and drains.
    pub(crate) fn command<R>(&mut self, command: impl FnOnce(&mut M, Instant) -> R) -> R {
        let result = command(&mut self.machine, Instant::from_millis(self.now_ms));
        self.drain();
        result
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> Result<(), InputError> {
        self.command(|machine, now| machine.handle_input(now, input))
    }

    /// Attempt `connect` is up as `association`; `None`: the peer called.
    pub(crate) fn up(&mut self, association: u32, connect: impl Into<Option<u32>>) {
        let up = Input::Up {
            association: AssociationId(association),
            connect: connect.into().map(ConnectId),
            peer_addresses: &[],
            peer_port: 3863,
        };
        self.input(up).unwrap();
    }

    pub(crate) fn refused(&mut self, connect: u32) {
        self.input(Input::ConnectFailed { connect: ConnectId(connect) }).unwrap();
    }

    pub(crate) fn down(&mut self, association: u32) {
        let association = AssociationId(association);
        self.input(Input::Down { association, reason: DownReason::Lost }).unwrap();
    }

    /// A message in hexadecimal digits comes in.
    pub(crate) fn receive(&mut self, association: u32, hex: &str) -> Result<(), InputError> {
        self.receive_as(Ppid::ASAP, association, hex)
    }

    pub(crate) fn receive_as(
        &mut self,
        ppid: Ppid,
        association: u32,
        hex: &str,
    ) -> Result<(), InputError> {
        let association = AssociationId(association);
        let data = bytes(hex);
        self.input(Input::Message { association, stream: StreamId(0), ppid, data: &data })
    }

    /// Lets time pass, with all timers on the way, until `ms`.
    pub(crate) fn run_until(&mut self, ms: u64) {
        let end = Instant::from_millis(ms);
        for _ in 0..10_000 {
            let Some(next) = self.machine.poll_timeout().filter(|&next| next <= end) else {
                self.now_ms = self.now_ms.max(ms);
                return;
            };
            self.now_ms = self.now_ms.max(next.as_micros().div_ceil(1_000));
            let now = self.now();
            self.machine.handle_timeout(now);
            self.drain();
            let again = self.machine.poll_timeout();
            assert!(again.is_none_or(|again| again > now), "busy loop at {now:?}: {again:?}");
        }
        panic!("endless loop");
    }

    /// What came out since the last call.
    pub(crate) fn log(&mut self) -> Vec<String> {
        for line in &self.log {
            println!("{line}");
        }
        core::mem::take(&mut self.log)
    }

    /// The same without the times.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        let untimed = |line: String| String::from(line.split_once(' ').unwrap().1);
        self.log().into_iter().map(untimed).collect()
    }

    fn drain(&mut self) {
        let now = self.now();
        while let Some(transmit) = self.machine.poll_transmit(now, &mut self.buf) {
            let line = match transmit {
                Transmit::Connect { connect, endpoint } => {
                    format!("connect {} to {endpoint}", connect.0)
                }
                Transmit::CancelConnect { connect } => format!("cancel {}", connect.0),
                Transmit::Message { association, stream, ppid, len } => {
                    assert_eq!((stream, ppid), (StreamId(0), Ppid::ASAP));
                    format!("{}> {}", association.0, hex(&self.buf[..len]))
                }
                Transmit::Shutdown { association } => format!("shutdown {}", association.0),
                Transmit::Abort { association } => format!("abort {}", association.0),
                Transmit::Multicast { channel, len } => {
                    format!("{channel:?}> {}", hex(&self.buf[..len]))
                }
            };
            self.log.push(format!("{} {line}", self.now_ms));
        }
        while let Some(event) = self.machine.poll_event() {
            self.log.push(format!("{} {event:?}", self.now_ms));
        }
    }
}

/// The bytes that hexadecimal digits stand for; blanks do not count.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Host `last` of the captures' network, at the port of ASAP.
pub(crate) fn registrar(last: u8) -> Endpoint {
    Endpoint::new(core::net::SocketAddr::from(([10, 77, 0, last], 3863)))
}
