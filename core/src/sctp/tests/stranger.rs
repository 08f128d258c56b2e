//! Packets that belong to no association: RFC 9260 §8.4, §5.1.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{
    Bench, HOST_PORT, PEER_TAG, Reply, chunk, data, init_value, packet, packet_between,
};
use crate::machine::Machine;
use crate::sctp::{Config, InputError};

pub(super) const SOME_TAG: u32 = 0x0102_0304;

pub(super) fn answer(tag: u32, chunks: &[Vec<u8>]) -> Vec<Reply> {
    let mut bench = Bench::listening();
    let _ = bench.give(packet(tag, chunks));
    bench.replies()
}

pub(super) fn abort_reflected(tag: u32) -> Vec<Reply> {
    vec![Reply { tag, chunks: vec![vec![6, 1, 0, 4]] }]
}

#[test]
fn from_or_to_a_group_is_dropped() {
    let mut bench = Bench::listening();
    let init = packet(0, &[chunk(1, 0, &init_value(PEER_TAG, &[]))]);
    let group = "224.0.0.1".parse().unwrap();
    assert_eq!(bench.give_from(group, init.clone()), Err(InputError::Malformed));
    bench.host.address = group;
    assert_eq!(bench.give(init), Err(InputError::Malformed));
    assert!(bench.replies().is_empty());
}

#[test]
fn a_wrong_checksum_or_port_0_is_dropped() {
    let mut bench = Bench::listening();
    let mut init = packet(0, &[chunk(1, 0, &init_value(PEER_TAG, &[]))]);
    init[20] ^= 1;
    assert_eq!(bench.give(init), Err(InputError::Malformed));
    for (from, to) in [(0, HOST_PORT), (1, 0)] {
        let init = packet_between(from, to, 0, &[chunk(1, 0, &init_value(PEER_TAG, &[]))]);
        assert_eq!(bench.give(init), Err(InputError::Malformed));
    }
    assert_eq!(bench.host.endpoint.statistics().malformed, 3);
    assert!(bench.replies().is_empty());
}

#[test]
fn a_packet_with_an_abort_is_dropped() {
    assert!(answer(SOME_TAG, &[chunk(6, 0, &[])]).is_empty());
    assert!(answer(SOME_TAG, &[data(1, b"x"), chunk(6, 1, &[])]).is_empty());
}

#[test]
fn an_init_with_a_tag_or_in_company_is_not_taken() {
    let init = chunk(1, 0, &init_value(PEER_TAG, &[]));
    assert!(answer(SOME_TAG, core::slice::from_ref(&init)).is_empty(), "it has a tag");
    assert!(answer(SOME_TAG, &[init.clone(), data(1, b"x")]).is_empty());
    assert!(answer(0, &[init.clone(), data(1, b"x")]).is_empty());
    assert!(answer(0, &[data(1, b"x")]).is_empty(), "tag 0 without INIT");
    assert!(answer(0, &[chunk(1, 0, &init_value(0, &[]))]).is_empty(), "initiate tag 0");
}

#[test]
fn an_init_with_impossible_fields_is_refused_with_its_own_tag() {
    // Window 1499, no outbound streams, no inbound streams.
    for (at, bytes) in [(4, [0, 0, 5, 0xdb]), (8, [0, 0, 0, 10]), (8, [0, 10, 0, 0])] {
        let mut value = init_value(PEER_TAG, &[]);
        value[at..at + 4].copy_from_slice(&bytes);
        let refused = Reply { tag: PEER_TAG, chunks: vec![vec![6, 0, 0, 8, 0, 7, 0, 4]] };
        assert_eq!(answer(0, &[chunk(1, 0, &value)]), [refused]);
    }
}

#[test]
fn an_init_with_a_host_name_is_refused() {
    let name = [0, 11, 0, 8, b'p', b'e', b'e', b'r'];
    let mut abort = vec![6, 0, 0, 16, 0, 5, 0, 12];
    abort.extend(name);
    let replies = answer(0, &[chunk(1, 0, &init_value(PEER_TAG, &name))]);
    assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![abort] }]);
}

#[test]
fn unknown_parameters_of_an_init_are_treated_by_their_top_bits() {
    let parameter = |high: u8| vec![high, 0x77, 0, 5, 9, 0, 0, 0];
    let answer = |parameters: &[Vec<u8>]| {
        let value = init_value(PEER_TAG, &parameters.concat());
        let replies = answer(0, &[chunk(1, 0, &value)]);
        let init_ack = replies[0].chunks[0].clone();
        assert_eq!(init_ack[0], 2);
        let tlvs = crate::sctp::packet::Tlvs::new(&init_ack[20..]);
        tlvs.skip(1).map(|tlv| tlv.bytes.to_vec()).collect::<Vec<_>>()
    };
    let reported = |high: u8| vec![0, 8, 0, 9, high, 0x77, 0, 5, 9];
    let host_name = vec![0, 11, 0, 4];
    // 00 and 01 stop before the host name, which would be refused.
    assert_eq!(answer(&[parameter(0x3f), host_name.clone()]), Vec::<Vec<u8>>::new());
    assert_eq!(answer(&[parameter(0x7f), host_name]), [reported(0x7f)]);
    assert_eq!(
        answer(&[parameter(0x80), parameter(0xc0), parameter(0xc1)]),
        [reported(0xc0), reported(0xc1)]
    );
}

