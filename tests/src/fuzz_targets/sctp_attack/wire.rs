//! The network between the two endpoints, and what an attacker makes of its packets.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use rserpool_core::sctp::crc32c;

pub(super) const SCTP_PORT: u16 = 5_000;
pub(super) const UDP_PORT: u16 = 9_899;
/// Whoever is neither of the two.
pub(super) const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 9, 9));
const HEADER_LEN: usize = 12;

/// Address `net` (0 or 1) of a side.
pub(super) const fn address(side: usize, net: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, (net & 1) as u8, side as u8 + 1))
}

/// The side that has an address, and the net that it is in.
pub(super) fn place_of(address: IpAddr) -> Option<(usize, usize)> {
    let IpAddr::V4(address) = address else { return None };
    match address.octets() {
        [10, 0, net @ 0..=1, last @ 1..=2] => Some((usize::from(last - 1), usize::from(net))),
        _ => None,
    }
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// The sender's and the receiver's UDP port.
    pub(super) udp: Option<(u16, u16)>,
    pub(super) bytes: Vec<u8>,
}

impl Parcel {
    /// A packet with `chunks` and a right checksum.
    pub(super) fn forge(
        from: IpAddr,
        to: IpAddr,
        is_in_udp: bool,
        tag: u32,
        chunks: &[u8],
    ) -> Self {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[..2].copy_from_slice(&SCTP_PORT.to_be_bytes());
        bytes[2..4].copy_from_slice(&SCTP_PORT.to_be_bytes());
        bytes[4..8].copy_from_slice(&tag.to_be_bytes());
        bytes.extend(chunks);
        let mut parcel = Self { from, to, udp: is_in_udp.then_some((UDP_PORT, UDP_PORT)), bytes };
        parcel.sum();
        parcel
    }

    /// Makes the checksum right.
    pub(super) fn sum(&mut self) {
        self.bytes[8..HEADER_LEN].fill(0);
        let checksum = crc32c(&self.bytes);
        self.bytes[8..HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
    }

    pub(super) fn tag(&self) -> u32 {
        word_at(&self.bytes, 4)
    }

    pub(super) fn chunks(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..]
    }

    pub(super) fn starts_with(&self, kind: u8) -> bool {
        self.chunks().first() == Some(&kind)
    }
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&word| u32::from_be_bytes(word))
}

/// The secrets that were on the wire: verification tags.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeSet<u32>);

impl Secrets {
    /// Learns from a packet of one of the two.
    pub(super) fn learn(&mut self, parcel: &Parcel) {
        self.0.insert(parcel.tag());
        // INIT and INIT ACK.
        if parcel.starts_with(1) || parcel.starts_with(2) {
            self.0.insert(word_at(parcel.chunks(), 4));
        }
        self.0.remove(&0);
    }

    /// Whether something that was made up without them has one in it by chance (a fuzzer is good
    /// at such chances).
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(4).any(|window| self.0.contains(&word_at(window, 0)))
    }
}
