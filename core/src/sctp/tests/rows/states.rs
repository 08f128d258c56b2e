//! What an association does in each state: RFC 9260 §4, §5, §6, §9.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use crate::association::DownReason;
use crate::machine::Machine;
use crate::sctp::association::State;
use crate::sctp::tests::craft::{
    Bench, HOST_PORT, PEER, PEER_PORT, PEER_TAG, Reply, chunk, data, init_value, packet,
};
use crate::sctp::tests::setup::{COOKIE, NEW_TAG, cookie_ack, cookie_echo, init_ack, opening};
use crate::sctp::tests::state_table::{STATES, end_of, in_state, state_of};
use crate::sctp::tests::teardown::{reply, sack, send, shut_down};
use crate::sctp::{Config, Connect, Event, InputError};

const SHUTDOWN: u8 = 7;
const SHUTDOWN_ACK: u8 = 8;
const SHUTDOWN_COMPLETE: u8 = 14;

/// The address 10.0.0.77, as an INIT lists it.
const NEW_ADDRESS: [u8; 8] = [0, 5, 0, 8, 10, 0, 0, 77];

fn give_init(bench: &mut Bench, tag: u32, parameters: &[u8]) -> Vec<Reply> {
    let _ = bench.give(packet(0, &[chunk(1, 0, &init_value(tag, parameters))]));
    bench.replies()
}

/// Moves time to the next deadline; the seconds until then.
fn next_timeout(bench: &mut Bench) -> f64 {
    let at = bench.host.endpoint.poll_timeout().unwrap();
    let span = at.saturating_duration_since(bench.host.now);
    bench.host.now = at;
    bench.host.endpoint.handle_timeout(at);
    span.as_secs_f64()
}

#[test]
fn closed_associate_sends_an_init_and_starts_t1_init() {
    let mut bench = Bench::listening();
    let remote = core::net::SocketAddr::new(PEER, PEER_PORT);
    let connect = Connect { local_port: HOST_PORT, remote, udp: None };
    bench.handle = Some(bench.host.endpoint.connect(bench.host.now, connect).unwrap());
    let replies = bench.replies();
    assert_eq!((replies[0].tag, replies[0].kinds()), (0, vec![1]));
    assert_eq!(state_of(&bench), State::CookieWait);
    assert_eq!(next_timeout(&mut bench), 1.0, "RTO.Initial");
}

#[test]
fn closed_init_is_answered_with_init_ack_and_nothing_is_kept() {
    let mut bench = Bench::listening();
    let before = std::format!("{:?}", bench.host.endpoint.storage_mut());
    let replies = give_init(&mut bench, PEER_TAG, &[]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (PEER_TAG, vec![2]));
    assert_eq!(std::format!("{:?}", bench.host.endpoint.storage_mut()), before);
    assert_eq!(bench.host.endpoint.poll_timeout(), None);
}

#[test]
fn closed_cookie_echo_opens_and_acknowledges_data_at_once() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    let replies = bench.trade(&[chunk(10, 0, &cookie), data(1_000, b"x")]);
    assert_eq!((replies[0].tag, replies[0].kinds()), (PEER_TAG, vec![11, 3]));
    assert!(matches!(bench.host.events[0], Event::Up { passive: true, .. }));
}

#[test]
fn closed_cookie_that_is_forged_or_for_another_port_or_tag_is_dropped() {
    let mut bench = Bench::listening();
    let mut cookie = bench.cookie(&[]);
    let tag = bench.host_tag;
    let elsewhere = crate::sctp::tests::craft::packet_between;
    let from_elsewhere = elsewhere(PEER_PORT + 1, HOST_PORT, tag, &[chunk(10, 0, &cookie)]);
    assert!(bench.give(from_elsewhere).is_err());
    assert!(bench.give(packet(tag + 1, &[chunk(10, 0, &cookie)])).is_err());
    let last = cookie.len() - 1;
    cookie[last] ^= 0x80;
    assert!(bench.give(packet(tag, &[chunk(10, 0, &cookie)])).is_err());
    assert_eq!(bench.replies(), []);
    assert_eq!(bench.host.events, []);
}

#[test]
fn closed_cookie_that_expired_is_reported_stale_by_how_much() {
    let mut bench = Bench::listening();
    let cookie = bench.cookie(&[]);
    bench.host.let_pass(Duration::from_millis(60_001));
    let error = chunk(9, 0, &[0, 3, 0, 8, 0, 0, 3, 0xe8]);
    let replies = bench.trade(&[chunk(10, 0, &cookie)]);
    assert_eq!(replies, [Reply { tag: PEER_TAG, chunks: vec![error] }]);
    assert_eq!(bench.host.events, []);
}

