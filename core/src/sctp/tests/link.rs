//! Two endpoints and a perfect link between them, in virtual time.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::vec;
use std::vec::Vec;

use crate::association::{Ppid, StreamId};
use crate::entropy::SplitMix64;
use crate::machine::Machine;
use crate::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, InputError, Packet,
    UdpPorts,
};
use crate::time::Instant;

pub(super) type Small = Endpoint<Inline<4, 2_048, 2_048, 16>, SplitMix64>;

/// One endpoint with its address, and what it said.
pub(super) struct Host {
    pub(super) endpoint: Small,
    pub(super) address: IpAddr,
    pub(super) now: Instant,
    pub(super) events: Vec<Event>,
    pub(super) messages: Vec<(StreamId, Ppid, Vec<u8>)>,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) packet: Packet,
    pub(super) bytes: Vec<u8>,
}

pub(super) const UDP: UdpPorts = UdpPorts { local: 9_899, remote: 9_899 };

impl Host {
    pub(super) fn new(last: u8, config: Config) -> Self {
        let entropy = SplitMix64::new(last.into());
        Self {
            endpoint: Endpoint::new(config, entropy, [last; 32], Inline::new()),
            address: Ipv4Addr::new(10, 0, 0, last).into(),
            now: Instant::from_millis(1_000),
            events: Vec::new(),
            messages: Vec::new(),
        }
    }

    pub(super) fn socket_address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    pub(super) fn connect(&mut self, local_port: u16, remote: SocketAddr) -> Handle {
        let connect = Connect { local_port, remote, udp: Some(UDP) };
        self.endpoint.connect(self.now, connect).unwrap()
    }

    /// Pulls all packets, then all events and messages.
    pub(super) fn drain(&mut self) -> Vec<InFlight> {
        let mut buf = vec![0; 1_500];
        let mut packets = Vec::new();
        while let Some(packet) = self.endpoint.poll_transmit(self.now, &mut buf) {
            packets.push(InFlight { packet, bytes: buf[..packet.len].to_vec() });
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push(event);
            if let Event::Readable { handle } = event {
                let mut message = vec![0; 2_048];
                while let Some(received) = self.endpoint.recv(self.now, handle, &mut message) {
                    let bytes = message[..received.len].to_vec();
                    self.messages.push((received.stream, received.ppid, bytes));
                }
            }
        }
        // Reading may owe a window update.
        while let Some(packet) = self.endpoint.poll_transmit(self.now, &mut buf) {
            packets.push(InFlight { packet, bytes: buf[..packet.len].to_vec() });
        }
        packets
    }

    pub(super) fn take_in(&mut self, from: IpAddr, sent: &InFlight) -> Result<(), InputError> {
        let udp = sent.packet.udp.map(|udp| UdpPorts { local: udp.remote, remote: udp.local });
        self.endpoint.handle_input(
            self.now,
            Input::Datagram(Datagram {
                local: self.address,
                remote: from,
                udp,
                payload: &sent.bytes,
            }),
        )
    }

    /// Types of the chunks of each packet, for comparison with a trace.
    pub(super) fn let_pass(&mut self, span: Duration) {
        self.now += span;
        self.endpoint.handle_timeout(self.now);
    }
}

/// The types of the chunks in a packet.
pub(super) fn chunk_types(packet: &InFlight) -> Vec<u8> {
    crate::sctp::packet::Chunks::new(&packet.bytes[12..]).map(|chunk| chunk.kind).collect()
}

/// Carries packets both ways until both sides are silent; gives the trace of chunk types, those
/// of `a` positive and those of `b` as they are.
pub(super) fn run(a: &mut Host, b: &mut Host) -> Vec<(char, Vec<u8>)> {
    let mut trace = Vec::new();
    for _ in 0..10_000 {
        let (from_a, from_b) = (a.drain(), b.drain());
        if from_a.is_empty() && from_b.is_empty() {
            return trace;
        }
        for sent in &from_a {
            assert_eq!(sent.packet.remote, b.address);
            trace.push(('a', chunk_types(sent)));
            let _ = b.take_in(a.address, sent);
        }
        for sent in &from_b {
            assert_eq!(sent.packet.remote, a.address);
            trace.push(('b', chunk_types(sent)));
            let _ = a.take_in(b.address, sent);
        }
    }
    panic!("they never fall silent: {:?}", &trace[trace.len() - 20..]);
}

/// Lets time pass on both sides and carries what that brings, in steps of at most a second.
pub(super) fn run_for(a: &mut Host, b: &mut Host, span: Duration) -> Vec<(char, Vec<u8>)> {
    let end = a.now + span;
    let mut trace = run(a, b);
    loop {
        let next = Instant::earliest(a.endpoint.poll_timeout(), b.endpoint.poll_timeout());
        let next = next.filter(|&next| next <= end).unwrap_or(end).max(a.now);
        for host in [&mut *a, &mut *b] {
            host.now = next;
            host.endpoint.handle_timeout(next);
        }
        trace.extend(run(a, b));
        if next == end {
            return trace;
        }
    }
}

/// Two hosts with an association between them, opened by the first.
pub(super) fn connected() -> (Host, Host, Handle, Handle) {
    connected_with(Config::DEFAULT)
}

pub(super) fn connected_with(config: Config) -> (Host, Host, Handle, Handle) {
    let (mut a, mut b) = (Host::new(1, config), Host::new(2, config));
    b.endpoint.listen(3_863).unwrap();
    let handle_a = a.connect(5_000, b.socket_address(3_863));
    run(&mut a, &mut b);
    assert!(matches!(a.events[..], [Event::Up { passive: false, .. }]), "{:?}", a.events);
    let [Event::Up { handle: handle_b, passive: true, .. }] = b.events[..] else {
        panic!("{:?}", b.events)
    };
    a.events.clear();
    b.events.clear();
    (a, b, handle_a, handle_b)
}
