//! Chunks that share a packet, and those that may not: RFC 9260 §3, §6.10.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, PEER_TAG, chunk, data, init_value, packet};
use super::link::{chunk_types, connected};
use super::setup::{COOKIE, cookie_echo, init_ack, opening};
use super::state_table::{end_of, in_state, state_of};
use super::teardown::{sack, send};
use crate::association::{DownReason, Ppid, StreamId};
use crate::entropy::{Entropy, SplitMix64};
use crate::sctp::InputError;
use crate::sctp::association::State;
use crate::sctp::packet::{Chunks, CommonHeader};

const HEARTBEAT: [u8; 8] = [0, 1, 0, 8, 1, 2, 3, 4];

/// An association with one chunk of ours in flight.
fn bench() -> Bench {
    let mut bench = Bench::established();
    send(&mut bench, b"x").unwrap();
    bench.replies();
    bench
}

/// Chunks that can be in any company, in ESTABLISHED: their bytes, and whether they had the
/// effect that they have alone.
type Companion = (fn(&Bench) -> Vec<u8>, fn(&Bench, &[u8]) -> bool);

const COMPANIONS: [Companion; 7] = [
    (
        |bench| sack(bench.has_received(1)),
        |bench, _| {
            let status = bench.host.endpoint.status(bench.handle.unwrap());
            status.is_some_and(|status| status.unacknowledged == 0)
        },
    ),
    (|_| chunk(4, 0, &HEARTBEAT), |_, replies| replies.contains(&5)),
    // An answer to what was not asked, and an error that says nothing to us.
    (|_| chunk(5, 0, &HEARTBEAT), |_, _| true),
    (|_| chunk(9, 0, &[0, 8, 0, 8, 0xc0, 1, 0, 4]), |_, _| true),
    (
        |_| data(1_000, b"one"),
        |bench, replies| {
            replies.contains(&3) && bench.host.messages.iter().any(|(.., text)| text == b"one")
        },
    ),
    (|_| chunk(0xbf, 0, b"skip"), |_, replies| !replies.contains(&9)),
    (|_| chunk(0xff, 0, b"tell"), |_, replies| replies.contains(&9)),
];

#[test]
fn every_order_of_chunks_that_may_be_bundled_is_taken_in() {
    for (a, a_has_effect) in COMPANIONS {
        for (b, b_has_effect) in COMPANIONS {
            for (c, c_has_effect) in COMPANIONS {
                let mut bench = bench();
                let chunks = [a(&bench), b(&bench), c(&bench)];
                let kinds = chunks.each_ref().map(|chunk| chunk[0]);
                let replies: Vec<u8> =
                    bench.trade(&chunks).iter().flat_map(|reply| reply.kinds()).collect();
                let tells = kinds.contains(&0xff);
                for (index, has_effect) in
                    [a_has_effect, b_has_effect, c_has_effect].into_iter().enumerate()
                {
                    let is_hidden = kinds[index] == 0xbf && tells;
                    assert!(is_hidden || has_effect(&bench, &replies), "{kinds:?}: {replies:?}");
                }
                assert_eq!(state_of(&bench), State::Established, "{kinds:?}");
            }
        }
    }
}

#[test]
fn a_cookie_echo_may_be_followed_by_anything() {
    for (other, has_effect) in COMPANIONS {
        let mut bench = Bench::listening();
        let cookie = bench.cookie(&[]);
        let chunks = [chunk(10, 0, &cookie), other(&bench)];
        // A SACK of what was never sent is the one thing that nobody can mean.
        if chunks[1][0] == 3 {
            continue;
        }
        let replies = bench.trade(&chunks);
        let kinds: Vec<u8> = replies.iter().flat_map(|reply| reply.kinds()).collect();
        assert!(kinds.contains(&11), "{kinds:?}");
        assert!(has_effect(&bench, &kinds), "{kinds:?}");
    }
}