#[test]
fn cookie_wait_init_ack_is_answered_with_its_cookie_and_t1_cookie_runs() {
    let mut bench = opening();
    assert_eq!(bench.trade(&[init_ack(&COOKIE)]), [cookie_echo()]);
    assert_eq!(state_of(&bench), State::CookieEchoed);
    assert_eq!(next_timeout(&mut bench), 1.0);
    assert_eq!(bench.replies(), [cookie_echo()]);
}

#[test]
fn cookie_wait_init_is_answered_with_the_same_tag_and_tsn_and_t1_goes_on() {
    let mut bench = opening();
    let (tag, tsn) = (bench.host_tag, bench.host_tsn);
    bench.host.let_pass(Duration::from_millis(400));
    let _ = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!((bench.host_tag, bench.host_tsn), (tag, tsn));
    assert_eq!(state_of(&bench), State::CookieWait);
    assert!((next_timeout(&mut bench) - 0.6).abs() < 1e-6, "T1-init did not start again");
    assert_eq!(bench.replies()[0].kinds(), [1]);
}

#[test]
fn cookie_wait_init_from_another_address_is_answered_where_the_user_named() {
    let mut bench = opening();
    let (tag, named) = (bench.host_tag, [0, 5, 0, 8, 10, 0, 0, 9]);
    let init = packet(0, &[chunk(1, 0, &init_value(NEW_TAG, &named))]);
    bench.give_from("10.0.0.77".parse().unwrap(), init).unwrap();
    let sent = bench.host.drain();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].packet.remote, PEER, "named, and listed in the INIT");
    assert_eq!((sent[0].bytes[12], &sent[0].bytes[16..20]), (2, &tag.to_be_bytes()[..]));
    assert_eq!(state_of(&bench), State::CookieWait);
}

#[test]
fn cookie_wait_and_cookie_echoed_t1_repeats_with_doubled_rto_and_then_gives_up() {
    for state in [State::CookieWait, State::CookieEchoed] {
        let mut bench = in_state(state);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(next_timeout(&mut bench), f64::from(seconds));
            let again = if state == State::CookieWait { 1 } else { 10 };
            assert_eq!(bench.replies()[0].kinds(), [again]);
        }
        assert_eq!(next_timeout(&mut bench), 60.0);
        assert_eq!(end_of(&mut bench), Some(DownReason::Lost));
    }
}

#[test]
fn cookie_echoed_cookie_ack_stops_t1_cookie_and_reports_up() {
    let mut bench = in_state(State::CookieEchoed);
    assert!(bench.trade(&[chunk(11, 0, &[])]).is_empty());
    assert_eq!(state_of(&bench), State::Established);
    assert!(matches!(bench.host.events[..], [Event::Up { passive: false, .. }]));
    assert!(next_timeout(&mut bench) > 30.0, "a probe is the next to come");
}

#[test]
fn cookie_echoed_init_is_answered_with_the_same_tag_and_the_cookie_has_ties() {
    let mut bench = in_state(State::CookieEchoed);
    let (tag, tsn) = (bench.host_tag, bench.host_tsn);
    let cookie = bench.cookie_for(NEW_TAG, &[]);
    assert_eq!((bench.host_tag, bench.host_tsn), (tag, tsn));
    assert_eq!(state_of(&bench), State::CookieEchoed);
    // Once the association is up, the cookie still fits: its own tag is the same. Row B.
    bench.trade(&[chunk(11, 0, &[])]);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)]), [cookie_ack(NEW_TAG)]);
}

#[test]
fn cookie_echoed_init_with_a_new_address_is_refused() {
    let mut bench = in_state(State::CookieEchoed);
    let abort = chunk(6, 0, &[&[0, 11, 0, 12][..], &NEW_ADDRESS].concat());
    let refused = Reply { tag: NEW_TAG, chunks: vec![abort] };
    assert_eq!(give_init(&mut bench, NEW_TAG, &NEW_ADDRESS), [refused]);
    assert_eq!(state_of(&bench), State::CookieEchoed);
}

