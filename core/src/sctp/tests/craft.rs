//! Packets made by hand, and a peer that sends them.

use core::net::{IpAddr, Ipv4Addr};
use std::vec;
use std::vec::Vec;

use super::link::Host;
use crate::machine::Machine;
use crate::sctp::packet::{Chunks, CommonHeader, checksum_is_right};
use crate::sctp::{Config, Datagram, Event, Handle, Input, InputError};

pub(super) const HOST_PORT: u16 = 3_863;
pub(super) const PEER_PORT: u16 = 5_000;
pub(super) const PEER_TAG: u32 = 0x7a7a_7a7a;
pub(super) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

/// A chunk: type, flags, value.
pub(super) fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, flags];
    bytes.extend((value.len() as u16 + 4).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A packet from the peer with these chunks in a row.
pub(super) fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    packet_between(PEER_PORT, HOST_PORT, tag, chunks)
}

pub(super) fn packet_between(from: u16, to: u16, tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    chunks.iter().for_each(|chunk| bytes.extend(chunk));
    CommonHeader { source_port: from, destination_port: to, tag }.emit(&mut bytes);
    bytes
}

/// The value of an INIT or INIT ACK with a window of 64 KiB, 10 streams each way, first TSN 1000.
pub(super) fn init_value(tag: u32, parameters: &[u8]) -> Vec<u8> {
    let mut value = tag.to_be_bytes().to_vec();
    value.extend([0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 3, 0xe8]);
    value.extend(parameters);
    value
}

/// A DATA chunk with a whole message on stream 0.
pub(super) fn data(tsn: u32, text: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend([0, 0, 0, 0, 0, 0, 0, 11]);
    value.extend(text);
    chunk(0, 3 | 4, &value)
}

/// What came back: its tag, and each chunk with header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) tag: u32,
    pub(super) chunks: Vec<Vec<u8>>,
}

impl Reply {
    pub(super) fn kinds(&self) -> Vec<u8> {
        self.chunks.iter().map(|chunk| chunk[0]).collect()
    }
}

/// A host, seen by a peer made by hand.
pub(super) struct Bench {
    pub(super) host: Host,
    pub(super) handle: Option<Handle>,
    /// The tag that the host wants to see.
    pub(super) host_tag: u32,
    /// The host's first TSN.
    pub(super) host_tsn: u32,
}

impl Bench {
    /// A host that listens.
    pub(super) fn listening() -> Self {
        let mut host = Host::new(1, Config::DEFAULT);
        host.endpoint.listen(HOST_PORT).unwrap();
        Self { host, handle: None, host_tag: 0, host_tsn: 0 }
    }

    /// A host that has an association with the peer, which opened it.
    pub(super) fn established() -> Self {
        let mut bench = Self::listening();
        let cookie = bench.cookie(&[]);
        bench.give(packet(bench.host_tag, &[chunk(10, 0, &cookie)])).unwrap();
        assert_eq!(bench.replies(), [Reply { tag: PEER_TAG, chunks: vec![vec![11, 0, 0, 4]] }]);
        let Some(Event::Up { handle, .. }) = bench.host.events.pop() else { panic!() };
        bench.handle = Some(handle);
        bench
    }

    /// Sends an INIT and takes cookie and tag out of the answer.
    pub(super) fn cookie(&mut self, parameters: &[u8]) -> Vec<u8> {
        self.cookie_for(PEER_TAG, parameters)
    }

    pub(super) fn cookie_for(&mut self, tag: u32, parameters: &[u8]) -> Vec<u8> {
        self.give(packet(0, &[chunk(1, 0, &init_value(tag, parameters))])).unwrap();
        let replies = self.replies();
        let [Reply { tag: to, chunks }] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!((*to, chunks[0][0]), (tag, 2));
        let init_ack = &chunks[0][4..];
        self.host_tag = u32::from_be_bytes(init_ack[..4].try_into().unwrap());
        self.host_tsn = u32::from_be_bytes(init_ack[12..16].try_into().unwrap());
        let cookie = crate::sctp::packet::Tlvs::new(&init_ack[16..]).next().unwrap();
        assert_eq!(cookie.kind, 7, "the cookie comes first");
        cookie.value.to_vec()
    }

    /// A SACK or SHUTDOWN value's first field: the host's first TSN plus `count` less one.
    pub(super) fn has_received(&self, count: u32) -> [u8; 4] {
        self.host_tsn.wrapping_add(count).wrapping_sub(1).to_be_bytes()
    }

    pub(super) fn give(&mut self, payload: Vec<u8>) -> Result<(), InputError> {
        self.give_from(PEER, payload)
    }

    pub(super) fn give_from(
        &mut self,
        remote: IpAddr,
        payload: Vec<u8>,
    ) -> Result<(), InputError> {
        let (now, local) = (self.host.now, self.host.address);
        let datagram = Datagram { local, remote, udp: None, payload: &payload };
        self.host.endpoint.handle_input(now, Input::Datagram(datagram))
    }

    /// What the host sends now.
    pub(super) fn replies(&mut self) -> Vec<Reply> {
        self.host
            .drain()
            .iter()
            .map(|sent| {
                assert!(checksum_is_right(&sent.bytes));
                let (rest, header) = CommonHeader::parse(&sent.bytes).unwrap();
                assert_eq!(header.source_port, HOST_PORT);
                let chunks = Chunks::new(rest).map(|chunk| chunk.bytes.to_vec()).collect();
                Reply { tag: header.tag, chunks }
            })
            .collect()
    }

    /// Gives a packet with the host's tag and returns what comes back.
    pub(super) fn trade(&mut self, chunks: &[Vec<u8>]) -> Vec<Reply> {
        let _ = self.give(packet(self.host_tag, chunks));
        self.replies()
    }
}
