//! INITs and cookies for associations that exist: RFC 9260 §5.2.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{
    Bench, HOST_PORT, PEER, PEER_PORT, PEER_TAG, Reply, chunk, data, init_value, packet,
};
use super::link::{Host, run, run_for};
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, Connect, Event, InputError};

pub(super) const NEW_TAG: u32 = 0x0b0b_0b0b;

pub(super) fn cookie_ack(tag: u32) -> Reply {
    Reply { tag, chunks: vec![vec![11, 0, 0, 4]] }
}

/// A host that has sent an INIT to the peer; `host_tag` and `host_tsn` are those of the INIT.
pub(super) fn opening() -> Bench {
    let mut bench = Bench::listening();
    let remote = core::net::SocketAddr::new(PEER, PEER_PORT);
    let connect = Connect { local_port: HOST_PORT, remote, udp: None };
    bench.handle = Some(bench.host.endpoint.connect(bench.host.now, connect).unwrap());
    let replies = bench.replies();
    let [Reply { tag: 0, chunks }] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(chunks[0][..4], [1, 0, 0, 26]);
    assert_eq!(chunks[0][20..], [0, 12, 0, 6, 0, 5], "IPv4 alone is supported");
    bench.host_tag = u32::from_be_bytes(chunks[0][4..8].try_into().unwrap());
    bench.host_tsn = u32::from_be_bytes(chunks[0][16..20].try_into().unwrap());
    bench
}

pub(super) fn init_ack(parameters: &[u8]) -> Vec<u8> {
    chunk(2, 0, &init_value(PEER_TAG, parameters))
}

pub(super) const COOKIE: [u8; 8] = [0, 7, 0, 8, b'c', b'o', b'o', b'k'];

pub(super) fn cookie_echo() -> Reply {
    Reply { tag: PEER_TAG, chunks: vec![vec![10, 0, 0, 8, b'c', b'o', b'o', b'k']] }
}

#[test]
fn a_cookie_is_echoed_as_it_came_and_again_after_a_second() {
    let mut bench = opening();
    assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
    bench.host.let_pass(Duration::from_secs(1));
    assert_eq!(bench.replies(), [cookie_echo()]);
    assert!(bench.trade(&[init_ack(&COOKIE)]).is_empty(), "a second INIT ACK is dropped");
    assert!(bench.trade(&[chunk(11, 0, &[])]).is_empty());
    assert!(matches!(bench.host.events[..], [Event::Up { passive: false, .. }]));
    assert!(bench.trade(&[chunk(11, 0, &[])]).is_empty(), "a second COOKIE ACK is dropped");
}

#[test]
fn unknown_parameters_of_an_init_ack_are_reported_with_the_cookie() {
    let parameters = [&[0xc0, 0x77, 0, 5, 9, 0, 0, 0][..], &COOKIE].concat();
    let replies = opening().trade(&[init_ack(&parameters)]);
    let error = vec![9, 0, 0, 16, 0, 8, 0, 12, 0xc0, 0x77, 0, 5, 9, 0, 0, 0];
    assert_eq!(replies[0].chunks, [cookie_echo().chunks[0].clone(), error]);
}

#[test]
fn a_bad_init_ack_ends_the_attempt() {
    let missing = vec![6, 0, 0, 14, 0, 2, 0, 10, 0, 0, 0, 1, 0, 7];
    let mut no_window = init_ack(&COOKIE);
    no_window[8..12].fill(0);
    let too_long = [&[0, 7, 4, 5][..], &[0; 1_028]].concat();
    for (answer, abort) in [
        (init_ack(&[]), missing),
        (no_window, chunk(6, 0, &[0, 7, 0, 4])),
        (init_ack(&too_long), chunk(6, 0, &[0, 4, 0, 4])),
    ] {
        let mut bench = opening();
        let replies = bench.trade(&[answer]);
        assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![abort] }]);
        assert!(matches!(bench.host.events[..], [Event::Down { was_up: false, .. }]));
    }
}

#[test]
fn an_init_ack_in_company_is_dropped() {
    let mut bench = opening();
    assert!(bench.trade(&[init_ack(&COOKIE), data(1_000, b"x")]).is_empty());
    assert!(bench.trade(&[data(1_000, b"x"), init_ack(&COOKIE)]).is_empty());
}

