//! When to send a SACK, and what it says: RFC 9260 §6.2, §6.7.
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

use super::Parameters;
use super::receiver::Receiver;
use crate::sctp::packet::PacketWriter;
use crate::sctp::serial::Tsn;
use crate::time::{Instant, Timer};

/// What the receiver owes its peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct SackDebt {
    /// At once.
    is_due: bool,
    pub(super) deadline: Timer,
    /// Packets with new DATA since the last SACK.
    packet_count: u8,
    /// A packet with DATA came in this association.
    has_begun: bool,
    /// Of the packet being taken in: new DATA, reasons for an acknowledgement at once.
    has_new: bool,
    is_urgent: bool,
    /// The window as the peer knows it: what it was told, less what it sent since.
    peer_view: u32,
    duplicate_count: u8,
    duplicates: [Tsn; DUPLICATES_MAX],
}

impl SackDebt {
    /// None: all bits zero.
    pub(super) const EMPTY: Self = Self {
        is_due: false,
        deadline: Timer::OFF,
        packet_count: 0,
        has_begun: false,
        has_new: false,
        is_urgent: false,
        peer_view: 0,
        duplicate_count: 0,
        duplicates: [Tsn(0); DUPLICATES_MAX],
    };

    /// A chunk came, with the I bit or without, while TSNs were missing or not.
    pub(super) fn on_chunk(&mut self, immediate: bool, has_gap: bool) {
        self.is_urgent |= immediate || has_gap;
    }

    pub(super) fn on_new(&mut self, len: u32) {
        self.has_new = true;
        self.peer_view = self.peer_view.saturating_sub(len);
    }

    pub(super) fn on_dropped(&mut self) {
        self.is_urgent = true;
    }

    pub(super) fn on_duplicate(&mut self, tsn: Tsn) {
        self.is_urgent = true;
        if let Some(slot) = self.duplicates.get_mut(usize::from(self.duplicate_count)) {
            *slot = tsn;
            self.duplicate_count = self.duplicate_count.saturating_add(1);
        }
    }

    pub(super) fn on_window_told(&mut self, window: u32) {
        self.peer_view = window;
    }

    /// Messages were read: the peer is told when a quarter of the buffer came free.
    pub(super) fn on_window_opened(&mut self, window: u32, capacity: u32) {
        if window.saturating_sub(self.peer_view) >= capacity / 4 {
            self.is_due = true;
        }
    }
}

impl Receiver<'_> {
    /// All DATA chunks of a packet were taken in.
    pub(crate) fn on_packet_end(&mut self, now: Instant, parameters: &Parameters) {
        let has_gap = self.state.map.has_gap();
        let debt = &mut self.state.debt;
        if !debt.has_new && !debt.is_urgent {
            return;
        }
        if debt.has_new {
            debt.packet_count = debt.packet_count.saturating_add(1);
            debt.is_urgent |= !debt.has_begun || has_gap || debt.packet_count >= PACKETS_MAX;
            debt.has_begun = true;
        }
        if debt.is_urgent {
            debt.is_due = true;
        } else if debt.deadline.is_off() {
            debt.deadline = Timer::at(now + parameters.sack_delay);
        }
        debt.is_urgent = false;
        debt.has_new = false;
    }

    /// Whether a SACK must leave now.
    pub(crate) fn is_sack_due(&self, now: Instant) -> bool {
        let debt = &self.state.debt;
        debt.is_due || debt.deadline.is_due(now)
    }

    /// Whether DATA was received that no SACK acknowledges yet: it goes with DATA of our own.
    pub(crate) fn owes_sack(&self) -> bool {
        self.state.debt.is_due || self.state.debt.packet_count > 0
    }

    /// A SACK is wanted at once, whatever the rules.
    pub(crate) fn demand_sack(&mut self) {
        self.state.debt.is_due = true;
        self.state.debt.deadline = Timer::OFF;
    }

    /// What a SACK would say and a SHUTDOWN cannot.
    pub(crate) fn has_gaps_or_duplicates(&self) -> bool {
        self.state.map.has_gap() || self.state.debt.duplicate_count > 0
    }

    /// Writes a SACK; whether it fitted. Then nothing is owed any more.
    pub(crate) fn write_sack(&mut self, packet: &mut PacketWriter<'_>) -> bool {
        let window = self.a_rwnd();
        let (map, debt) = (&self.state.map, &self.state.debt);
        let duplicates = debt.duplicates.iter().take(debt.duplicate_count.into()).copied();
        if !packet.sack(map.cumulative(), window, map.gap_blocks(), duplicates) {
            return false;
        }
        self.state.debt.on_window_told(window);
        self.settle();
        true
    }

    /// The debt was paid: by a SACK, or by the cumulative TSN in a SHUTDOWN.
    pub(crate) fn settle(&mut self) {
        let debt = &mut self.state.debt;
        debt.is_due = false;
        debt.deadline = Timer::OFF;
        debt.packet_count = 0;
        debt.duplicate_count = 0;
    }
}

/// Packets with DATA that one SACK acknowledges at most.
const PACKETS_MAX: u8 = 2;
/// Duplicates listed in a SACK at most.
const DUPLICATES_MAX: usize = crate::few(4, 8);
