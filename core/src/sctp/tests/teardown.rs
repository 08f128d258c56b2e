//! Ending: RFC 9260 §9, by trace.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::craft::{Bench, PEER_TAG, Reply, chunk, data, packet};
use super::link::{connected, run};
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Event, InputError, SendError};

pub(super) fn reply(kind: u8, value: &[u8]) -> Reply {
    Reply { tag: PEER_TAG, chunks: vec![chunk(kind, 0, value)] }
}

pub(super) fn sack(acked: [u8; 4]) -> Vec<u8> {
    chunk(3, 0, &[&acked[..], &[0, 1, 0, 0, 0, 0, 0, 0]].concat())
}

pub(super) fn send(bench: &mut Bench, text: &[u8]) -> Result<(), SendError> {
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.send(now, handle, StreamId(0), Ppid(1), false, text)
}

pub(super) fn shut_down(bench: &mut Bench) {
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.shutdown(now, handle).unwrap();
}

pub(super) fn down(bench: &Bench, reason: DownReason) -> Event {
    let cause = 0;
    Event::Down { handle: bench.handle.unwrap(), was_up: true, reason, cause }
}

#[test]
fn shutdown_waits_until_all_is_acknowledged() {
    let mut bench = Bench::established();
    send(&mut bench, b"x").unwrap();
    shut_down(&mut bench);
    assert_eq!(send(&mut bench, b"y"), Err(SendError::Closed));
    assert_eq!(bench.replies()[0].kinds(), [0], "DATA, no SHUTDOWN yet");
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[sack(acked)]), [reply(7, &999_u32.to_be_bytes())]);
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [reply(14, &[])]);
    assert_eq!(bench.host.events, [down(&bench, DownReason::Shutdown)]);
}

#[test]
fn data_in_shutdown_sent_brings_shutdown_with_the_new_cumulative_tsn() {
    let mut bench = Bench::established();
    shut_down(&mut bench);
    assert_eq!(bench.replies(), [reply(7, &999_u32.to_be_bytes())]);
    let replies = bench.trade(&[data(1_000, b"late")]);
    assert_eq!(replies, [reply(7, &1_000_u32.to_be_bytes())]);
    assert_eq!(bench.host.messages[0].2, b"late");
    // A gap needs a SACK as well.
    let replies = bench.trade(&[data(1_002, b"later")]);
    assert_eq!(replies[0].kinds(), [7, 3]);
}

#[test]
fn both_may_shut_down_at_once() {
    let mut bench = Bench::established();
    shut_down(&mut bench);
    assert_eq!(bench.replies().len(), 1);
    let acked = bench.has_received(0);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
    assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [reply(14, &[])]);
    let (mut a, mut b, handle_a, handle_b) = connected();
    a.endpoint.shutdown(a.now, handle_a).unwrap();
    b.endpoint.shutdown(b.now, handle_b).unwrap();
    run(&mut a, &mut b);
    for host in [&a, &b] {
        assert!(matches!(host.events[..], [Event::Down { reason: DownReason::Shutdown, .. }]));
    }
}

#[test]
fn shutdown_received_still_sends_what_is_queued() {
    let mut bench = Bench::established();
    send(&mut bench, b"x").unwrap();
    assert_eq!(bench.replies()[0].kinds(), [0]);
    let nothing = bench.has_received(0);
    assert!(bench.trade(&[chunk(7, 0, &nothing)]).is_empty());
    assert_eq!(send(&mut bench, b"y"), Err(SendError::Closed));
    bench.host.let_pass(Duration::from_secs(1));
    assert_eq!(bench.replies()[0].kinds(), [0], "sent again");
    // The acknowledgement comes in a SACK, or in another SHUTDOWN.
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
    assert!(bench.trade(&[chunk(14, 0, &[])]).is_empty());
    assert_eq!(bench.host.events, [down(&bench, DownReason::Shutdown)]);
}

#[test]
fn the_guard_ends_a_shutdown_that_nobody_answers_after_five_minutes() {
    let mut bench = Bench::established();
    shut_down(&mut bench);
    let mut count = bench.replies().len();
    while let Some(at) = bench.host.endpoint.poll_timeout() {
        bench.host.now = at;
        bench.host.endpoint.handle_timeout(at);
        count += bench.replies().iter().filter(|reply| reply.kinds() == [7]).count();
    }
    assert_eq!(bench.host.events.len(), 1);
    // Association.Max.Retrans would allow 11, but T5-shutdown-guard of 300 s comes before.
    assert_eq!(count, 10);
    assert_eq!(bench.host.now.as_micros(), 301_000_000);
    let reason = DownReason::Aborted;
    assert_eq!(bench.host.events, [down(&bench, reason)]);
}

