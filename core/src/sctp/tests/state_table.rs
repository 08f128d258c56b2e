//! The state table of an association, made by trying everything in every state.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::craft::{Bench, HOST_PORT, PEER, PEER_PORT, PEER_TAG, chunk, data, init_value, packet};
use super::setup::{COOKIE, init_ack, opening};
use super::teardown::{sack, send, shut_down};
use crate::association::DownReason;
use crate::machine::Machine;
use crate::sctp::association::State;
use crate::sctp::packet::Tlvs;
use crate::sctp::{Event, Input, Unreachable};

/// The tables of all machines; ours is one of them.
const TABLES: &str = include_str!("../../../../docs/state-machines.md");

#[test]
fn the_state_table_is_as_documented() {
    let mut table = String::from("| event |");
    for state in STATES {
        table += &format!(" {state:?} |");
    }
    table += "\n|---|---|---|---|---|---|---|---|\n";
    for (name, event) in EVENTS {
        table += &format!("| {name} |");
        for state in STATES {
            let mut bench = in_state(state);
            event(&mut bench);
            let next = state_of(&bench);
            table += &match end_of(&mut bench) {
                Some(reason) => format!(" {next:?}, {reason:?} |"),
                None if next == state => "  |".into(),
                None => format!(" {next:?} |"),
            };
        }
        table += "\n";
    }
    std::println!("{table}");
    assert!(TABLES.contains(&table), "docs/state-machines.md differs");
}

pub(super) const STATES: [State; 7] = [
    State::CookieWait,
    State::CookieEchoed,
    State::Established,
    State::ShutdownPending,
    State::ShutdownReceived,
    State::ShutdownSent,
    State::ShutdownAckSent,
];

pub(super) fn state_of(bench: &Bench) -> State {
    bench.host.endpoint.status(bench.handle.unwrap()).map_or(State::Closed, |status| status.state)
}

/// How the association ended, if it has.
pub(super) fn end_of(bench: &mut Bench) -> Option<DownReason> {
    bench.replies();
    bench.host.events.iter().find_map(|event| match event {
        Event::Down { reason, .. } => Some(*reason),
        _ => None,
    })
}

/// An association that got into `state` by the usual way; where data is unacknowledged, one
/// chunk.
pub(super) fn in_state(state: State) -> Bench {
    let mut bench = match state {
        State::CookieWait | State::CookieEchoed => opening(),
        _ => Bench::established(),
    };
    let nothing = bench.has_received(0);
    if matches!(state, State::ShutdownPending | State::ShutdownReceived) {
        send(&mut bench, b"x").unwrap();
        bench.replies();
    }
    match state {
        State::CookieEchoed => drop(bench.trade(&[init_ack(&COOKIE)])),
        State::ShutdownPending | State::ShutdownSent => shut_down(&mut bench),
        State::ShutdownReceived | State::ShutdownAckSent => {
            drop(bench.trade(&[chunk(7, 0, &nothing)]));
        }
        _ => {}
    }
    bench.replies();
    assert_eq!(state_of(&bench), state);
    bench
}

/// The cookie that an INIT with this tag brings, and the tag to send it with.
fn cookie(bench: &mut Bench, tag: u32) -> Option<(u32, Vec<u8>)> {
    let _ = bench.give(packet(0, &[chunk(1, 0, &init_value(tag, &[]))]));
    let replies = bench.replies();
    let init_ack = replies.iter().find(|reply| reply.kinds() == [2])?.chunks[0].clone();
    let own_tag = u32::from_be_bytes(init_ack[4..8].try_into().unwrap());
    let cookie = Tlvs::new(&init_ack[20..]).next().unwrap();
    Some((own_tag, cookie.value.to_vec()))
}

/// Lets nobody answer, for more timeouts than any limit.
pub(super) fn time_out(bench: &mut Bench) {
    for _ in 0..100 {
        bench.replies();
        if let Some(at) = bench.host.endpoint.poll_timeout() {
            bench.host.now = at;
            bench.host.endpoint.handle_timeout(at);
        }
    }
}

fn give(bench: &mut Bench, chunks: &[Vec<u8>]) {
    bench.trade(chunks);
}

type Try = (&'static str, fn(&mut Bench));

const EVENTS: [Try; 17] = [
    ("user shuts down", shut_down),
    ("user aborts", |bench| {
        let (now, handle) = (bench.host.now, bench.handle.unwrap());
        bench.host.endpoint.abort(now, handle).unwrap();
    }),
    ("INIT", |bench| {
        cookie(bench, 0x0b0b_0b0b);
    }),
    ("INIT ACK", |bench| give(bench, &[init_ack(&COOKIE)])),
    ("COOKIE ECHO after an INIT", |bench| {
        if let Some((tag, cookie)) = cookie(bench, 0x0b0b_0b0b) {
            let _ = bench.give(packet(tag, &[chunk(10, 0, &cookie)]));
        }
    }),
    ("COOKIE ACK", |bench| give(bench, &[chunk(11, 0, &[])])),
    ("DATA", |bench| give(bench, &[data(1_000, b"x")])),
    ("SACK of all data", |bench| {
        let count = u32::from(state_of(bench) != State::Established);
        let acked = bench.has_received(count);
        give(bench, &[sack(acked)]);
    }),
    ("SHUTDOWN", |bench| {
        let nothing = bench.has_received(0);
        give(bench, &[chunk(7, 0, &nothing)]);
    }),
    ("SHUTDOWN of all data", |bench| {
        let all = bench.has_received(1);
        give(bench, &[chunk(7, 0, &all)]);
    }),
    ("SHUTDOWN ACK", |bench| give(bench, &[chunk(8, 0, &[])])),
    ("SHUTDOWN COMPLETE", |bench| give(bench, &[chunk(14, 0, &[])])),
    ("ABORT", |bench| give(bench, &[chunk(6, 0, &[])])),
    ("ABORT, reflected", |bench| {
        let _ = bench.give(packet(PEER_TAG, &[chunk(6, 1, &[])]));
        bench.replies();
    }),
    ("ERROR, stale cookie", |bench| give(bench, &[chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1])])),
    ("ICMP, protocol unreachable", |bench| {
        // It quotes our packet: ports, and the peer's tag.
        let mut quoted = [HOST_PORT.to_be_bytes(), PEER_PORT.to_be_bytes()].concat();
        quoted.extend(PEER_TAG.to_be_bytes());
        let unreachable = Unreachable { remote: PEER, quoted: &quoted };
        let _ = bench.host.endpoint.handle_input(bench.host.now, Input::Unreachable(unreachable));
    }),
    ("nothing comes any more", time_out),
];
