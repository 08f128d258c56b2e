//! UDP lanes (RFC 6951): a peer may be at UDP port 9899, or at another, so the same INIT goes to
//! each of them, staggered, and the first INIT ACK wins.
//!
//! Only packets of one handshake pass through a [`Race`]. The endpoint believes in the first lane
//! and follows the peer to the winner, as RFC 6951 §5.4 says of any change of the peer's UDP port.
//! Of a packet nothing is read here but its ports, its tag, and the type of its first chunk.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use core::time::Duration;

use heapless::Vec;

use super::packet::ChunkType;
use super::types::{LOCAL_ADDRESSES_MAX, UDP_PORT};
use crate::time::Instant;

/// The most lanes of a race; fewer on boards (feature `small`).
pub const LANES_MAX: usize = crate::few(2, 3);

/// How much later than the lane before it a lane joins a race.
pub const STAGGER: Duration = Duration::from_millis(50);

/// The longest INIT of ours: headers, fixed fields and kinds of addresses, and the addresses.
/// One that is longer goes to the first lane alone.
const INIT_LEN_MAX: usize = 40 + 20 * LOCAL_ADDRESSES_MAX;

/// The UDP port of a process that serves SCTP port `port` and could not have
/// [`UDP_PORT`]: the same number, but for the two whose UDP twins carry the multicast
/// announcements.
#[must_use]
pub const fn fallback_udp_port(port: u16) -> u16 {
    match port {
        3_863 => 13_863,
        9_901 => 19_901,
        port => port,
    }
}

/// Where a peer with SCTP port `port` usually is, the most likely UDP port first.
#[must_use]
pub const fn usual_udp_ports(port: u16) -> [u16; 2] {
    [UDP_PORT, fallback_udp_port(port)]
}

/// A handshake on one or several lanes.
#[derive(Debug)]
pub struct Race {
    lanes: Vec<Lane, LANES_MAX>,
    /// The latest INIT, for lanes that join later.
    init: Vec<u8, INIT_LEN_MAX>,
    /// The lane that has won. The race stays, because the losers' answers may come late.
    winner: Option<u16>,
}

#[derive(Debug)]
struct Lane {
    udp_port: u16,
    state: LaneState,
    /// The INIT is to be sent here.
    is_owed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LaneState {
    /// Joins at this time.
    Waiting(Instant),
    Running,
    Closed,
}

/// What to do with a packet that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it to the endpoint.
    Pass,
    /// Hand it to the endpoint; its lane has won.
    Won,
    /// It only ends its lane: forget it.
    Swallow,
}

impl Race {
    /// A race over `udp_ports`, the most likely one first; of more than [`LANES_MAX`] the first.
    #[must_use]
    pub fn new(now: Instant, udp_ports: &[u16]) -> Self {
        let mut lanes = Vec::new();
        let mut joins_at = now;
        for &udp_port in udp_ports.iter().take(LANES_MAX) {
            let state = LaneState::Waiting(joins_at);
            let _ = lanes.push(Lane { udp_port, state, is_owed: false });
            joins_at += STAGGER;
        }
        Self { lanes, init: Vec::new(), winner: None }
    }