#[test]
fn a_restart_of_the_peer_does_not_forget_the_shutdown() {
    // Before and after SHUTDOWN was sent, and when the peer wanted it, too.
    for (is_sending, has_both) in [(true, false), (false, false), (true, true)] {
        let mut bench = Bench::established();
        if is_sending {
            send(&mut bench, b"x").unwrap();
        }
        if has_both {
            bench.replies();
            let nothing = bench.has_received(0);
            bench.trade(&[chunk(7, 0, &nothing)]);
        }
        shut_down(&mut bench);
        bench.replies();
        let new_tag = 0x0c0c_0c0c;
        let cookie = bench.cookie_for(new_tag, &[]);
        let replies = bench.trade(&[chunk(10, 0, &cookie)]);
        let kinds: Vec<_> = replies.iter().flat_map(Reply::kinds).collect();
        assert_eq!(kinds, [11, 7], "COOKIE ACK and SHUTDOWN: what was queued is lost");
        assert!(replies.iter().all(|reply| reply.tag == new_tag));
        let complete = Reply { tag: new_tag, chunks: vec![chunk(14, 0, &[])] };
        assert_eq!(bench.trade(&[chunk(8, 0, &[])]), [complete]);
        let events = &bench.host.events;
        assert!(matches!(events[0], Event::Restarted { .. }), "{events:?}");
        assert_eq!(events[1..], [down(&bench, DownReason::Shutdown)]);
    }
}

#[test]
fn a_peer_that_restarts_ends_its_own_shutdown() {
    let mut bench = Bench::established();
    send(&mut bench, b"x").unwrap();
    bench.replies();
    let nothing = bench.has_received(0);
    bench.trade(&[chunk(7, 0, &nothing)]);
    let cookie = bench.cookie_for(0x0c0c_0c0c, &[]);
    assert_eq!(bench.trade(&[chunk(10, 0, &cookie)])[0].kinds(), [11]);
    assert!(send(&mut bench, b"y").is_ok(), "our user has not asked for an end");
}

/// A SACK of `acked` that closes the window.
pub(super) fn closed_window(acked: [u8; 4]) -> Vec<u8> {
    chunk(3, 0, &[&acked[..], &[0; 8]].concat())
}

/// Answers HEARTBEATs, and all else with a closed window; how many seconds it takes until the
/// association ends.
fn stall(bench: &mut Bench) -> u64 {
    let (sack, start) = (closed_window(bench.has_received(1)), bench.host.now);
    for _ in 0..2_000 {
        let replies = bench.replies();
        if !bench.host.events.is_empty() {
            let kinds: Vec<_> = replies.iter().flat_map(Reply::kinds).collect();
            assert_eq!(kinds, [6], "ABORT");
            return bench.host.now.saturating_duration_since(start).as_secs();
        }
        for sent in replies.iter().flat_map(|reply| &reply.chunks) {
            let answer = match sent[0] {
                4 => chunk(5, 0, &sent[4..]),
                _ => sack.clone(),
            };
            let _ = bench.give(packet(bench.host_tag, &[answer]));
        }
        if let Some(at) = bench.host.endpoint.poll_timeout() {
            bench.host.now = at;
            bench.host.endpoint.handle_timeout(at);
        }
    }
    panic!("the association is held for ever");
}

#[test]
fn a_peer_that_never_opens_its_window_does_not_hold_a_shutdown_for_ever() {
    for is_ours in [true, false] {
        let mut bench = Bench::established();
        send(&mut bench, b"taken").unwrap();
        bench.replies();
        let acked = bench.has_received(1);
        bench.trade(&[closed_window(acked)]);
        send(&mut bench, b"not taken").unwrap();
        if is_ours {
            shut_down(&mut bench);
        } else {
            bench.trade(&[chunk(7, 0, &acked)]);
        }
        let seconds = stall(&mut bench);
        // 1 + 2 + 4 + ... + 32 + 5 x 60: Association.Max.Retrans expiries and one.
        assert!((300..=400).contains(&seconds), "{seconds} s");
        assert_eq!(bench.host.events, [down(&bench, DownReason::Aborted)]);
    }
}

#[test]
fn a_closed_window_holds_an_association_that_nobody_wants_to_end() {
    let mut bench = Bench::established();
    send(&mut bench, b"taken").unwrap();
    bench.replies();
    let acked = bench.has_received(1);
    bench.trade(&[closed_window(acked)]);
    send(&mut bench, b"not taken").unwrap();
    let sack = closed_window(acked);
    for _ in 0..200 {
        if !bench.replies().is_empty() {
            let _ = bench.give(packet(bench.host_tag, std::slice::from_ref(&sack)));
        }
        bench.host.now = bench.host.endpoint.poll_timeout().unwrap();
        bench.host.endpoint.handle_timeout(bench.host.now);
    }
    assert!(bench.host.now > crate::time::Instant::from_millis(1_800_000));
    assert_eq!(bench.host.events, []);
}

