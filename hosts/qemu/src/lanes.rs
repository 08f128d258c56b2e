//! How the SCTP packets of one board travel over UDP on the loopback interface (RFC 6951).
//!
//! A board that speaks SCTP right above IP names no UDP port, and its peers are processes that
//! may be at 9899 or at another: so an INIT goes to all of them, the first INIT ACK tells which
//! it is, and what the others answer is kept from the board. Nothing in here reads more of a
//! packet than its ports, its tag and the type of its first chunk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rserpool_core::sctp::lanes::{
    ends_handshake, initiate_tag_of, is_init, is_init_ack, tag_of, usual_udp_ports,
};

/// An association, as seen from the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowKey {
    pub(crate) peer: IpAddr,
    pub(crate) peer_port: u16,
    pub(crate) port: u16,
}

/// How an association's packets travel: `S` names one of our sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow<S> {
    /// Where the peer sends to, and so where its answers come from.
    pub(crate) socket: S,
    /// The peer's UDP port.
    pub(crate) udp_port: u16,
}

/// The associations of one board.
#[derive(Debug)]
pub(crate) struct Lanes<S> {
    flows: BTreeMap<FlowKey, Flow<S>>,
    races: BTreeMap<FlowKey, Race>,
}

/// An INIT that went to several UDP ports.
#[derive(Debug)]
struct Race {
    initiate_tag: [u8; 4],
    /// Those that have not refused.
    open: Vec<u16>,
    winner: Option<u16>,
}

impl<S: Copy> Lanes<S> {
    pub(crate) const fn new() -> Self {
        Self { flows: BTreeMap::new(), races: BTreeMap::new() }
    }

    /// How packets of an association travelled last.
    pub(crate) fn flow(&self, key: FlowKey) -> Option<Flow<S>> {
        self.flows.get(&key).copied()
    }

    /// A packet that names no UDP port goes out: to which it goes.
    pub(crate) fn on_outgoing(&mut self, key: FlowKey, packet: &[u8]) -> Vec<u16> {
        let known = self.flows.get(&key).map(|flow| flow.udp_port);
        let Some(initiate_tag) = tag_of_init(packet) else {
            return known.map_or_else(|| candidates(key, None), |udp_port| vec![udp_port]);
        };
        let open = candidates(key, known);
        if self.races.len() >= RACE_COUNT_MAX {
            self.races.clear();
        }
        let is_repeated =
            self.races.get(&key).is_some_and(|race| race.initiate_tag == initiate_tag);
        if !is_repeated {
            let race = Race { initiate_tag, open: open.clone(), winner: None };
            self.races.insert(key, race);
        }
        open
    }

    /// A packet came in by `flow`. Returns whether the board shall see it.
    pub(crate) fn on_incoming(&mut self, key: FlowKey, flow: Flow<S>, packet: &[u8]) -> bool {
        if !self.is_wanted(key, flow.udp_port, packet) {
            return false;
        }
        if self.flows.len() >= FLOW_COUNT_MAX {
            self.flows.clear();
        }
        self.flows.insert(key, flow);
        true
    }

    fn is_wanted(&mut self, key: FlowKey, udp_port: u16, packet: &[u8]) -> bool {
        let Some(race) = self.races.get_mut(&key) else { return true };
        let is_answer = tag_of(packet) == Some(race.initiate_tag);
        match race.winner {
            _ if !ends_handshake(packet) => true,
            Some(winner) => winner == udp_port,
            None if !is_answer => true,
            None if is_init_ack(packet) => {
                race.winner = Some(udp_port);
                true
            }
            None => {
                race.open.retain(|&open| open != udp_port);
                race.open.is_empty()
            }
        }
    }
}

/// Where the peer may be, the most likely one first.
fn candidates(key: FlowKey, known: Option<u16>) -> Vec<u16> {
    let usual = usual_udp_ports(key.peer_port);
    let others = usual.into_iter().filter(|&udp_port| Some(udp_port) != known);
    let mut all: Vec<u16> = known.into_iter().chain(others).collect();
    all.dedup();
    all
}

/// The tag that an INIT asks its peer to use; `None` if it is no INIT.
fn tag_of_init(packet: &[u8]) -> Option<[u8; 4]> {
    is_init(packet).then(|| initiate_tag_of(packet)).flatten()
}

const RACE_COUNT_MAX: usize = 64;
const FLOW_COUNT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const KEY: FlowKey =
        FlowKey { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), peer_port: 3863, port: 50_000 };

    const INIT: u8 = 1;
    const INIT_ACK: u8 = 2;
    const ABORT: u8 = 6;

    fn packet(tag: [u8; 4], chunk: u8) -> Vec<u8> {
        let mut packet = vec![0; 32];
        packet[4..8].copy_from_slice(&tag);
        packet[12] = chunk;
        packet[16..20].copy_from_slice(b"ours");
        packet
    }

    fn flow(udp_port: u16) -> Flow<u8> {
        Flow { socket: 1, udp_port }
    }

    #[test]
    fn an_init_goes_wherever_the_peer_may_be_and_the_rest_to_the_winner() {
        let mut lanes = Lanes::new();
        assert_eq!(lanes.on_outgoing(KEY, &packet([0; 4], INIT)), [9899, 13_863]);
        assert!(lanes.on_incoming(KEY, flow(13_863), &packet(*b"ours", INIT_ACK)));
        assert_eq!(lanes.on_outgoing(KEY, &packet(*b"peer", 10)), [13_863]);
        // Another one: the winner of last time first.
        assert_eq!(lanes.on_outgoing(KEY, &packet([0; 4], INIT)), [13_863, 9899]);
    }

    #[test]
    fn what_the_losers_answer_is_kept_from_the_board() {
        let mut lanes = Lanes::new();
        let _ = lanes.on_outgoing(KEY, &packet([0; 4], INIT));
        assert!(!lanes.on_incoming(KEY, flow(9899), &packet(*b"ours", ABORT)));
        assert!(lanes.on_incoming(KEY, flow(13_863), &packet(*b"ours", INIT_ACK)));
        assert!(!lanes.on_incoming(KEY, flow(9899), &packet(*b"ours", ABORT)));
        assert_eq!(lanes.flow(KEY), Some(flow(13_863)));
        // The winner may abort.
        assert!(lanes.on_incoming(KEY, flow(13_863), &packet(*b"ours", ABORT)));
    }

    #[test]
    fn when_all_refuse_the_board_learns_of_it() {
        let mut lanes = Lanes::new();
        let _ = lanes.on_outgoing(KEY, &packet([0; 4], INIT));
        assert!(!lanes.on_incoming(KEY, flow(9899), &packet(*b"ours", ABORT)));
        // The board repeats its INIT; those that refused may do so again.
        let _ = lanes.on_outgoing(KEY, &packet([0; 4], INIT));
        assert!(!lanes.on_incoming(KEY, flow(9899), &packet(*b"ours", ABORT)));
        assert!(lanes.on_incoming(KEY, flow(13_863), &packet(*b"ours", ABORT)));
    }
}
