//! Verification tags: RFC 9260 §8.5; and chunks that are not known: §3.2.

use std::vec;
use std::vec::Vec;

use super::craft::{Bench, PEER_TAG, Reply, chunk, data, init_value, packet};
use crate::association::DownReason;
use crate::sctp::{Event, InputError};

const HEARTBEAT: &[u8] = &[0, 1, 0, 8, 1, 2, 3, 4];

fn down(bench: &Bench, cause: u16) -> Event {
    let reason = DownReason::Aborted;
    Event::Down { handle: bench.handle.unwrap(), was_up: true, reason, cause }
}

#[test]
fn a_packet_with_another_tag_is_dropped() {
    let mut bench = Bench::established();
    let heartbeat = chunk(4, 0, HEARTBEAT);
    let wrong = packet(bench.host_tag ^ 1, core::slice::from_ref(&heartbeat));
    assert_eq!(bench.give(wrong), Err(InputError::WrongTag));
    assert!(bench.replies().is_empty());
    let ack = Reply { tag: PEER_TAG, chunks: vec![chunk(5, 0, HEARTBEAT)] };
    assert_eq!(bench.trade(&[heartbeat]), [ack]);
}

#[test]
fn an_abort_counts_with_our_tag_or_with_the_peers_reflected() {
    for (own, flags, accepted) in
        [(true, 0, true), (true, 1, false), (false, 1, true), (false, 0, false)]
    {
        let mut bench = Bench::established();
        let tag = if own { bench.host_tag } else { PEER_TAG };
        let abort = chunk(6, flags, &[0, 12, 0, 6, b'n', b'o']);
        let result = bench.give(packet(tag, &[abort]));
        assert!(bench.replies().is_empty(), "an ABORT is never answered");
        if accepted {
            assert_eq!(result, Ok(()));
            assert_eq!(bench.host.events, [down(&bench, 12)]);
        } else {
            assert_eq!(result, Err(InputError::WrongTag));
            assert!(bench.host.events.is_empty());
        }
    }
}

#[test]
fn what_travels_with_an_abort_is_not_answered() {
    let mut bench = Bench::established();
    let replies = bench.trade(&[chunk(4, 0, HEARTBEAT), chunk(6, 0, &[])]);
    assert!(replies.is_empty());
    assert_eq!(bench.host.events, [down(&bench, 0)]);
}

#[test]
fn a_shutdown_complete_counts_in_shutdown_ack_sent_only() {
    let mut bench = Bench::established();
    assert!(bench.trade(&[chunk(14, 0, &[])]).is_empty());
    assert!(bench.host.events.is_empty());
    for (own, flags, accepted) in
        [(true, 0, true), (true, 1, false), (false, 1, true), (false, 0, false)]
    {
        let mut bench = Bench::established();
        let acked = bench.has_received(0);
        let replies = bench.trade(&[chunk(7, 0, &acked)]);
        assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![chunk(8, 0, &[])] }]);
        let tag = if own { bench.host_tag } else { PEER_TAG };
        let result = bench.give(packet(tag, &[chunk(14, flags, &[])]));
        assert_eq!(result, if accepted { Ok(()) } else { Err(InputError::WrongTag) });
        assert!(bench.replies().is_empty());
        assert_eq!(bench.host.events.len(), usize::from(accepted));
    }
}

#[test]
fn tag_0_is_for_a_lone_init() {
    let mut bench = Bench::established();
    assert_eq!(bench.give(packet(0, &[chunk(4, 0, HEARTBEAT)])), Err(InputError::WrongTag));
    let init = chunk(1, 0, &init_value(7, &[]));
    let bundled = packet(0, &[init.clone(), data(1_000, b"x")]);
    assert_eq!(bench.give(bundled), Err(InputError::WrongTag));
    assert!(bench.replies().is_empty());
    // An INIT with our tag is no INIT.
    assert!(bench.trade(&[init]).is_empty());
}

#[test]
fn unknown_chunks_are_treated_by_their_top_bits() {
    let unknown = |kind: u8| chunk(kind, 0, b"abcd");
    let error = |kind: u8| {
        let mut value = vec![0, 6, 0, 12];
        value.extend(unknown(kind));
        Reply { tag: PEER_TAG, chunks: vec![chunk(9, 0, &value)] }
    };
    let ack = || Reply { tag: PEER_TAG, chunks: vec![chunk(5, 0, HEARTBEAT)] };
    let trade = |kind| {
        let mut bench = Bench::established();
        bench.trade(&[unknown(kind), chunk(4, 0, HEARTBEAT)])
    };
    assert_eq!(trade(0x3f), Vec::<Reply>::new());
    assert_eq!(trade(0x7f), [error(0x7f)]);
    assert_eq!(trade(0xbf), [ack()]);
    assert_eq!(trade(0xff), [error(0xff), ack()]);
    // ECNE and CWR, which we never ask for, are of the first kind.
    assert_eq!(trade(12), Vec::<Reply>::new());
}

#[test]
fn a_malformed_chunk_hides_what_follows_but_not_what_precedes() {
    let mut bench = Bench::established();
    let broken = vec![3, 0, 0, 2];
    let heartbeat = chunk(4, 0, HEARTBEAT);
    let replies = bench.trade(&[heartbeat.clone(), broken, heartbeat]);
    assert_eq!(replies.len(), 1);
}

#[test]
fn data_on_a_stream_that_does_not_exist_is_acknowledged_and_reported() {
    let mut bench = Bench::established();
    let mut value = 1_000_u32.to_be_bytes().to_vec();
    value.extend([0, 4, 0, 0, 0, 0, 0, 11, b'x']);
    let replies = bench.trade(&[chunk(0, 3, &value)]);
    let [Reply { tag: PEER_TAG, chunks }] = replies.as_slice() else { panic!("{replies:?}") };
    let [error, sack] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!(*error, chunk(9, 0, &[0, 1, 0, 8, 0, 4, 0, 0]));
    assert_eq!((sack[0], &sack[4..8]), (3, &[0, 0, 3, 0xe8][..]));
    assert!(bench.host.messages.is_empty());
}

#[test]
fn data_without_data_aborts() {
    let mut bench = Bench::established();
    let replies = bench.trade(&[data(1_000, b"")]);
    let abort = chunk(6, 0, &[0, 9, 0, 8, 0, 0, 3, 0xe8]);
    assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![abort] }]);
    assert_eq!(bench.host.events, [down(&bench, 9)]);
}

#[test]
fn acknowledging_what_was_never_sent_aborts() {
    let mut bench = Bench::established();
    let mut sack = bench.has_received(1).to_vec();
    sack.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    let replies = bench.trade(&[chunk(3, 0, &sack)]);
    let abort = chunk(6, 0, &[0, 13, 0, 4]);
    assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![abort] }]);
    assert_eq!(bench.host.events, [down(&bench, 13)]);
}
