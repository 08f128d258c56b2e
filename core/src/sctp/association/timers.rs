//! Time: T1-init, T1-cookie, T2-shutdown, T3-rtx, T5-shutdown-guard, HEARTBEAT (RFC 9260 §5.1,
//! §6.3, §8.3, §9.2).

use super::{Association, Owed, PRIMARY, Probe, State, Tcb};
use crate::entropy::roughly_below;
use crate::sctp::endpoint::Context;
use crate::sctp::packet::Cause;
use crate::sctp::transfer::Sender;
use crate::time::{Instant, Span};

impl Association<'_> {
    /// Does what is due.
    pub(in crate::sctp) fn on_time(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.tcb.guard) {
            self.abort_with(context, Cause::NONE, &[]);
            return;
        }
        if is_due(self.tcb.control) {
            self.on_t1_or_t2(context);
        }
        let is_up = |tcb: &Tcb| tcb.state != State::Closed;
        if is_up(self.tcb) && is_due(self.tcb.transfers[PRIMARY].t3_deadline()) {
            self.on_t3_rtx(context);
        }
        if is_up(self.tcb) && is_due(self.tcb.paths[PRIMARY].probe.deadline()) {
            self.on_probe_deadline(context);
        }
        if is_due(self.tcb.receiver.sack_deadline()) {
            self.receiver().demand_sack();
        }
    }

    /// Starts T1 or T2 anew for a packet that is sent the first time.
    pub(super) fn start_control(&mut self, context: &Context<'_>) {
        self.tcb.control_count = 0;
        self.tcb.control_since = context.now;
        self.restart_control(context);
    }

    pub(super) fn restart_control(&mut self, context: &Context<'_>) {
        let mut rto = self.tcb.transfers[PRIMARY].rto();
        if self.tcb.state.is_opening() {
            rto = rto.min(context.shared.parameters.rto_init_max);
        }
        self.tcb.control = Some(context.now + rto);
    }

    /// What T1 guarded was answered: a round-trip time, unless it was sent twice (§6.3.1 C5).
    pub(super) fn sample_control(&mut self, context: &Context<'_>) {
        if self.tcb.control_count == 0 {
            let round_trip = Span::between(self.tcb.control_since, context.now);
            self.tcb.transfers[PRIMARY].on_rtt(&context.shared.parameters, round_trip);
        }
    }

    fn on_t1_or_t2(&mut self, context: &mut Context<'_>) {
        let config = &context.shared.config;
        let (owed, count_max) = match self.tcb.state {
            State::CookieWait => (Owed::INIT, config.init_retransmissions_max),
            State::CookieEchoed => (Owed::COOKIE_ECHO, config.init_retransmissions_max),
            State::ShutdownSent => (Owed::SHUTDOWN, config.association_retransmissions_max),
            State::ShutdownAckSent => (Owed::SHUTDOWN_ACK, config.association_retransmissions_max),
            _ => {
                self.tcb.control = None;
                return;
            }
        };
        context.shared.statistics.retransmission_timeouts += 1;
        self.tcb.control_count = self.tcb.control_count.saturating_add(1);
        if self.tcb.control_count > count_max {
            self.lose(context);
            return;
        }
        self.tcb.owed.add(owed);
        self.tcb.transfers[PRIMARY].back_off(&context.shared.parameters);
        self.restart_control(context);
    }

    fn on_t3_rtx(&mut self, context: &mut Context<'_>) {
        context.shared.statistics.retransmission_timeouts += 1;
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let path = &mut self.tcb.transfers[PRIMARY];
        let is_error = sender.on_t3(&context.shared.parameters, PRIMARY as u8, path);
        if is_error && self.count_error(context) {
            return;
        }
        self.count_stall(context);
    }

    /// A peer that keeps its window closed answers every probe, and could hold an association that
    /// both sides want to end for ever: it has as many expiries as one that does not answer.
    fn count_stall(&mut self, context: &mut Context<'_>) {
        if !matches!(self.tcb.state, State::ShutdownPending | State::ShutdownReceived) {
            return;
        }
        self.tcb.stall_count = self.tcb.stall_count.saturating_add(1);
        if self.tcb.stall_count > context.shared.config.association_retransmissions_max {
            self.abort_with(context, Cause::NONE, &[]);
        }
    }

    /// Lets the path be probed after an interval. RFC 9260 §8.3.
    pub(super) fn wait_for_probe(&mut self, context: &mut Context<'_>) {
        let Some(interval) = context.shared.config.heartbeat_interval else { return };
        let rto = self.tcb.transfers[PRIMARY].rto();
        // RTO, 50 % more or less.
        let jitter = roughly_below(context.entropy, rto.0.saturating_add(1));
        let at = context.now + interval + Span((rto.0 / 2).saturating_add(jitter));
        self.tcb.paths[PRIMARY].probe = Probe::Waiting { at };
    }

    fn on_probe_deadline(&mut self, context: &mut Context<'_>) {
        match self.tcb.paths[PRIMARY].probe {
            // Data in flight probes as well as a HEARTBEAT does.
            Probe::Waiting { .. } if self.tcb.transfers[PRIMARY].flight() > 0 => {
                self.wait_for_probe(context);
            }
            Probe::Waiting { .. } => {
                let nonce = context.entropy.next_u64();
                self.tcb.paths[PRIMARY].probe = Probe::Due { nonce };
            }
            Probe::Sent { .. } => {
                self.tcb.transfers[PRIMARY].back_off(&context.shared.parameters);
                if !self.count_error(context) {
                    self.wait_for_probe(context);
                }
            }
            Probe::Off | Probe::Due { .. } => {}
        }
    }

    /// A probe was answered. RFC 9260 §8.3.
    pub(super) fn on_heartbeat_ack(&mut self, context: &mut Context<'_>, value: &[u8]) {
        let Probe::Sent { nonce, at, .. } = self.tcb.paths[PRIMARY].probe else { return };
        if value != super::transmit::heartbeat_info(nonce) {
            return;
        }
        self.clear_errors();
        let round_trip = Span::between(at, context.now);
        self.tcb.transfers[PRIMARY].on_rtt(&context.shared.parameters, round_trip);
        self.wait_for_probe(context);
    }
}