    /// The lane that the endpoint is to believe in.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.lanes.first().map_or(UDP_PORT, |lane| lane.udp_port)
    }

    /// The lane that has won.
    #[must_use]
    pub const fn winner(&self) -> Option<u16> {
        self.winner
    }

    /// The endpoint sends an INIT: it is owed to every lane that runs. False if it is too long to
    /// be kept, and is to be sent as if there were no race.
    pub fn on_init(&mut self, now: Instant, packet: &[u8]) -> bool {
        self.init.clear();
        if self.init.extend_from_slice(packet).is_err() {
            return false;
        }
        for lane in &mut self.lanes {
            lane.join_if_due(now);
            lane.is_owed = lane.state == LaneState::Running;
        }
        true
    }

    /// The next UDP port that is owed the INIT, and the INIT.
    #[must_use]
    pub fn next_owed(&mut self) -> Option<(u16, &[u8])> {
        let lane = self.lanes.iter_mut().find(|lane| lane.is_owed)?;
        lane.is_owed = false;
        Some((lane.udp_port, &self.init))
    }

    /// When the next lane joins.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.lanes.iter().filter_map(|lane| match lane.state {
            LaneState::Waiting(joins_at) => Some(joins_at),
            _ => None,
        });
        waiting.min().filter(|_| self.is_on())
    }

    /// Lets lanes join.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_on() {
            for lane in &mut self.lanes {
                lane.is_owed |= lane.join_if_due(now);
            }
        }
    }

    /// A packet came from `udp_port` of the peer.
    pub fn on_packet(&mut self, now: Instant, udp_port: u16, packet: &[u8]) -> Verdict {
        let is_ours = tag_of(packet).is_some() && tag_of(packet) == initiate_tag_of(&self.init);
        match (first_chunk_of(packet), self.winner) {
            (Some(ChunkType::INIT_ACK), None) if is_ours => {
                self.winner = Some(udp_port);
                Verdict::Won
            }
            (Some(ChunkType::INIT_ACK | ChunkType::ABORT), Some(winner)) if winner != udp_port => {
                Verdict::Swallow
            }
            (Some(ChunkType::ABORT), None) if is_ours => self.close(now, udp_port),
            _ => Verdict::Pass,
        }
    }

    /// The network says that nobody listens at `udp_port`.
    pub fn on_unreachable(&mut self, now: Instant, udp_port: u16) -> Verdict {
        match self.winner {
            Some(winner) if winner != udp_port => Verdict::Swallow,
            Some(_) => Verdict::Pass,
            None => self.close(now, udp_port),
        }
    }

    /// Whether lanes may still join.
    fn is_on(&self) -> bool {
        self.winner.is_none() && !self.init.is_empty()
    }

    /// Closes a lane; the next one need not wait any longer. What closes the last one counts.
    fn close(&mut self, now: Instant, udp_port: u16) -> Verdict {
        let mut verdict = Verdict::Pass;
        let mut is_heir_found = false;
        for lane in &mut self.lanes {
            if lane.udp_port == udp_port {
                (lane.state, lane.is_owed) = (LaneState::Closed, false);
            } else if matches!(lane.state, LaneState::Waiting(_)) && !is_heir_found {
                lane.state = LaneState::Waiting(now);
                is_heir_found = true;
            }
            if lane.state != LaneState::Closed {
                verdict = Verdict::Swallow;
            }
        }
        verdict
    }
}

impl Lane {
    /// Joins the race if it is time to; returns whether it did.
    fn join_if_due(&mut self, now: Instant) -> bool {
        match self.state {
            LaneState::Waiting(joins_at) if joins_at <= now => {
                self.state = LaneState::Running;
                true
            }
            _ => false,
        }
    }
}

/// Whether `packet` is an INIT: alone in its packet, under tag 0 (RFC 9260 §8.5.1).
#[must_use]
pub fn is_init(packet: &[u8]) -> bool {
    first_chunk_of(packet) == Some(ChunkType::INIT) && tag_of(packet) == Some([0; 4])
}

/// Whether `packet` is one of those that only the lane which won may send: what came of a loser
/// can come late.
#[must_use]
pub fn ends_handshake(packet: &[u8]) -> bool {
    matches!(first_chunk_of(packet), Some(ChunkType::INIT_ACK | ChunkType::ABORT))
}

/// Whether `packet` is an INIT ACK.
#[must_use]
pub fn is_init_ack(packet: &[u8]) -> bool {
    first_chunk_of(packet) == Some(ChunkType::INIT_ACK)
}

/// The source and destination port of an SCTP packet (RFC 9260 §3.1).
#[must_use]
pub fn ports_of(packet: &[u8]) -> Option<(u16, u16)> {
    let &[source_high, source_low, destination_high, destination_low, ..] =
        packet.first_chunk::<HEADER_LEN>()?;
    let source = u16::from_be_bytes([source_high, source_low]);
    Some((source, u16::from_be_bytes([destination_high, destination_low])))
}

/// The verification tag of an SCTP packet.
#[must_use]
pub fn tag_of(packet: &[u8]) -> Option<[u8; 4]> {
    packet.get(4..8)?.try_into().ok()
}

fn first_chunk_of(packet: &[u8]) -> Option<ChunkType> {
    packet.get(HEADER_LEN).copied().map(ChunkType)
}