#[test]
fn a_cookie_ack_may_be_in_front_of_data_and_control() {
    for (other, has_effect) in COMPANIONS {
        let mut bench = opening();
        assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
        let chunks = [chunk(11, 0, &[]), other(&bench)];
        if chunks[1][0] == 3 {
            continue;
        }
        let replies = bench.trade(&chunks);
        let kinds: Vec<u8> = replies.iter().flat_map(|reply| reply.kinds()).collect();
        assert_eq!(state_of(&bench), State::Established);
        assert!(has_effect(&bench, &kinds), "{kinds:?}");
    }
}

#[test]
fn shutdown_and_sack_may_be_bundled_in_either_order() {
    for is_sack_first in [true, false] {
        let mut bench = bench();
        let acked = bench.has_received(1);
        let mut chunks = [sack(acked), chunk(7, 0, &acked)];
        if !is_sack_first {
            chunks.reverse();
        }
        assert_eq!(bench.trade(&chunks)[0].kinds(), [8]);
    }
}

#[test]
fn shutdown_ack_in_company_completes_and_what_follows_is_a_strangers() {
    let mut bench = in_state(State::ShutdownSent);
    assert_eq!(bench.trade(&[chunk(8, 0, &[]), data(1_000, b"x")])[0].kinds(), [14]);
    assert_eq!(end_of(&mut bench), Some(DownReason::Shutdown));
    assert!(bench.host.messages.is_empty());
}

#[test]
fn an_abort_counts_wherever_it_stands() {
    for (other, _) in COMPANIONS {
        for is_first in [true, false] {
            let mut bench = bench();
            let mut chunks = [chunk(6, 0, &[]), other(&bench)];
            if !is_first {
                chunks.reverse();
            }
            assert_eq!(bench.trade(&chunks), [], "an ABORT is never answered");
            assert_eq!(end_of(&mut bench), Some(DownReason::Aborted));
        }
    }
}

#[test]
fn an_init_in_company_is_dropped_with_the_packet() {
    let init = chunk(1, 0, &init_value(0x0b0b_0b0b, &[]));
    for (other, _) in COMPANIONS {
        for is_first in [true, false] {
            let mut bench = bench();
            let mut chunks = [init.clone(), other(&bench)];
            if !is_first {
                chunks.reverse();
            }
            assert_eq!(bench.give(packet(0, &chunks)), Err(InputError::WrongTag));
            assert_eq!(bench.replies(), []);
            let mut stranger = Bench::listening();
            let _ = stranger.give(packet(0, &chunks));
            assert_eq!(stranger.replies(), []);
        }
    }
}

#[test]
fn an_init_ack_in_company_is_dropped_with_the_packet() {
    for (other, _) in COMPANIONS {
        for is_first in [true, false] {
            let mut bench = opening();
            let mut chunks = [init_ack(&COOKIE), other(&bench)];
            if !is_first {
                chunks.reverse();
            }
            let given = packet(bench.host_tag, &chunks);
            assert_eq!(bench.give(given), Err(InputError::OutOfPlace));
            assert_eq!(bench.replies(), []);
            assert_eq!(state_of(&bench), State::CookieWait);
        }
    }
}

#[test]
fn a_shutdown_complete_in_company_completes_nothing() {
    for (other, _) in COMPANIONS {
        for is_first in [true, false] {
            let mut bench = in_state(State::ShutdownAckSent);
            let mut chunks = [chunk(14, 0, &[]), other(&bench)];
            if !is_first {
                chunks.reverse();
            }
            let _ = bench.give(packet(bench.host_tag, &chunks));
            bench.replies();
            assert_eq!(state_of(&bench), State::ShutdownAckSent);
        }
    }
}

#[test]
fn a_cookie_echo_that_is_not_in_front_opens_nothing() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    let given = packet(bench.host_tag, &[chunk(4, 0, &HEARTBEAT), chunk(10, 0, &cookie)]);
    let _ = bench.give(given);
    bench.replies();
    assert_eq!(bench.host.events, []);
}

