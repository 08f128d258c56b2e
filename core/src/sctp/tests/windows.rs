//! Closed windows, reneging peers, numbers that wrap, streams that are none: RFC 9260 §1.6, §6.1,
//! §6.2, §6.5, §6.6.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::vec::Vec;

use super::craft::{Bench, PEER_TAG, Reply, chunk, data};
use super::teardown::{closed_window, sack, send};
use crate::association::{DownReason, Ppid, StreamId};
use crate::entropy::Entropy;
use crate::machine::Machine;
use crate::sctp::{Config, Connect, Datagram, Endpoint, Event, Inline, Input, SendError};
use crate::time::Instant;

/// Moves time to the next deadline; how long that was.
fn expire(bench: &mut Bench) -> Duration {
    let at = bench.host.endpoint.poll_timeout().unwrap();
    let span = at.saturating_duration_since(bench.host.now);
    bench.host.now = at;
    bench.host.endpoint.handle_timeout(at);
    span
}

/// An association without HEARTBEATs whose peer has taken one message and closed its window.
fn closed() -> Bench {
    let mut bench = Bench::established();
    bench.host.endpoint.configure(Config { heartbeat_interval: None, ..Config::DEFAULT });
    // What is due now was set before.
    while bench.host.endpoint.poll_timeout().is_some() {
        expire(&mut bench);
        for reply in bench.replies() {
            let answer = chunk(5, 0, &reply.chunks[0][4..]);
            bench.trade(&[answer]);
        }
    }
    send(&mut bench, b"taken").unwrap();
    bench.replies();
    let acked = bench.has_received(1);
    bench.trade(&[closed_window(acked)]);
    bench
}

#[test]
fn a_closed_window_is_probed_with_one_chunk_at_doubling_intervals() {
    let mut bench = closed();
    send(&mut bench, b"probe").unwrap();
    send(&mut bench, b"more").unwrap();
    let kinds: Vec<_> = bench.replies().iter().flat_map(Reply::kinds).collect();
    assert_eq!(kinds, [0], "one chunk");
    let acked = bench.has_received(1);
    for seconds in [1, 2, 4, 8] {
        bench.trade(&[closed_window(acked)]);
        assert_eq!(expire(&mut bench).as_secs(), seconds);
        let kinds: Vec<_> = bench.replies().iter().flat_map(Reply::kinds).collect();
        assert_eq!(kinds, [0], "the same chunk, alone");
    }
    // The window opens, and what waited follows.
    let probed = bench.has_received(2);
    let kinds: Vec<_> = bench.trade(&[sack(probed)]).iter().flat_map(Reply::kinds).collect();
    assert_eq!(kinds, [0]);
}

#[test]
fn a_peer_that_drops_data_and_then_closes_its_window_is_not_given_up_while_it_answers() {
    let mut bench = closed();
    let acked = bench.has_received(1);
    bench.trade(&[sack(acked)]);
    send(&mut bench, &[1; 600]).unwrap();
    send(&mut bench, &[2; 600]).unwrap();
    assert!(!bench.replies().is_empty(), "sent while the window was open");
    // Both are dropped; the peer says again and again that it has no room.
    for _ in 0..50 {
        bench.trade(&[closed_window(acked)]);
        expire(&mut bench);
        assert!(bench.replies()[0].kinds().iter().all(|&kind| kind == 0));
        assert_eq!(bench.host.events, [], "RFC 9260 §6.1 A: probes that are answered");
    }
    // It has room again.
    let acked = bench.has_received(3);
    bench.trade(&[sack(acked)]);
    let status = bench.host.endpoint.status(bench.handle.unwrap()).unwrap();
    assert_eq!((status.unacknowledged, status.pending), (0, 0));
}

