//! Whole lives of associations over a perfect link.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use super::link::{Host, connected, run, run_for};
use crate::association::{DownReason, Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, Event, SendError};

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;

#[test]
fn the_handshake_takes_four_packets() {
    let (mut a, mut b) = (Host::new(1, Config::DEFAULT), Host::new(2, Config::DEFAULT));
    b.endpoint.listen(3_863).unwrap();
    let handle = a.connect(5_000, b.socket_address(3_863));
    let trace = run(&mut a, &mut b);
    let expected = [
        ('a', vec![INIT]),
        ('b', vec![INIT_ACK]),
        ('a', vec![COOKIE_ECHO]),
        ('b', vec![COOKIE_ACK]),
    ];
    assert_eq!(trace, expected);
    let up = Event::Up {
        handle,
        passive: false,
        local_port: 5_000,
        remote: b.socket_address(3_863),
        outbound_streams: 4,
        inbound_streams: 4,
    };
    assert_eq!(a.events, [up]);
    assert!(matches!(b.events[..], [Event::Up { passive: true, local_port: 3_863, .. }]));
}

#[test]
fn messages_arrive_whole_and_in_order() {
    let (mut a, mut b, handle_a, handle_b) = connected();
    let long: Vec<u8> = (0..1_800_u32).map(|index| index as u8).collect();
    a.endpoint.send(a.now, handle_a, StreamId(0), Ppid::ASAP, false, b"one").unwrap();
    b.endpoint.send(b.now, handle_b, StreamId(3), Ppid(7), false, b"answer").unwrap();
    run_for(&mut a, &mut b, Duration::from_secs(1));
    a.endpoint.send(a.now, handle_a, StreamId(0), Ppid::ASAP, false, &long).unwrap();
    run_for(&mut a, &mut b, Duration::from_secs(1));
    assert_eq!(
        b.messages,
        [(StreamId(0), Ppid::ASAP, b"one".to_vec()), (StreamId(0), Ppid::ASAP, long)]
    );
    assert_eq!(a.messages, [(StreamId(3), Ppid(7), b"answer".to_vec())]);
}

#[test]
fn a_full_buffer_pushes_back_and_writable_follows() {
    let (mut a, mut b, handle, _) = connected();
    let message = [1; 900];
    let mut sent = 0;
    for _ in 0..50 {
        let is_writable = a.endpoint.is_writable(a.now, handle, message.len());
        match a.endpoint.send(a.now, handle, StreamId(1), Ppid(1), true, &message) {
            Ok(()) => {
                assert!(is_writable);
                sent += 1;
            }
            Err(SendError::Full) => {
                assert!(!is_writable);
                run_for(&mut a, &mut b, Duration::from_secs(1));
                assert!(a.events.contains(&Event::Writable { handle }));
                a.events.clear();
            }
            Err(error) => panic!("{error}"),
        }
    }
    run_for(&mut a, &mut b, Duration::from_secs(1));
    assert!(sent > 20);
    assert_eq!(b.messages.len(), sent);
    let too_long = a.endpoint.send(a.now, handle, StreamId(1), Ppid(1), true, &[0; 2_049]);
    assert_eq!(too_long, Err(SendError::TooLong));
    let no_stream = a.endpoint.send(a.now, handle, StreamId(4), Ppid(1), true, &[0; 9]);
    assert_eq!(no_stream, Err(SendError::NoSuchStream));
}

#[test]
fn a_shutdown_delivers_what_was_sent_and_ends_both_sides() {
    let (mut a, mut b, handle_a, handle_b) = connected();
    a.endpoint.send(a.now, handle_a, StreamId(0), Ppid(1), false, b"last words").unwrap();
    a.endpoint.shutdown(a.now, handle_a).unwrap();
    let refused = a.endpoint.send(a.now, handle_a, StreamId(0), Ppid(1), false, b"more");
    assert_eq!(refused, Err(SendError::Closed));
    let trace = run(&mut a, &mut b);
    let tail: Vec<_> = trace.iter().rev().take(3).rev().cloned().collect();
    assert_eq!(tail, [('a', vec![7]), ('b', vec![8]), ('a', vec![14])], "{trace:?}");
    assert_eq!(b.messages.len(), 1);
    for (host, handle) in [(&a, handle_a), (&b, handle_b)] {
        let reason = DownReason::Shutdown;
        let down = Event::Down { handle, was_up: true, reason, cause: 0 };
        assert_eq!(host.events.last(), Some(&down));
        assert_eq!(host.endpoint.peer(handle), None);
        assert_eq!(host.endpoint.poll_timeout(), None);
    }
}

#[test]
fn an_abort_ends_both_sides_at_once() {
    let (mut a, mut b, handle_a, handle_b) = connected();
    b.endpoint.abort(b.now, handle_b).unwrap();
    assert_eq!(run(&mut a, &mut b), [('b', vec![6])]);
    let reason = DownReason::Aborted;
    let down = |handle| Event::Down { handle, was_up: true, reason, cause: 12 };
    assert_eq!(a.events, [down(handle_a)]);
    assert_eq!(b.events, [down(handle_b)]);
    assert!(b.endpoint.abort(b.now, handle_b).is_err());
}

#[test]
fn a_port_that_does_not_listen_refuses() {
    let (mut a, mut b) = (Host::new(1, Config::DEFAULT), Host::new(2, Config::DEFAULT));
    let handle = a.connect(5_000, b.socket_address(3_863));
    assert_eq!(run(&mut a, &mut b), [('a', vec![INIT]), ('b', vec![6])]);
    let reason = DownReason::Aborted;
    assert_eq!(a.events, [Event::Down { handle, was_up: false, reason, cause: 0 }]);
}

#[test]
fn a_silent_peer_fails_the_attempt_after_nine_inits() {
    let mut a = Host::new(1, Config::DEFAULT);
    let handle = a.connect(5_000, "10.0.0.9:3863".parse().unwrap());
    let mut init_count = 0;
    while let Some(at) = a.endpoint.poll_timeout() {
        init_count += a.drain().len();
        a.now = at;
        a.endpoint.handle_timeout(at);
    }
    assert!(a.drain().is_empty());
    assert_eq!(init_count, 9);
    let reason = DownReason::Lost;
    assert_eq!(a.events, [Event::Down { handle, was_up: false, reason, cause: 0 }]);
    // 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60 seconds.
    assert_eq!(a.now.as_micros(), 244_000_000);
}

#[test]
fn an_idle_association_is_probed_and_a_dead_peer_lost() {
    let config = Config { association_retransmissions_max: 2, ..Config::DEFAULT };
    let (mut a, mut b, handle, _) = super::link::connected_with(config);
    let trace = run_for(&mut a, &mut b, Duration::from_secs(100));
    let heartbeats = trace.iter().filter(|(_, chunks)| chunks == &[4]).count();
    assert!((4..=8).contains(&heartbeats), "{trace:?}");
    assert_eq!(a.events, []);
    for _ in 0..100 {
        let _ = a.drain();
        a.let_pass(Duration::from_secs(10));
    }
    let reason = DownReason::Lost;
    assert_eq!(a.events, [Event::Down { handle, was_up: true, reason, cause: 0 }]);
}