#[test]
fn shutdown_is_dropped_and_shutdown_ack_a_strangers_while_opening() {
    let mut bench = opening();
    let acked = bench.has_received(0);
    assert!(bench.trade(&[chunk(7, 0, &acked)]).is_empty());
    let tag = bench.host_tag;
    let complete = Reply { tag, chunks: vec![vec![14, 1, 0, 4]] };
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [complete]);
    assert!(bench.host.events.is_empty());
}

#[test]
fn a_stale_cookie_starts_the_handshake_again() {
    let mut bench = opening();
    assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
    let replies = bench.trade(&[chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1])]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (0, vec![1]));
    let mut established = Bench::established();
    assert!(established.trade(&[chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1])]).is_empty());
}

#[test]
fn a_collision_makes_one_association() {
    let config = Config::DEFAULT;
    let (mut a, mut b) = (Host::new(1, config), Host::new(2, config));
    a.endpoint.listen(5_000).unwrap();
    b.endpoint.listen(5_000).unwrap();
    let handle_a = a.connect(5_000, b.socket_address(5_000));
    let handle_b = b.connect(5_000, a.socket_address(5_000));
    run_for(&mut a, &mut b, Duration::from_secs(10));
    assert!(matches!(a.events[..], [Event::Up { .. }]), "{:?}", a.events);
    assert!(matches!(b.events[..], [Event::Up { .. }]), "{:?}", b.events);
    a.endpoint.send(a.now, handle_a, StreamId(0), Ppid(1), false, b"ping").unwrap();
    b.endpoint.send(b.now, handle_b, StreamId(0), Ppid(1), false, b"pong").unwrap();
    run_for(&mut a, &mut b, Duration::from_secs(1));
    assert_eq!((a.messages.len(), b.messages.len()), (1, 1));
}

#[test]
fn an_init_while_waiting_for_a_cookie_is_answered_with_the_same_tag() {
    let mut bench = opening();
    let (tag, tsn) = (bench.host_tag, bench.host_tsn);
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!((bench.host_tag, bench.host_tsn), (tag, tsn));
    // Row B: the peer's tag is not known yet.
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(NEW_TAG)]);
    assert!(matches!(bench.host.events[..], [Event::Up { .. }]));
    // T1 stopped; the next to come is a probe, 30 seconds and an RTO from now.
    let next = bench.host.endpoint.poll_timeout().unwrap();
    assert!((31_500_000..=32_500_000).contains(&next.as_micros()), "{next:?}");
}

#[test]
fn row_b_takes_the_peers_new_tag() {
    let mut bench = opening();
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(NEW_TAG)]);
    assert!(matches!(bench.host.events[..], [Event::Up { .. }]));
}

#[test]
fn row_d_answers_a_duplicate_even_a_stale_one() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    bench.host.let_pass(Duration::from_secs(20));
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    bench.host.now += Duration::from_secs(60);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    assert_eq!(bench.host.events.len(), 1);
}

#[test]
fn row_c_and_all_else_is_dropped() {
    let mut bench = Bench::listening();
    // Two INITs with the same tag give two tags of ours, without ties.
    let late = bench.cookie(&[]);
    let late_tag = bench.host_tag;
    let cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    let result = bench.give(packet(late_tag, &[chunk(10, 0, &late)]));
    assert_eq!(result, Err(InputError::OutOfPlace));
    assert!(bench.replies().is_empty());
    // Both tags differ and there are no ties: no row.
    let mut bench = Bench::listening();
    let other = bench.cookie_for(NEW_TAG, &[]);
    let other_tag = bench.host_tag;
    let cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(PEER_TAG)]);
    let result = bench.give(packet(other_tag, &[chunk(10, 0, &other)]));
    assert_eq!(result, Err(InputError::OutOfPlace));
    assert!(bench.replies().is_empty());
    assert_eq!(bench.host.events.len(), 1);
}