#[test]
fn a_peer_that_falls_silent_with_a_closed_window_is_given_up() {
    let mut bench = closed();
    send(&mut bench, b"probe").unwrap();
    let mut sendings = 0;
    while bench.host.events.is_empty() {
        sendings += bench.replies().iter().filter(|reply| reply.kinds() == [0]).count();
        if bench.host.events.is_empty() {
            expire(&mut bench);
        }
    }
    assert_eq!(sendings, 11, "Association.Max.Retrans and one");
    assert!(matches!(bench.host.events[..], [Event::Down { reason: DownReason::Lost, .. }]));
}

#[test]
fn a_peer_that_drops_data_with_its_window_open_is_given_up() {
    let mut bench = closed();
    let acked = bench.has_received(1);
    bench.trade(&[sack(acked)]);
    send(&mut bench, b"x").unwrap();
    let mut sendings = 0;
    while bench.host.events.is_empty() && sendings < 100 {
        sendings += bench.replies().len();
        bench.trade(&[sack(acked)]);
        expire(&mut bench);
        bench.host.drain();
    }
    assert!(matches!(bench.host.events[..], [Event::Down { reason: DownReason::Lost, .. }]));
}

#[test]
fn what_a_peer_reneges_on_is_sent_again() {
    let mut bench = closed();
    let acked = bench.has_received(1);
    bench.trade(&[sack(acked)]);
    for text in [b"two", b"thr", b"fou"] {
        send(&mut bench, text).unwrap();
    }
    assert!(!bench.replies().is_empty());
    let window_and_counts = [0, 1, 0, 0, 0, 1, 0, 0];
    // TSN 4 has come, 2 and 3 have not.
    let gap = chunk(3, 0, &[&acked[..], &window_and_counts, &[0, 3, 0, 3]].concat());
    bench.trade(&[gap]);
    // TSN 2 and 3 have come, and 4 is gone.
    let acked = bench.has_received(3);
    bench.trade(&[sack(acked)]);
    let status = bench.host.endpoint.status(bench.handle.unwrap()).unwrap();
    assert_eq!(status.unacknowledged, 1);
    expire(&mut bench);
    let replies = bench.replies();
    assert_eq!(replies[0].chunks[0][4..8], bench.has_received(4), "TSN 4 again");
    let acked = bench.has_received(4);
    bench.trade(&[sack(acked)]);
    assert_eq!(bench.host.endpoint.poll_timeout(), None);
}

#[test]
fn stream_sequence_numbers_of_a_peer_wrap() {
    let mut bench = Bench::established();
    let chunk_of = |tsn: u32, ssn: u16| {
        let mut bytes = data(tsn, b"x");
        bytes[10..12].copy_from_slice(&ssn.to_be_bytes());
        // Ordered.
        bytes[1] = 3;
        bytes
    };
    for count in 0..=u32::from(u16::MAX) + 3 {
        bench.trade(&[chunk_of(1_000 + count, count as u16)]);
    }
    assert_eq!(bench.host.messages.len(), usize::from(u16::MAX) + 4);
    // Around the wrap, order counts as elsewhere: the message before the first comes last.
    let (tsn, ssn) = (1_000 + 65_539, 3);
    bench.trade(&[chunk_of(tsn + 1, ssn + 1)]);
    assert_eq!(bench.host.messages.len(), 65_539);
    bench.trade(&[chunk_of(tsn, ssn)]);
    assert_eq!(bench.host.messages.len(), 65_541);
}

/// Gives the same number always, so that TSNs begin there.
struct Constant(u8);

impl Entropy for Constant {
    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }

    fn next_u32(&mut self) -> u32 {
        // Near the wrap, and no tag of the other side.
        u32::MAX - u32::from(self.0)
    }
}

type Wrapping = Endpoint<Inline<1, 4_096, 4_096, 16>, Constant>;

