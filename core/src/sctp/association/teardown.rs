//! Ending: RFC 9260 §9.

use super::{Association, Owed, Probe, State};
use crate::association::DownReason;
use crate::sctp::endpoint::Context;
use crate::sctp::packet::{Cause, ChunkType, Tlvs};
use crate::sctp::serial::Tsn;
use crate::sctp::types::InputError;
use crate::time::{Span, Timer};

impl Association<'_> {
    /// The user wants to end it gracefully. RFC 9260 §9.2.
    pub(in crate::sctp) fn shut_down(&mut self, context: &mut Context<'_>) {
        match self.tcb.state {
            // Nothing was promised to the peer yet.
            State::CookieWait | State::CookieEchoed => self.abort(context),
            State::Established => {
                self.tcb.is_to_shut_down = true;
                self.tcb.state = State::ShutdownPending;
                self.sender().close();
                self.advance_shutdown(context);
            }
            _ => self.tcb.is_to_shut_down = true,
        }
    }

    /// The user wants to end it at once. RFC 9260 §9.1.
    pub(in crate::sctp) fn abort(&mut self, context: &mut Context<'_>) {
        self.abort_with(context, Cause::USER_INITIATED_ABORT, &[]);
    }

    /// Takes the next step of a shutdown once all data is acknowledged.
    pub(super) fn advance_shutdown(&mut self, context: &mut Context<'_>) {
        let next = match self.tcb.state {
            State::ShutdownPending => (State::ShutdownSent, Owed::SHUTDOWN),
            State::ShutdownReceived => (State::ShutdownAckSent, Owed::SHUTDOWN_ACK),
            _ => return,
        };
        if self.sender().all_acked() {
            self.step_shutdown(context, next.0, next.1);
        }
    }

    fn step_shutdown(&mut self, context: &mut Context<'_>, state: State, owed: Owed) {
        self.tcb.state = state;
        self.tcb.owed.add(owed);
        self.tcb.paths.iter_mut().for_each(|path| path.probe = Probe::Off);
        // RFC 9260 §9.2: whoever sends the SHUTDOWN guards the whole of it.
        if state == State::ShutdownSent {
            let span = Span(context.shared.parameters.rto_max.0.saturating_mul(5));
            self.tcb.guard = Timer::at(context.now + span);
        }
        self.start_control(context);
    }

    /// The peer wants to end it, and acknowledges `cumulative`.
    pub(super) fn on_shutdown(&mut self, context: &mut Context<'_>, cumulative: Tsn) {
        match self.tcb.state {
            State::Established | State::ShutdownPending | State::ShutdownReceived => {
                if !self.on_cumulative(context, cumulative) {
                    return;
                }
                if self.tcb.state != State::ShutdownReceived {
                    self.tcb.state = State::ShutdownReceived;
                    self.sender().close();
                }
                self.advance_shutdown(context);
            }
            State::ShutdownSent => {
                self.tcb.owed.take(Owed::SHUTDOWN);
                self.step_shutdown(context, State::ShutdownAckSent, Owed::SHUTDOWN_ACK);
            }
            State::ShutdownAckSent => self.tcb.owed.add(Owed::SHUTDOWN_ACK),
            State::Closed | State::CookieWait | State::CookieEchoed => {}
        }
    }

    /// The peer has nothing more to say.
    pub(super) fn on_shutdown_ack(&mut self, context: &mut Context<'_>) {
        if matches!(self.tcb.state, State::ShutdownSent | State::ShutdownAckSent) {
            let route = self.tcb.route_to(context.source);
            let replies = &mut context.shared.replies;
            replies.push_cause(&route, ChunkType::SHUTDOWN_COMPLETE, 0, Cause::NONE, &[]);
            self.on_shut_down(context);
        }
    }

    /// The peer has forgotten us, as it should.
    pub(super) fn on_shutdown_complete(
        &mut self,
        context: &mut Context<'_>,
    ) -> Result<(), InputError> {
        if self.tcb.state != State::ShutdownAckSent {
            return Err(InputError::OutOfPlace);
        }
        self.on_shut_down(context);
        Ok(())
    }

    fn on_shut_down(&mut self, context: &mut Context<'_>) {
        context.shared.statistics.shut_down += 1;
        self.tcb.end(DownReason::Shutdown, Cause::NONE);
    }

    /// The peer ended it.
    ///
    /// A reflected ABORT that answers our SHUTDOWN ACK comes from a peer that has everything and
    /// forgot the association; only its SHUTDOWN COMPLETE was lost. So it is with an ICMP error.
    pub(super) fn on_abort(
        &mut self,
        context: &mut Context<'_>,
        reflected: bool,
        mut causes: Tlvs<'_>,
    ) {
        if reflected && self.tcb.state == State::ShutdownAckSent {
            context.shared.statistics.shut_down += 1;
            self.tcb.end(DownReason::Shutdown, Cause::NONE);
            return;
        }
        context.shared.statistics.aborted += 1;
        let cause = causes.next().map_or(Cause::NONE, |cause| Cause(cause.kind));
        self.tcb.end(DownReason::Aborted, cause);
    }

    /// The network says that nobody speaks SCTP at the end of a path. RFC 9260 §10 ICMP8, ICMP9:
    /// if that was the last one, so it is with an ABORT; else it is one path less.
    pub(in crate::sctp) fn on_unreachable(&mut self, context: &mut Context<'_>, index: usize) {
        // Whoever is there, it is not known to be the peer, and saw our tag in the probe.
        if !self.tcb.path(index).is_confirmed {
            return;
        }
        if !self.give_up_path(context, index) {
            self.on_abort(context, true, Tlvs::new(&[]));
            return;
        }
        self.resend(index);
        if let Some((owed, _)) = self.guarded(&context.shared.config) {
            self.tcb.owed.add(owed);
            // What is sent twice gives no round-trip time. RFC 9260 §6.3.1 C5.
            self.tcb.control_since = Timer::OFF;
            self.restart_control(context);
        }
    }
}
