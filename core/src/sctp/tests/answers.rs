//! Answers: where they go, how long they may be, how many strangers get. RFC 9260 §3.2, §5.1,
//! §6.4, §8.3, §8.4.

use core::net::{IpAddr, Ipv4Addr};
use std::vec::Vec;

use super::craft::*;
use super::link::chunk_types;
use crate::sctp::packet::Tlvs;
use crate::sctp::{Config, Event};

const ABORT: u8 = 6;
const SHUTDOWN_ACK: u8 = 8;
const ERROR: u8 = 9;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;

pub(super) fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// An IPv4 Address parameter.
fn listed(last: u8) -> [u8; 8] {
    [0, 5, 0, 8, 10, 0, 0, last]
}

/// The tag and the cookie that an INIT from an address is answered with.
fn cookie_for(bench: &mut Bench, from: IpAddr, parameters: &[u8]) -> (u32, Vec<u8>) {
    let init = chunk(1, 0, &init_value(PEER_TAG, parameters));
    bench.give_from(from, packet(0, &[init])).unwrap();
    let replies = bench.replies();
    let init_ack = &replies[0].chunks[0];
    assert_eq!(init_ack[0], 2);
    let tag = u32::from_be_bytes(init_ack[4..8].try_into().unwrap());
    (tag, Tlvs::new(&init_ack[20..]).next().unwrap().value.to_vec())
}

/// Where packets go now, and with what.
pub(super) fn sent(bench: &mut Bench) -> Vec<(IpAddr, Vec<u8>)> {
    bench.host.drain().iter().map(|sent| (sent.packet.remote, chunk_types(sent))).collect()
}

/// A host with an association whose peer has the addresses 9, in use, and 10.
pub(super) fn with_two_addresses() -> Bench {
    let mut bench = Bench::listening();
    let (tag, cookie) = cookie_for(&mut bench, PEER, &listed(10));
    bench.give(packet(tag, &[chunk(COOKIE_ECHO, 0, &cookie)])).unwrap();
    assert_eq!(sent(&mut bench)[0], (PEER, [COOKIE_ACK].to_vec()));
    bench.host_tag = tag;
    bench
}

#[test]
fn a_cookie_ack_goes_where_the_cookie_came_from() {
    let mut bench = Bench::listening();
    let (tag, cookie) = cookie_for(&mut bench, PEER, &listed(10));
    // The second time, the association is there already.
    for _ in 0..2 {
        bench.give_from(address(10), packet(tag, &[chunk(COOKIE_ECHO, 0, &cookie)])).unwrap();
        let acks: Vec<_> = sent(&mut bench)
            .into_iter()
            .filter(|(_, kinds)| kinds.contains(&COOKIE_ACK))
            .map(|(remote, _)| remote)
            .collect();
        assert_eq!(acks, [address(10)]);
    }
}

#[test]
fn an_error_goes_where_its_reason_came_from() {
    let mut bench = with_two_addresses();
    let mut elsewhere = data(1_000, b"x");
    // Stream 99.
    elsewhere[9] = 99;
    for reason in [chunk(0xef, 0, b"unknown"), elsewhere] {
        bench.give_from(address(10), packet(bench.host_tag, &[reason])).unwrap();
        let sent = sent(&mut bench);
        assert_eq!((sent[0].0, sent[0].1[0]), (address(10), 9), "{sent:?}");
    }
}

#[test]
fn a_shutdown_complete_goes_where_the_shutdown_ack_came_from() {
    let mut bench = with_two_addresses();
    let Event::Up { handle, .. } = bench.host.events[0] else { panic!() };
    let now = bench.host.now;
    bench.host.endpoint.shutdown(now, handle).unwrap();
    assert_eq!(sent(&mut bench), [(PEER, [7].to_vec())]);
    bench.give_from(address(10), packet(bench.host_tag, &[chunk(8, 0, &[])])).unwrap();
    assert_eq!(sent(&mut bench), [(address(10), [14].to_vec())]);
}

#[test]
fn cookies_that_find_no_room_are_refused_only_so_often() {
    let mut bench = Bench::listening();
    let peers: Vec<_> =
        (20..25).map(|last| (last, cookie_for(&mut bench, address(last), &[]))).collect();
    let mut echo = |from: IpAddr, (tag, cookie): &(u32, Vec<u8>)| {
        let _ = bench.give_from(from, packet(*tag, &[chunk(COOKIE_ECHO, 0, cookie)]));
        bench.replies().len()
    };
    // There is room for four.
    for (last, cookie) in &peers[..4] {
        assert_eq!(echo(address(*last), cookie), 1);
    }
    let count: usize = (0..3_000).map(|_| echo(address(200), &peers[4].1)).sum();
    let limit = usize::from(Config::DEFAULT.stranger_replies_per_second);
    // Five INITs were answered at the same time.
    assert_eq!(count, limit - 5);
}