#[test]
fn cookie_echoed_stale_cookie_sends_a_new_init_and_other_states_drop_it() {
    for state in STATES {
        let mut bench = in_state(state);
        let replies = bench.trade(&[chunk(9, 0, &[0, 3, 0, 8, 0, 0, 0, 1])]);
        if state == State::CookieEchoed {
            assert_eq!((replies[0].tag, replies[0].kinds()), (0, vec![1]));
            assert_eq!(state_of(&bench), State::CookieWait);
        } else {
            assert_eq!(replies, [], "{state:?}");
            assert_eq!(state_of(&bench), state);
        }
    }
}

/// The states in which an INIT means that the peer has begun anew.
const RESTARTABLE: [State; 4] =
    [State::Established, State::ShutdownPending, State::ShutdownReceived, State::ShutdownSent];

#[test]
fn established_to_shutdown_sent_init_is_answered_with_a_new_tag_and_changes_nothing() {
    for state in RESTARTABLE {
        let mut bench = in_state(state);
        let (tag, deadline) = (bench.host_tag, bench.host.endpoint.poll_timeout());
        let _ = bench.cookie_for(NEW_TAG, &[]);
        assert_ne!(bench.host_tag, tag, "{state:?}");
        bench.host_tag = tag;
        assert_eq!(state_of(&bench), state);
        assert_eq!(bench.host.endpoint.poll_timeout(), deadline, "{state:?}");
        let heartbeat = chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4]);
        let ack = Reply { tag: PEER_TAG, chunks: vec![chunk(5, 0, &heartbeat[4..])] };
        assert_eq!(bench.trade(&[heartbeat]), [ack], "{state:?}: the old tag still counts");
    }
}

