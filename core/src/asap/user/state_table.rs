//! The state table of a pool user's request, made by trying everything in every state.

use super::tests::{ERROR, RESPONSE, User, ping_pong, user};
use super::*;
use crate::asap::trace::Trace;
use crate::association::{ConnectId, DownReason};
use std::format;
use std::string::String;

/// The tables of all machines; ours is one of them.
const TABLES: &str = include_str!("../../../../docs/state-machines.md");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestState {
    Nothing,
    /// Owed as soon as there is a registrar.
    Hunting,
    Sent,
    /// Sent for the last time, at another registrar if there is one.
    SentLast,
}

const STATES: [RequestState; 4] =
    [RequestState::Nothing, RequestState::Hunting, RequestState::Sent, RequestState::SentLast];

#[test]
fn the_state_table_is_as_documented() {
    let mut table = String::from("| event |");
    for state in STATES {
        table += &format!(" {state:?} |");
    }
    table += "\n|---|---|---|---|---|\n";
    for (name, event) in EVENTS {
        table += &format!("| {name} |");
        for state in STATES {
            let mut trace = in_state(state);
            event(&mut trace);
            let next = state_of(&trace.machine);
            let mut cell = if next == state { String::new() } else { format!("{next:?}") };
            for line in trace.lines() {
                for end in ["Resolved", "UnknownPool", "NoRegistrar", "Failed"] {
                    if line.starts_with(end) {
                        cell += &format!(", {end}");
                    }
                }
            }
            table += &format!(" {} |", cell.trim_start_matches(", "));
        }
        table += "\n";
    }
    std::println!("{table}");
    assert!(TABLES.contains(&table), "docs/state-machines.md differs");
}

fn state_of(user: &User) -> RequestState {
    let request = user.pools.iter().find_map(|pool| pool.request);
    let last = user.config.timers.max_request_retransmit;
    match request {
        None => RequestState::Nothing,
        Some(request) if !request.sent => RequestState::Hunting,
        Some(request) if request.timeout_count < last => RequestState::Sent,
        Some(_) => RequestState::SentLast,
    }
}

fn in_state(state: RequestState) -> Trace<User> {
    let mut trace = user(1);
    if state != RequestState::Nothing {
        trace.resolve(ping_pong(), 1).unwrap();
    }
    if matches!(state, RequestState::Sent | RequestState::SentLast) {
        trace.up(1, 0);
    }
    if state == RequestState::SentLast {
        trace.run_until(6_000);
    }
    trace.log();
    assert_eq!(state_of(&trace.machine), state);
    trace
}

type Event = (&'static str, fn(&mut Trace<User>));

const EVENTS: [Event; 9] = [
    ("resolve", |trace| {
        let _ = trace.resolve(ping_pong(), 1);
    }),
    ("registrar is up", |trace| {
        let _ = trace.input(Input::Up {
            association: AssociationId(1),
            connect: Some(ConnectId(0)),
            peer_addresses: &[],
            peer_port: 3863,
        });
    }),
    ("T1 for the last time", |trace| trace.run_until(9_000)),
    ("registrar is lost", |trace| {
        let association = AssociationId(1);
        let _ = trace.input(Input::Down { association, reason: DownReason::Lost });
    }),
    ("registrar has restarted", |trace| {
        let _ = trace.input(Input::Restarted { association: AssociationId(1) });
    }),
    ("Handle Resolution Response", |trace| {
        let _ = trace.receive(1, RESPONSE);
    }),
    ("Handle Resolution Response, unknown pool", |trace| {
        let _ = trace.receive(1, "0600001c0009001050696e67506f6e67506f6f6c000c000800090004");
    }),
    ("Error", |trace| {
        let _ = trace.receive(1, ERROR);
    }),
    ("T1", |trace| {
        let next = trace.now() + trace.machine.config.timers.t1_request;
        trace.run_until(next.as_micros() / 1_000);
    }),
];
