//! ICMP errors: RFC 9260 §10.

use core::net::IpAddr;
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::answers::{address, sent, with_two_addresses};
use super::craft::*;
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Event, Handle, Input, State, Unreachable};

/// The start of a packet to the peer.
fn quote(tag: u32) -> Vec<u8> {
    let mut quoted = vec![0x0f, 0x17, 0x13, 0x88];
    quoted.extend(tag.to_be_bytes());
    quoted
}

/// Nobody speaks SCTP at an address.
fn give_unreachable(bench: &mut Bench, remote: IpAddr, quoted: &[u8]) {
    let input = Input::Unreachable(Unreachable { remote, quoted });
    bench.host.endpoint.handle_input(bench.host.now, input).unwrap();
}

fn ends(bench: &Bench) -> Vec<DownReason> {
    let events = bench.host.events.iter();
    events
        .filter_map(|event| match *event {
            Event::Down { reason, .. } => Some(reason),
            _ => None,
        })
        .collect()
}

fn paths_told(bench: &mut Bench) -> Vec<(IpAddr, bool)> {
    let events = bench.host.events.drain(..);
    events
        .filter_map(|event| match event {
            Event::Path { remote, is_reachable, .. } => Some((remote, is_reachable)),
            _ => None,
        })
        .collect()
}

/// Answers the HEARTBEAT to an address.
fn confirm(bench: &mut Bench, remote: IpAddr) {
    let at = bench.host.endpoint.poll_timeout().unwrap();
    bench.host.now = at;
    bench.host.endpoint.handle_timeout(at);
    let packets = bench.host.drain();
    let probe = packets.iter().find(|sent| sent.packet.remote == remote).unwrap();
    let ack = chunk(5, 0, &probe.bytes[16..]);
    bench.give_from(remote, packet(bench.host_tag, &[ack])).unwrap();
    assert!(bench.host.drain().is_empty());
}

/// The peer has the addresses 9, in use, and 10, which works, too.
fn with_two_paths() -> Bench {
    let mut bench = with_two_addresses();
    let Some(Event::Up { handle, .. }) = bench.host.events.first().copied() else { panic!() };
    bench.handle = Some(handle);
    confirm(&mut bench, address(10));
    assert_eq!(paths_told(&mut bench), [(address(10), true)]);
    bench
}

#[test]
fn an_icmp_error_counts_only_with_proof() {
    let mut bench = Bench::established();
    let (now, tag) = (bench.host.now, PEER_TAG);
    for (quoted, is_taken) in [
        (quote(tag ^ 1), false),
        (quote(0), false),
        (quote(tag)[..7].to_vec(), false),
        (quote(tag), true),
    ] {
        let input = Unreachable { remote: PEER, quoted: &quoted };
        let result = bench.host.endpoint.handle_input(now, Input::Unreachable(input));
        assert_eq!(result.is_ok(), is_taken);
        let _ = bench.replies();
        assert_eq!(bench.host.events.len(), usize::from(is_taken));
    }
}

#[test]
fn what_is_at_an_address_that_was_only_listed_is_not_the_peer() {
    let mut bench = with_two_addresses();
    give_unreachable(&mut bench, address(10), &quote(PEER_TAG));
    let _ = bench.replies();
    assert_eq!(ends(&bench), []);
    // It is no way around the one that works either.
    give_unreachable(&mut bench, PEER, &quote(PEER_TAG));
    let _ = bench.replies();
    assert_eq!(ends(&bench), [DownReason::Aborted]);
}

#[test]
fn an_icmp_error_costs_a_path_and_the_last_one_the_association() {
    let mut bench = with_two_paths();
    let (host, handle) = (&mut bench.host, bench.handle.unwrap());
    host.endpoint.send(host.now, handle, StreamId(0), Ppid(0), false, b"x").unwrap();
    assert_eq!(sent(&mut bench), [(PEER, vec![0])]);
    give_unreachable(&mut bench, PEER, &quote(PEER_TAG));
    assert_eq!(sent(&mut bench), [(address(10), vec![0])], "what was under way goes on at once");
    assert_eq!(paths_told(&mut bench), [(PEER, false)]);
    // Once more, by what was sent before.
    give_unreachable(&mut bench, PEER, &quote(PEER_TAG));
    assert_eq!(bench.host.endpoint.status(handle).unwrap().state, State::Established);
    give_unreachable(&mut bench, address(10), &quote(PEER_TAG));
    assert_eq!(sent(&mut bench), []);
    assert_eq!(ends(&bench), [DownReason::Aborted]);
}

#[test]
fn data_is_acknowledged_where_it_came_from_whatever_was_said_of_it() {
    let mut bench = with_two_paths();
    give_unreachable(&mut bench, address(10), &quote(PEER_TAG));
    assert_eq!(sent(&mut bench), []);
    assert_eq!(paths_told(&mut bench), [(address(10), false)]);
    // The peer uses it: perhaps the other one leads nowhere now, which nobody has told us.
    bench.give_from(address(10), packet(bench.host_tag, &[data(1_000, b"x")])).unwrap();
    assert_eq!(sent(&mut bench), [(address(10), vec![3])]);
}

