//! SCTP stacks side by side, for `cargo xtask bench sctp`: each moves messages from one end to the
//! other over the same link in memory.
//!
//! `bench_sctp MESSAGES ROUNDS` prints a line
//! `stack,message_len,loss_per_mille,messages,packets,allocations,cpu_ns` for each stack, length
//! and loss, the least CPU time of the rounds. Each transfer runs inside [`measured`], by whose
//! name callgrind counts the instructions of each apart.

mod allocations;
mod dcsctp;
mod link;
mod ours;
mod sctp_proto;
#[cfg(feature = "usrsctp")]
mod usrsctp;

use std::hint::black_box;

use link::{Link, Side};
use nix::time::{ClockId, clock_gettime};
use rserpool_core::time::Instant;

/// Two ends of one association of a stack.
trait Pair {
    /// Opens the association.
    fn connect(&mut self, now: Instant);
    /// Whether both ends are up.
    fn is_up(&mut self) -> bool;
    /// Queues a message at the client; `false` if there is no room now.
    fn send(&mut self, now: Instant, message: &[u8]) -> bool;
    /// A packet arrived at `side`.
    fn input(&mut self, now: Instant, side: Side, packet: &[u8]);
    /// Puts all packets that `side` owes on the link.
    fn output(&mut self, now: Instant, side: Side, link: &mut Link);
    /// Reads a message at the server; its length.
    fn receive(&mut self, now: Instant, buf: &mut [u8]) -> Option<usize>;
    /// When a timer is due next.
    fn next_timeout(&self) -> Option<Instant>;
    /// Time has passed.
    fn timeout(&mut self, now: Instant);
}

/// The largest SCTP packet: 1500 bytes less the header of IPv4.
const PACKET_LEN_MAX: usize = 1_480;
/// What may be sent and not acknowledged, or received and not read.
const WINDOW: usize = 131_072;
const PORT: u16 = 5_000;

const MESSAGE_LENS: [usize; 2] = [64, 1_000];
const LOSSES_PER_MILLE: [u64; 2] = [0, 10];
/// Decides which packets get lost: the same for all.
const SEED: u64 = 0x6c6f_7373;

type Make = fn() -> Box<dyn Pair>;

const STACKS: &[(&str, Make)] = &[
    ("ours", || Box::new(ours::Ours::new())),
    ("dcsctp", || Box::new(dcsctp::Dcsctp::new())),
    ("sctp-proto", || Box::new(sctp_proto::SctpProto::new())),
    #[cfg(feature = "usrsctp")]
    ("usrsctp", || Box::new(usrsctp::Usrsctp::new())),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|text| text.parse::<u32>().ok());
    let (Some(messages), Some(rounds)) = (number(), number()) else {
        eprintln!("usage: bench_sctp MESSAGES ROUNDS");
        std::process::exit(2);
    };
    let mut least: Vec<Outcome> = Vec::new();
    // Round by round, so that what else the machine does hits all alike.
    for _ in 0..rounds {
        let mut outcomes = Vec::new();
        for message_len in MESSAGE_LENS {
            for loss_per_mille in LOSSES_PER_MILLE {
                for &(stack, make) in STACKS {
                    outcomes.push(run(stack, &mut *make(), message_len, loss_per_mille, messages));
                }
            }
        }
        if least.is_empty() {
            least = outcomes;
        } else {
            for (least, outcome) in least.iter_mut().zip(outcomes) {
                least.nanoseconds = least.nanoseconds.min(outcome.nanoseconds);
            }
        }
    }
    for outcome in least {
        let Outcome { stack, message_len, loss_per_mille, .. } = outcome;
        let Outcome { packets, allocations, nanoseconds, .. } = outcome;
        println!(
            "{stack},{message_len},{loss_per_mille},{messages},{packets},{allocations},\
             {nanoseconds}"
        );
    }
}

struct Outcome {
    stack: &'static str,
    message_len: usize,
    loss_per_mille: u64,
    packets: u64,
    allocations: u64,
    nanoseconds: u64,
}

