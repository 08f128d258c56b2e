//! Two hosts, the links between them, and routers that may be too narrow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Endpoint, Event, Handle, Inline, PathStatus, SendError,
};
use rserpool_core::time::Instant;
use rserpool_tests::network::{Envelope, Network, Weather};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4Message, Icmpv4Packet, Icmpv6Packet, Icmpv6Repr, IpProtocol, IpRepr, Ipv6Packet,
    Ipv6Repr,
};

use crate::nic::{LINK_MTU, Nic, parse};

pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;
pub(crate) const PORT: u16 = 3_863;

type Memory = Inline<1, 65_536, 65_536, 256>;

/// The address of a host on a link. Links with even numbers speak IPv4, the others IPv6.
pub(crate) fn address(link: usize, host: usize) -> IpAddr {
    let (net, host) = (link as u8, host as u8 + 1);
    match link % 2 {
        0 => Ipv4Addr::new(10, net, 0, host).into(),
        _ => Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, host.into()).into(),
    }
}

/// A host: an endpoint over raw sockets, an interface a link.
pub(crate) struct Host {
    pub(crate) endpoint: Box<Endpoint<Memory, SplitMix64>>,
    pub(crate) handle: Option<Handle>,
    pub(crate) events: Vec<(Instant, Event)>,
    pub(crate) messages: Vec<Vec<u8>>,
    nics: Vec<Nic>,
}

/// The way between the hosts over one link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Router {
    /// The largest packet that it takes.
    pub(crate) mtu: usize,
    /// Whether it says so.
    pub(crate) reports: bool,
}

impl Router {
    pub(crate) const WIDE: Self = Self { mtu: LINK_MTU, reports: true };
}

/// The whole of it.
pub(crate) struct Lab {
    pub(crate) hosts: [Host; 2],
    pub(crate) network: Network,
    /// One a link.
    pub(crate) routers: Vec<Router>,
    /// How many packets went by each link, and how many were too big for its router.
    pub(crate) counts: Vec<(usize, usize)>,
}

impl Lab {
    /// Hosts with an interface to each of `links`, and an endpoint that listens at the server.
    pub(crate) fn new(seed: u64, weather: Weather, config: Config, links: &[usize]) -> Self {
        println!("seed {seed}");
        let link_count = links.iter().max().map_or(0, |last| last + 1);
        let host = |host: usize| {
            let entropy = SplitMix64::new(seed ^ host as u64);
            let addresses: Vec<_> = links.iter().map(|&link| address(link, host)).collect();
            let mut endpoint = Endpoint::new(config, entropy, [host as u8; 32], Memory::new());
            endpoint.set_addresses(&addresses).unwrap();
            Host {
                endpoint: Box::new(endpoint),
                handle: None,
                events: Vec::new(),
                messages: Vec::new(),
                nics: addresses.iter().map(|&address| Nic::new(address, true)).collect(),
            }
        };
        let mut hosts = [CLIENT, SERVER].map(host);
        hosts[SERVER].endpoint.listen(PORT).unwrap();
        let network = Network::new(seed, weather);
        let routers = vec![Router::WIDE; link_count];
        Self { hosts, network, routers, counts: vec![(0, 0); link_count] }
    }

    /// Takes SCTP off the server.
    pub(crate) fn silence_server(&mut self) {
        for nic in &mut self.hosts[SERVER].nics {
            *nic = Nic::new(nic.address, false);
        }
    }

    /// The client asks for an association over a link.
    pub(crate) fn connect(&mut self, link: usize) {
        let remote = SocketAddr::new(address(link, SERVER), PORT);
        let connect = Connect { local_port: 0, remote, udp: None };
        let client = &mut self.hosts[CLIENT];
        client.handle = Some(client.endpoint.connect(self.network.now(), connect).unwrap());
    }

    /// The same, until it is up and its addresses are known to work.
    pub(crate) fn connected(mut self, link: usize) -> Self {
        self.connect(link);
        self.run_for(Duration::from_secs(5));
        assert!(self.hosts[SERVER].handle.is_some(), "{:?}", self.hosts[CLIENT].events);
        self
    }

    /// The client's paths.
    pub(crate) fn paths(&self) -> Vec<PathStatus> {
        let client = &self.hosts[CLIENT];
        let handle = client.handle.unwrap();
        (0..).map_while(|index| client.endpoint.path(handle, index)).collect()
    }

    /// Cuts a link both ways.
    pub(crate) fn cut(&mut self, link: usize) {
        let [client, server] = [CLIENT, SERVER].map(|host| address(link, host));
        self.network.cut(client, server);
        self.network.cut(server, client);
    }

    /// The client sends messages `from` to `to`, as room for them comes; then all is quiet or
    /// `patience` is over. Whether they all arrived, as they were.
    pub(crate) fn transfer(&mut self, from: usize, to: usize, patience: Duration) -> bool {
        let end = self.network.now() + patience;
        let (mut next, handle) = (from, self.hosts[CLIENT].handle.unwrap());
        while self.hosts[SERVER].messages.len() < to && self.network.now() < end {
            while next < to {
                let data = message(next);
                let (client, now) = (&mut self.hosts[CLIENT].endpoint, self.network.now());
                match client.send(now, handle, StreamId(0), Ppid(0), false, &data) {
                    Ok(()) => next += 1,
                    Err(SendError::Full) => break,
                    Err(error) => panic!("{error} at message {next}"),
                }
            }
            if !self.step(end) {
                break;
            }
        }
        let messages = &self.hosts[SERVER].messages;
        (0..to).all(|index| messages.get(index).is_some_and(|it| *it == message(index)))
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.network.now() + span;
        while self.step(end) {}
        self.network.advance(end);
        self.flush();
    }

