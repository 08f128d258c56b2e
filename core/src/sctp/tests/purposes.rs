//! Test purposes that no script can be written for, by their names. The others are scripts, in
//! `tests/packetdrill/purposes`, and two that need several addresses are in `multihoming`.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, HOST_PORT, PEER_TAG, Reply, chunk, init_value, packet_between};
use super::link::{connected, run_for};
use crate::association::{Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, SendError};
use core::time::Duration;

#[test]
fn as_i_1_4_an_init_takes_no_memory() {
    let mut bench = Bench::listening();
    let before = std::format!("{:?}", bench.host.endpoint.storage_mut());
    for port in 1..100 {
        let init = chunk(1, 0, &init_value(u32::from(port), &[]));
        let _ = bench.give(packet_between(port, HOST_PORT, 0, &[init]));
        assert_eq!(bench.replies()[0].kinds(), [2]);
    }
    assert_eq!(std::format!("{:?}", bench.host.endpoint.storage_mut()), before);
    assert_eq!(bench.host.endpoint.poll_timeout(), None, "nor does a timer run");
    assert_eq!(bench.host.events, []);
}

/// Tags look drawn: all differ, none is 0, and each bit is set in about half of them.
fn assert_random(tags: &[u32]) {
    let distinct: BTreeSet<_> = tags.iter().collect();
    assert_eq!(distinct.len(), tags.len());
    assert!(!tags.contains(&0));
    for bit in 0..32 {
        let count = tags.iter().filter(|&tag| tag >> bit & 1 == 1).count();
        let about_half = tags.len() * 2 / 5..=tags.len() * 3 / 5;
        assert!(about_half.contains(&count), "bit {bit}: {count} of {}", tags.len());
    }
}

#[test]
fn as_v_1_5_1_the_tags_of_inits_are_random() {
    let mut bench = Bench::listening();
    let mut tags = Vec::new();
    for _ in 0..400 {
        let remote = core::net::SocketAddr::new(super::craft::PEER, super::craft::PEER_PORT);
        let connect = crate::sctp::Connect { local_port: HOST_PORT, remote, udp: None };
        let handle = bench.host.endpoint.connect(bench.host.now, connect).unwrap();
        let init = bench.replies().remove(0).chunks.remove(0);
        tags.push(u32::from_be_bytes(init[4..8].try_into().unwrap()));
        bench.host.endpoint.abort(bench.host.now, handle).unwrap();
        bench.replies();
    }
    assert_random(&tags);
}

#[test]
fn as_v_1_5_2_the_tags_of_init_acks_are_random() {
    let mut bench = Bench::listening();
    let mut tags = Vec::new();
    for _ in 0..400 {
        let _ = bench.cookie(&[]);
        tags.push(bench.host_tag);
    }
    assert_random(&tags);
}

#[test]
fn d_v_8_13_a_message_of_the_maximum_size_arrives_whole() {
    // As long as the peer's buffer, which is the shorter one.
    let (mut a, mut b, handle, _) = connected();
    let longest = a.endpoint.status(handle).unwrap().peer_window;
    assert!((1_500..=2_048).contains(&longest));
    let message: Vec<u8> = (0..longest).map(|index| index as u8).collect();
    a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, &message).unwrap();
    run_for(&mut a, &mut b, Duration::from_secs(5));
    assert_eq!(b.messages.len(), 1);
    assert_eq!(b.messages[0].2, message);
}

#[test]
fn d_v_8_14_a_message_above_the_maximum_size_is_refused_and_nothing_sent() {
    let (mut a, _, handle, _) = connected();
    let sent = a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, &[0; 2_049]);
    assert_eq!(sent, Err(SendError::TooLong));
    assert!(a.drain().is_empty());
    let sent = a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, &[]);
    assert_eq!(sent, Err(SendError::Empty));
    assert!(a.drain().is_empty());
}

#[test]
fn d_v_8_15_a_message_of_the_peer_that_can_never_fit_aborts_for_want_of_room() {
    let mut bench = Bench::established();
    bench.host.endpoint.configure(Config::DEFAULT);
    let mut last = Vec::new();
    for index in 0..10_u32 {
        let mut value = (1_000 + index).to_be_bytes().to_vec();
        value.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        value.extend([7; 400]);
        let begins = u8::from(index == 0) << 1;
        last = bench.trade(&[chunk(0, begins, &value)]);
        if last.iter().any(|reply| reply.kinds() == [6]) {
            break;
        }
    }
    let abort = Reply { tag: PEER_TAG, chunks: vec![chunk(6, 0, &[0, 4, 0, 4])] };
    assert_eq!(last, [abort]);
}
