//! One association between two stacks over a simulated network, from handshake to end.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::time::Instant;

use crate::network::{Network, Weather};
use crate::sctp_stack::{End, Message, RUN_MAX, Stack};

/// The address of the end that connects.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
/// The address of the end that accepts.
pub const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

/// What happens in a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How the network behaves.
    pub weather: Weather,
    /// Messages each way.
    pub message_count: u32,
    /// The longest message.
    pub len_max: u64,
    /// Streams that are used.
    pub streams: u64,
    /// One message in so many is unordered; 0 is none.
    pub unordered_every: u64,
    /// The PPID of all messages; without it each has its own.
    pub ppid: Option<u32>,
    /// How it ends once all messages have arrived, or one end gave up.
    pub ending: Ending,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client shuts down.
    ClientShutsDown,
    /// The server shuts down.
    ServerShutsDown,
    /// Both at once.
    BothShutDown,
    /// The client aborts.
    ClientAborts,
    /// The server aborts.
    ServerAborts,
}

/// What came out of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended at the client and at the server; the server may never have known of it.
    pub ends: [Option<End>; 2],
    /// Messages that arrived at the client and at the server.
    pub received: [u32; 2],
    /// Whether all messages arrived, both ways.
    pub complete: bool,
    /// See [`Network::digest`].
    pub digest: u64,
    /// How long it took.
    pub took: Duration,
    /// Packets sent and lost.
    pub packets: (u64, u64),
}

/// One end with what it has sent and received.
struct Side<'s> {
    stack: &'s mut dyn Stack,
    to_send: Vec<Message>,
    sent_count: usize,
    seen: Vec<bool>,
    last_of_stream: BTreeMap<u16, u32>,
    expected: Vec<Message>,
    received_count: u32,
}

impl Side<'_> {
    /// Queues what there is room for; takes and checks what has come in.
    fn work(&mut self, now: Instant) {
        if self.stack.was_up() && self.stack.end().is_none() {
            while let Some(message) = self.to_send.get(self.sent_count) {
                if !self.stack.send(now, message) {
                    break;
                }
                self.sent_count += 1;
            }
        }
        while let Some(message) = self.stack.recv(now) {
            self.check(&message);
        }
    }

    fn check(&mut self, message: &Message) {
        let name = self.stack.name();
        let number = message.data.first_chunk().map(|&bytes| u32::from_be_bytes(bytes));
        let number = number.expect("messages have at least 4 bytes");
        let sent = self.expected.get(number as usize).expect("nobody sent that");
        assert!(message.data == sent.data, "{name}: {number} is broken");
        assert_eq!((message.stream, message.ppid), (sent.stream, sent.ppid), "{name}: {number}");
        if message.unordered.is_some() {
            assert_eq!(message.unordered, sent.unordered, "{name}: {number}");
        }
        let seen = self.seen.get_mut(number as usize).expect("as long as what is expected");
        assert!(!std::mem::replace(seen, true), "{name}: {number} came twice");
        self.received_count += 1;
        if sent.unordered == Some(false) {
            let last = self.last_of_stream.insert(message.stream, number);
            assert!(last.is_none_or(|last| last < number), "{name}: {number} is out of order");
        }
    }

    fn is_done(&self) -> bool {
        self.sent_count == self.to_send.len() && self.seen.iter().all(|&seen| seen)
    }
}

const PPID: u32 = 0x5253_0000;

fn messages(plan: &Plan, random: &mut SplitMix64) -> Vec<Message> {
    (0..plan.message_count)
        .map(|number| {
            let longest = plan.len_max - 4;
            let len = match random.below(3) {
                0 => random.below(longest.min(64)),
                1 => random.below(longest.min(1_400)),
                _ => random.below(longest),
            };
            let mut data = number.to_be_bytes().to_vec();
            data.resize(4 + len as usize, number as u8);
            let is_unordered = plan.unordered_every > 0 && random.below(plan.unordered_every) == 0;
            Message {
                stream: random.below(plan.streams) as u16,
                ppid: plan.ppid.unwrap_or(number ^ PPID),
                unordered: Some(is_unordered),
                data,
            }
        })
        .collect()
}