#[test]
fn a_sack_that_waits_does_not_go_where_nobody_is_any_more() {
    let mut bench = with_two_paths();
    // The first DATA is acknowledged at once, the second one not.
    for (tsn, acked) in [(1_000, vec![(PEER, vec![3])]), (1_001, vec![])] {
        bench.give_from(PEER, packet(bench.host_tag, &[data(tsn, b"x")])).unwrap();
        assert_eq!(sent(&mut bench), acked);
    }
    give_unreachable(&mut bench, PEER, &quote(PEER_TAG));
    bench.host.let_pass(Duration::from_millis(200));
    assert_eq!(sent(&mut bench), [(address(10), vec![3])]);
}

#[test]
fn a_shutdown_goes_on_by_the_other_path() {
    let mut bench = with_two_paths();
    bench.host.endpoint.shutdown(bench.host.now, bench.handle.unwrap()).unwrap();
    assert_eq!(sent(&mut bench), [(PEER, vec![7])]);
    give_unreachable(&mut bench, PEER, &quote(PEER_TAG));
    assert_eq!(sent(&mut bench), [(address(10), vec![7])]);
}

#[test]
fn an_attempt_goes_on_with_the_next_address() {
    let mut bench = Bench::listening();
    let host = &mut bench.host;
    let handle = host.connect(5_001, (PEER, PEER_PORT).into());
    host.endpoint.add_address(host.now, handle, address(10)).unwrap();
    for (remote, is_last) in [(PEER, false), (address(10), true)] {
        let packets = bench.host.drain();
        assert_eq!((packets.len(), packets[0].packet.remote), (1, remote));
        assert_eq!(packets[0].bytes[12], 1);
        give_unreachable(&mut bench, remote, &packets[0].bytes[..20]);
        let _ = bench.host.endpoint.poll_timeout();
        assert_eq!(bench.host.endpoint.status(handle).unwrap().state == State::Closed, is_last);
    }
    let _ = bench.host.drain();
    assert_eq!(ends(&bench), [DownReason::Aborted]);
    assert_eq!(bench.host.events.len(), 1, "nothing else was ever up");
}

/// An attempt to reach a peer at two addresses; its INIT is on its way to the first.
fn connecting() -> (Bench, Handle, Vec<u8>) {
    let mut bench = Bench::listening();
    let host = &mut bench.host;
    let handle = host.connect(HOST_PORT, (PEER, PEER_PORT).into());
    host.endpoint.add_address(host.now, handle, address(10)).unwrap();
    let init = bench.host.drain().remove(0).bytes;
    bench.host_tag = u32::from_be_bytes(init[16..20].try_into().unwrap());
    (bench, handle, init)
}

/// The INIT ACK for such an INIT.
fn init_ack() -> Vec<u8> {
    chunk(2, 0, &init_value(PEER_TAG, &[0, 7, 0, 8, 1, 2, 3, 4]))
}

#[test]
fn the_user_is_told_of_a_path_that_was_given_up_before_the_association_was_up() {
    let (mut bench, _, init) = connecting();
    give_unreachable(&mut bench, PEER, &init[..20]);
    for chunk in [init_ack(), chunk(11, 0, &[])] {
        bench.give_from(address(10), packet(bench.host_tag, &[chunk])).unwrap();
        let _ = bench.host.drain();
    }
    assert!(matches!(bench.host.events[0], Event::Up { .. }));
    assert_eq!(paths_told(&mut bench), [(PEER, false)]);
}

#[test]
fn what_an_icmp_error_sent_twice_gives_no_round_trip_time() {
    let (mut bench, handle, init) = connecting();
    bench.host.let_pass(Duration::from_millis(900));
    give_unreachable(&mut bench, PEER, &init[..20]);
    assert_eq!(sent(&mut bench), [(address(10), vec![1])]);
    bench.host.let_pass(Duration::from_millis(5));
    bench.give_from(address(10), packet(bench.host_tag, &[init_ack()])).unwrap();
    let path = bench.host.endpoint.path(handle, 1).unwrap();
    assert_eq!((path.remote, path.srtt), (address(10), None));
}

#[test]
fn a_peer_that_has_all_and_is_gone_has_not_aborted() {
    let mut bench = Bench::established();
    let shutdown = chunk(7, 0, &bench.has_received(0));
    assert_eq!(bench.trade(&[shutdown])[0].kinds(), [8]);
    // Its SHUTDOWN COMPLETE got lost, and its process has ended.
    give_unreachable(&mut bench, PEER, &quote(PEER_TAG));
    assert_eq!(sent(&mut bench), []);
    assert_eq!(ends(&bench), [DownReason::Shutdown]);
}