#[test]
fn a_flood_of_inits_gets_only_so_many_shutdown_acks() {
    let mut bench = Bench::established();
    // SHUTDOWN: all acknowledged.
    let shutdown = chunk(7, 0, &bench.has_received(0));
    assert_eq!(bench.trade(&[shutdown])[0].kinds(), [8]);
    let init = packet(0, &[chunk(1, 0, &init_value(0x55, &[]))]);
    let mut answers = |count: usize| -> usize {
        (0..count)
            .map(|_| {
                let _ = bench.give(init.clone());
                bench.replies().len()
            })
            .sum()
    };
    assert_eq!(answers(1), 1);
    let limit = usize::from(Config::DEFAULT.stranger_replies_per_second);
    // The INIT of the association was answered at the same time, and the one just now.
    assert_eq!(answers(3_000), limit - 2);
}

#[test]
fn a_heartbeat_that_fills_its_packet_is_answered() {
    let mut bench = Bench::established();
    let mut info = [7; 1_464];
    info[..4].copy_from_slice(&[0, 1, 0x05, 0xb8]);
    let heartbeat = chunk(4, 0, &info);
    let mut ack = heartbeat.clone();
    ack[0] = 5;
    assert_eq!(bench.trade(&[heartbeat])[0].chunks, [ack]);
}

#[test]
fn a_long_unknown_chunk_is_reported_as_far_as_the_packet_goes() {
    let mut bench = Bench::established();
    let unknown = chunk(0xef, 0, &[1; 1_464]);
    // ERROR, with a cause that fills it.
    let mut error = [9, 0, 0x05, 0xbc, 0, 6, 0x05, 0xb8].to_vec();
    error.extend(&unknown[..1_460]);
    assert_eq!(bench.trade(&[unknown])[0].chunks, [error]);
}

#[test]
fn an_abort_goes_where_its_reason_came_from() {
    let mut bench = with_two_addresses();
    // DATA without user data. RFC 9260 §6.2.
    let empty = chunk(0, 3, &[0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 0, 0]);
    bench.give_from(address(10), packet(bench.host_tag, &[empty])).unwrap();
    assert_eq!(sent(&mut bench), [(address(10), [ABORT].to_vec())]);
}

#[test]
fn an_abort_for_an_init_ack_goes_where_that_came_from() {
    let mut bench = Bench::listening();
    let host = &mut bench.host;
    let _ = host.connect(HOST_PORT, (PEER, PEER_PORT).into());
    let own_tag = host.drain()[0].bytes[16..20].try_into().unwrap();
    // It has no cookie.
    let init_ack = chunk(2, 0, &init_value(PEER_TAG, &[]));
    let tag = u32::from_be_bytes(own_tag);
    bench.give_from(address(10), packet(tag, &[init_ack])).unwrap();
    assert_eq!(sent(&mut bench), [(address(10), [ABORT].to_vec())]);
}

#[test]
fn a_cookie_while_shutting_down_is_answered_where_it_came_from() {
    let mut bench = with_two_addresses();
    // The peer has restarted. RFC 9260 §5.2.4 A.
    let init = chunk(1, 0, &init_value(PEER_TAG ^ 1, &listed(10)));
    bench.give(packet(0, &[init])).unwrap();
    let init_ack = &bench.replies()[0].chunks[0];
    let tag = u32::from_be_bytes(init_ack[4..8].try_into().unwrap());
    let cookie = Tlvs::new(&init_ack[20..]).next().unwrap().value.to_vec();
    let shutdown = chunk(7, 0, &bench.has_received(0));
    bench.give(packet(bench.host_tag, &[shutdown])).unwrap();
    assert_eq!(sent(&mut bench), [(PEER, [SHUTDOWN_ACK].to_vec())]);
    let echo = packet(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    bench.give_from(address(10), echo).unwrap_err();
    let answers = [(address(10), [ERROR].to_vec()), (PEER, [SHUTDOWN_ACK].to_vec())];
    assert_eq!(sent(&mut bench), answers);
}
