//! Probing a path with HEARTBEATs (RFC 9260 §5.4, §8.3, RFC 7829 §3.2).

use super::path::Health;
use super::{Association, State};
use crate::entropy::{Entropy, roughly_below};
use crate::sctp::endpoint::Context;
use crate::sctp::packet::{ChunkType, PacketWriter};
use crate::time::{Instant, Span, Timer};

/// Whether a path is probed with HEARTBEATs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sctp) enum Probe {
    /// No.
    Off,
    /// The next is due at `at`, if the path is idle then.
    Waiting { at: Timer },
    /// One is to be sent.
    Due { nonce: Nonce },
    /// One was sent at `at` and counts as unanswered a `timeout` later.
    Sent { nonce: Nonce, at: Timer, timeout: Span },
}

/// What tells one HEARTBEAT from another, and nobody can guess.
type Nonce = [u8; 8];

impl Probe {
    pub(super) const fn waiting(at: Instant) -> Self {
        Self::Waiting { at: Timer::at(at) }
    }

    pub(super) fn due(entropy: &mut dyn Entropy) -> Self {
        Self::Due { nonce: entropy.next_u64().to_be_bytes() }
    }

    /// When there is something to do.
    pub(super) fn timer(&self) -> Timer {
        match *self {
            Self::Off | Self::Due { .. } => Timer::OFF,
            Self::Waiting { at } => at,
            Self::Sent { at, timeout, .. } => {
                at.get().map_or(Timer::OFF, |at| Timer::at(at + timeout))
            }
        }
    }

    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting { .. })
    }

    /// Whether a HEARTBEAT is to be sent now.
    pub(super) const fn is_due(&self) -> bool {
        matches!(self, Self::Due { .. })
    }
}

impl Association<'_> {
    /// Lets a path be probed after an interval, or where it may have failed, after an RTO. RFC
    /// 9260 §8.3, RFC 7829 §3.2.
    pub(super) fn wait_for_probe(&mut self, context: &mut Context<'_>, index: usize) {
        let Some(interval) = context.shared.config.heartbeat_interval else {
            self.tcb.path_mut(index).probe = Probe::Off;
            return;
        };
        let rto = self.tcb.transfer(index).rto();
        let path = self.tcb.path_mut(index);
        if path.health == Health::PotentiallyFailed {
            path.probe = Probe::waiting(context.now + rto);
            return;
        }
        // RTO, 50 % more or less.
        let jitter = roughly_below(context.entropy, rto.0.saturating_add(1));
        let at = context.now + interval + Span((rto.0 / 2).saturating_add(jitter));
        path.probe = Probe::waiting(at);
    }

    /// Lets a path be probed at once, if it is probed at all.
    pub(super) fn probe_now(&mut self, context: &mut Context<'_>, index: usize) {
        self.wait_for_probe(context, index);
        let path = self.tcb.path_mut(index);
        if path.probe.is_waiting() {
            path.probe = Probe::due(context.entropy);
        }
    }

    pub(super) fn on_probe_deadline(&mut self, context: &mut Context<'_>, index: usize) {
        match self.tcb.path(index).probe {
            // Data in flight probes as well as a HEARTBEAT does.
            Probe::Waiting { .. } if self.tcb.transfer(index).flight() > 0 => {
                self.wait_for_probe(context, index);
            }
            Probe::Waiting { .. } => {
                self.tcb.path_mut(index).probe = Probe::due(context.entropy);
            }
            Probe::Sent { .. } => {
                if self.on_probe_lost(context, index) {
                    return;
                }
                // What becomes of the data there says as much, and more.
                let is_in_doubt = self.tcb.path(index).health == Health::PotentiallyFailed;
                if is_in_doubt && self.tcb.transfer(index).flight() > 0 {
                    self.wait_for_probe(context, index);
                    return;
                }
                self.tcb.transfer_mut(index).back_off(&context.shared.parameters);
                let is_in_use = index == self.tcb.active();
                if self.count_error(context, index, is_in_use) {
                    return;
                }
                let path = self.tcb.path_mut(index);
                match path.health {
                    Health::PotentiallyFailed => self.probe_now(context, index),
                    // RFC 9260 §5.4: once a timeout until it is confirmed, or seems dead.
                    Health::Active if !path.is_confirmed => {
                        path.probe = Probe::due(context.entropy);
                    }
                    Health::Active | Health::Inactive => self.wait_for_probe(context, index),
                }
            }
            Probe::Off | Probe::Due { .. } => {}
        }
    }

    /// A probe was answered. RFC 9260 §8.3.
    pub(super) fn on_heartbeat_ack(&mut self, context: &mut Context<'_>, value: &[u8]) {
        for index in 0..self.tcb.path_count() {
            let Probe::Sent { nonce, at, .. } = self.tcb.path(index).probe else { continue };
            if value == heartbeat_info(nonce) {
                self.clear_errors(index);
                let round_trip = Span::between(at.get().unwrap_or(context.now), context.now);
                self.tcb.transfer_mut(index).on_rtt(&context.shared.parameters, round_trip);
                self.on_probe_answered(context, index);
                self.wait_for_probe(context, index);
                self.on_mtu_answer(context, index, 0);
                return;
            }
        }
    }

    /// A path other than the one in use that is to be probed now.
    pub(super) fn path_to_probe(&self) -> Option<usize> {
        let is_up = self.tcb.state >= State::Established;
        let mut others = (0..self.tcb.path_count()).filter(|&index| index != self.tcb.active());
        others.find(|&index| is_up && self.tcb.path(index).probe.is_due())
    }

    /// Writes a HEARTBEAT, if one is due; whether it did.
    pub(super) fn write_heartbeat(
        &mut self,
        context: &Context<'_>,
        index: usize,
        writer: &mut PacketWriter<'_>,
    ) -> bool {
        let Probe::Due { nonce } = self.tcb.path(index).probe else { return false };
        let is_written = writer.chunk(ChunkType::HEARTBEAT.0, 0, &[&heartbeat_info(nonce)]);
        if is_written {
            let (at, timeout) = (Timer::at(context.now), self.tcb.transfer(index).rto());
            self.tcb.path_mut(index).probe = Probe::Sent { nonce, at, timeout };
        }
        is_written
    }

    /// DATA was sent, so the path is not idle. RFC 9260 §8.3.
    pub(super) fn defer_probe(&mut self, context: &mut Context<'_>, index: usize) {
        let path = self.tcb.path(index);
        if path.is_confirmed && path.probe.is_waiting() {
            self.wait_for_probe(context, index);
        }
    }
}

/// The parameters of our HEARTBEATs: one, with the nonce, which also tells the path.
fn heartbeat_info([a, b, c, d, e, f, g, h]: Nonce) -> [u8; 12] {
    [0, 1, 0, 12, a, b, c, d, e, f, g, h]
}