/// The tag that `init`, which is an INIT, asks the peer to use (RFC 9260 §3.3.2).
#[must_use]
pub fn initiate_tag_of(init: &[u8]) -> Option<[u8; 4]> {
    init.get(16..20)?.try_into().ok()
}

/// The common header (RFC 9260 §3.1).
const HEADER_LEN: usize = 12;

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv6Addr, SocketAddr};

    use super::*;
    use crate::entropy::SplitMix64;
    use crate::machine::Machine;
    use crate::sctp::{Config, Connect, Endpoint, Inline, UdpPorts};

    const START: Instant = Instant::from_millis(1_000);

    fn packet(tag: [u8; 4], chunk: ChunkType, initiate_tag: [u8; 4]) -> [u8; 32] {
        let mut packet = [0; 32];
        packet[..4].copy_from_slice(&[0x0f, 0x17, 0, 7]);
        packet[4..8].copy_from_slice(&tag);
        packet[12] = chunk.0;
        packet[16..20].copy_from_slice(&initiate_tag);
        packet
    }

    fn init() -> [u8; 32] {
        packet([0; 4], ChunkType::INIT, *b"ours")
    }

    fn abort() -> [u8; 32] {
        packet(*b"ours", ChunkType::ABORT, [0; 4])
    }

    fn init_ack() -> [u8; 32] {
        packet(*b"ours", ChunkType::INIT_ACK, *b"peer")
    }

    fn owed(race: &mut Race) -> std::vec::Vec<u16> {
        let mut ports = std::vec::Vec::new();
        while let Some((port, bytes)) = race.next_owed() {
            assert_eq!(bytes, init());
            ports.push(port);
        }
        ports
    }

    /// A race of two lanes, the first of which runs.
    fn started() -> Race {
        let mut race = Race::new(START, &usual_udp_ports(3_863));
        assert_eq!((race.first(), race.poll_timeout()), (9_899, None));
        assert!(race.on_init(START, &init()));
        assert_eq!(owed(&mut race), [9_899]);
        race
    }

    /// The same, and both run.
    fn in_full_run() -> Race {
        let mut race = started();
        race.handle_timeout(START + STAGGER);
        assert_eq!(owed(&mut race), [13_863]);
        race
    }

    #[test]
    fn lanes_join_50_ms_apart_and_repeat_together() {
        let mut race = started();
        assert_eq!(race.poll_timeout(), Some(START + STAGGER));
        race.handle_timeout(START + STAGGER);
        assert_eq!(owed(&mut race), [13_863]);
        assert_eq!(race.poll_timeout(), None);
        assert!(race.on_init(START + Duration::from_secs(1), &init()));
        assert_eq!(owed(&mut race), [9_899, 13_863]);
    }

    #[test]
    fn a_configured_lane_is_alone() {
        let mut race = Race::new(START, &[40_000]);
        assert!(race.on_init(START, &init()));
        assert_eq!(owed(&mut race), [40_000]);
        assert_eq!(race.poll_timeout(), None);
        assert_eq!(race.on_packet(START, 40_000, &abort()), Verdict::Pass);
    }

    #[test]
    fn the_first_init_ack_wins_and_nobody_joins_any_more() {
        let mut race = started();
        assert_eq!(race.on_packet(START, 9_899, &init_ack()), Verdict::Won);
        assert_eq!((race.winner(), race.poll_timeout()), (Some(9_899), None));
        race.handle_timeout(START + STAGGER);
        assert_eq!(owed(&mut race), []);
    }

    #[test]
    fn what_the_losers_say_later_is_swallowed() {
        let mut race = in_full_run();
        assert_eq!(race.on_packet(START, 13_863, &init_ack()), Verdict::Won);
        assert_eq!(race.on_packet(START, 9_899, &abort()), Verdict::Swallow);
        assert_eq!(race.on_packet(START, 9_899, &init_ack()), Verdict::Swallow);
        assert_eq!(race.on_unreachable(START, 9_899), Verdict::Swallow);
        assert_eq!(race.on_packet(START, 13_863, &abort()), Verdict::Pass);
        assert_eq!(race.on_unreachable(START, 13_863), Verdict::Pass);
    }

    #[test]
    fn an_abort_closes_its_lane_and_the_next_joins_at_once() {
        let mut race = started();
        assert_eq!(race.on_packet(START, 9_899, &abort()), Verdict::Swallow);
        assert_eq!(race.poll_timeout(), Some(START));
        race.handle_timeout(START);
        assert_eq!(owed(&mut race), [13_863]);
        assert_eq!(race.on_packet(START, 13_863, &abort()), Verdict::Pass);
    }

    #[test]
    fn when_a_lane_closes_the_one_after_the_next_waits_on() {
        let mut race = Race::new(START, &[1, 2, 3]);
        assert!(race.on_init(START, &init()));
        assert_eq!(race.on_unreachable(START, 1), Verdict::Swallow);
        race.handle_timeout(START);
        assert_eq!(race.poll_timeout(), Some(START + STAGGER * 2));
    }

    #[test]
    fn an_abort_under_a_strange_tag_closes_nothing() {
        let mut race = started();
        let forged = packet(*b"evil", ChunkType::ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9_899, &forged), Verdict::Pass);
        let forged = packet(*b"evil", ChunkType::INIT_ACK, [0; 4]);
        assert_eq!(race.on_packet(START, 9_899, &forged), Verdict::Pass);
        assert_eq!(race.winner(), None);
        assert!(race.on_init(START, &init()));
        assert_eq!(owed(&mut race), [9_899]);
    }

    #[test]
    fn when_every_lane_is_unreachable_the_race_is_lost() {
        let mut race = started();
        assert_eq!(race.on_unreachable(START, 9_899), Verdict::Swallow);
        assert_eq!(race.on_unreachable(START, 13_863), Verdict::Pass);
    }

    #[test]
    fn the_longest_init_of_ours_is_kept() {
        type Host = Endpoint<Inline<1, 2_048, 2_048, 8>, SplitMix64>;
        let address = |last| IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last));
        let mut host = Host::new(Config::DEFAULT, SplitMix64::new(1), [1; 32], Inline::new());
        let own: std::vec::Vec<_> = (1..=LOCAL_ADDRESSES_MAX as u16).map(address).collect();
        host.set_addresses(&own).unwrap();
        let remote = SocketAddr::new(address(99), 3_863);
        let udp = Some(UdpPorts { local: UDP_PORT, remote: UDP_PORT });
        host.connect(START, Connect { local_port: 0, remote, udp }).unwrap();
        let mut buf = [0; 1_500];
        let sent = host.poll_transmit(START, &mut buf).unwrap();
        assert!(is_init(&buf[..sent.len]));
        assert!(Race::new(START, &[1]).on_init(START, &buf[..sent.len]), "{}", sent.len);
    }

    #[test]
    fn an_init_that_is_too_long_has_no_race() {
        let mut race = Race::new(START, &[1, 2, 3, 4]);
        assert_eq!(race.lanes.len(), LANES_MAX);
        assert!(!race.on_init(START, &[0; INIT_LEN_MAX + 1]));
        assert_eq!(owed(&mut race), []);
    }

    #[test]
    fn the_ports_of_announcements_have_substitutes() {
        assert_eq!(usual_udp_ports(3_863), [9_899, 13_863]);
        assert_eq!(usual_udp_ports(9_901), [9_899, 19_901]);
        assert_eq!(usual_udp_ports(40_000), [9_899, 40_000]);
    }

    #[test]
    fn a_look_at_each_truncation_sees_what_is_there() {
        let bytes = init();
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            assert_eq!(ports_of(cut), (len >= 12).then_some((3_863, 7)));
            assert_eq!(is_init(cut), len > 12);
            assert!(!ends_handshake(cut));
            assert_eq!(initiate_tag_of(cut), (len >= 20).then_some(*b"ours"));
            let mut race = started();
            assert_eq!(race.on_packet(START, 9_899, cut), Verdict::Pass);
        }
        assert!(ends_handshake(&abort()) && ends_handshake(&init_ack()));
        assert!(is_init_ack(&init_ack()) && !is_init_ack(&abort()));
        assert!(!is_init(&packet(*b"ours", ChunkType::INIT, [0; 4])));
    }
}