#[test]
fn the_shutdown_ack_is_repeated_with_a_doubling_timeout() {
    let mut bench = Bench::established();
    let acked = bench.has_received(0);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
    for seconds in [1, 2, 4] {
        bench.host.let_pass(Duration::from_secs(seconds) - Duration::from_micros(1));
        assert!(bench.replies().is_empty());
        bench.host.let_pass(Duration::from_micros(1));
        assert_eq!(bench.replies(), [reply(8, &[])]);
    }
}

#[test]
fn a_shutdown_that_acknowledges_too_much_acknowledges_nothing() {
    let mut bench = Bench::established();
    let acked = bench.has_received(1);
    assert_eq!(bench.trade(&[chunk(7, 0, &acked)]), [reply(8, &[])]);
}

#[test]
fn the_user_aborts_with_cause_12() {
    let mut bench = Bench::established();
    send(&mut bench, b"never sent").unwrap();
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    bench.host.endpoint.abort(now, handle).unwrap();
    assert_eq!(bench.replies(), [reply(6, &[0, 12, 0, 4])]);
    let reflected = Reply { tag: bench.host_tag, chunks: vec![chunk(6, 1, &[])] };
    assert_eq!(bench.trade(&[data(1_000, b"x")]), [reflected], "a stranger from now on");
}

#[test]
fn messages_can_be_read_until_the_end_is_told() {
    let mut bench = Bench::established();
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    let tag = bench.host_tag;
    bench.give(packet(tag, &[data(1_000, b"last")])).unwrap();
    bench.give(packet(tag, &[chunk(6, 0, &[])])).unwrap();
    let endpoint = &mut bench.host.endpoint;
    assert_eq!(endpoint.poll_event(), Some(Event::Readable { handle }));
    let mut buf = [0; 2_048];
    assert_eq!(endpoint.recv(now, handle, &mut buf).unwrap().len, 4);
    assert!(endpoint.shutdown(now, handle).is_err());
    assert!(matches!(endpoint.poll_event(), Some(Event::Down { .. })));
    assert_eq!(endpoint.recv(now, handle, &mut buf), None);
}

#[test]
fn an_old_handle_is_refused_after_its_slot_was_taken_again() {
    let (mut a, mut b, old, _) = connected();
    a.endpoint.abort(a.now, old).unwrap();
    run(&mut a, &mut b);
    let new = a.connect(5_000, b.socket_address(3_863));
    run(&mut a, &mut b);
    assert_ne!(old, new);
    assert!(a.endpoint.abort(a.now, old).is_err());
    assert!(a.endpoint.peer(new).is_some());
}

#[test]
fn the_cookie_of_an_ended_association_is_spent() {
    let mut bench = Bench::listening();
    let cookie = chunk(10, 0, &bench.cookie(&[]));
    assert_eq!(bench.trade(&[cookie.clone(), data(1_000, b"once")])[0].kinds(), [11, 3]);
    assert_eq!(bench.host.messages.len(), 1);
    assert_eq!(bench.trade(&[chunk(6, 0, &[])]), []);
    // The network delivers the packet that opened the association once more.
    assert_eq!(bench.trade(&[cookie, data(1_000, b"once")]), []);
    assert_eq!(bench.host.messages.len(), 1);
}

#[test]
fn the_cookie_of_an_association_that_began_anew_is_spent() {
    let mut bench = Bench::listening();
    let first = bench.cookie(&[]);
    let first_tag = bench.host_tag;
    let opening = packet(first_tag, &[chunk(10, 0, &first), data(1_000, b"once")]);
    assert_eq!(bench.give(opening.clone()), Ok(()));
    assert_eq!(bench.replies()[0].kinds(), [11, 3]);
    let second = bench.cookie_for(0x0c0c_0c0c, &[]);
    let restart = packet(bench.host_tag, &[chunk(10, 0, &second)]);
    assert_eq!(bench.give(restart.clone()), Ok(()));
    assert_eq!(bench.give(packet(bench.host_tag, &[chunk(6, 0, &[])])), Ok(()));
    let _ = bench.replies();
    assert!(matches!(bench.host.events.last(), Some(Event::Down { .. })));
    let event_count = bench.host.events.len();
    for copy in [opening, restart] {
        assert_eq!(bench.give(copy), Err(InputError::OutOfTheBlue));
        assert_eq!(bench.replies(), []);
    }
    assert_eq!((bench.host.events.len(), bench.host.messages.len()), (event_count, 1));
}
