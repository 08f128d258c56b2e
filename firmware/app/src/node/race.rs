//! UDP lanes: the same INIT goes to every UDP port where a registrar may be, staggered; the
//! first INIT ACK wins.
//!
//! Only packets of one handshake pass through here. The SCTP endpoint believes in the first
//! lane and follows the peer to the winner, as RFC 6951 §5.4 says of any change of the peer's
//! UDP port.

use core::time::Duration;

use heapless::Vec;
use rserpool_core::sctp::UDP_PORT;
use rserpool_core::time::Instant;

/// How much later than the lane before it a lane joins the race.
const STAGGER: Duration = Duration::from_millis(50);
/// An INIT of ours is shorter. One that is not goes to the first lane alone.
const INIT_LEN_MAX: usize = 96;
const LANES_MAX: usize = 2;

/// A handshake on one or several lanes.
#[derive(Debug)]
pub(super) struct Race {
    lanes: Vec<Lane, LANES_MAX>,
    /// The latest INIT, for lanes that join later.
    init: Vec<u8, INIT_LEN_MAX>,
    /// The lane that has won.
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
pub(super) enum Verdict {
    /// Hand it to the endpoint.
    Pass,
    /// It only ends its lane: forget it.
    Swallow,
}

impl Race {
    /// A race to the peer with SCTP port `port`, whose UDP port may be configured.
    pub(super) fn new(now: Instant, port: u16, udp_port: Option<u16>) -> Self {
        let mut lanes = Vec::new();
        let mut joins_at = now;
        let usual = [UDP_PORT, fallback_udp_port(port)];
        let ports: &[u16] = match &udp_port {
            Some(udp_port) => core::slice::from_ref(udp_port),
            None => &usual,
        };
        for &udp_port in ports {
            let state = LaneState::Waiting(joins_at);
            let _ = lanes.push(Lane { udp_port, state, is_owed: false });
            joins_at += STAGGER;
        }
        Self { lanes, init: Vec::new(), winner: None }
    }

    /// The lane that the endpoint is to believe in.
    pub(super) fn first(&self) -> u16 {
        self.lanes.first().map_or(UDP_PORT, |lane| lane.udp_port)
    }

    /// The lane that has won.
    pub(super) const fn winner(&self) -> Option<u16> {
        self.winner
    }