#[test]
fn row_a_restarts() {
    let mut bench = Bench::established();
    let old_tag = bench.host_tag;
    assert!(!bench.trade(&[data(1_000, b"before")]).is_empty());
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_ne!(bench.host_tag, old_tag);
    assert!(bench.host.events.iter().all(|event| matches!(event, Event::Readable { .. })));
    let replies = bench.trade(&[chunk(10, 0, &cookie), data(1_000, b"after")]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (NEW_TAG, vec![11, 3]));
    let handle = bench.handle.unwrap();
    let tail = &bench.host.events[bench.host.events.len() - 2..];
    assert_eq!(tail, [Event::Restarted { handle }, Event::Readable { handle }]);
    assert_eq!(bench.host.messages[1].2, b"after");
    assert_eq!(bench.host.endpoint.statistics().restarted, 1);
}

#[test]
fn an_init_changes_nothing_in_an_association() {
    let mut bench = Bench::established();
    let tag = bench.host_tag;
    let _ = bench.cookie_for(NEW_TAG, &[]);
    bench.host_tag = tag;
    assert_eq!(bench.trade(&[data(1_000, b"still here")])[0].tag, PEER_TAG);
    assert_eq!(bench.host.messages[0].2, b"still here");
}

#[test]
fn an_expired_cookie_of_a_restart_is_stale() {
    let mut bench = Bench::established();
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    bench.host.now += Duration::from_secs(61);
    let replies = bench.trade(&[chunk(10, 0, &cookie)]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (NEW_TAG, vec![9]));
}

#[test]
fn an_init_in_shutdown_ack_sent_brings_the_shutdown_ack_again() {
    let mut bench = Bench::established();
    let acked = bench.has_received(0);
    let shutdown_ack = Reply { tag: PEER_TAG, chunks: vec![chunk(8, 0, &[])] };
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [shutdown_ack]);
    bench.give(packet(0, &[chunk(1, 0, &init_value(NEW_TAG, &[]))])).unwrap();
    assert_eq!(bench.replies(), [Reply { tag: PEER_TAG, chunks: vec![chunk(8, 0, &[])] }]);
}

#[test]
fn a_restart_in_shutdown_ack_sent_is_put_off() {
    let mut bench = Bench::established();
    let (tag, acked) = (bench.host_tag, bench.has_received(0));
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    let new_tag = bench.host_tag;
    let shutdown_ack = Reply { tag: PEER_TAG, chunks: vec![chunk(8, 0, &[])] };
    bench.host_tag = tag;
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [shutdown_ack]);
    let _ = bench.give(packet(new_tag, &[chunk(10, 0, &cookie)]));
    let error = Reply { tag: NEW_TAG, chunks: vec![chunk(9, 0, &[0, 10, 0, 4])] };
    assert_eq!(bench.replies(), [error, Reply { tag: PEER_TAG, chunks: vec![chunk(8, 0, &[])] }]);
}

#[test]
fn a_peer_that_lost_its_memory_comes_back() {
    let (mut a, mut b, _, handle_b) = super::link::connected();
    b.endpoint.send(b.now, handle_b, StreamId(0), Ppid(1), false, b"to the old one").unwrap();
    let _ = b.drain();
    a = Host { now: a.now, ..Host::new(7, Config::DEFAULT) };
    a.address = "10.0.0.1".parse().unwrap();
    let handle = a.connect(5_000, b.socket_address(3_863));
    run_for(&mut a, &mut b, Duration::from_secs(2));
    assert!(matches!(a.events[..], [Event::Up { .. }]));
    assert_eq!(b.events, [Event::Restarted { handle: handle_b }]);
    a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, b"new").unwrap();
    b.endpoint.send(b.now, handle_b, StreamId(0), Ppid(1), false, b"too").unwrap();
    run(&mut a, &mut b);
    assert_eq!(b.messages[0].2, b"new");
    assert_eq!(a.messages[0].2, b"too");
}

#[test]
fn a_refused_attempt_tells_the_cause() {
    let mut bench = opening();
    let tag = bench.host_tag;
    bench.give(packet(tag, &[chunk(6, 0, &[0, 4, 0, 4])])).unwrap();
    assert!(bench.replies().is_empty());
    let (handle, reason) = (bench.handle.unwrap(), DownReason::Aborted);
    assert_eq!(bench.host.events, [Event::Down { handle, was_up: false, reason, cause: 4 }]);
}