/// Runs the plan.
///
/// # Panics
///
/// If a message is broken, comes twice or out of order, or if the run hangs.
pub fn run<'s>(
    plan: &Plan,
    seed: u64,
    client: &'s mut (dyn Stack + 's),
    server: &'s mut (dyn Stack + 's),
) -> Outcome {
    let mut network = Network::new(seed, plan.weather);
    let mut random = SplitMix64::new(seed ^ 0x6d65_7373_6167_6573);
    let mut sides = [client, server].map(|stack| Side {
        stack,
        to_send: messages(plan, &mut random),
        sent_count: 0,
        seen: vec![false; plan.message_count as usize],
        last_of_stream: BTreeMap::new(),
        expected: Vec::new(),
        received_count: 0,
    });
    sides[0].expected = sides[1].to_send.clone();
    sides[1].expected = sides[0].to_send.clone();
    let start = network.now();
    sides[0].stack.connect(start);
    let mut is_ending = false;
    while step(&mut network, &mut sides) {
        let now = network.now();
        assert!(
            now.saturating_duration_since(start) < RUN_MAX,
            "hangs: {:?}",
            sides.each_ref().map(|side| (side.stack.end(), side.sent_count, side.received_count))
        );
        if !is_ending && sides.iter().all(Side::is_done) {
            is_ending = true;
            begin_end(plan.ending, now, &mut sides);
        }
    }
    Outcome {
        ends: sides.each_ref().map(|side| side.stack.end()),
        received: sides.each_ref().map(|side| side.received_count),
        complete: sides.iter().all(Side::is_done),
        digest: network.digest(),
        took: network.now().saturating_duration_since(start),
        packets: network.counts(),
    }
}

fn begin_end(ending: Ending, now: Instant, [client, server]: &mut [Side<'_>; 2]) {
    match ending {
        Ending::ClientShutsDown => client.stack.shutdown(now),
        Ending::ServerShutsDown => server.stack.shutdown(now),
        Ending::BothShutDown => {
            client.stack.shutdown(now);
            server.stack.shutdown(now);
        }
        Ending::ClientAborts => client.stack.abort(now),
        Ending::ServerAborts => server.stack.abort(now),
    }
}

/// Drains both ends, then lets the clock jump to what comes next; whether anything does.
fn step(network: &mut Network, sides: &mut [Side<'_>; 2]) -> bool {
    let now = network.now();
    for side in &mut *sides {
        // Reading and queueing may release packets, and these make room: until nothing moves.
        for _ in 0..ROUNDS_MAX {
            let mut is_still = true;
            while let Some(envelope) = side.stack.output(now) {
                network.send(envelope);
                is_still = false;
            }
            side.work(now);
            if is_still {
                break;
            }
        }
    }
    let timers = sides.iter().filter_map(|side| side.stack.next_timeout()).min();
    // An end that is over may have timers; nobody waits for them.
    let is_over =
        |side: &Side<'_>| side.stack.end().is_some() || side.stack.next_timeout().is_none();
    if network.next_arrival().is_none() && sides.iter().all(is_over) {
        return false;
    }
    let Some(next) = Instant::earliest(network.next_arrival(), timers) else { return false };
    network.advance(next);
    let now = network.now();
    for side in &mut *sides {
        if side.stack.next_timeout().is_some_and(|at| at <= now) {
            side.stack.timeout(now);
        }
    }
    while let Some(envelope) = network.arrive() {
        let index = usize::from(envelope.to == SERVER);
        sides[index].stack.input(now, &envelope);
        while let Some(envelope) = sides[index].stack.output(now) {
            network.send(envelope);
        }
        sides[index].work(now);
    }
    true
}

/// Rounds of draining and working in one instant: far more than any run needs.
const ROUNDS_MAX: usize = 10_000;
