//! Ethernet frames, taken apart and put together by smoltcp.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, NdiscRepr,
    UdpPacket, UdpRepr,
};

/// What a frame carries, as far as the switch cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// Somebody asks who has `target`.
    ArpRequest { sender: Ipv4Addr, target: Ipv4Addr },
    /// The same with IPv6 (RFC 4861 §4.3).
    NeighborSolicit { sender: Ipv6Addr, target: Ipv6Addr },
    /// Somebody asks for routers (RFC 4861 §4.1).
    RouterSolicit { sender: Ipv6Addr },
    /// A UDP datagram.
    Udp { from: SocketAddr, to: SocketAddr, data: &'a [u8] },
    /// An SCTP packet right above IP.
    Sctp { from: IpAddr, to: IpAddr, data: &'a [u8] },
    /// Anything else.
    Other,
}

/// A frame, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) source: EthernetAddress,
    pub(crate) destination: EthernetAddress,
    pub(crate) payload: Payload<'a>,
}

impl<'a> Frame<'a> {
    /// Takes a frame apart; `None` if it is shorter than its header.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let frame = EthernetFrame::new_checked(bytes).ok()?;
        let payload = match frame.ethertype() {
            EthernetProtocol::Arp => arp(frame.payload()),
            EthernetProtocol::Ipv4 => ipv4(frame.payload()),
            EthernetProtocol::Ipv6 => ipv6(frame.payload()),
            _ => None,
        };
        Some(Self {
            source: frame.src_addr(),
            destination: frame.dst_addr(),
            payload: payload.unwrap_or(Payload::Other),
        })
    }
}

fn arp(bytes: &[u8]) -> Option<Payload<'_>> {
    match ArpRepr::parse(&ArpPacket::new_checked(bytes).ok()?).ok()? {
        ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_protocol_addr: sender,
            target_protocol_addr: target,
            ..
        } => Some(Payload::ArpRequest { sender, target }),
        _ => None,
    }
}

fn ipv4(bytes: &[u8]) -> Option<Payload<'_>> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    let is_fragment = packet.more_frags() || packet.frag_offset() > 0;
    if !packet.verify_checksum() || is_fragment {
        return None;
    }
    let ends = (packet.src_addr().into(), packet.dst_addr().into());
    transport(packet.next_header(), ends, packet.payload())
}

/// Packets with extension headers, fragments among them, are nobody's.
fn ipv6(bytes: &[u8]) -> Option<Payload<'_>> {
    let packet = Ipv6Packet::new_checked(bytes).ok()?;
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    match packet.next_header() {
        IpProtocol::Icmpv6 if packet.hop_limit() == NDISC_HOP_LIMIT => {
            ndisc_of(source, destination, packet.payload())
        }
        protocol => transport(protocol, (source.into(), destination.into()), packet.payload()),
    }
}

fn transport(
    protocol: IpProtocol,
    (source, destination): (IpAddr, IpAddr),
    bytes: &[u8],
) -> Option<Payload<'_>> {
    match protocol {
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(bytes).ok()?;
            udp.verify_checksum(&source.into(), &destination.into()).then(|| Payload::Udp {
                from: SocketAddr::new(source, udp.src_port()),
                to: SocketAddr::new(destination, udp.dst_port()),
                data: udp.payload(),
            })
        }
        SCTP => Some(Payload::Sctp { from: source, to: destination, data: bytes }),
        _ => None,
    }
}

fn ndisc_of(sender: Ipv6Addr, destination: Ipv6Addr, bytes: &[u8]) -> Option<Payload<'_>> {
    let packet = Icmpv6Packet::new_checked(bytes).ok()?;
    let checksums = ChecksumCapabilities::default();
    match Icmpv6Repr::parse(&sender, &destination, &packet, &checksums).ok()? {
        Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: target, .. }) => {
            Some(Payload::NeighborSolicit { sender, target })
        }
        Icmpv6Repr::Ndisc(NdiscRepr::RouterSolicit { .. }) => {
            Some(Payload::RouterSolicit { sender })
        }
        _ => None,
    }
}

