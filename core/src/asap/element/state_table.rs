//! The state table of a pool element, made by trying everything in every state.

use super::tests::element;
use super::tests::{DEREGISTERED, ERROR, GRANTED, KEEP_ALIVE, KEEP_ALIVE_HOME_2, REJECTED};
use super::*;
use crate::asap::trace::Trace;
use crate::association::{ConnectId, DownReason};
use std::format;
use std::string::String;

/// The tables of all machines; ours is one of them.
const TABLES: &str = include_str!("../../../../docs/state-machines.md");

#[test]
fn the_state_table_is_as_documented() {
    let mut table = String::from("| event |");
    for state in STATES {
        table += &format!(" {state:?} |");
    }
    table += "\n|---|---|---|---|---|---|---|\n";
    for (name, event) in EVENTS {
        table += &format!("| {name} |");
        for state in STATES {
            let mut trace = in_state(state);
            event(&mut trace);
            let next = trace.machine.status();
            table += &if next == state { "  |".into() } else { format!(" {next:?} |") };
        }
        table += "\n";
    }
    std::println!("{table}");
    assert!(TABLES.contains(&table), "docs/state-machines.md differs");
}

const STATES: [PoolElementStatus; 6] = [
    PoolElementStatus::Idle,
    PoolElementStatus::Hunting,
    PoolElementStatus::Registering,
    PoolElementStatus::Registered,
    PoolElementStatus::Holding,
    PoolElementStatus::Deregistering,
];

/// An element that got into `state` by the usual way, over association 1 where it has one.
fn in_state(state: PoolElementStatus) -> Trace<PoolElement> {
    let mut trace = element(Profile::Rsplib, 1);
    let steps = match state {
        PoolElementStatus::Idle => 0,
        PoolElementStatus::Hunting => 1,
        PoolElementStatus::Registering => 2,
        PoolElementStatus::Registered | PoolElementStatus::Holding => 3,
        PoolElementStatus::Deregistering => 4,
    };
    let way: [fn(&mut Trace<PoolElement>); 4] = [
        |trace| trace.register(),
        |trace| trace.up(1, 0),
        |trace| trace.receive(1, GRANTED).unwrap(),
        |trace| trace.deregister(),
    ];
    for step in way.iter().take(steps) {
        step(&mut trace);
    }
    if state == PoolElementStatus::Holding {
        trace = in_state(PoolElementStatus::Registering);
        trace.receive(1, REJECTED).unwrap();
    }
    assert_eq!(trace.machine.status(), state);
    trace
}

type Event = (&'static str, fn(&mut Trace<PoolElement>));

const EVENTS: [Event; 15] = [
    ("register", |trace| {
        let _ = trace.register_as(Policy::RoundRobin);
    }),
    ("update_policy", |trace| {
        let _ = trace.command(|element, now| element.update_policy(now, Policy::Random));
    }),
    ("deregister", |trace| {
        let _ = trace.command(|element, now| element.deregister(now));
    }),
    ("stop", |trace| trace.command(|element, _| element.stop())),
    ("registrar is up", |trace| {
        let _ = trace.input(Input::Up {
            association: AssociationId(1),
            connect: Some(ConnectId(0)),
            peer_addresses: &[],
            peer_port: 3863,
        });
    }),
    ("registrar is lost", |trace| {
        let association = AssociationId(1);
        let _ = trace.input(Input::Down { association, reason: DownReason::Lost });
    }),
    ("registrar has restarted", |trace| {
        let _ = trace.input(Input::Restarted { association: AssociationId(1) });
    }),
    ("Registration Response", |trace| {
        let _ = trace.receive(1, GRANTED);
    }),
    ("Registration Response, rejected", |trace| {
        let _ = trace.receive(1, REJECTED);
    }),
    ("Deregistration Response", |trace| {
        let _ = trace.receive(1, DEREGISTERED);
    }),
    ("Error", |trace| {
        let _ = trace.receive(1, ERROR);
    }),
    ("Endpoint Keep-Alive", |trace| {
        let _ = trace.receive(1, KEEP_ALIVE);
    }),
    ("Endpoint Keep-Alive, H, from elsewhere", |trace| {
        trace.up(2, None);
        let _ = trace.receive(2, KEEP_ALIVE_HOME_2);
    }),
    ("T2, T3, T4 or the time to try again", |trace| {
        if let Some(at) = trace.machine.own_timeout() {
            trace.run_until(at.as_micros().div_ceil(1_000));
        }
    }),
    ("T2 or T3 for the last time", |trace| {
        if let Some(membership) = &mut trace.machine.membership {
            membership.attempts = trace.machine.hunt.timers.max_reg_attempt;
        }
        if let State::Registering { .. } | State::Deregistering { .. } = trace.machine.state {
            trace.run_until(3_000);
        }
    }),
];
