//! Commands to two endpoints and to the network between them.
//!
//! Input: one command a byte: the low three bits say what, the high five with what. Afterwards
//! the network is kind, and everything must come to an end.

use std::collections::VecDeque;

use rserpool_core::sctp::{Config, Inline};
use rserpool_core::time::Instant;

use super::sctp_data::check_packet;
use crate::network::Envelope;
use crate::sctp_run::{CLIENT, SERVER};
use crate::sctp_stack::{End, Message, Ours, Stack};

type Small = Ours<Inline<1, 2_048, 2_048, 8>>;

struct Side {
    stack: Small,
    /// Messages sent, and of the other side's, which were received.
    sent: Vec<Message>,
    seen: Vec<bool>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// An end was asked for: what is not read before the association is gone is lost.
    is_closing: bool,
    /// On the way to each side.
    in_transit: [VecDeque<Envelope>; 2],
}

/// Runs the commands that `data` encodes.
///
/// # Panics
///
/// If a message is lost, broken, doubled or out of order, or the pair does not come to an end.
pub fn run(data: &[u8]) {
    let side = |seed, address, peer| Side {
        stack: Ours::small(seed, address, peer, Config::DEFAULT),
        sent: Vec::new(),
        seen: Vec::new(),
    };
    let mut pair = Pair {
        now: Instant::from_millis(1_000),
        sides: [side(1, CLIENT, SERVER), side(2, SERVER, CLIENT)],
        is_closing: false,
        in_transit: [VecDeque::new(), VecDeque::new()],
    };
    pair.sides[0].stack.connect(pair.now);
    pair.drain();
    for &command in data.iter().take(COMMANDS_MAX) {
        pair.obey(command & 7, usize::from(command >> 3));
    }
    pair.come_to_an_end();
}

impl Pair {
    fn obey(&mut self, command: u8, argument: usize) {
        let (side, argument) = (argument & 1, argument >> 1);
        match command {
            0 | 1 => self.deliver(side),
            2 => {
                self.in_transit[side].pop_front();
            }
            3 => {
                // The first goes behind the others, or once more.
                if let Some(envelope) = self.in_transit[side].front().cloned() {
                    self.in_transit[side].push_back(envelope);
                    if argument & 1 == 0 {
                        self.in_transit[side].pop_front();
                    }
                }
            }
            4 => self.send(side, argument),
            5 => self.read(side),
            6 => self.let_time_pass(),
            _ => self.close(side, argument),
        }
        self.drain();
    }

    fn send(&mut self, side: usize, argument: usize) {
        let number = self.sides[side].sent.len();
        let mut data = vec![number as u8; [4, 60, 700, 1_500][argument & 3]];
        data[..4].copy_from_slice(&(number as u32).to_be_bytes());
        let unordered = Some(argument & 4 != 0);
        let stream = (argument >> 3) as u16 & 1;
        let message = Message { stream, ppid: number as u32, unordered, data };
        if self.sides[side].stack.send(self.now, &message) {
            self.sides[side].sent.push(message);
        }
    }

    fn read(&mut self, side: usize) {
        while let Some(message) = self.sides[side].stack.recv(self.now) {
            let [a, b] = &mut self.sides;
            let (reader, writer) = if side == 0 { (a, b) } else { (b, a) };
            let number = message.ppid as usize;
            assert_eq!(writer.sent.get(number), Some(&message), "side {side}");
            reader.seen.resize(writer.sent.len(), false);
            assert!(!std::mem::replace(&mut reader.seen[number], true), "{number} came twice");
            if message.unordered == Some(false) {
                let is_later = |(other, sent): (usize, &Message)| {
                    other > number
                        && sent.stream == message.stream
                        && sent.unordered == Some(false)
                };
                let overtook = (writer.sent.iter().enumerate())
                    .any(|(other, sent)| is_later((other, sent)) && reader.seen[other]);
                assert!(!overtook, "{number} is out of order");
            }
        }
    }

    fn close(&mut self, side: usize, argument: usize) {
        self.is_closing = true;
        self.read(0);
        self.read(1);
        if argument == 15 {
            self.sides[side].stack.abort(self.now);
        } else {
            self.sides[side].stack.shutdown(self.now);
        }
    }

    fn deliver(&mut self, side: usize) {
        if let Some(envelope) = self.in_transit[side].pop_front() {
            self.sides[side].stack.input(self.now, &envelope);
        }
        if self.is_closing {
            self.read(side);
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            for count in 0.. {
                assert!(count < PACKETS_MAX, "does not fall silent");
                let Some(envelope) = self.sides[side].stack.output(self.now) else { break };
                check_packet(&envelope.bytes);
                self.in_transit[1 - side].push_back(envelope);
            }
        }
    }

    fn let_time_pass(&mut self) {
        let next = self.sides.iter().filter_map(|side| side.stack.next_timeout()).min();
        let Some(next) = next else { return };
        self.now = self.now.max(next);
        for side in &mut self.sides {
            side.stack.timeout(self.now);
        }
        self.drain();
        for side in &self.sides {
            let next = side.stack.next_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "{next:?} is not after {:?}",
                self.now
            );
        }
    }

    /// Every packet arrives at once; both users read, then shut down.
    fn come_to_an_end(&mut self) {
        for _ in 0..ROUNDS_MAX {
            for side in 0..2 {
                self.deliver(side);
                self.drain();
                self.read(side);
                self.drain();
            }
            if self.in_transit.iter().any(|packets| !packets.is_empty()) {
                continue;
            }
            if self.was_restarted() || self.all_arrived() {
                self.sides[0].stack.shutdown(self.now);
                self.drain();
            }
            let is_over = |side: &Side| side.stack.end().is_some() || !side.stack.was_up();
            if self.sides.iter().all(is_over) && self.sides[0].stack.end().is_some() {
                break;
            }
            self.let_time_pass();
        }
        let ends = self.sides.each_ref().map(|side| side.stack.end());
        assert!(ends[0].is_some(), "the client does not end: {ends:?}");
        assert!(ends[1].is_some() || !self.sides[1].stack.was_up(), "nor the server: {ends:?}");
        if ends == [Some(End::Shutdown); 2] && !self.was_restarted() {
            assert!(self.all_arrived(), "a graceful end lost something");
        }
    }

    fn was_restarted(&self) -> bool {
        self.sides.iter().any(|side| side.stack.was_restarted())
    }

    fn all_arrived(&self) -> bool {
        let [a, b] = &self.sides;
        let has_all = |reader: &Side, writer: &Side| {
            let seen_count = reader.seen.iter().filter(|&&seen| seen).count();
            seen_count == writer.sent.len()
        };
        has_all(a, b) && has_all(b, a)
    }
}

/// Commands that are obeyed.
const COMMANDS_MAX: usize = 2_000;
/// More packets than one event may release.
const PACKETS_MAX: u32 = 600;
/// Rounds until everything has come to an end.
const ROUNDS_MAX: u32 = 20_000;
