//! Ethernet frames, taken apart and put together by smoltcp.

use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

/// What a frame carries, as far as the switch cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// Somebody asks who has `target`.
    ArpRequest { sender: Ipv4Addr, target: Ipv4Addr },
    /// A UDP datagram.
    Udp { from: SocketAddrV4, to: SocketAddrV4, data: &'a [u8] },
    /// An SCTP packet right above IP.
    Sctp { from: Ipv4Addr, to: Ipv4Addr, data: &'a [u8] },
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
    let (source, destination) = (packet.src_addr(), packet.dst_addr());
    match packet.next_header() {
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(packet.payload()).ok()?;
            udp.verify_checksum(&source.into(), &destination.into()).then(|| Payload::Udp {
                from: SocketAddrV4::new(source, udp.src_port()),
                to: SocketAddrV4::new(destination, udp.dst_port()),
                data: udp.payload(),
            })
        }
        SCTP => Some(Payload::Sctp { from: source, to: destination, data: packet.payload() }),
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

/// A UDP datagram in a frame.
pub(crate) fn udp(
    macs: (EthernetAddress, EthernetAddress),
    from: SocketAddrV4,
    to: SocketAddrV4,
    data: &[u8],
) -> Vec<u8> {
    let repr = UdpRepr { src_port: from.port(), dst_port: to.port() };
    let len = repr.header_len() + data.len();
    let mut bytes = ipv4_frame(macs, (*from.ip(), *to.ip()), IpProtocol::Udp, len);
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[ETHERNET_LEN + IPV4_LEN..]),
        &(*from.ip()).into(),
        &(*to.ip()).into(),
        data.len(),
        |room| room.copy_from_slice(data),
        &ChecksumCapabilities::default(),
    );
    bytes
}

/// An SCTP packet right above IP, in a frame.
pub(crate) fn sctp(
    macs: (EthernetAddress, EthernetAddress),
    addresses: (Ipv4Addr, Ipv4Addr),
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = ipv4_frame(macs, addresses, SCTP, data.len());
    bytes[ETHERNET_LEN + IPV4_LEN..].copy_from_slice(data);
    bytes
}

/// The Ethernet address that stands for an IPv4 multicast group (RFC 1112 §6.4).
pub(crate) fn multicast_mac(group: Ipv4Addr) -> EthernetAddress {
    let [_, b, c, d] = group.octets();
    EthernetAddress([0x01, 0x00, 0x5e, b & 0x7f, c, d])
}

fn ipv4_frame(
    macs: (EthernetAddress, EthernetAddress),
    (source, destination): (Ipv4Addr, Ipv4Addr),
    protocol: IpProtocol,
    payload_len: usize,
) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: protocol,
        payload_len,
        hop_limit: HOP_LIMIT,
    };
    let mut bytes = ethernet(macs, EthernetProtocol::Ipv4, IPV4_LEN + payload_len);
    repr.emit(
        &mut Ipv4Packet::new_unchecked(&mut bytes[ETHERNET_LEN..]),
        &ChecksumCapabilities::default(),
    );
    bytes
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

/// IP protocol 132 (RFC 9260 §3).
const SCTP: IpProtocol = IpProtocol::Unknown(132);

const ETHERNET_LEN: usize = EthernetFrame::<&[u8]>::header_len();

/// Without options.
const IPV4_LEN: usize = 20;

const HOP_LIMIT: u8 = 64;

/// The longest payload of an IPv4 packet in a frame of a network with an MTU of 1500.
pub(crate) const IPV4_PAYLOAD_LEN_MAX: usize = 1_500 - IPV4_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    const A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
    const IP_A: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
    const IP_B: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

    #[test]
    fn what_is_built_is_parsed() {
        let (from, to) = (SocketAddrV4::new(IP_A, 7), SocketAddrV4::new(IP_B, 9));
        let bytes = udp((A, B), from, to, b"hello");
        let payload = Payload::Udp { from, to, data: b"hello" };
        assert_eq!(Frame::parse(&bytes), Some(Frame { source: A, destination: B, payload }));

        let bytes = sctp((B, A), (IP_B, IP_A), b"packet");
        let payload = Payload::Sctp { from: IP_B, to: IP_A, data: b"packet" };
        assert_eq!(Frame::parse(&bytes), Some(Frame { source: B, destination: A, payload }));

        let reply = arp_reply((A, IP_A), (B, IP_B));
        let parsed = Frame::parse(&reply).unwrap();
        assert_eq!((parsed.source, parsed.destination), (A, B));
        assert_eq!(parsed.payload, Payload::Other);
    }

    #[test]
    fn every_cut_and_every_broken_byte_is_survived() {
        let to = SocketAddrV4::new(IP_B, 9);
        let whole = udp((A, B), SocketAddrV4::new(IP_A, 7), to, b"hello");
        for len in 0..whole.len() {
            let parsed = Frame::parse(&whole[..len]);
            assert!(parsed.is_none_or(|frame| frame.payload == Payload::Other), "{len}");
        }
        for index in ETHERNET_LEN..whole.len() {
            let mut broken = whole.clone();
            broken[index] ^= 0x10;
            assert_eq!(Frame::parse(&broken).unwrap().payload, Payload::Other, "byte {index}");
        }
    }

    #[test]
    fn a_group_has_an_ethernet_address() {
        let mac = multicast_mac(Ipv4Addr::new(239, 128, 0, 50));
        assert_eq!(mac, EthernetAddress([0x01, 0x00, 0x5e, 0x00, 0x00, 0x32]));
    }
}