#[test]
fn established_to_shutdown_sent_init_with_a_new_address_is_refused() {
    for state in RESTARTABLE {
        let mut bench = in_state(state);
        let abort = chunk(6, 0, &[&[0, 11, 0, 12][..], &NEW_ADDRESS].concat());
        let refused = Reply { tag: NEW_TAG, chunks: vec![abort] };
        assert_eq!(give_init(&mut bench, NEW_TAG, &NEW_ADDRESS), [refused], "{state:?}");
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn established_init_from_a_new_address_that_lists_a_known_one_is_refused() {
    let mut bench = Bench::established();
    let known = [0, 5, 0, 8, 10, 0, 0, 9];
    let init = packet(0, &[chunk(1, 0, &init_value(NEW_TAG, &known))]);
    let _ = bench.give_from("10.0.0.77".parse().unwrap(), init);
    let refused = Reply { tag: NEW_TAG, chunks: vec![chunk(6, 0, &[0, 11, 0, 4])] };
    assert_eq!(bench.replies(), [refused]);
    assert_eq!(state_of(&bench), State::Established);
}

#[test]
fn any_other_state_init_ack_is_dropped() {
    for state in STATES.into_iter().filter(|&state| state != State::CookieWait) {
        let mut bench = in_state(state);
        let given = packet(bench.host_tag, &[init_ack(&COOKIE)]);
        assert_eq!(bench.give(given), Err(InputError::OutOfPlace), "{state:?}");
        assert_eq!(bench.replies(), []);
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn any_other_state_cookie_ack_is_dropped() {
    for state in STATES.into_iter().filter(|&state| state != State::CookieEchoed) {
        let mut bench = in_state(state);
        let given = packet(bench.host_tag, &[chunk(11, 0, &[])]);
        assert_eq!(bench.give(given), Err(InputError::OutOfPlace), "{state:?}");
        assert_eq!(bench.replies(), []);
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn established_shutdown_request_waits_in_shutdown_pending_until_all_is_acknowledged() {
    let mut bench = in_state(State::ShutdownPending);
    assert!(send(&mut bench, b"more").is_err());
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[sack(acked)]), [reply(SHUTDOWN, &999_u32.to_be_bytes())]);
    assert_eq!(state_of(&bench), State::ShutdownSent);
    assert_eq!(next_timeout(&mut bench), 1.0, "T2-shutdown");
}

#[test]
fn established_and_shutdown_pending_shutdown_enters_shutdown_received() {
    for state in [State::Established, State::ShutdownPending] {
        let mut bench = in_state(State::Established);
        send(&mut bench, b"x").unwrap();
        if state == State::ShutdownPending {
            shut_down(&mut bench);
        }
        bench.replies();
        assert_eq!(state_of(&bench), state);
        let nothing = bench.has_received(0);
        assert_eq!(bench.trade(&[chunk(SHUTDOWN, 0, &nothing)]), []);
        assert_eq!(state_of(&bench), State::ShutdownReceived);
        assert!(send(&mut bench, b"more").is_err());
        let acked = bench.has_received(1);
        assert_eq!(bench.trade(&[sack(acked)]), [reply(SHUTDOWN_ACK, &[])]);
        assert_eq!(state_of(&bench), State::ShutdownAckSent);
        assert_eq!(next_timeout(&mut bench), 1.0, "T2-shutdown");
    }
}

#[test]
fn cookie_wait_and_cookie_echoed_shutdown_is_dropped() {
    for state in [State::CookieWait, State::CookieEchoed] {
        let mut bench = in_state(state);
        let nothing = bench.has_received(0);
        assert_eq!(bench.trade(&[chunk(SHUTDOWN, 0, &nothing)]), []);
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn shutdown_sent_data_is_answered_with_shutdown_and_t2_starts_again() {
    let mut bench = in_state(State::ShutdownSent);
    bench.host.let_pass(Duration::from_millis(700));
    let replies = bench.trade(&[data(1_000, b"x")]);
    assert_eq!(replies, [reply(SHUTDOWN, &1_000_u32.to_be_bytes())]);
    // A SACK comes along for a gap, and for a duplicate.
    assert_eq!(bench.trade(&[data(1_002, b"z")])[0].kinds(), [SHUTDOWN, 3]);
    assert_eq!(bench.trade(&[data(1_001, b"y")])[0].kinds(), [SHUTDOWN]);
    assert_eq!(bench.trade(&[data(1_001, b"y")])[0].kinds(), [SHUTDOWN, 3]);
    assert_eq!(next_timeout(&mut bench), 1.0);
    assert_eq!(bench.replies(), [reply(SHUTDOWN, &1_002_u32.to_be_bytes())]);
    assert_eq!(bench.host.messages.len(), 3);
}

#[test]
fn shutdown_sent_shutdown_is_answered_with_shutdown_ack_and_t2_starts_again() {
    let mut bench = in_state(State::ShutdownSent);
    bench.host.let_pass(Duration::from_millis(700));
    let nothing = bench.has_received(0);
    let replies = bench.trade(&[chunk(SHUTDOWN, 0, &nothing)]);
    assert_eq!(replies, [reply(SHUTDOWN_ACK, &[])]);
    assert_eq!(state_of(&bench), State::ShutdownAckSent);
    assert_eq!(next_timeout(&mut bench), 1.0);
    assert_eq!(bench.replies(), [reply(SHUTDOWN_ACK, &[])]);
}

#[test]
fn shutdown_sent_and_shutdown_ack_sent_shutdown_ack_completes_the_shutdown() {
    for state in [State::ShutdownSent, State::ShutdownAckSent] {
        let mut bench = in_state(state);
        let replies = bench.trade(&[chunk(SHUTDOWN_ACK, 0, &[])]);
        assert_eq!(replies, [reply(SHUTDOWN_COMPLETE, &[])], "{state:?}: T=0");
        assert_eq!(end_of(&mut bench), Some(DownReason::Shutdown));
    }
}

#[test]
fn shutdown_ack_sent_shutdown_complete_ends_it() {
    let mut bench = in_state(State::ShutdownAckSent);
    assert_eq!(bench.trade(&[chunk(SHUTDOWN_COMPLETE, 0, &[])]), []);
    assert_eq!(end_of(&mut bench), Some(DownReason::Shutdown));
}

#[test]
fn any_other_state_shutdown_complete_is_dropped() {
    for state in STATES.into_iter().filter(|&state| state != State::ShutdownAckSent) {
        let mut bench = in_state(state);
        assert_eq!(bench.trade(&[chunk(SHUTDOWN_COMPLETE, 0, &[])]), [], "{state:?}");
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn shutdown_ack_sent_init_is_dropped_and_shutdown_ack_repeated() {
    let mut bench = in_state(State::ShutdownAckSent);
    assert_eq!(give_init(&mut bench, NEW_TAG, &[]), [reply(SHUTDOWN_ACK, &[])]);
    // It may be of this association by the addresses that it lists.
    let known = [0, 5, 0, 8, 10, 0, 0, 9];
    let init = packet(0, &[chunk(1, 0, &init_value(NEW_TAG, &known))]);
    bench.give_from("10.0.0.77".parse().unwrap(), init).unwrap();
    assert_eq!(bench.replies(), [reply(SHUTDOWN_ACK, &[])]);
    assert_eq!(state_of(&bench), State::ShutdownAckSent);
}

#[test]
fn shutdown_sent_and_shutdown_ack_sent_t2_repeats_up_to_association_max_retrans() {
    for (state, kind) in [(State::ShutdownSent, SHUTDOWN), (State::ShutdownAckSent, SHUTDOWN_ACK)]
    {
        let mut bench = in_state(state);
        let rto = Config { rto_max: Duration::from_secs(40), ..Config::DEFAULT };
        bench.host.endpoint.configure(rto);
        for seconds in [1, 2, 4, 8, 16, 32, 40, 40, 40, 40] {
            assert_eq!(next_timeout(&mut bench), f64::from(seconds));
            assert_eq!(bench.replies()[0].kinds(), [kind]);
        }
        assert_eq!(next_timeout(&mut bench), 40.0);
        assert_eq!(end_of(&mut bench), Some(DownReason::Lost), "{state:?}");
    }
}

#[test]
fn any_state_abort_ends_it_and_the_user_learns_the_cause() {
    for state in STATES {
        let mut bench = in_state(state);
        assert_eq!(bench.trade(&[chunk(6, 0, &[0, 12, 0, 6, b'n', b'o', 0, 0])]), []);
        let Some(Event::Down { reason, cause, .. }) = bench.host.events.last() else {
            panic!("{state:?}: {:?}", bench.host.events)
        };
        assert_eq!((*reason, *cause), (DownReason::Aborted, 12), "{state:?}");
    }
}

#[test]
fn any_state_abort_request_sends_an_abort_alone_with_cause_12() {
    for state in STATES {
        let mut bench = in_state(state);
        let (now, handle) = (bench.host.now, bench.handle.unwrap());
        if state == State::Established {
            send(&mut bench, b"not sent").unwrap();
        }
        bench.host.endpoint.abort(now, handle).unwrap();
        // In COOKIE-WAIT the peer's tag is not known, and there is nobody to tell.
        match state {
            State::CookieWait => assert_eq!(bench.replies(), []),
            _ => assert_eq!(bench.replies(), [reply(6, &[0, 12, 0, 4])], "{state:?}"),
        }
        assert_eq!(end_of(&mut bench), Some(DownReason::Aborted));
    }
}

#[test]
fn shutdown_sent_t5_guard_aborts_after_five_times_rto_max() {
    let mut bench = in_state(State::ShutdownSent);
    let start = bench.host.now;
    // A peer that always has something to say, but never the end.
    for round in 0.. {
        let guard = bench.host.endpoint.poll_timeout().unwrap();
        let step = core::cmp::min(guard, bench.host.now + Duration::from_millis(900));
        bench.host.now = step;
        bench.host.endpoint.handle_timeout(step);
        let replies = bench.replies();
        if !bench.host.events.is_empty() && end_of(&mut bench).is_some() {
            assert_eq!(replies.last().unwrap().kinds(), [6]);
            break;
        }
        bench.trade(&[data(1_000 + round, b"x")]);
        bench.host.events.clear();
    }
    assert_eq!(bench.host.now.saturating_duration_since(start), Duration::from_secs(300));
}

#[test]
fn established_shutdown_pending_and_shutdown_sent_take_data_and_no_other_state() {
    for state in STATES {
        let mut bench = in_state(state);
        bench.trade(&[data(1_000, b"x")]);
        let takes =
            matches!(state, State::Established | State::ShutdownPending | State::ShutdownSent);
        assert_eq!(bench.host.messages.len(), usize::from(takes), "{state:?}");
        assert_eq!(state_of(&bench), state);
    }
}

#[test]
fn established_shutdown_pending_and_shutdown_received_send_data_and_heed_sacks() {
    for state in [State::Established, State::ShutdownPending, State::ShutdownReceived] {
        let mut bench = Bench::established();
        bench.host.endpoint.configure(Config { heartbeat_interval: None, ..Config::DEFAULT });
        send(&mut bench, b"sent").unwrap();
        bench.replies();
        let nothing = bench.has_received(0);
        match state {
            State::ShutdownPending => shut_down(&mut bench),
            State::ShutdownReceived => drop(bench.trade(&[chunk(SHUTDOWN, 0, &nothing)])),
            _ => {}
        }
        assert_eq!(state_of(&bench), state);
        next_timeout(&mut bench);
        assert_eq!(bench.replies()[0].kinds(), [0], "{state:?}: T3-rtx");
        let acked = bench.has_received(1);
        bench.trade(&[sack(acked)]);
        let status = bench.host.endpoint.status(bench.handle.unwrap()).unwrap();
        assert_eq!(status.unacknowledged, 0, "{state:?}");
    }
}
