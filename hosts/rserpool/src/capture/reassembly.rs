//! Puts SCTP user messages together from their fragments, and knows retransmissions.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::association::Ppid;

use super::packet::{Content, Data, Packet, data_chunks};
use super::{Carrier, Message};

/// All associations of a capture.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    directions: HashMap<(SocketAddr, SocketAddr, u32), Direction>,
}

/// One direction of an association.
#[derive(Debug, Default)]
struct Direction {
    seen: HashSet<u32>,
    fragments: BTreeMap<u32, Fragment>,
}

#[derive(Debug)]
struct Fragment {
    begins: bool,
    ends: bool,
    stream: u16,
    payload: Vec<u8>,
}

impl Reassembly {
    /// Takes an SCTP packet; messages that it completes are appended to `ready`.
    pub(super) fn on_packet(
        &mut self,
        frame: u64,
        time: Duration,
        packet: &Packet<'_>,
        ready: &mut VecDeque<Message>,
    ) {
        let Content::Sctp { verification_tag, over_udp, chunks } = packet.content else {
            return;
        };
        let key = (packet.source, packet.destination, verification_tag);
        for data in data_chunks(chunks) {
            let direction = self.directions.entry(key).or_default();
            let retransmission = !direction.seen.insert(data.tsn);
            let bytes = if retransmission {
                Some(data.payload.to_vec())
            } else {
                direction.on_data(&data)
            };
            ready.extend(bytes.map(|bytes| Message {
                frame,
                time,
                source: packet.source,
                destination: packet.destination,
                carrier: Carrier::Sctp {
                    ppid: Ppid(data.ppid),
                    stream: data.stream,
                    tsn: data.tsn,
                    over_udp,
                },
                retransmission,
                data: bytes,
            }));
        }
    }
}

impl Direction {
    /// Takes a chunk that is new, and gives back the message that it completes.
    fn on_data(&mut self, data: &Data<'_>) -> Option<Vec<u8>> {
        if data.begins && data.ends {
            return Some(data.payload.to_vec());
        }
        self.fragments.insert(
            data.tsn,
            Fragment {
                begins: data.begins,
                ends: data.ends,
                stream: data.stream,
                payload: data.payload.to_vec(),
            },
        );
        // Fragments of a message have consecutive numbers; the map bounds both walks.
        let mut first = data.tsn;
        while !self.fragment(first, data.stream)?.begins {
            first = first.wrapping_sub(1);
        }
        let mut last = data.tsn;
        while !self.fragment(last, data.stream)?.ends {
            last = last.wrapping_add(1);
        }
        let mut message = Vec::new();
        let mut tsn = first;
        loop {
            message.extend(self.fragments.remove(&tsn)?.payload);
            if tsn == last {
                return Some(message);
            }
            tsn = tsn.wrapping_add(1);
        }
    }

    fn fragment(&self, tsn: u32, stream: u16) -> Option<&Fragment> {
        self.fragments.get(&tsn).filter(|fragment| fragment.stream == stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(flags: &str, tsn: u32, payload: &'static [u8]) -> Data<'static> {
        Data {
            begins: flags.contains('B'),
            ends: flags.contains('E'),
            tsn,
            stream: 0,
            ppid: 11,
            payload,
        }
    }

    #[test]
    fn fragments_are_put_together_in_any_order() {
        let mut direction = Direction::default();
        assert_eq!(direction.on_data(&data("", 0, b"b")), None);
        assert_eq!(direction.on_data(&data("E", 1, b"c")), None);
        assert_eq!(direction.on_data(&data("B", u32::MAX, b"a")), Some(b"abc".to_vec()));
        assert!(direction.fragments.is_empty());
    }

    #[test]
    fn an_unfragmented_message_passes_through() {
        let mut direction = Direction::default();
        assert_eq!(direction.on_data(&data("BE", 5, b"x")), Some(b"x".to_vec()));
    }
}
