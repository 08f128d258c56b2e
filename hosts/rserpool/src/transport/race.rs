//! Racing UDP lanes: the same INIT goes to every UDP port where the peer may be, staggered; the
//! first INIT ACK wins.
//!
//! Only packets of one handshake pass through here. The SCTP endpoint believes in one lane and
//! follows the peer to the winner, as RFC 6951 §5.4 says of any change of the peer's UDP port.

use std::net::IpAddr;
use std::time::Duration;

use rserpool_core::time::Instant;

/// The UDP port of SCTP (RFC 6951 §6).
pub(crate) const SCTP_UDP_PORT: u16 = 9899;

/// How much later than the lane before it a lane joins the race.
const STAGGER: Duration = Duration::from_millis(50);

/// The UDP port of a process that serves SCTP port `port` and could not have 9899.
///
/// It has the same number, but for the two whose UDP twins carry the multicast announcements.
#[must_use]
pub(crate) const fn fallback_udp_port(port: u16) -> u16 {
    match port {
        3863 => 13_863,
        9901 => 19_901,
        port => port,
    }
}

/// Which handshake a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RaceKey {
    pub(crate) remote: IpAddr,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

/// A handshake on several lanes.
#[derive(Debug)]
pub(crate) struct Race {
    lanes: Vec<Lane>,
    /// The latest INIT, for lanes that join later.
    init: Vec<u8>,
    /// The lane that has won. The race stays, because the losers' answers may come late.
    winner: Option<u16>,
}

#[derive(Debug)]
struct Lane {
    udp_port: u16,
    state: LaneState,
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
pub(crate) enum Verdict {
    /// Hand it to the endpoint.
    Pass,
    /// Hand it to the endpoint; its lane has won.
    Won,
    /// It only ends its lane: forget it.
    Swallow,
}

impl Race {
    /// A race over `udp_ports`, the most likely one first.
    pub(crate) fn new(now: Instant, udp_ports: &[u16]) -> Self {
        let mut joins_at = now;
        let mut lanes = Vec::with_capacity(udp_ports.len());
        for &udp_port in udp_ports {
            lanes.push(Lane { udp_port, state: LaneState::Waiting(joins_at) });
            joins_at += STAGGER;
        }
        Self { lanes, init: Vec::new(), winner: None }
    }

    /// The endpoint sends an INIT: to which UDP ports to send it now.
    pub(crate) fn on_init(&mut self, now: Instant, packet: &[u8]) -> Vec<u16> {
        self.init.clear();
        self.init.extend_from_slice(packet);
        for lane in &mut self.lanes {
            lane.join_if_due(now);
        }
        let running = self.lanes.iter().filter(|lane| lane.state == LaneState::Running);
        running.map(|lane| lane.udp_port).collect()
    }

