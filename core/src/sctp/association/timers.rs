//! Time: T1-init, T1-cookie, T2-shutdown, T3-rtx, T5-shutdown-guard, HEARTBEAT (RFC 9260 §5.1,
//! §6.3, §8.3, §9.2).

use super::path::place;
use super::{Association, Owed, State, Tcb};
use crate::sctp::config::Config;
use crate::sctp::endpoint::Context;
use crate::sctp::packet::Cause;
use crate::sctp::transfer::Sender;
use crate::time::{Span, Timer};

impl Association<'_> {
    /// Does what is due.
    pub(in crate::sctp) fn on_time(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.tcb.guard.is_due(now) {
            self.abort_with(context, Cause::NONE, &[]);
            return;
        }
        if self.tcb.control.is_due(now) {
            self.on_t1_or_t2(context);
        }
        let is_up = |tcb: &Tcb| tcb.state != State::Closed;
        for index in 0..self.tcb.path_count() {
            if is_up(self.tcb) && self.tcb.transfer(index).t3_rtx().is_due(now) {
                self.on_t3_rtx(context, index);
            }
            if is_up(self.tcb) && self.tcb.path(index).probe.timer().is_due(now) {
                self.on_probe_deadline(context, index);
            }
        }
        if self.tcb.receiver.sack_timer().is_due(now) {
            self.receiver().demand_sack();
        }
    }

    /// Starts T1 or T2 anew for a packet that is sent the first time.
    pub(super) fn start_control(&mut self, context: &Context<'_>) {
        self.tcb.control_count = 0;
        self.tcb.control_since = Timer::at(context.now);
        self.restart_control(context);
    }

    pub(super) fn restart_control(&mut self, context: &Context<'_>) {
        let mut rto = self.tcb.transfer(self.tcb.active()).rto();
        if self.tcb.state.is_opening() {
            rto = rto.min(context.shared.parameters.rto_init_max);
        }
        self.tcb.control = Timer::at(context.now + rto);
    }

    /// What T1 guarded was answered: a round-trip time, unless it was sent twice (§6.3.1 C5).
    pub(super) fn sample_control(&mut self, context: &Context<'_>) {
        if let (0, Some(since)) = (self.tcb.control_count, self.tcb.control_since.get()) {
            let round_trip = Span::between(since, context.now);
            let active = self.tcb.active();
            self.tcb.transfer_mut(active).on_rtt(&context.shared.parameters, round_trip);
        }
    }

    /// What T1 or T2 guards in this state, and how often that is repeated.
    pub(super) const fn guarded(&self, config: &Config) -> Option<(Owed, u8)> {
        Some(match self.tcb.state {
            State::CookieWait => (Owed::INIT, config.init_retransmissions_max),
            State::CookieEchoed => (Owed::COOKIE_ECHO, config.init_retransmissions_max),
            State::ShutdownSent => (Owed::SHUTDOWN, config.association_retransmissions_max),
            State::ShutdownAckSent => (Owed::SHUTDOWN_ACK, config.association_retransmissions_max),
            _ => return None,
        })
    }

    fn on_t1_or_t2(&mut self, context: &mut Context<'_>) {
        let Some((owed, count_max)) = self.guarded(&context.shared.config) else {
            self.tcb.control = Timer::OFF;
            return;
        };
        context.shared.statistics.retransmission_timeouts += 1;
        self.tcb.control_count = self.tcb.control_count.saturating_add(1);
        if self.tcb.control_count > count_max {
            self.lose(context);
            return;
        }
        self.tcb.owed.add(owed);
        let active = self.tcb.active();
        self.tcb.transfer_mut(active).back_off(&context.shared.parameters);
        // No HEARTBEAT tells any more during a shutdown which path works.
        if !self.tcb.state.is_opening() {
            self.count_error(context, active, false);
        }
        // RFC 9260 §5.1, §6.4: perhaps the peer can be reached at another of its addresses.
        self.tcb.active = self.tcb.best_after(active) as u8;
        self.restart_control(context);
    }

    fn on_t3_rtx(&mut self, context: &mut Context<'_>, index: usize) {
        context.shared.statistics.retransmission_timeouts += 1;
        let mut sender = Sender::new(&mut self.tcb.sender, self.tx, self.tx_descriptors);
        let path = &mut self.tcb.transfers[place(index)];
        let is_error = sender.on_t3(&context.shared.parameters, index as u8, path);
        if is_error {
            self.suspect_black_hole(context, index);
        }
        if is_error && self.count_error(context, index, true) {
            return;
        }
        // RFC 9260 §6.4.1: what was lost on one path is sent again on another.
        self.tcb.detour = self.tcb.best_after(index) as u8;
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
}
