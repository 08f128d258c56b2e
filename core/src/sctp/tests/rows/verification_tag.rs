//! Which tag a packet must have: RFC 9260 §8.5, rules A to E of §8.5.1, §12.3.

use std::vec;
use std::vec::Vec;

use crate::sctp::InputError;
use crate::sctp::association::State;
use crate::sctp::tests::craft::{Bench, PEER_TAG, Reply, chunk, data, init_value, packet};
use crate::sctp::tests::setup::{COOKIE, init_ack, opening};
use crate::sctp::tests::state_table::{STATES, in_state, state_of};
use crate::sctp::tests::teardown::reply;

const HEARTBEAT: [u8; 8] = [0, 1, 0, 8, 1, 2, 3, 4];

fn heartbeat() -> Vec<u8> {
    chunk(4, 0, &HEARTBEAT)
}

#[test]
fn every_other_packet_has_our_tag_or_is_dropped() {
    for state in STATES {
        let mut bench = in_state(state);
        let (own, nothing) = (bench.host_tag, bench.has_received(0));
        for wrong in [own ^ 1, own.wrapping_add(1), PEER_TAG, u32::MAX] {
            for chunk in [
                heartbeat(),
                data(1_000, b"x"),
                chunk(7, 0, &nothing),
                chunk(11, 0, &[]),
                init_ack(&COOKIE),
            ] {
                let kind = chunk[0];
                let result = bench.give(packet(wrong, &[chunk]));
                assert_eq!(result, Err(InputError::WrongTag), "{state:?} {kind}");
                assert_eq!(bench.replies(), []);
            }
        }
        assert_eq!(state_of(&bench), state);
        assert!(bench.host.messages.is_empty());
    }
}

#[test]
fn every_packet_that_is_sent_has_the_peers_tag() {
    let mut bench = Bench::established();
    for chunk in [heartbeat(), data(1_000, b"x"), chunk(0xff, 0, &[]), chunk(7, 0, &[0; 4])] {
        let kind = chunk[0];
        for reply in bench.trade(&[chunk]) {
            assert_eq!(reply.tag, PEER_TAG, "in answer to {kind}");
        }
    }
}

#[test]
fn rule_a_an_init_has_tag_0_and_is_alone() {
    let init = || chunk(1, 0, &init_value(0x0b0b_0b0b, &[]));
    // The sender.
    let _ = opening();
    // The receiver.
    for state in STATES {
        let mut bench = in_state(state);
        assert_eq!(bench.trade(&[init()]), [], "{state:?}: it has a tag");
        for chunks in [vec![init(), heartbeat()], vec![heartbeat(), init()], vec![heartbeat()]] {
            assert_eq!(bench.give(packet(0, &chunks)), Err(InputError::WrongTag), "{state:?}");
            assert_eq!(bench.replies(), [], "{state:?}");
        }
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn rule_a_an_init_with_a_tag_hides_what_follows_it() {
    let init = chunk(1, 0, &init_value(0x0b0b_0b0b, &[]));
    let mut bench = Bench::established();
    let replies = bench.trade(&[heartbeat(), init.clone(), data(1_000, b"x")]);
    assert_eq!(replies, [reply(5, &HEARTBEAT)]);
    assert_eq!(bench.trade(&[init, heartbeat()]), []);
    assert!(bench.host.messages.is_empty());
}

#[test]
fn rule_b_an_abort_counts_with_our_tag_or_the_peers_reflected() {
    for state in STATES {
        for (is_own, flags) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
            let mut bench = in_state(state);
            let knows_peer = state != State::CookieWait;
            let tag = if is_own { bench.host_tag } else { PEER_TAG };
            let result = bench.give(packet(tag, &[chunk(6, flags, &[])]));
            let counts = is_own != (flags == 1) && (is_own || knows_peer);
            assert_eq!(result.is_ok(), counts, "{state:?} {is_own} {flags}");
            assert_eq!(bench.replies(), []);
            let after = if counts { State::Closed } else { state };
            assert_eq!(state_of(&bench), after);
        }
    }
}

#[test]
fn rule_b_an_abort_with_tag_0_is_dropped_before_the_peers_tag_is_known() {
    let mut bench = opening();
    assert_eq!(bench.give(packet(0, &[chunk(6, 1, &[])])), Err(InputError::WrongTag));
    assert_eq!(state_of(&bench), State::CookieWait);
}

#[test]
fn rule_c_a_shutdown_complete_counts_with_our_tag_or_the_peers_reflected() {
    for (is_own, flags) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let mut bench = in_state(State::ShutdownAckSent);
        let tag = if is_own { bench.host_tag } else { PEER_TAG };
        let result = bench.give(packet(tag, &[chunk(14, flags, &[])]));
        let counts = is_own != (flags == 1);
        assert_eq!(result.is_ok(), counts, "{is_own} {flags}");
        let after = if counts { State::Closed } else { State::ShutdownAckSent };
        assert_eq!(state_of(&bench), after);
        assert_eq!(bench.replies(), []);
    }
}

#[test]
fn rule_c_a_shutdown_complete_that_is_sent_has_the_peers_tag_and_no_t_bit() {
    let mut bench = in_state(State::ShutdownSent);
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [reply(14, &[])]);
    // The association is gone: the next one is answered with its own tag, and the T bit.
    let reflected = Reply { tag: bench.host_tag, chunks: vec![chunk(14, 1, &[])] };
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [reflected]);
}

#[test]
fn rule_d_a_cookie_echo_has_the_tag_of_the_init_ack() {
    let mut bench = opening();
    let replies = bench.trade(&[init_ack(&COOKIE)]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (PEER_TAG, vec![10]));
    // The receiver follows §5: the tag must be the one in the cookie.
    let mut bench = Bench::listening();
    let cookie = chunk(10, 0, &bench.cookie(&[]));
    let given = packet(bench.host_tag ^ 1, core::slice::from_ref(&cookie));
    assert_eq!(bench.give(given), Err(InputError::OutOfTheBlue));
    assert_eq!(bench.trade(&[cookie])[0].kinds(), [11]);
}

#[test]
fn rule_e_a_shutdown_ack_while_opening_is_out_of_the_blue() {
    for state in [State::CookieWait, State::CookieEchoed] {
        let mut bench = in_state(state);
        for tag in [bench.host_tag, 0x0102_0304] {
            let _ = bench.give(packet(tag, &[chunk(8, 0, &[])]));
            let complete = Reply { tag, chunks: vec![chunk(14, 1, &[])] };
            assert_eq!(bench.replies(), [complete], "{state:?}");
        }
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn rule_e_a_shutdown_ack_in_established_has_no_effect() {
    let mut bench = Bench::established();
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), []);
    assert_eq!(state_of(&bench), State::Established);
}