#[test]
fn a_partial_chunk_is_dropped_and_what_precedes_it_counts() {
    for cut in 1..8 {
        let mut bench = bench();
        let mut last = chunk(4, 0, &HEARTBEAT);
        last.truncate(12 - cut);
        let replies = bench.trade(&[data(1_000, b"whole"), last]);
        assert_eq!(replies.len(), 1);
        assert_eq!((replies[0].tag, replies[0].kinds()), (PEER_TAG, vec![3]));
        assert_eq!(bench.host.messages.len(), 1);
    }
}

/// Whether the chunks of a packet may be together, and in that order. RFC 9260 §3, §3.3, §6.10.
fn is_legal(bytes: &[u8]) -> bool {
    let chunks: Vec<_> = Chunks::new(&bytes[CommonHeader::LEN..]).collect();
    let kinds: Vec<u8> = chunks.iter().map(|chunk| chunk.kind).collect();
    let alone = [1, 2, 14];
    let first = [10, 11];
    let is_alone_right = kinds.len() == 1 || !kinds.iter().any(|kind| alone.contains(kind));
    let is_first_right = !kinds[1..].iter().any(|kind| first.contains(kind));
    let data_from = kinds.iter().position(|&kind| kind == 0).unwrap_or(kinds.len());
    let is_data_last = kinds[data_from..].iter().all(|&kind| kind == 0);
    // No DATA with SHUTDOWN, SHUTDOWN ACK or ABORT, and one SACK at most.
    let has_data = data_from < kinds.len();
    let is_company_right = !has_data || !kinds.iter().any(|kind| [6, 7, 8].contains(kind));
    let sack_count = kinds.iter().filter(|&&kind| kind == 3).count();
    let tsn = |at: usize| chunks[at].value.first_chunk().copied().map(u32::from_be_bytes);
    let is_in_order = (data_from + 1..kinds.len())
        .all(|at| tsn(at).unwrap().wrapping_sub(tsn(at - 1).unwrap()) < 1 << 31);
    is_alone_right
        && is_first_right
        && is_data_last
        && is_company_right
        && sack_count < 2
        && is_in_order
}

#[test]
fn what_is_sent_is_bundled_as_it_may_be() {
    let mut counts = [0; 256];
    for seed in 0..40 {
        let mut random = SplitMix64::new(seed);
        let (mut a, mut b, handle_a, handle_b) = connected();
        for step in 0..300 {
            for (host, handle) in [(&mut a, handle_a), (&mut b, handle_b)] {
                let longest = if random.below(4) == 0 { 1_700 } else { 90 };
                let len = 1 + random.below(longest);
                let message = vec![7; len as usize];
                let stream = StreamId(random.below(4) as u16);
                let _ = host.endpoint.send(host.now, handle, stream, Ppid(1), false, &message);
            }
            if step == 290 {
                let _ = a.endpoint.shutdown(a.now, handle_a);
                let _ = b.endpoint.shutdown(b.now, handle_b);
            }
            let (from_a, from_b) = (a.drain(), b.drain());
            for sent in from_a.iter().chain(&from_b) {
                assert!(is_legal(&sent.bytes), "seed {seed}: {:?}", chunk_types(sent));
                chunk_types(sent).into_iter().for_each(|kind| counts[usize::from(kind)] += 1);
            }
            let is_lost = |random: &mut SplitMix64| random.below(12) == 0;
            for sent in from_a.iter().filter(|_| !is_lost(&mut random)) {
                let _ = b.take_in(a.address, sent);
            }
            for sent in from_b.iter().filter(|_| !is_lost(&mut random)) {
                let _ = a.take_in(b.address, sent);
            }
            let span = Duration::from_millis(random.below(300));
            a.let_pass(span);
            b.let_pass(span);
        }
    }
    for kind in [0, 3, 7, 8] {
        assert!(counts[kind] > 0, "no chunk of type {kind} was seen");
    }
}