    /// When the next lane joins.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.lanes.iter().filter_map(|lane| match lane.state {
            LaneState::Waiting(joins_at) => Some(joins_at),
            _ => None,
        });
        let is_on = self.winner.is_none() && !self.init.is_empty();
        waiting.min().filter(|_| is_on)
    }

    /// Lets time pass: the UDP ports that join now, to be sent [`init`](Self::init).
    pub(crate) fn on_timeout(&mut self, now: Instant) -> Vec<u16> {
        if self.winner.is_some() {
            return Vec::new();
        }
        let joining = |lane: &mut Lane| lane.join_if_due(now).then_some(lane.udp_port);
        self.lanes.iter_mut().filter_map(joining).collect()
    }

    /// The packet that joining lanes are sent.
    pub(crate) fn init(&self) -> &[u8] {
        &self.init
    }

    /// A packet came from `udp_port` of the peer.
    pub(crate) fn on_packet(&mut self, now: Instant, udp_port: u16, packet: &[u8]) -> Verdict {
        let is_ours = tag_of(packet).is_some() && tag_of(packet) == initiate_tag_of(&self.init);
        match (first_chunk_of(packet), self.winner) {
            (Some(INIT_ACK), None) if is_ours => {
                self.winner = Some(udp_port);
                Verdict::Won
            }
            (Some(INIT_ACK | ABORT), Some(winner)) if winner != udp_port => Verdict::Swallow,
            (Some(ABORT), None) if is_ours => self.close(now, udp_port),
            _ => Verdict::Pass,
        }
    }

    /// The network says that nobody listens at `udp_port`.
    pub(crate) fn on_unreachable(&mut self, now: Instant, udp_port: u16) -> Verdict {
        match self.winner {
            Some(winner) if winner != udp_port => Verdict::Swallow,
            Some(_) => Verdict::Pass,
            None => self.close(now, udp_port),
        }
    }

    /// Closes a lane; the next one need not wait any longer. What closes the last one counts.
    fn close(&mut self, now: Instant, udp_port: u16) -> Verdict {
        for lane in &mut self.lanes {
            if lane.udp_port == udp_port {
                lane.state = LaneState::Closed;
            }
        }
        if let Some(lane) =
            self.lanes.iter_mut().find(|lane| matches!(lane.state, LaneState::Waiting(_)))
        {
            lane.state = LaneState::Waiting(now);
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

/// Whether `packet` is an INIT: alone in its packet, under tag 0 (RFC 9260 §8.5.1).
pub(crate) fn is_init(packet: &[u8]) -> bool {
    first_chunk_of(packet) == Some(INIT) && tag_of(packet) == Some([0; 4])
}

/// The source and destination port of an SCTP packet.
pub(crate) fn ports_of(packet: &[u8]) -> Option<(u16, u16)> {
    let [source_high, source_low, destination_high, destination_low] =
        *packet.first_chunk::<4>()?;
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

    fn packet(tag: [u8; 4], chunk: u8, initiate_tag: [u8; 4]) -> Vec<u8> {
        let mut packet = vec![0; 32];
        packet[4..8].copy_from_slice(&tag);
        packet[12] = chunk;
        packet[16..20].copy_from_slice(&initiate_tag);
        packet
    }

    fn init() -> Vec<u8> {
        packet([0; 4], INIT, *b"ours")
    }

    #[test]
    fn lanes_join_50_ms_apart() {
        let mut race = Race::new(START, &[9899, 13_863]);
        assert_eq!(race.on_init(START, &init()), [9899]);
        assert_eq!(race.poll_timeout(), Some(START + STAGGER));
        assert_eq!(race.on_timeout(START + STAGGER), [13_863]);
        assert_eq!(race.poll_timeout(), None);
    }

    #[test]
    fn a_repeated_init_goes_to_every_lane_that_runs() {
        let mut race = Race::new(START, &[9899, 13_863]);
        assert_eq!(race.on_init(START, &init()), [9899]);
        let later = START + Duration::from_secs(1);
        assert_eq!(race.on_init(later, &init()), [9899, 13_863]);
    }

    #[test]
    fn the_first_init_ack_wins() {
        let mut race = Race::new(START, &[9899, 13_863]);
        let _ = race.on_init(START, &init());
        let answer = packet(*b"ours", INIT_ACK, *b"peer");
        assert_eq!(race.on_packet(START, 13_863, &answer), Verdict::Won);
        assert_eq!(race.poll_timeout(), None);
    }

    #[test]
    fn what_the_losers_say_later_is_swallowed() {
        let mut race = Race::new(START, &[9899, 13_863]);
        let _ = race.on_init(START, &init());
        let answer = packet(*b"ours", INIT_ACK, *b"peer");
        assert_eq!(race.on_packet(START, 13_863, &answer), Verdict::Won);
        let abort = packet(*b"ours", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9899, &abort), Verdict::Swallow);
        assert_eq!(race.on_unreachable(START, 9899), Verdict::Swallow);
        assert_eq!(race.on_packet(START, 13_863, &abort), Verdict::Pass);
        assert_eq!(race.on_unreachable(START, 13_863), Verdict::Pass);
    }

    #[test]
    fn an_abort_closes_its_lane_and_the_next_joins_at_once() {
        let mut race = Race::new(START, &[9899, 13_863]);
        let _ = race.on_init(START, &init());
        let abort = packet(*b"ours", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9899, &abort), Verdict::Swallow);
        assert_eq!(race.poll_timeout(), Some(START));
        assert_eq!(race.on_timeout(START), [13_863]);
        assert_eq!(race.on_packet(START, 13_863, &abort), Verdict::Pass);
    }

    #[test]
    fn an_abort_under_a_strange_tag_closes_nothing() {
        let mut race = Race::new(START, &[9899, 13_863]);
        let _ = race.on_init(START, &init());
        let forged = packet(*b"evil", ABORT, [0; 4]);
        assert_eq!(race.on_packet(START, 9899, &forged), Verdict::Pass);
        assert_eq!(race.on_init(START, &init()), [9899]);
    }

    #[test]
    fn when_every_lane_is_unreachable_the_race_is_lost() {
        let mut race = Race::new(START, &[9899, 13_863]);
        let _ = race.on_init(START, &init());
        assert_eq!(race.on_unreachable(START, 9899), Verdict::Swallow);
        assert_eq!(race.on_unreachable(START, 13_863), Verdict::Pass);
    }

    #[test]
    fn the_ports_of_announcements_have_substitutes() {
        assert_eq!(fallback_udp_port(3863), 13_863);
        assert_eq!(fallback_udp_port(9901), 19_901);
        assert_eq!(fallback_udp_port(40_000), 40_000);
    }
}