    /// The endpoint sends an INIT: it is owed to every lane that runs. False if it is too long
    /// to be kept.
    pub(super) fn on_init(&mut self, now: Instant, packet: &[u8]) -> bool {
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
    pub(super) fn next_owed(&mut self) -> Option<(u16, &[u8])> {
        let lane = self.lanes.iter_mut().find(|lane| lane.is_owed)?;
        lane.is_owed = false;
        Some((lane.udp_port, &self.init))
    }

    /// When the next lane joins.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.lanes.iter().filter_map(|lane| match lane.state {
            LaneState::Waiting(joins_at) => Some(joins_at),
            _ => None,
        });
        let is_on = self.winner.is_none() && !self.init.is_empty();
        waiting.min().filter(|_| is_on)
    }

    /// Lets lanes join.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.winner.is_none() && !self.init.is_empty() {
            for lane in &mut self.lanes {
                lane.is_owed |= lane.join_if_due(now);
            }
        }
    }

    /// A packet came from `udp_port` of the peer.
    pub(super) fn on_packet(&mut self, now: Instant, udp_port: u16, packet: &[u8]) -> Verdict {
        let is_ours = tag_of(packet).is_some() && tag_of(packet) == initiate_tag_of(&self.init);
        match (first_chunk_of(packet), self.winner) {
            (Some(INIT_ACK), None) if is_ours => {
                self.winner = Some(udp_port);
                Verdict::Pass
            }
            (Some(INIT_ACK | ABORT), Some(winner)) if winner != udp_port => Verdict::Swallow,
            (Some(ABORT), None) if is_ours => self.close(now, udp_port),
            _ => Verdict::Pass,
        }
    }

    /// Closes a lane; the next one need not wait any longer. What closes the last one counts.
    fn close(&mut self, now: Instant, udp_port: u16) -> Verdict {
        for lane in &mut self.lanes {
            if lane.udp_port == udp_port {
                lane.state = LaneState::Closed;
                lane.is_owed = false;
            } else if matches!(lane.state, LaneState::Waiting(_)) {
                lane.state = LaneState::Waiting(now);
            }
        }
        let is_any_left = self.lanes.iter().any(|lane| lane.state != LaneState::Closed);
        if is_any_left { Verdict::Swallow } else { Verdict::Pass }
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

/// The UDP port of a process that serves SCTP port `port` and could not have 9899: the same
/// number, but for the two whose UDP twins carry the multicast announcements.
const fn fallback_udp_port(port: u16) -> u16 {
    match port {
        3_863 => 13_863,
        9_901 => 19_901,
        port => port,
    }
}

/// Whether `packet` is an INIT: alone in its packet, under tag 0 (RFC 9260 §8.5.1).
pub(super) fn is_init(packet: &[u8]) -> bool {
    first_chunk_of(packet) == Some(INIT) && tag_of(packet) == Some([0; 4])
}

/// Whether `packet` is one of those that only the lane which won may send: what came of a loser
/// can come late.
pub(super) fn ends_handshake(packet: &[u8]) -> bool {
    matches!(first_chunk_of(packet), Some(INIT_ACK | ABORT))
}

/// The source and destination port of an SCTP packet.
pub(super) fn ports_of(packet: &[u8]) -> Option<(u16, u16)> {
    let &[source_high, source_low, destination_high, destination_low] =
        packet.first_chunk::<4>()?;
    let source = u16::from_be_bytes([source_high, source_low]);
    Some((source, u16::from_be_bytes([destination_high, destination_low])))
}

fn tag_of(packet: &[u8]) -> Option<[u8; 4]> {
    packet.get(4..8)?.try_into().ok()
}

fn first_chunk_of(packet: &[u8]) -> Option<u8> {
    packet.get(12).copied()
}

/// The tag that an INIT asks the peer to use (RFC 9260 §3.3.2).
fn initiate_tag_of(init: &[u8]) -> Option<[u8; 4]> {
    init.get(16..20)?.try_into().ok()
}

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_millis(1_000);

    fn packet(tag: [u8; 4], chunk: u8, initiate_tag: [u8; 4]) -> [u8; 32] {
        let mut packet = [0; 32];
        packet[4..8].copy_from_slice(&tag);
        packet[12] = chunk;
        packet[16..20].copy_from_slice(&initiate_tag);
        packet
    }

    fn init() -> [u8; 32] {
        packet([0; 4], INIT, *b"ours")
    }

    fn owed(race: &mut Race) -> std::vec::Vec<u16> {
        let mut ports = std::vec::Vec::new();
        while let Some((port, bytes)) = race.next_owed() {
            assert_eq!(bytes, init());
            ports.push(port);
        }
        ports
    }

    fn started() -> Race {
        let mut race = Race::new(START, 3_863, None);
        assert!(race.on_init(START, &init()));
        assert_eq!(owed(&mut race), [9_899]);
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
        let mut race = Race::new(START, 3_863, Some(40_000));
        assert!(race.on_init(START, &init()));
        assert_eq!(owed(&mut race), [40_000]);
        assert_eq!(race.poll_timeout(), None);
        let abort = packet(*b"ours", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 40_000, &abort), Verdict::Pass);
    }

    #[test]
    fn the_first_init_ack_wins_and_losers_are_not_heard() {
        let mut race = started();
        race.handle_timeout(START + STAGGER);
        let answer = packet(*b"ours", INIT_ACK, *b"peer");
        assert_eq!(race.on_packet(START, 13_863, &answer), Verdict::Pass);
        assert_eq!(race.winner(), Some(13_863));
        let abort = packet(*b"ours", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9_899, &abort), Verdict::Swallow);
        assert_eq!(race.on_packet(START, 13_863, &abort), Verdict::Pass);
    }

    #[test]
    fn an_abort_closes_its_lane_and_the_next_joins_at_once() {
        let mut race = started();
        let forged = packet(*b"evil", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9_899, &forged), Verdict::Pass);
        let abort = packet(*b"ours", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9_899, &abort), Verdict::Swallow);
        assert_eq!(race.poll_timeout(), Some(START));
        race.handle_timeout(START);
        assert_eq!(owed(&mut race), [13_863]);
        assert_eq!(race.on_packet(START, 13_863, &abort), Verdict::Pass);
    }
}