/// The answer to an ARP request.
pub(crate) fn arp_reply(
    (mac, address): (EthernetAddress, Ipv4Addr),
    (asker_mac, asker): (EthernetAddress, Ipv4Addr),
) -> Vec<u8> {
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: mac,
        source_protocol_addr: address,
        target_hardware_addr: asker_mac,
        target_protocol_addr: asker,
    };
    let mut bytes = ethernet((mac, asker_mac), EthernetProtocol::Arp, reply.buffer_len());
    reply.emit(&mut ArpPacket::new_unchecked(&mut bytes[ETHERNET_LEN..]));
    bytes
}

/// A message of neighbour discovery in a frame.
pub(crate) fn ndisc(
    macs: (EthernetAddress, EthernetAddress),
    (source, destination): (Ipv6Addr, Ipv6Addr),
    message: NdiscRepr<'_>,
) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let ends = (source.into(), destination.into());
    let ip = (IpProtocol::Icmpv6, NDISC_HOP_LIMIT);
    let (mut bytes, start) = ip_frame(macs, ends, ip, message.buffer_len());
    message.emit(
        &source,
        &destination,
        &mut Icmpv6Packet::new_unchecked(&mut bytes[start..]),
        &ChecksumCapabilities::default(),
    );
    bytes
}

/// A UDP datagram in a frame, between two addresses of a family.
pub(crate) fn udp(
    macs: (EthernetAddress, EthernetAddress),
    from: SocketAddr,
    to: SocketAddr,
    data: &[u8],
) -> Vec<u8> {
    let repr = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let len = repr.header_len() + data.len();
    let ip = (IpProtocol::Udp, HOP_LIMIT);
    let (mut bytes, start) = ip_frame(macs, (from.ip(), to.ip()), ip, len);
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[start..]),
        &from.ip().into(),
        &to.ip().into(),
        data.len(),
        |room| room.copy_from_slice(data),
        &ChecksumCapabilities::default(),
    );
    bytes
}

/// An SCTP packet right above IP, in a frame, between two addresses of a family.
pub(crate) fn sctp(
    macs: (EthernetAddress, EthernetAddress),
    addresses: (IpAddr, IpAddr),
    data: &[u8],
) -> Vec<u8> {
    let (mut bytes, start) = ip_frame(macs, addresses, (SCTP, HOP_LIMIT), data.len());
    bytes[start..].copy_from_slice(data);
    bytes
}

