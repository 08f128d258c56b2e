//! The link: packets lie in memory until they are delivered; some get lost.

use std::mem;
use std::time::Duration;

use rserpool_core::entropy::{Entropy, SplitMix64};

use super::PACKET_LEN_MAX;

/// One way.
pub(crate) const DELAY: Duration = Duration::from_millis(1);

/// An end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Opens the association and sends.
    Client = 0,
    /// Accepts and receives.
    Server = 1,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Packets one behind the other, and how long each is.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    lens: Vec<usize>,
}

impl Queue {
    /// More than any stack has under way, so that it never grows.
    fn new() -> Self {
        let packets = 16_384;
        Self {
            bytes: Vec::with_capacity(packets * PACKET_LEN_MAX),
            lens: Vec::with_capacity(packets),
        }
    }
}

/// Both directions.
#[derive(Debug)]
pub(crate) struct Link {
    /// On their way to each side.
    queues: [Queue; 2],
    /// Takes the place of a queue that is being delivered.
    spare: Queue,
    random: SplitMix64,
    loss_per_mille: u64,
    packet_count: u64,
}

impl Link {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            queues: [Queue::new(), Queue::new()],
            spare: Queue::new(),
            random: SplitMix64::new(seed),
            loss_per_mille: 0,
            packet_count: 0,
        }
    }

    /// Begins to lose packets, and to count them.
    pub(crate) fn set_loss(&mut self, per_mille: u64) {
        self.loss_per_mille = per_mille;
        self.packet_count = 0;
    }

    /// Packets that were sent, lost ones included.
    pub(crate) fn packet_count(&self) -> u64 {
        self.packet_count
    }

    /// Sends a packet to `to`.
    pub(crate) fn send(&mut self, to: Side, packet: &[u8]) {
        assert!(packet.len() <= PACKET_LEN_MAX, "{} bytes are too many", packet.len());
        self.packet_count += 1;
        if self.loss_per_mille > 0 && self.random.below(1_000) < self.loss_per_mille {
            return;
        }
        let queue = &mut self.queues[to as usize];
        queue.bytes.extend_from_slice(packet);
        queue.lens.push(packet.len());
    }

    /// Hands over all packets that are on their way to `side` now.
    pub(crate) fn deliver(&mut self, side: Side, mut take: impl FnMut(&[u8], &mut Self)) {
        let spare = mem::take(&mut self.spare);
        let mut queue = mem::replace(&mut self.queues[side as usize], spare);
        let mut rest = &queue.bytes[..];
        for &len in &queue.lens {
            let (packet, behind) = rest.split_at(len);
            take(packet, self);
            rest = behind;
        }
        queue.bytes.clear();
        queue.lens.clear();
        self.spare = queue;
    }
}
