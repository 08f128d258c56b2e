//! Ending: RFC 9260 §9, by trace.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, PEER_TAG, Reply, chunk, data, packet};
use super::link::{connected, run};
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Event, SendError};

fn reply(kind: u8, value: &[u8]) -> Reply {
    Reply { tag: PEER_TAG, chunks: vec![chunk(kind, 0, value)] }
}

fn sack(acked: [u8; 4]) -> Vec<u8> {
    chunk(3, 0, &[&acked[..], &[0, 1, 0, 0, 0, 0, 0, 0]].concat())
}

fn send(bench: &mut Bench, text: &[u8]) -> Result<(), SendError> {
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.send(now, handle, StreamId(0), Ppid(1), false, text)
}

fn shut_down(bench: &mut Bench) {
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.shutdown(now, handle).unwrap();
}

fn down(bench: &Bench, reason: DownReason) -> Event {
    let cause = 0;
    Event::Down { handle: bench.handle.unwrap(), was_up: true, reason, cause }
}

#[test]
fn shutdown_waits_until_all_is_acknowledged() {
    let mut bench = Bench::established();
    send(&mut bench, b"x").unwrap();
    shut_down(&mut bench);
    assert_eq!(send(&mut bench, b"y"), Err(SendError::Closed));
    assert_eq!(bench.replies()[0].kinds(), [0], "DATA, no SHUTDOWN yet");
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[sack(acked)]), [reply(7, &999_u32.to_be_bytes())]);
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [reply(14, &[])]);
    assert_eq!(bench.host.events, [down(&bench, DownReason::Shutdown)]);
}

#[test]
fn data_in_shutdown_sent_brings_shutdown_with_the_new_cumulative_tsn() {
    let mut bench = Bench::established();
    shut_down(&mut bench);
    assert_eq!(bench.replies(), [reply(7, &999_u32.to_be_bytes())]);
    let replies = bench.trade(&[data(1_000, b"late")]);
    assert_eq!(replies, [reply(7, &1_000_u32.to_be_bytes())]);
    assert_eq!(bench.host.messages[0].2, b"late");
    // A gap needs a SACK as well.
    let replies = bench.trade(&[data(1_002, b"later")]);
    assert_eq!(replies[0].kinds(), [7, 3]);
}

#[test]
fn both_may_shut_down_at_once() {
    let mut bench = Bench::established();
    shut_down(&mut bench);
    assert_eq!(bench.replies().len(), 1);
    let acked = bench.has_received(0);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [reply(14, &[])]);
    let (mut a, mut b, handle_a, handle_b) = connected();
    a.endpoint.shutdown(a.now, handle_a).unwrap();
    b.endpoint.shutdown(b.now, handle_b).unwrap();
    run(&mut a, &mut b);
    for host in [&a, &b] {
        assert!(matches!(host.events[..], [Event::Down { reason: DownReason::Shutdown, .. }]));
    }
}

#[test]
fn shutdown_received_still_sends_what_is_queued() {
    let mut bench = Bench::established();
    send(&mut bench, b"x").unwrap();
    assert_eq!(bench.replies()[0].kinds(), [0]);
    let nothing = bench.has_received(0);
    assert!(bench.trade(&[chunk(7, 0, &nothing)]).is_empty());
    assert_eq!(send(&mut bench, b"y"), Err(SendError::Closed));
    bench.host.let_pass(Duration::from_secs(1));
    assert_eq!(bench.replies()[0].kinds(), [0], "sent again");
    // The acknowledgement comes in a SACK, or in another SHUTDOWN.
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
    assert!(bench.trade(&[chunk(14, 0, &[])]).is_empty());
    assert_eq!(bench.host.events, [down(&bench, DownReason::Shutdown)]);
}

#[test]
fn the_guard_ends_a_shutdown_that_nobody_answers_after_five_minutes() {
    let mut bench = Bench::established();
    shut_down(&mut bench);
    let mut count = bench.replies().len();
    while let Some(at) = bench.host.endpoint.poll_timeout() {
        bench.host.now = at;
        bench.host.endpoint.handle_timeout(at);
        count += bench.replies().iter().filter(|reply| reply.kinds() == [7]).count();
    }
    assert_eq!(bench.host.events.len(), 1);
    // Association.Max.Retrans would allow 11, but T5-shutdown-guard of 300 s comes before.
    assert_eq!(count, 10);
    assert_eq!(bench.host.now.as_micros(), 301_000_000);
    let reason = DownReason::Aborted;
    assert_eq!(bench.host.events, [down(&bench, reason)]);
}

#[test]
fn the_shutdown_ack_is_repeated_with_a_doubling_timeout() {
    let mut bench = Bench::established();
    let acked = bench.has_received(0);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
    for seconds in [1, 2, 4] {
        bench.host.let_pass(Duration::from_secs(seconds) - Duration::from_micros(1));
        assert!(bench.replies().is_empty());
        bench.host.let_pass(Duration::from_micros(1));
        assert_eq!(bench.replies(), [reply(8, &[])]);
    }
}

#[test]
fn a_shutdown_that_acknowledges_too_much_acknowledges_nothing() {
    let mut bench = Bench::established();
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
}

#[test]
fn the_user_aborts_with_cause_12() {
    let mut bench = Bench::established();
    send(&mut bench, b"never sent").unwrap();
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.abort(now, handle).unwrap();
    assert_eq!(bench.replies(), [reply(6, &[0, 12, 0, 4])]);
    let reflected = Reply { tag: bench.host_tag, chunks: vec![chunk(6, 1, &[])] };
    assert_eq!(bench.trade(&[data(1_000, b"x")]), [reflected], "a stranger from now on");
}

#[test]
fn messages_can_be_read_until_the_end_is_told() {
    let mut bench = Bench::established();
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    let tag = bench.host_tag;
    bench.give(packet(tag, &[data(1_000, b"last")])).unwrap();
    bench.give(packet(tag, &[chunk(6, 0, &[])])).unwrap();
    let endpoint = &mut bench.host.endpoint;
    assert_eq!(endpoint.poll_event(), Some(Event::Readable { handle }));
    let mut buf = [0; 2_048];
    assert_eq!(endpoint.recv(now, handle, &mut buf).unwrap().len, 4);
    assert!(endpoint.shutdown(now, handle).is_err());
    assert!(matches!(endpoint.poll_event(), Some(Event::Down { .. })));
    assert_eq!(endpoint.recv(now, handle, &mut buf), None);
}

#[test]
fn an_old_handle_is_refused_after_its_slot_was_taken_again() {
    let (mut a, mut b, old, _) = connected();
    a.endpoint.abort(a.now, old).unwrap();
    run(&mut a, &mut b);
    let new = a.connect(5_000, b.socket_address(3_863));
    run(&mut a, &mut b);
    assert_ne!(old, new);
    assert!(a.endpoint.abort(a.now, old).is_err());
    assert!(a.endpoint.peer(new).is_some());
}

#[test]
fn the_cookie_of_an_ended_association_is_spent() {
    let mut bench = Bench::listening();
    let cookie = chunk(10, 0, &bench.cookie(&[]));
    assert_eq!(bench.trade(&[cookie.clone(), data(1_000, b"once")])[0].kinds(), [11, 3]);
    assert_eq!(bench.host.messages.len(), 1);
    assert_eq!(bench.trade(&[chunk(6, 0, &[])]), []);
    // The network delivers the packet that opened the association once more.
    assert_eq!(bench.trade(&[cookie, data(1_000, b"once")]), []);
    assert_eq!(bench.host.messages.len(), 1);
}