/// The Ethernet address that stands for a multicast group (RFC 1112 §6.4, RFC 2464 §7).
pub(crate) fn multicast_mac(group: IpAddr) -> EthernetAddress {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            EthernetAddress([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(group) => {
            let [.., a, b, c, d] = group.octets();
            EthernetAddress([0x33, 0x33, a, b, c, d])
        }
    }
}

/// A frame with an IP header, and where the payload is to be written.
fn ip_frame(
    (source, destination): (EthernetAddress, EthernetAddress),
    (from, to): (IpAddr, IpAddr),
    (protocol, hop_limit): (IpProtocol, u8),
    payload_len: usize,
) -> (Vec<u8>, usize) {
    let ethertype = if from.is_ipv4() { EthernetProtocol::Ipv4 } else { EthernetProtocol::Ipv6 };
    let repr = IpRepr::new(from.into(), to.into(), protocol, payload_len, hop_limit);
    let mut bytes = ethernet((source, destination), ethertype, repr.buffer_len());
    repr.emit(&mut bytes[ETHERNET_LEN..], &ChecksumCapabilities::default());
    (bytes, ETHERNET_LEN + repr.header_len())
}

/// An empty frame of that payload length.
fn ethernet(
    (source, destination): (EthernetAddress, EthernetAddress),
    ethertype: EthernetProtocol,
    payload_len: usize,
) -> Vec<u8> {
    let mut bytes = vec![0; ETHERNET_LEN + payload_len];
    EthernetRepr { src_addr: source, dst_addr: destination, ethertype }
        .emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    bytes
}

/// The longest payload of an IP packet in a frame of a network with an MTU of 1500.
pub(crate) const fn ip_payload_len_max(address: IpAddr) -> usize {
    1_500 - if address.is_ipv4() { 20 } else { 40 }
}

/// IP protocol 132 (RFC 9260 §3).
const SCTP: IpProtocol = IpProtocol::Unknown(132);

const ETHERNET_LEN: usize = EthernetFrame::<&[u8]>::header_len();

const HOP_LIMIT: u8 = 64;

/// Whoever sees it knows that the packet has passed no router (RFC 4861 §6.1, §7.1).
const NDISC_HOP_LIMIT: u8 = 255;

#[cfg(test)]
mod tests {
    use smoltcp::wire::NdiscNeighborFlags;

    use super::*;

    const A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
    const IP_A: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
    const IP_B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
    const IP6_A: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0xa);
    const IP6_B: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0xb);

    /// A pair of addresses of each family.
    fn families() -> [(IpAddr, IpAddr); 2] {
        [(IP_A.into(), IP_B.into()), (IP6_A.into(), IP6_B.into())]
    }

    #[test]
    fn what_is_built_is_parsed() {
        for (a, b) in families() {
            let (from, to) = (SocketAddr::new(a, 7), SocketAddr::new(b, 9));
            let bytes = udp((A, B), from, to, b"hello");
            let payload = Payload::Udp { from, to, data: b"hello" };
            assert_eq!(Frame::parse(&bytes), Some(Frame { source: A, destination: B, payload }));

            let bytes = sctp((B, A), (b, a), b"packet");
            let payload = Payload::Sctp { from: b, to: a, data: b"packet" };
            assert_eq!(Frame::parse(&bytes), Some(Frame { source: B, destination: A, payload }));
        }
        let reply = arp_reply((A, IP_A), (B, IP_B));
        let parsed = Frame::parse(&reply).unwrap();
        assert_eq!((parsed.source, parsed.destination), (A, B));
        assert_eq!(parsed.payload, Payload::Other);
    }

    #[test]
    fn questions_of_neighbour_discovery_are_told_from_answers() {
        let payload = |message| {
            let bytes = ndisc((A, B), (IP6_A, IP6_B), message);
            match Frame::parse(&bytes).unwrap().payload {
                Payload::NeighborSolicit { sender, target } => Some((sender, Some(target))),
                Payload::RouterSolicit { sender } => Some((sender, None)),
                _ => None,
            }
        };
        let lladdr = Some(A.into());
        let who = NdiscRepr::NeighborSolicit { target_addr: IP6_B, lladdr };
        assert_eq!(payload(who), Some((IP6_A, Some(IP6_B))));
        assert_eq!(payload(NdiscRepr::RouterSolicit { lladdr }), Some((IP6_A, None)));
        let flags = NdiscNeighborFlags::SOLICITED;
        let me = NdiscRepr::NeighborAdvert { flags, target_addr: IP6_A, lladdr };
        assert_eq!(payload(me), None);
    }

    #[test]
    fn every_cut_and_every_broken_byte_is_survived() {
        for (a, b) in families() {
            let whole = udp((A, B), SocketAddr::new(a, 7), SocketAddr::new(b, 9), b"hello");
            let solicit = NdiscRepr::NeighborSolicit { target_addr: IP6_B, lladdr: None };
            let solicit = ndisc((A, B), (IP6_A, IP6_B), solicit);
            for whole in [&whole, &solicit] {
                for len in 0..whole.len() {
                    let parsed = Frame::parse(&whole[..len]);
                    assert!(parsed.is_none_or(|frame| frame.payload == Payload::Other), "{len}");
                }
            }
            for index in ETHERNET_LEN..whole.len() {
                let mut broken = whole.clone();
                broken[index] ^= 0x10;
                let parsed = Frame::parse(&broken).unwrap();
                // No checksum covers the first words of IPv6's header.
                let is_covered = a.is_ipv4() || index >= ETHERNET_LEN + 8;
                assert!(!is_covered || parsed.payload == Payload::Other, "byte {index}");
            }
        }
    }

    #[test]
    fn a_group_has_an_ethernet_address() {
        let mac = multicast_mac(Ipv4Addr::new(239, 128, 0, 50).into());
        assert_eq!(mac, EthernetAddress([0x01, 0x00, 0x5e, 0x00, 0x00, 0x32]));
        let mac = multicast_mac(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x133).into());
        assert_eq!(mac, EthernetAddress([0x33, 0x33, 0x00, 0x00, 0x01, 0x33]));
    }
}
