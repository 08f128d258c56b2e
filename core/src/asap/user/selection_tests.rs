//! Traces of a pool user that selects from its cache, by the policy of the pool.

use super::tests::{User, ping_pong, user_with_cache};
use super::*;
use crate::asap::trace::{Trace, hex};
use crate::wire::asap::HandleResolutionResponseBuilder;
use crate::wire::{
    Load, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf, TransportUse,
};
use std::string::String;
use std::vec::Vec;

/// A response that lists elements 1, 2 and so on, with these policies; or an update.
fn response(is_update: bool, policies: &[(u32, Policy)]) -> String {
    let address = &["10.77.0.21".parse().unwrap()];
    let transport =
        TransportBuf::<16>::new(Protocol::Sctp, 4_000, TransportUse::Data, address).unwrap();
    let mut buf = [0; 512];
    let mut builder = HandleResolutionResponseBuilder::new(&mut buf, ping_pong()).unwrap();
    builder.accept(is_update).policy(policies[0].1).unwrap();
    for &(id, policy) in policies {
        let (id, life) = (PeId(id), RegistrationLife(1_000));
        let element = PoolElement::new(id, life, transport.as_transport(), policy);
        builder.element(&element).unwrap();
    }
    let len = builder.finish();
    hex(&buf[..len])
}

/// Asks once by the registrar, and then `count` times of the cache: the first of each answer.
fn firsts(trace: &mut Trace<User>, count: usize) -> Vec<u32> {
    let mut firsts = Vec::new();
    for _ in 0..count {
        trace.resolve(ping_pong(), 1).unwrap();
        let lines = trace.lines();
        assert!(lines.len() == 1 && lines[0].starts_with("Resolved"), "{lines:?}");
        firsts.push(trace.machine.elements(ping_pong())[0].id.0);
    }
    firsts
}

fn cached(policies: &[(u32, Policy)]) -> Trace<User> {
    let mut trace = user_with_cache(60_000);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.up(1, 0);
    trace.receive(1, &response(false, policies)).unwrap();
    trace.log();
    trace
}

#[test]
fn weights_decide_how_often_an_element_has_its_turn() {
    let weight = |weight| Policy::WeightedRoundRobin { weight };
    let mut trace = cached(&[(1, weight(3)), (2, weight(1))]);
    let firsts = firsts(&mut trace, 40);
    let count = firsts.iter().filter(|&&first| first == 1).count();
    assert!((29..=31).contains(&count), "{firsts:?}");
}

#[test]
fn weights_of_a_draw_are_kept_on_average() {
    let weight = |weight| Policy::WeightedRandom { weight };
    let mut trace = cached(&[(1, weight(3)), (2, weight(1)), (3, weight(0))]);
    let firsts = firsts(&mut trace, 400);
    let count = |id| firsts.iter().filter(|&&first| first == id).count();
    assert!((270..=330).contains(&count(1)), "{}", count(1));
    assert_eq!(count(3), 0, "weight 0 is never selected");
}

#[test]
fn degradation_grows_with_each_selection() {
    let used = |load| Policy::LeastUsedDegradation { load: Load(load), degradation: Load(10) };
    let mut trace = cached(&[(1, used(0)), (2, used(25))]);
    // The registrar's answer was the first selection of element 1: 10, 20, 30 and so on.
    assert_eq!(firsts(&mut trace, 6), [1, 1, 2, 1, 2, 1]);
}

#[test]
fn an_update_keeps_the_turns_of_who_stays() {
    let turns = Policy::RoundRobin;
    let mut trace = cached(&[(1, turns), (2, turns), (3, turns)]);
    trace.command(|user, now| user.watch(now, ping_pong())).unwrap();
    trace.receive(1, &response(true, &[(1, turns), (2, turns), (3, turns)])).unwrap();
    trace.log();
    assert_eq!(firsts(&mut trace, 1), [2]);
    trace.receive(1, &response(true, &[(4, turns), (3, turns), (1, turns)])).unwrap();
    trace.log();
    assert_eq!(firsts(&mut trace, 4), [3, 1, 4, 3]);
}

#[test]
fn another_policy_begins_anew() {
    let mut trace = cached(&[(1, Policy::RoundRobin), (2, Policy::RoundRobin)]);
    trace.command(|user, now| user.watch(now, ping_pong())).unwrap();
    let first = |priority| Policy::Priority { priority };
    trace.receive(1, &response(true, &[(2, first(9)), (1, first(8))])).unwrap();
    trace.receive(1, &response(true, &[(1, first(8)), (2, first(9))])).unwrap();
    trace.log();
    assert_eq!(firsts(&mut trace, 3), [2, 2, 2]);
}
