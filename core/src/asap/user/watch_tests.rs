//! Traces of a pool user that watches a pool.

use super::tests::{RESPONSE, User, ping_pong, user};
use super::*;
use crate::asap::trace::Trace;
use std::format;
use std::string::String;

/// A resolution of as many elements as there is room for, with the S bit.
const SUBSCRIPTION: &str = "0501001c0009001050696e67506f6e67506f6f6c803f000800000004";
const UPDATED: &str = "Updated { pool: \"PingPongPool\" }";
const GONE: &str = "0600001c0009001050696e67506f6e67506f6f6c000c000800090004";

/// The response with the A bit.
fn accepted() -> String {
    RESPONSE.replacen("0600", "0601", 1)
}

/// An update with another element instead.
fn update() -> String {
    accepted().replace("aaaa0001", "aaaa0002")
}

fn watch(trace: &mut Trace<User>) {
    trace.command(|user, now| user.watch(now, ping_pong())).unwrap();
}

fn element(trace: &Trace<User>) -> Option<u32> {
    trace.machine.elements(ping_pong()).first().map(|element| element.id.0)
}

/// A user that is subscribed over association 1, at 0 ms.
fn subscribed(registrars: u8) -> Trace<User> {
    let mut trace = user(registrars);
    watch(&mut trace);
    trace.up(1, 0);
    assert_eq!(trace.lines()[1], format!("1> {SUBSCRIPTION}"));
    trace.receive(1, &accepted()).unwrap();
    assert_eq!(trace.lines(), [UPDATED]);
    trace
}

#[test]
fn updates_come_unasked_and_replace_what_was_known() {
    let mut trace = subscribed(1);
    trace.run_until(100_000);
    trace.receive(1, &update()).unwrap();
    assert_eq!(trace.lines(), [UPDATED], "and the association is not idle");
    assert_eq!(element(&trace), Some(0xaaaa_0002));
}

#[test]
fn what_is_watched_is_current_and_answers_resolutions() {
    let mut trace = subscribed(1);
    trace.run_until(100_000);
    trace.resolve(ping_pong(), 1).unwrap();
    let lines = trace.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Resolved"));
}

#[test]
fn without_the_a_bit_the_registrar_is_asked_again() {
    let mut trace = user(1);
    watch(&mut trace);
    trace.up(1, 0);
    trace.log();
    trace.receive(1, RESPONSE).unwrap();
    assert_eq!(trace.lines(), [UPDATED]);
    let unasked = trace.receive(1, RESPONSE);
    assert_eq!(unasked, Err(InputError::Unexpected), "it said that it would not");
    trace.run_until(4_999);
    assert_eq!(trace.lines(), [""; 0]);
    trace.run_until(5_000);
    assert_eq!(trace.lines(), [format!("1> {SUBSCRIPTION}")]);
}

#[test]
fn the_end_of_the_pool_is_told_and_its_return_found() {
    let mut trace = subscribed(1);
    trace.receive(1, GONE).unwrap();
    assert_eq!(trace.lines(), [UPDATED]);
    assert_eq!(element(&trace), None);
    trace.run_until(5_000);
    assert_eq!(trace.lines(), [format!("1> {SUBSCRIPTION}")]);
    trace.receive(1, &accepted()).unwrap();
    assert_eq!(trace.lines(), [UPDATED]);
    trace.receive(1, &update()).unwrap();
    assert_eq!(trace.lines(), [UPDATED]);
}

#[test]
fn another_registrar_is_asked_anew() {
    let mut trace = subscribed(2);
    trace.down(1);
    let lines = trace.lines();
    assert_eq!(lines[0], "connect 1 to 10.77.0.12:3863", "{lines:?}");
    trace.up(2, 1);
    assert!(trace.lines().contains(&format!("2> {SUBSCRIPTION}")));
    trace.receive(2, &update()).unwrap();
    assert_eq!(trace.lines(), [UPDATED]);
}

#[test]
fn a_registrar_that_was_restarted_is_asked_anew() {
    let mut trace = subscribed(1);
    trace.input(Input::Restarted { association: AssociationId(1) }).unwrap();
    assert_eq!(trace.lines(), [format!("1> {SUBSCRIPTION}")]);
}

#[test]
fn a_request_under_way_is_followed_by_the_subscription() {
    let mut trace = user(1);
    trace.resolve(ping_pong(), 1).unwrap();
    trace.up(1, 0);
    trace.log();
    watch(&mut trace);
    assert_eq!(trace.lines(), [""; 0]);
    trace.receive(1, RESPONSE).unwrap();
    let lines = trace.lines();
    assert_eq!(lines[0], format!("1> {SUBSCRIPTION}"), "{lines:?}");
}

#[test]
fn who_watches_no_more_says_so() {
    let mut trace = subscribed(1);
    trace.command(|user, now| user.unwatch(now, ping_pong()));
    let lines = trace.lines();
    assert_eq!(lines, ["1> 0500001c0009001050696e67506f6e67506f6f6c803f000800000001"]);
    trace.receive(1, RESPONSE).unwrap();
    assert_eq!(trace.lines(), [""; 0]);
    assert_eq!(trace.receive(1, &update()), Err(InputError::Unexpected));
}

#[test]
fn nobody_answers_and_it_is_tried_for_ever() {
    let mut trace = user(0);
    watch(&mut trace);
    trace.run_until(600_000);
    assert!(trace.machine.poll_timeout().is_some());
    trace.machine.add_registrar(&crate::asap::trace::registrar(11)).unwrap();
    trace.run_until(630_000);
    assert!(trace.lines().iter().any(|line| line.starts_with("connect ")));
}

#[test]
fn watched_pools_do_not_make_room() {
    let mut trace = subscribed(1);
    trace.command(|user, now| user.watch(now, PoolHandle::new(b"Other").unwrap())).unwrap();
    let third = trace.resolve(PoolHandle::new(b"Third").unwrap(), 1);
    assert_eq!(third, Err(PoolUserFull::Pools));
}
