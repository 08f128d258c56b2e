//! A COOKIE ECHO for an association that exists: the table of RFC 9260 §5.2.4, and the steps
//! before it. Local tag, peer's tag, local tie-tag, peer's tie-tag; X differs, M matches, 0 is
//! unknown, A is anything.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use crate::machine::Machine;
use crate::sctp::association::State;
use crate::sctp::tests::craft::{Bench, PEER_TAG, Reply, chunk, data, packet};
use crate::sctp::tests::setup::{COOKIE, NEW_TAG, cookie_ack, cookie_echo, init_ack, opening};
use crate::sctp::tests::state_table::{in_state, state_of};
use crate::sctp::tests::teardown::{send, shut_down};
use crate::sctp::{Event, InputError};

fn echo(cookie: &[u8]) -> Vec<u8> {
    chunk(10, 0, cookie)
}

#[test]
fn row_a_xxmm_restarts() {
    let mut bench = Bench::established();
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(NEW_TAG)]);
    let handle = bench.handle.unwrap();
    assert_eq!(bench.host.events, [Event::Restarted { handle }]);
    assert_eq!(state_of(&bench), State::Established);
}

#[test]
fn row_a_in_every_state_begins_anew() {
    for state in
        [State::Established, State::ShutdownPending, State::ShutdownReceived, State::ShutdownSent]
    {
        let mut bench = in_state(state);
        let cookie = bench.cookie_for(NEW_TAG, &[]);
        let replies = bench.trade(&[echo(&cookie)]);
        let kinds: Vec<_> = replies.iter().flat_map(Reply::kinds).collect();
        assert!(replies.iter().all(|reply| reply.tag == NEW_TAG), "{state:?}");
        assert!(matches!(bench.host.events[0], Event::Restarted { .. }), "{state:?}");
        // Our user's wish to end it outlives the peer's memory; the peer's own does not.
        match state {
            State::ShutdownPending | State::ShutdownSent => {
                assert_eq!(kinds, [11, 7], "{state:?}");
                assert_eq!(state_of(&bench), State::ShutdownSent);
            }
            _ => {
                assert_eq!(kinds, [11], "{state:?}");
                assert_eq!(state_of(&bench), State::Established);
            }
        }
        // TSNs and SSNs begin anew on both sides.
        let replies = bench.trade(&[data(1_000, b"new")]);
        assert!(!replies.is_empty());
        assert_eq!(bench.host.messages.last().unwrap().2, b"new");
        if state_of(&bench) == State::Established {
            send(&mut bench, b"new, too").unwrap();
            let sent = bench.replies()[0].chunks[0].clone();
            assert_eq!(sent[4..8], bench.host_tsn.to_be_bytes());
            assert_eq!(sent[10..12], [0, 0]);
        }
    }
}

#[test]
fn row_a_resets_rto_and_congestion_window() {
    let mut bench = Bench::established();
    let fresh = bench.host.endpoint.status(bench.handle.unwrap()).unwrap();
    send(&mut bench, b"x").unwrap();
    for _ in 0..3 {
        bench.replies();
        bench.host.now = bench.host.endpoint.poll_timeout().unwrap();
        bench.host.endpoint.handle_timeout(bench.host.now);
    }
    bench.replies();
    let status = |bench: &Bench| bench.host.endpoint.status(bench.handle.unwrap()).unwrap();
    assert_eq!(status(&bench).rto, Duration::from_secs(8));
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(NEW_TAG)]);
    assert_eq!(status(&bench).rto, fresh.rto);
    assert_eq!(status(&bench).unacknowledged, 0);
    // The initial window holds all that the buffer does, that after a timeout one packet.
    send(&mut bench, &[7; 1_000]).unwrap();
    send(&mut bench, &[7; 1_000]).unwrap();
    let kinds: Vec<_> = bench.replies().iter().flat_map(Reply::kinds).collect();
    assert_eq!(kinds, [0, 0]);
}

#[test]
fn row_a_in_shutdown_ack_sent_sets_nothing_up() {
    let mut bench = Bench::established();
    let (tag, nothing) = (bench.host_tag, bench.has_received(0));
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    let new_tag = bench.host_tag;
    bench.host_tag = tag;
    bench.trade(&[chunk(7, 0, &nothing)]);
    assert_eq!(state_of(&bench), State::ShutdownAckSent);
    let _ = bench.give(packet(new_tag, &[echo(&cookie)]));
    let kinds: Vec<_> = bench.replies().iter().flat_map(Reply::kinds).collect();
    assert_eq!(kinds, [9, 8], "ERROR, cause 10, and SHUTDOWN ACK");
    assert_eq!(state_of(&bench), State::ShutdownAckSent);
}

#[test]
fn row_b_mxaa_takes_the_peers_new_tag_in_every_state() {
    for state in [State::CookieEchoed, State::Established] {
        let mut bench = opening();
        let cookie = bench.cookie_for(NEW_TAG, &[]);
        assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
        if state == State::Established {
            bench.trade(&[chunk(11, 0, &[])]);
        }
        assert_eq!(state_of(&bench), state);
        assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(NEW_TAG)]);
        assert_eq!(state_of(&bench), State::Established);
        assert_eq!(bench.host.events.len(), 1, "up, once");
        let heartbeat = [0, 1, 0, 8, 1, 2, 3, 4];
        assert_eq!(bench.trade(&[chunk(4, 0, &heartbeat)])[0].tag, NEW_TAG);
    }
}