/// Carries what one sends to the other; how many packets that was.
fn carry(from: (&mut Wrapping, IpAddr), to: (&mut Wrapping, IpAddr), now: Instant) -> usize {
    let mut buf = [0; 1_500];
    let mut count = 0;
    while let Some(packet) = from.0.poll_transmit(now, &mut buf) {
        let payload = &buf[..packet.len];
        let datagram = Datagram { local: to.1, remote: from.1, udp: None, payload };
        let _ = to.0.handle_input(now, Input::Datagram(datagram));
        count += 1;
    }
    count
}

#[test]
fn transmission_sequence_numbers_of_both_sides_wrap() {
    let endpoint =
        |last: u8| Wrapping::new(Config::DEFAULT, Constant(last), [last; 32], Inline::new());
    let (mut a, mut b) = (endpoint(3), endpoint(9));
    let [at_a, at_b] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
    let mut now = Instant::from_millis(1_000);
    b.listen(7).unwrap();
    let connect = Connect { local_port: 7, remote: SocketAddr::new(at_b, 7), udp: None };
    let handle = a.connect(now, connect).unwrap();
    while carry((&mut a, at_a), (&mut b, at_b), now) + carry((&mut b, at_b), (&mut a, at_a), now)
        > 0
    {}
    let Some(Event::Up { handle: other, .. }) = b.poll_event() else { panic!() };
    assert!(matches!(a.poll_event(), Some(Event::Up { .. })));
    let mut buf = [0; 64];
    for round in 0..40_u8 {
        for (endpoint, handle) in [(&mut a, handle), (&mut b, other)] {
            endpoint.send(now, handle, StreamId(0), Ppid(1), false, &[round]).unwrap();
        }
        while carry((&mut a, at_a), (&mut b, at_b), now)
            + carry((&mut b, at_b), (&mut a, at_a), now)
            > 0
        {}
        for (endpoint, handle) in [(&mut a, handle), (&mut b, other)] {
            let message = endpoint.recv(now, handle, &mut buf).unwrap();
            assert_eq!(buf[..message.len], [round]);
        }
        now += Duration::from_millis(300);
        a.handle_timeout(now);
        b.handle_timeout(now);
    }
    for (endpoint, handle) in [(&a, handle), (&b, other)] {
        assert!(endpoint.status(handle).unwrap().unacknowledged <= 1);
    }
}

#[test]
fn streams_out_of_range_are_refused_in_both_directions() {
    let mut bench = Bench::established();
    let (now, handle) = (bench.host.now, bench.handle.unwrap());
    let mut attempt =
        |stream| bench.host.endpoint.send(now, handle, StreamId(stream), Ppid(1), false, b"x");
    assert_eq!(attempt(3), Ok(()));
    assert_eq!(attempt(4), Err(SendError::NoSuchStream));
    assert_eq!(attempt(u16::MAX), Err(SendError::NoSuchStream));
    bench.replies();
    let on_stream = |tsn: u32, stream: u16| {
        let mut bytes = data(tsn, b"x");
        bytes[8..10].copy_from_slice(&stream.to_be_bytes());
        bytes
    };
    bench.trade(&[on_stream(1_000, 3)]);
    assert_eq!(bench.host.messages.len(), 1);
    for (tsn, stream) in [(1_001, 4), (1_002, u16::MAX)] {
        let replies = bench.trade(&[on_stream(tsn, stream)]);
        let [s0, s1] = stream.to_be_bytes();
        assert_eq!(replies[0].tag, PEER_TAG);
        assert_eq!(replies[0].chunks[0], chunk(9, 0, &[0, 1, 0, 8, s0, s1, 0, 0]));
        let sack = replies.iter().flat_map(|reply| &reply.chunks).find(|chunk| chunk[0] == 3);
        assert!(sack.is_none_or(|sack| sack[4..8] == tsn.to_be_bytes()), "it is acknowledged");
    }
    assert_eq!(bench.host.messages.len(), 1);
    // What comes after is not held up by what was refused.
    bench.trade(&[on_stream(1_003, 2)]);
    assert_eq!(bench.host.messages.len(), 2);
}