#[test]
fn a_shutdown_ack_is_answered_with_shutdown_complete() {
    let complete = Reply { tag: SOME_TAG, chunks: vec![vec![14, 1, 0, 4]] };
    assert_eq!(answer(SOME_TAG, &[chunk(8, 0, &[])]), [complete]);
}

#[test]
fn shutdown_complete_cookie_ack_and_stale_cookie_are_dropped() {
    assert!(answer(SOME_TAG, &[chunk(14, 0, &[])]).is_empty());
    assert!(answer(SOME_TAG, &[chunk(11, 0, &[])]).is_empty());
    assert!(answer(SOME_TAG, &[chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1])]).is_empty());
}

#[test]
fn anything_else_is_aborted_with_its_tag_reflected() {
    assert_eq!(answer(SOME_TAG, &[data(1, b"x")]), abort_reflected(SOME_TAG));
    assert_eq!(answer(SOME_TAG, &[chunk(4, 0, &[0, 1, 0, 4])]), abort_reflected(SOME_TAG));
    assert_eq!(answer(SOME_TAG, &[chunk(9, 0, &[0, 1, 0, 4])]), abort_reflected(SOME_TAG));
    assert_eq!(answer(SOME_TAG, &[chunk(0xff, 0, &[])]), abort_reflected(SOME_TAG));
}

#[test]
fn a_forged_cookie_is_dropped() {
    let mut bench = Bench::listening();
    let mut cookie = bench.cookie(&[]);
    let tag = bench.host_tag;
    // From other ports, with another tag, with a bit flipped.
    let elsewhere = packet_between(5_001, HOST_PORT, tag, &[chunk(10, 0, &cookie)]);
    assert_eq!(bench.give(elsewhere), Err(InputError::OutOfTheBlue));
    let other_tag = packet(tag ^ 1, &[chunk(10, 0, &cookie)]);
    assert_eq!(bench.give(other_tag), Err(InputError::OutOfTheBlue));
    cookie[7] ^= 1;
    let flipped = packet(tag, &[chunk(10, 0, &cookie)]);
    assert_eq!(bench.give(flipped), Err(InputError::OutOfTheBlue));
    assert!(bench.replies().is_empty());
    assert!(bench.host.events.is_empty());
    assert_eq!(bench.host.endpoint.statistics().cookies_refused, 3);
}

#[test]
fn a_cookie_61_seconds_old_is_stale() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    bench.host.let_pass(Duration::from_secs(61));
    let replies = bench.trade(&[chunk(10, 0, &cookie)]);
    // One second is 0x000f4240 microseconds.
    let error = vec![9, 0, 0, 12, 0, 3, 0, 8, 0, 0x0f, 0x42, 0x40];
    assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![error] }]);
    assert!(bench.host.events.is_empty());
}

#[test]
fn data_may_travel_with_the_cookie() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    let replies = bench.trade(&[chunk(10, 0, &cookie), data(1_000, b"early")]);
    assert_eq!(replies[0].kinds(), [11, 3], "COOKIE ACK first, then a SACK at once");
    assert_eq!(bench.host.messages[0].2, b"early");
}

#[test]
fn a_flood_of_inits_changes_no_storage_and_is_answered_at_a_bounded_rate() {
    let mut bench = Bench::listening();
    let config = Config { stranger_replies_per_second: 10, ..Config::DEFAULT };
    bench.host = super::link::Host::new(1, config);
    bench.host.endpoint.listen(HOST_PORT).unwrap();
    let before = std::format!("{:?}", bench.host.endpoint.storage_mut());
    let mut reply_count = 0;
    for tag in 1..=1_000 {
        let init = chunk(1, 0, &init_value(tag, &[]));
        let _ = bench.give(packet_between(tag as u16, HOST_PORT, 0, &[init]));
        reply_count += bench.replies().len();
    }
    assert_eq!(reply_count, 10);
    assert_eq!(bench.host.endpoint.statistics().replies_withheld, 990);
    assert_eq!(std::format!("{:?}", bench.host.endpoint.storage_mut()), before);
    assert_eq!(bench.host.endpoint.poll_timeout(), None);
}

#[test]
fn an_endpoint_without_room_refuses() {
    let mut bench = Bench::listening();
    for port in 1..=4 {
        bench.host.connect(HOST_PORT, bench.host.socket_address(port));
    }
    let _ = bench.host.drain();
    let _ = bench.give(packet(0, &[chunk(1, 0, &init_value(PEER_TAG, &[]))]));
    let refused = Reply { tag: PEER_TAG, chunks: vec![vec![6, 0, 0, 8, 0, 4, 0, 4]] };
    assert_eq!(bench.replies(), [refused]);
}
