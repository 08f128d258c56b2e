//! Peers and strangers that bend the rules, and what they must not achieve.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{
    Bench, HOST_PORT, PEER, PEER_PORT, PEER_TAG, Reply, chunk, data, init_value, packet,
};
use super::link::{Host, run};
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, Datagram, Event, Input, SendError, UdpPorts};

fn send(bench: &mut Bench, data: &[u8]) {
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.send(now, handle, StreamId(0), Ppid(1), false, data).unwrap();
}

/// Lets time pass until the next deadline.
fn expire(bench: &mut Bench) {
    let next = bench.host.endpoint.poll_timeout().expect("something is waited for");
    bench.host.now = next;
    bench.host.endpoint.handle_timeout(next);
}

/// A SACK for the host's first `count` chunks with a closed window.
fn closed_window(bench: &Bench, count: u32) -> Vec<u8> {
    chunk(3, 0, &[&bench.has_received(count)[..], &[0; 8]].concat())
}

#[test]
fn a_gap_over_the_next_tsn_does_not_stop_the_timer() {
    let mut bench = Bench::established();
    send(&mut bench, b"x");
    assert_eq!(bench.replies().len(), 1);
    let sack = [&bench.has_received(0)[..], &[0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1]].concat();
    bench.trade(&[chunk(3, 0, &sack)]);
    bench.host.let_pass(Duration::from_secs(1));
    assert_eq!(bench.replies()[0].kinds(), [0], "it is sent again");
}

#[test]
fn a_closed_window_never_counts_while_some_probes_are_answered() {
    let mut bench = Bench::established();
    send(&mut bench, b"x");
    bench.replies();
    let sack = closed_window(&bench, 1);
    bench.trade(&[sack]);
    send(&mut bench, b"y");
    for round in 0..40 {
        assert_eq!(bench.replies()[0].kinds(), [0]);
        if round % 2 == 0 {
            let sack = closed_window(&bench, 1);
            bench.trade(&[sack]);
        }
        expire(&mut bench);
    }
    assert!(bench.host.events.is_empty(), "{:?}", bench.host.events);
}

#[test]
fn encapsulation_that_begins_late_does_not_block_full_chunks() {
    let mut bench = Bench::established();
    let give_by_udp = |bench: &mut Bench, bytes| {
        let payload = packet(bench.host_tag, &[bytes]);
        let (now, local) = (bench.host.now, bench.host.address);
        let udp = Some(UdpPorts { local: 9_899, remote: 9_899 });
        let datagram = Datagram { local, remote: PEER, udp, payload: &payload };
        bench.host.endpoint.handle_input(now, Input::Datagram(datagram)).unwrap();
    };
    send(&mut bench, &[1; 1_452]);
    give_by_udp(&mut bench, chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4]));
    let kinds: Vec<_> = bench.replies().iter().flat_map(Reply::kinds).collect();
    assert_eq!(kinds, [5, 0]);
    // What is queued from now on is cut for the shorter packets.
    let sack = [&bench.has_received(1)[..], &[0, 1, 0, 0, 0, 0, 0, 0]].concat();
    give_by_udp(&mut bench, chunk(3, 0, &sack));
    send(&mut bench, &[1; 1_452]);
    let lens: Vec<_> = bench.host.drain().iter().map(|sent| sent.bytes.len()).collect();
    assert_eq!(lens, [1_472, 12 + 16 + 8]);
}

#[test]
fn a_cookie_of_an_earlier_restart_restarts_nothing() {
    const NEW_TAG: u32 = 0x0b0b_0b0b;
    const NEWER_TAG: u32 = 0x0c0c_0c0c;
    let mut bench = Bench::established();
    let old = bench.cookie_for(NEW_TAG, &[]);
    let old_tag = bench.host_tag;
    assert_eq!(bench.trade(&[chunk(10, 0, &old)])[0].tag, NEW_TAG);
    let new = bench.cookie_for(NEWER_TAG, &[]);
    assert_eq!(bench.trade(&[chunk(10, 0, &new)])[0].tag, NEWER_TAG);
    bench.host.events.clear();
    let _ = bench.give(packet(old_tag, &[chunk(10, 0, &old)]));
    assert!(bench.replies().is_empty());
    assert!(bench.host.events.is_empty(), "{:?}", bench.host.events);
}

#[test]
fn a_flood_of_rubbish_does_not_keep_a_cookie_out() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    for port in 0..2_000 {
        let rubbish = super::craft::packet_between(1 + port, HOST_PORT, 9, &[data(1, b"x")]);
        let _ = bench.give(rubbish);
        bench.replies();
    }
    let replies = bench.trade(&[chunk(10, 0, &cookie)]);
    assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![vec![11, 0, 0, 4]] }]);
}

#[test]
fn forged_inits_in_the_name_of_a_peer_are_answered_no_faster_than_a_strangers() {
    let mut bench = Bench::established();
    let init = packet(0, &[chunk(1, 0, &init_value(9, &[]))]);
    let mut count = 0;
    for _ in 0..2_000 {
        let _ = bench.give(init.clone());
        count += bench.replies().len();
    }
    assert!(count <= usize::from(Config::DEFAULT.stranger_replies_per_second), "{count}");
}

#[test]
fn a_message_too_long_is_said_to_be_once_the_association_is_up() {
    let (mut a, mut b) = (Host::new(1, Config::DEFAULT), Host::new(2, Config::DEFAULT));
    b.endpoint.listen(HOST_PORT).unwrap();
    let handle = a.connect(PEER_PORT, b.socket_address(HOST_PORT));
    let attempt =
        |a: &mut Host| a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, &[0; 3_000]);
    assert_eq!(attempt(&mut a), Err(SendError::Full));
    run(&mut a, &mut b);
    assert_eq!(a.events.pop(), Some(Event::Writable { handle }));
    assert_eq!(attempt(&mut a), Err(SendError::TooLong));
}

#[test]
fn a_peer_given_up_as_lost_is_told() {
    let mut bench = Bench::established();
    send(&mut bench, b"x");
    for _ in 0..40 {
        bench.replies();
        if bench.host.events.is_empty() {
            expire(&mut bench);
        }
        if bench.host.endpoint.statistics().lost > 0 {
            break;
        }
    }
    let abort = Reply { tag: PEER_TAG, chunks: vec![vec![6, 0, 0, 4]] };
    assert_eq!(bench.replies(), [abort]);
    let [Event::Down { reason: DownReason::Lost, .. }] = bench.host.events[..] else {
        panic!("{:?}", bench.host.events)
    };
}

#[test]
fn a_shutdown_gives_back_the_window_of_what_it_acknowledges() {
    let mut bench = Bench::established();
    send(&mut bench, b"x");
    bench.replies();
    let sack = [&bench.has_received(1)[..], &[0, 0, 4, 0, 0, 0, 0, 0]].concat();
    bench.trade(&[chunk(3, 0, &sack)]);
    for _ in 0..2 {
        send(&mut bench, &[1; 500]);
        assert_eq!(bench.replies()[0].kinds(), [0]);
    }
    for _ in 0..2 {
        send(&mut bench, &[1; 400]);
    }
    assert!(bench.replies().is_empty(), "the window is closed");
    let acked = bench.has_received(3);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)])[0].kinds(), [0, 0]);
}