fn run(
    stack: &'static str,
    pair: &mut dyn Pair,
    message_len: usize,
    loss_per_mille: u64,
    messages: u32,
) -> Outcome {
    let mut link = Link::new(SEED);
    let mut now = Instant::from_millis(1_000);
    set_up(pair, &mut link, &mut now);
    link.set_loss(loss_per_mille);
    let mut transfer = Transfer {
        pair,
        link: &mut link,
        now,
        message: vec![7; message_len],
        buf: vec![0; WINDOW],
        messages,
        sent: 0,
        received: 0,
    };
    let (start, allocations) = (cpu_time(), allocations::count());
    measured(&mut || transfer.run());
    let (end, allocations) = (cpu_time(), allocations::count() - allocations);
    let packets = link.packet_count();
    let nanoseconds = end - start;
    Outcome { stack, message_len, loss_per_mille, packets, allocations, nanoseconds }
}

fn set_up(pair: &mut dyn Pair, link: &mut Link, now: &mut Instant) {
    pair.connect(*now);
    for _ in 0..100 {
        for side in Side::BOTH {
            pair.output(*now, side, link);
            *now += link::DELAY;
            link.deliver(side.other(), |packet, link| {
                pair.input(*now, side.other(), packet);
                pair.output(*now, side.other(), link);
            });
        }
        pair.timeout(*now);
        if pair.is_up() {
            return;
        }
    }
    panic!("the association does not come up");
}

/// Callgrind counts in here alone.
#[inline(never)]
fn measured(body: &mut dyn FnMut()) {
    body();
    black_box(());
}

struct Transfer<'t> {
    pair: &'t mut dyn Pair,
    link: &'t mut Link,
    now: Instant,
    message: Vec<u8>,
    buf: Vec<u8>,
    messages: u32,
    sent: u32,
    received: u32,
}

impl Transfer<'_> {
    fn run(&mut self) {
        while self.received < self.messages {
            fill(self.pair, self.now, &mut self.message, &mut self.sent, self.messages);
            self.pair.output(self.now, Side::Client, self.link);
            let mut is_still = true;
            for side in [Side::Server, Side::Client] {
                self.pass(link::DELAY);
                is_still &= self.arrive(side);
            }
            if is_still {
                let next = self.pair.next_timeout().expect("somebody has something to do");
                self.pass(next.saturating_duration_since(self.now));
                self.output();
            }
        }
    }

    /// After timers, both ends may owe something.
    fn output(&mut self) {
        for side in Side::BOTH {
            self.pair.output(self.now, side, self.link);
        }
    }

    fn pass(&mut self, time: std::time::Duration) {
        self.now += time;
        if self.pair.next_timeout().is_some_and(|at| at <= self.now) {
            self.pair.timeout(self.now);
            self.output();
        }
    }

    /// Takes in what has come to `side`, one packet after the other; whether nothing has.
    fn arrive(&mut self, side: Side) -> bool {
        let Self { pair, link, now, message, buf, messages, sent, received } = self;
        let mut is_still = true;
        link.deliver(side, |packet, link| {
            is_still = false;
            pair.input(*now, side, packet);
            match side {
                Side::Server => {
                    while let Some(len) = pair.receive(*now, buf) {
                        assert_eq!(len, message.len());
                        assert_eq!(buf.first_chunk(), Some(&received.to_be_bytes()));
                        *received += 1;
                    }
                }
                Side::Client => {
                    fill(&mut **pair, *now, message, sent, *messages);
                }
            }
            pair.output(*now, side, link);
        });
        is_still
    }
}

/// Queues as many messages as there is room for; each says how many were before it.
fn fill(pair: &mut dyn Pair, now: Instant, message: &mut [u8], sent: &mut u32, messages: u32) {
    while *sent < messages {
        message[..4].copy_from_slice(&sent.to_be_bytes());
        if !pair.send(now, message) {
            break;
        }
        *sent += 1;
    }
}

fn cpu_time() -> u64 {
    let time =
        clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock");
    u64::try_from(time.tv_sec()).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec()).unwrap_or(0)
}