#[test]
fn row_b_m0aa_opens_and_stops_t1_init() {
    let mut bench = opening();
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(NEW_TAG)]);
    assert_eq!(state_of(&bench), State::Established);
    bench.host.let_pass(Duration::from_secs(20));
    assert_eq!(bench.replies(), [], "no INIT any more");
}

#[test]
fn row_c_xm00_is_dropped_and_timers_run_on() {
    let mut bench = Bench::listening();
    let late = bench.cookie(&[]);
    let late_tag = bench.host_tag;
    let cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(PEER_TAG)]);
    let Some(Event::Up { handle, .. }) = bench.host.events.pop() else { panic!() };
    bench.handle = Some(handle);
    send(&mut bench, b"x").unwrap();
    bench.replies();
    let deadline = bench.host.endpoint.poll_timeout();
    let given = packet(late_tag, &[echo(&late), data(1_000, b"y")]);
    assert_eq!(bench.give(given), Err(InputError::OutOfPlace));
    assert_eq!(bench.replies(), []);
    assert_eq!(bench.host.endpoint.poll_timeout(), deadline);
    assert_eq!(state_of(&bench), State::Established);
    assert!(bench.host.messages.is_empty(), "nor is what came with it");
}

#[test]
fn row_d_mmaa_is_answered_with_cookie_ack_and_nothing_else_changes() {
    for shuts_down in [false, true] {
        let mut bench = Bench::listening();
        let cookie = bench.cookie(&[]);
        assert_eq!(bench.trade(&[echo(&cookie), data(1_000, b"once")])[0].kinds(), [11, 3]);
        let Some(&Event::Up { handle, .. }) = bench.host.events.first() else { panic!() };
        bench.handle = Some(handle);
        if shuts_down {
            shut_down(&mut bench);
            assert_eq!(bench.replies()[0].kinds(), [7]);
        }
        let state = state_of(&bench);
        bench.host.events.clear();
        let replies = bench.trade(&[echo(&cookie), data(1_000, b"once")]);
        let kinds: Vec<_> = replies.iter().flat_map(Reply::kinds).collect();
        assert_eq!(kinds[0], 11, "and a SACK that reports a duplicate: {kinds:?}");
        assert!(kinds.contains(&3));
        assert_eq!(state_of(&bench), state);
        assert_eq!((bench.host.messages.len(), bench.host.events.len()), (1, 0));
    }
}

#[test]
fn row_d_in_cookie_echoed_enters_established() {
    let mut bench = opening();
    // Our own cookie comes back while we wait for the peer to take its own: both tags match.
    let cookie = bench.cookie_for(PEER_TAG, &[]);
    assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
    assert_eq!(state_of(&bench), State::CookieEchoed);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(PEER_TAG)]);
    assert_eq!(state_of(&bench), State::Established);
    bench.host.let_pass(Duration::from_secs(20));
    assert_eq!(bench.replies(), [], "T1-cookie has stopped");
}

#[test]
fn row_d_counts_though_the_cookie_has_expired_and_no_other_row_does() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(PEER_TAG)]);
    let tag = bench.host_tag;
    let restart = bench.cookie_for(NEW_TAG, &[]);
    let restart_tag = core::mem::replace(&mut bench.host_tag, tag);
    bench.host.now += Duration::from_secs(61);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(PEER_TAG)]);
    let _ = bench.give(packet(restart_tag, &[echo(&restart), data(1_000, b"x")]));
    let replies = bench.replies();
    assert_eq!((replies[0].tag, replies[0].kinds()), (NEW_TAG, vec![9]), "Stale Cookie");
    assert!(bench.host.messages.is_empty());
}

#[test]
fn xx00_is_in_no_row_and_dropped() {
    let mut bench = Bench::listening();
    let other = bench.cookie_for(NEW_TAG, &[]);
    let other_tag = bench.host_tag;
    let cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(PEER_TAG)]);
    let given = packet(other_tag, &[echo(&other)]);
    assert_eq!(bench.give(given), Err(InputError::OutOfPlace));
    assert_eq!(bench.replies(), []);
}

#[test]
fn xxxx_is_in_no_row_and_dropped() {
    // The ties of a cookie are those of the association that it was made in, and that one has
    // begun anew since.
    let mut bench = Bench::established();
    let old = bench.cookie_for(NEW_TAG, &[]);
    let old_tag = bench.host_tag;
    let new = bench.cookie_for(NEW_TAG + 1, &[]);
    assert_eq!(bench.trade(&[echo(&new)]), [cookie_ack(NEW_TAG + 1)]);
    assert_eq!(bench.give(packet(old_tag, &[echo(&old)])), Err(InputError::OutOfPlace));
    assert_eq!(bench.replies(), []);
}

#[test]
fn a_cookie_with_a_wrong_mac_is_dropped_before_the_table_is_looked_at() {
    let mut bench = Bench::listening();
    let mut cookie = bench.cookie(&[]);
    assert_eq!(bench.trade(&[echo(&cookie)]), [cookie_ack(PEER_TAG)]);
    for at in 0..cookie.len() {
        cookie[at] ^= 4;
        assert_eq!(bench.trade(&[echo(&cookie), data(1_000, b"x")]), [], "byte {at}");
        cookie[at] ^= 4;
    }
    assert!(bench.host.messages.is_empty());
}
