//! What a frame holds: link and IP headers, UDP and SCTP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pcap_file::DataLink;

use super::ENCAPSULATION_PORT;

/// An SCTP packet or a UDP datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    pub(super) content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// The chunks of an SCTP packet.
    Sctp {
        verification_tag: u32,
        over_udp: bool,
        chunks: &'a [u8],
    },
    Udp(&'a [u8]),
}

/// A DATA chunk (RFC 9260 §3.3.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'a> {
    pub(super) begins: bool,
    pub(super) ends: bool,
    pub(super) tsn: u32,
    pub(super) stream: u16,
    pub(super) ppid: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a frame; `None` if it holds neither SCTP nor UDP.
    pub(super) fn parse(link: DataLink, frame: &'a [u8]) -> Option<Self> {
        let ip = match link {
            DataLink::ETHERNET => ethernet(frame)?,
            DataLink::LINUX_SLL => frame.get(16..)?,
            DataLink::LINUX_SLL2 => frame.get(20..)?,
            DataLink::NULL | DataLink::LOOP => frame.get(4..)?,
            DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => frame,
            _ => return None,
        };
        let (protocol, source, destination, payload) = match ip.first()? >> 4 {
            4 => ipv4(ip)?,
            6 => ipv6(ip)?,
            _ => return None,
        };
        match protocol {
            SCTP => sctp(source, destination, payload, false),
            UDP => udp(source, destination, payload),
            _ => None,
        }
    }
}

/// Walks the DATA chunks among `chunks`.
pub(super) fn data_chunks(mut chunks: &[u8]) -> impl Iterator<Item = Data<'_>> {
    std::iter::from_fn(move || {
        loop {
            let &[kind, flags, high, low] = chunks.first_chunk()?;
            let len = usize::from(u16::from_be_bytes([high, low]));
            let chunk = chunks.get(..len).filter(|_| len >= 4)?;
            chunks = chunks.get(len.next_multiple_of(4)..).unwrap_or_default();
            if kind == DATA
                && let Some(data) = data_chunk(flags, chunk)
            {
                return Some(data);
            }
        }
    })
}

fn data_chunk(flags: u8, chunk: &[u8]) -> Option<Data<'_>> {
    Some(Data {
        begins: flags & 2 != 0,
        ends: flags & 1 != 0,
        tsn: u32_at(chunk, 4)?,
        stream: u16_at(chunk, 8)?,
        ppid: u32_at(chunk, 12)?,
        payload: chunk.get(16..)?,
    })
}

fn ethernet(frame: &[u8]) -> Option<&[u8]> {
    let mut offset = 12;
    // At most two VLAN tags.
    for _ in 0..2 {
        if !matches!(u16_at(frame, offset)?, 0x8100 | 0x88a8) {
            break;
        }
        offset += 4;
    }
    matches!(u16_at(frame, offset)?, 0x0800 | 0x86dd).then(|| frame.get(offset + 2..))?
}

type IpPacket<'a> = (u8, IpAddr, IpAddr, &'a [u8]);

fn ipv4(packet: &[u8]) -> Option<IpPacket<'_>> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let total_len = usize::from(u16_at(packet, 2)?);
    // Fragments of IP are not put together.
    if u16_at(packet, 6)? & 0x3fff != 0 {
        return None;
    }
    let address = |at| Some(IpAddr::V4(Ipv4Addr::from_bits(u32_at(packet, at)?)));
    // Segmentation offload leaves the length 0, and a short capture cuts the packet.
    let end = if total_len == 0 { packet.len() } else { total_len.min(packet.len()) };
    let payload = packet.get(header_len..end)?;
    Some((*packet.get(9)?, address(12)?, address(16)?, payload))
}

fn ipv6(packet: &[u8]) -> Option<IpPacket<'_>> {
    let address = |at: usize| {
        let octets: [u8; 16] = *packet.get(at..)?.first_chunk()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    let end = (40 + usize::from(u16_at(packet, 4)?)).min(packet.len());
    let mut protocol = *packet.get(6)?;
    let mut payload = packet.get(40..end)?;
    // Hop-by-hop, routing and destination options; no more than a few make sense.
    for _ in 0..8 {
        if !matches!(protocol, 0 | 43 | 60) {
            break;
        }
        protocol = *payload.first()?;
        payload = payload.get(8 + usize::from(*payload.get(1)?) * 8..)?;
    }
    Some((protocol, address(8)?, address(24)?, payload))
}