    /// Goes on to the next thing that happens before `end`; whether there was one.
    fn step(&mut self, end: Instant) -> bool {
        self.flush();
        let timeouts = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout());
        let next = timeouts.chain(self.network.next_arrival()).min();
        let Some(next) = next.filter(|&next| next <= end) else { return false };
        self.network.advance(next);
        let now = self.network.now();
        while let Some(envelope) = self.network.arrive() {
            self.deliver(now, envelope);
        }
        self.hosts.iter_mut().for_each(|host| host.endpoint.handle_timeout(now));
        self.flush();
        true
    }

    fn deliver(&mut self, now: Instant, envelope: Envelope) {
        for host in &mut self.hosts {
            let Host { endpoint, nics, .. } = host;
            let Some(nic) = nics.iter_mut().find(|nic| nic.address == envelope.to) else {
                continue;
            };
            nic.receive(now, envelope.bytes);
            nic.drain(|input| {
                // Refused packets are part of life.
                let _ = endpoint.handle_input(now, input);
            });
            return;
        }
    }

    /// Sends all that the hosts owe, and hands them what they have received.
    fn flush(&mut self) {
        let now = self.network.now();
        for host in 0..self.hosts.len() {
            self.hosts[host].turn(now);
            for nic in 0..self.hosts[host].nics.len() {
                while let Some(packet) = self.hosts[host].nics[nic].next_outgoing() {
                    self.route(packet);
                }
            }
        }
    }

    /// What a router does with a packet.
    fn route(&mut self, bytes: Vec<u8>) {
        let Some((from, to, _)) = parse(&bytes) else { return };
        let Some(link) = link_of(to) else { return };
        let Router { mtu, reports } = self.routers[link];
        self.counts[link].0 += 1;
        if bytes.len() <= mtu {
            self.network.send(Envelope { from, to, udp: None, bytes });
            return;
        }
        self.counts[link].1 += 1;
        if reports {
            let bytes = too_big(mtu, &bytes);
            self.network.send(Envelope { from: to, to: from, udp: None, bytes });
        }
    }
}

impl Host {
    fn turn(&mut self, now: Instant) {
        self.transmit(now);
        while let Some(event) = self.endpoint.poll_event() {
            self.events.push((now, event));
            match event {
                Event::Up { handle, .. } => self.handle = Some(handle),
                Event::Readable { handle } => {
                    let mut buf = vec![0; 65_536];
                    while let Some(received) = self.endpoint.recv(now, handle, &mut buf) {
                        self.messages.push(buf[..received.len].to_vec());
                    }
                }
                _ => {}
            }
        }
        self.transmit(now);
    }

    fn transmit(&mut self, now: Instant) {
        let mut buf = [0; LINK_MTU];
        while let Some(packet) = self.endpoint.poll_transmit(now, &mut buf) {
            let nic =
                self.nics.iter_mut().find(|nic| link_of(nic.address) == link_of(packet.remote));
            let nic = nic.expect("the peer's addresses are on the links that we are on");
            nic.send(now, packet.remote, packet.may_fragment, &buf[..packet.len]);
        }
    }
}

/// The link that an address is on; none for multicast.
fn link_of(address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(address) if address.octets()[0] == 10 => Some(address.octets()[1].into()),
        IpAddr::V6(address) if address.segments()[0] == 0xfd00 => {
            Some(address.segments()[1].into())
        }
        _ => None,
    }
}

/// The router's answer to a packet that is too big: fragmentation needed (RFC 1191 §4), or packet
/// too big (RFC 4443 §3.2).
fn too_big(mtu: usize, packet: &[u8]) -> Vec<u8> {
    let checksums = ChecksumCapabilities::default();
    match parse(packet).expect("it was parsed before") {
        (IpAddr::V4(from), IpAddr::V4(to), _) => {
            // The IP header and 8 bytes, as every router quotes.
            let quoted = &packet[..28];
            let mut message = vec![0; 8 + quoted.len()];
            let mut icmp = Icmpv4Packet::new_unchecked(&mut message[..]);
            icmp.set_msg_type(Icmpv4Message::DstUnreachable);
            icmp.set_msg_code(4);
            icmp.data_mut().copy_from_slice(quoted);
            message[4..8].copy_from_slice(&(mtu as u32).to_be_bytes());
            Icmpv4Packet::new_unchecked(&mut message[..]).fill_checksum();
            ip(to.into(), from.into(), IpProtocol::Icmp, &message)
        }
        (IpAddr::V6(from), IpAddr::V6(to), payload) => {
            let header = Ipv6Repr::parse(&Ipv6Packet::new_unchecked(packet)).unwrap();
            let data = &payload[..20];
            let repr = Icmpv6Repr::PktTooBig { mtu: mtu as u32, header, data };
            let mut message = vec![0; repr.buffer_len()];
            let mut icmp = Icmpv6Packet::new_unchecked(&mut message[..]);
            repr.emit(&to, &from, &mut icmp, &checksums);
            ip(to.into(), from.into(), IpProtocol::Icmpv6, &message)
        }
        _ => unreachable!("both addresses of a packet are of one family"),
    }
}

/// An IP packet.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = IpRepr::new(from.into(), to.into(), protocol, payload.len(), 64);
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut packet[..], &ChecksumCapabilities::default());
    packet[repr.header_len()..].copy_from_slice(payload);
    packet
}

/// What message `index` says.
pub(crate) fn message(index: usize) -> Vec<u8> {
    let len = 1 + index * 997 % 9_000;
    (0..len).map(|at| (at * 7 + index) as u8).collect()
}
