//! A network that exists only as numbers: seeded loss, duplication, reordering, delay and
//! bandwidth, and a clock that jumps.
//!
//! Same seed and same sends give the same arrivals, byte for byte; [`Network::digest`] proves it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::sctp::UdpPorts;
use rserpool_core::time::Instant;

/// How a network treats packets.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Packets lost, of a thousand.
    pub loss: u64,
    /// Packets that arrive twice, of a thousand.
    pub duplication: u64,
    /// The least time on the way.
    pub delay: Duration,
    /// Up to this much is added to the delay of each packet, so that some overtake others.
    pub jitter: Duration,
    /// Bytes per second from one address to another; `None` is no limit.
    pub bandwidth: Option<u64>,
    /// Packets that would wait longer than this for their turn are lost.
    pub queue_max: Duration,
}

impl Weather {
    /// 10 ms each way and nothing goes wrong.
    pub const FAIR: Self = Self {
        loss: 0,
        duplication: 0,
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        bandwidth: None,
        queue_max: Duration::from_millis(200),
    };

    /// One packet of five is lost, one of ten comes twice, most overtake others.
    pub const STORM: Self =
        Self { loss: 200, duplication: 100, jitter: Duration::from_millis(60), ..Self::FAIR };
}

/// A packet on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Envelope {
    /// Who sent it.
    pub from: IpAddr,
    /// Where it goes.
    pub to: IpAddr,
    /// The sender's and the receiver's UDP port, if it travels in UDP.
    pub udp: Option<(u16, u16)>,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Envelope {
    /// The UDP ports as the receiver sees them.
    #[must_use]
    pub fn udp_of_receiver(&self) -> Option<UdpPorts> {
        self.udp.map(|(from, to)| UdpPorts { local: to, remote: from })
    }
}

/// The packets on their way, and the time.
#[derive(Debug)]
pub struct Network {
    now: Instant,
    random: SplitMix64,
    weather: Weather,
    /// Earliest first; packets that arrive at once, in the order of sending.
    in_transit: BinaryHeap<Reverse<(Instant, u64, Envelope)>>,
    sent_count: u64,
    lost_count: u64,
    free_at: BTreeMap<(IpAddr, IpAddr), Instant>,
    cut: Vec<(IpAddr, IpAddr)>,
    digest: u64,
}

impl Network {
    /// An empty network whose fate `seed` decides.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self {
            now: Instant::from_millis(1_000),
            random: SplitMix64::new(seed ^ 0x6e65_7477_6f72_6b21),
            weather,
            in_transit: BinaryHeap::new(),
            sent_count: 0,
            lost_count: 0,
            free_at: BTreeMap::new(),
            cut: Vec::new(),
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Changes the weather from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Loses all packets from `from` to `to` from now on.
    pub fn cut(&mut self, from: IpAddr, to: IpAddr) {
        self.cut.push((from, to));
    }

    /// Mends all cuts.
    pub fn heal(&mut self) {
        self.cut.clear();
    }

    /// Packets sent and packets lost so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.sent_count, self.lost_count)
    }

    /// A hash of everything that was sent, and when.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Sends a packet: it arrives once, twice or never.
    pub fn send(&mut self, envelope: Envelope) {
        self.sent_count += 1;
        self.note(&envelope);
        let Some(leaves_at) = self.leave(&envelope) else {
            self.lost_count += 1;
            return;
        };
        let copies = 1 + u32::from(self.random.below(1_000) < self.weather.duplication);
        for _ in 0..copies {
            if self.random.below(1_000) < self.weather.loss {
                self.lost_count += 1;
                continue;
            }
            let jitter = self.random.below(self.weather.jitter.as_micros() as u64 + 1);
            let at = leaves_at + self.weather.delay + Duration::from_micros(jitter);
            self.in_transit.push(Reverse((at, self.sent_count, envelope.clone())));
        }
    }

    /// When the next packet arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_transit.peek().map(|Reverse((at, ..))| *at)
    }

    /// Lets the clock jump; it never goes back.
    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }

    /// The next packet that has arrived by now.
    pub fn arrive(&mut self) -> Option<Envelope> {
        if self.next_arrival()? > self.now {
            return None;
        }
        self.in_transit.pop().map(|Reverse((_, _, envelope))| envelope)
    }

    /// When the last bit of the packet is on the wire; `None` if it never is.
    fn leave(&mut self, envelope: &Envelope) -> Option<Instant> {
        let way = (envelope.from, envelope.to);
        if self.cut.contains(&way) {
            return None;
        }
        let Some(bandwidth) = self.weather.bandwidth else { return Some(self.now) };
        let free_at = self.free_at.entry(way).or_insert(self.now);
        let start = self.now.max(*free_at);
        if start.saturating_duration_since(self.now) > self.weather.queue_max {
            return None;
        }
        let micros = envelope.bytes.len() as u64 * 1_000_000 / bandwidth.max(1);
        *free_at = start + Duration::from_micros(micros);
        Some(*free_at)
    }

    /// FNV-1a over time, addresses and bytes.
    fn note(&mut self, envelope: &Envelope) {
        let mut hash = self.digest;
        let mut take = |bytes: &[u8]| {
            for &byte in bytes {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        take(&self.now.as_micros().to_le_bytes());
        take(envelope.from.to_string().as_bytes());
        take(envelope.to.to_string().as_bytes());
        take(&envelope.bytes);
        self.digest = hash;
    }
}
