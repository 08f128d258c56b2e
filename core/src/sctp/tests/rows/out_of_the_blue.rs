//! Packets that belong to no association: the steps of RFC 9260 §8.4, in their order.

use std::vec;
use std::vec::Vec;

use crate::sctp::InputError;
use crate::sctp::tests::craft::{
    Bench, HOST_PORT, PEER_TAG, Reply, chunk, data, init_value, packet,
};
use crate::sctp::tests::stranger::{SOME_TAG, abort_reflected, answer};

fn abort() -> Vec<u8> {
    chunk(6, 0, &[])
}

fn init() -> Vec<u8> {
    chunk(1, 0, &init_value(PEER_TAG, &[]))
}

fn shutdown_ack() -> Vec<u8> {
    chunk(8, 0, &[])
}

fn shutdown_complete_reflected() -> Vec<Reply> {
    vec![Reply { tag: SOME_TAG, chunks: vec![vec![14, 1, 0, 4]] }]
}

#[test]
fn step_1_to_or_from_a_group_or_everybody_is_dropped() {
    let mut bench = Bench::listening();
    for source in ["224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "::"] {
        for chunk in [init(), shutdown_ack(), data(1, b"x")] {
            let tag = if chunk[0] == 1 { 0 } else { SOME_TAG };
            let given = packet(tag, &[chunk]);
            let result = bench.give_from(source.parse().unwrap(), given);
            assert_eq!(result, Err(InputError::Malformed), "{source}");
        }
    }
    bench.host.address = "224.0.0.1".parse().unwrap();
    assert_eq!(bench.give(packet(0, &[init()])), Err(InputError::Malformed));
    assert_eq!(bench.replies(), []);
}

#[test]
fn step_2_with_an_abort_anywhere_is_dropped() {
    assert_eq!(answer(SOME_TAG, &[abort()]), []);
    assert_eq!(answer(SOME_TAG, &[shutdown_ack(), abort()]), [], "before step 5");
    assert_eq!(answer(SOME_TAG, &[data(1, b"x"), abort()]), [], "before step 8");
    assert_eq!(answer(0, &[init(), abort()]), [], "before step 3");
}

#[test]
fn step_3_an_init_with_tag_0_is_answered_with_init_ack() {
    let replies = answer(0, &[init()]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (PEER_TAG, vec![2]));
}

#[test]
fn step_3_an_init_that_cannot_be_taken_is_aborted_with_its_initiate_tag() {
    let mut bench = Bench::listening();
    bench.host.endpoint.unlisten(HOST_PORT);
    let _ = bench.give(packet(0, &[init()]));
    let refused = Reply { tag: PEER_TAG, chunks: vec![vec![6, 0, 0, 4]] };
    assert_eq!(bench.replies(), [refused], "T=0");
}

#[test]
fn step_3_an_init_with_a_tag_is_dropped() {
    assert_eq!(answer(SOME_TAG, &[init()]), []);
    assert_eq!(answer(SOME_TAG, &[init(), shutdown_ack()]), [], "with all that follows it");
}

#[test]
fn step_4_a_cookie_echo_in_front_is_taken_and_elsewhere_not() {
    let mut bench = Bench::listening();
    let cookie = chunk(10, 0, &bench.cookie(&[]));
    let behind = packet(bench.host_tag, &[data(1_000, b"x"), cookie.clone()]);
    let _ = bench.give(behind);
    assert_eq!(bench.replies(), abort_reflected(bench.host_tag), "step 8");
    assert_eq!(bench.trade(&[cookie])[0].kinds(), [11]);
    // Before step 5.
    assert_eq!(answer(SOME_TAG, &[chunk(10, 0, &[1; 100]), shutdown_ack()]), []);
}

#[test]
fn step_5_a_shutdown_ack_anywhere_is_answered_with_shutdown_complete_reflected() {
    assert_eq!(answer(SOME_TAG, &[shutdown_ack()]), shutdown_complete_reflected());
    let behind = [data(1, b"x"), shutdown_ack()];
    assert_eq!(answer(SOME_TAG, &behind), shutdown_complete_reflected());
    let before_step_6 = [shutdown_ack(), chunk(14, 0, &[])];
    assert_eq!(answer(SOME_TAG, &before_step_6), shutdown_complete_reflected());
    let before_step_7 = [chunk(11, 0, &[]), shutdown_ack()];
    assert_eq!(answer(SOME_TAG, &before_step_7), shutdown_complete_reflected());
}

#[test]
fn step_6_a_shutdown_complete_anywhere_is_dropped() {
    assert_eq!(answer(SOME_TAG, &[chunk(14, 0, &[])]), []);
    assert_eq!(answer(SOME_TAG, &[chunk(14, 1, &[])]), []);
    assert_eq!(answer(SOME_TAG, &[data(1, b"x"), chunk(14, 0, &[])]), []);
}

#[test]
fn step_7_a_stale_cookie_error_or_a_cookie_ack_is_dropped() {
    let stale = chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1]);
    assert_eq!(answer(SOME_TAG, core::slice::from_ref(&stale)), []);
    assert_eq!(answer(SOME_TAG, &[data(1, b"x"), stale]), []);
    assert_eq!(answer(SOME_TAG, &[chunk(11, 0, &[])]), []);
    assert_eq!(answer(SOME_TAG, &[chunk(11, 0, &[]), data(1, b"x")]), []);
}

#[test]
fn step_8_all_else_is_aborted_with_the_tag_reflected() {
    let heartbeat = [0, 1, 0, 8, 1, 2, 3, 4];
    for other in [
        data(1, b"x"),
        chunk(2, 0, &init_value(9, &[0, 7, 0, 8, 1, 2, 3, 4])),
        chunk(3, 0, &[0; 12]),
        chunk(4, 0, &heartbeat),
        chunk(5, 0, &heartbeat),
        chunk(7, 0, &[0; 4]),
        chunk(9, 0, &[0, 1, 0, 8, 0, 9, 0, 0]),
        chunk(12, 0, &[0; 4]),
        chunk(13, 0, &[0; 4]),
        chunk(0x3f, 0, &[]),
        chunk(0x7f, 0, &[]),
        chunk(0xbf, 0, &[]),
        chunk(0xff, 0, &[]),
    ] {
        let kind = other[0];
        assert_eq!(answer(SOME_TAG, &[other]), abort_reflected(SOME_TAG), "type {kind}");
    }
}

#[test]
fn tag_0_without_a_lone_init_is_dropped_at_every_step() {
    for other in [shutdown_ack(), data(1, b"x"), chunk(4, 0, &[0, 1, 0, 4]), chunk(7, 0, &[0; 4])]
    {
        assert_eq!(answer(0, &[other]), []);
    }
    assert_eq!(answer(0, &[init(), data(1, b"x")]), []);
    assert_eq!(answer(0, &[data(1, b"x"), init()]), []);
}

#[test]
fn a_wrong_checksum_is_no_packet_at_any_step() {
    for (tag, chunk) in [(0, init()), (SOME_TAG, shutdown_ack()), (SOME_TAG, data(1, b"x"))] {
        let mut bench = Bench::listening();
        let mut bytes = packet(tag, &[chunk]);
        bytes[9] ^= 1;
        assert_eq!(bench.give(bytes), Err(InputError::Malformed));
        assert_eq!(bench.replies(), []);
    }
}