fn sctp(source: IpAddr, destination: IpAddr, packet: &[u8], over_udp: bool) -> Option<Packet<'_>> {
    Some(Packet {
        source: SocketAddr::new(source, u16_at(packet, 0)?),
        destination: SocketAddr::new(destination, u16_at(packet, 2)?),
        content: Content::Sctp {
            verification_tag: u32_at(packet, 4)?,
            over_udp,
            chunks: packet.get(12..)?,
        },
    })
}

fn udp(source: IpAddr, destination: IpAddr, packet: &[u8]) -> Option<Packet<'_>> {
    let (from, to) = (u16_at(packet, 0)?, u16_at(packet, 2)?);
    let len = usize::from(u16_at(packet, 4)?).clamp(8, packet.len().max(8));
    let payload = packet.get(8..len)?;
    let encapsulated = from == ENCAPSULATION_PORT || to == ENCAPSULATION_PORT;
    if (encapsulated || has_sctp_checksum(payload))
        && let Some(packet) = sctp(source, destination, payload, true)
    {
        return Some(packet);
    }
    Some(Packet {
        source: SocketAddr::new(source, from),
        destination: SocketAddr::new(destination, to),
        content: Content::Udp(payload),
    })
}

/// Whether the bytes are an SCTP packet whose CRC32c is right.
fn has_sctp_checksum(packet: &[u8]) -> bool {
    let (Some(header), Some(checksum)) = (packet.get(..8), packet.get(8..12)) else {
        return false;
    };
    let Some(chunks) = packet.get(12..).filter(|chunks| chunks.len() >= 4) else {
        return false;
    };
    let crc = crc32c([header, &[0; 4], chunks].concat().as_slice());
    crc.to_le_bytes() == checksum
}

/// CRC32c (RFC 9260 appendix A), bit by bit: captures are read at leisure.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u16::from_be_bytes(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_be_bytes(bytes))
}

const UDP: u8 = 17;
const SCTP: u8 = 132;
const DATA: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    /// UDP 40000 to 40001 over IPv4 with an SCTP packet (ports 1 to 2) and one DATA chunk.
    fn encapsulated() -> Vec<u8> {
        let mut sctp = vec![0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0];
        sctp.extend([0, 3, 0, 20, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 11, 10, 0, 0, 8]);
        let crc = crc32c(&sctp).to_le_bytes();
        sctp[8..12].copy_from_slice(&crc);
        let mut packet =
            vec![0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        packet.extend([0x9c, 0x40, 0x9c, 0x41, 0, 40, 0, 0]);
        packet.extend(sctp);
        packet
    }

    #[test]
    fn crc32c_of_a_known_text() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn sctp_over_any_udp_port_is_known_by_its_checksum() {
        let bytes = encapsulated();
        let packet = Packet::parse(DataLink::RAW, &bytes).unwrap();
        let Content::Sctp { verification_tag: 9, over_udp: true, chunks } = packet.content else {
            panic!("{packet:?}");
        };
        assert_eq!((packet.source.port(), packet.destination.port()), (1, 2));
        let data: Vec<_> = data_chunks(chunks).collect();
        assert_eq!(data.len(), 1);
        assert_eq!((data[0].tsn, data[0].ppid, data[0].payload), (7, 11, &[10, 0, 0, 8][..]));
    }

    #[test]
    fn a_wrong_checksum_leaves_a_datagram() {
        let mut bytes = encapsulated();
        bytes[36] ^= 1;
        let packet = Packet::parse(DataLink::RAW, &bytes).unwrap();
        assert!(matches!(packet.content, Content::Udp(payload) if payload.len() == 32));
        assert_eq!(packet.destination.port(), 40001);
    }

    #[test]
    fn a_cut_packet_does_no_harm() {
        let bytes = encapsulated();
        for len in 0..bytes.len() {
            if let Some(Packet { content: Content::Sctp { chunks, .. }, .. }) =
                Packet::parse(DataLink::RAW, &bytes[..len])
            {
                let _ = data_chunks(chunks).count();
            }
        }
    }
}
