//! What timers, messages and associations do to a pool element.

use core::time::Duration;

use super::{ACKS_MAX, InputError, PoolElement, PoolElementEvent, State};
use crate::asap::answer::{self, ToElement};
use crate::association::{AssociationId, Input};
use crate::identifier::{PeId, PoolHandle};
use crate::time::{Instant, Span};
use crate::wire::Cause;
use crate::wire::asap::{DeregistrationResponse, EndpointKeepAlive, Error, RegistrationResponse};

impl PoolElement {
    pub(super) fn on_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        match input {
            Input::Up { association, connect: Some(connect), .. } => {
                let outcome = self.hunt.on_up(association, connect);
                self.on_hunt(now, outcome);
            }
            // A registrar, perhaps: a keep-alive will tell.
            Input::Up { connect: None, .. } | Input::UserUp { .. } | Input::RoundTrip { .. } => {}
            Input::ConnectFailed { connect } => {
                let outcome = self.hunt.on_connect_failed(now, connect, &mut self.random);
                self.on_hunt(now, outcome);
            }
            Input::Message { association, ppid, data, .. } => {
                let message =
                    answer::parse_for_element(association, ppid, data, &mut self.owed_error)?;
                return self.on_message(now, association, message);
            }
            Input::Restarted { association } => self.on_restarted(now, association),
            Input::Down { association, .. } => self.on_down(now, association),
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        now: Instant,
        association: AssociationId,
        message: ToElement<'_>,
    ) -> Result<(), InputError> {
        match message {
            ToElement::EndpointKeepAlive(keep_alive) => {
                self.on_keep_alive(now, association, &keep_alive)
            }
            // Requests are answered by whom they were sent to.
            _ if !self.hunt.is_home(association) => Err(InputError::Unexpected),
            ToElement::RegistrationResponse(response) => {
                self.on_registration_response(now, &response)
            }
            ToElement::DeregistrationResponse(response) => {
                self.on_deregistration_response(now, &response)
            }
            ToElement::Error(error) => self.on_error(now, &error),
        }
    }

    /// RFC 5352 §3.4. The table of cases is in `docs/protocol-notes.md`, "Keep-alives".
    fn on_keep_alive(
        &mut self,
        now: Instant,
        association: AssociationId,
        keep_alive: &EndpointKeepAlive<'_>,
    ) -> Result<(), InputError> {
        // KA1: the handle must be the registered one. RSPLIB adds the identifier.
        let about_us = self.is_us(keep_alive.pool_handle, keep_alive.pe_id.unwrap_or(self.pe_id))
            && self.membership.as_ref().is_some_and(|membership| membership.sent.is_some());
        if !about_us {
            return Err(InputError::Unexpected);
        }
        if self.hunt.is_home(association) {
            self.hunt.set_home_registrar(keep_alive.registrar);
            self.hunt.confirm_home();
        } else if keep_alive.home {
            self.on_home_change(now, association, keep_alive);
        }
        if self.acks.contains(&association) {
            return Ok(());
        }
        const { assert!(ACKS_MAX > 0) };
        self.acks.push(association).map_err(|_| InputError::Full)
    }

    /// RFC 5352 §3.4, KA2.4. Unlike RSPLIB we register with the new home at once, because it may
    /// not have all that we registered: `docs/protocol-notes.md`, "Home change".
    fn on_home_change(
        &mut self,
        now: Instant,
        association: AssociationId,
        keep_alive: &EndpointKeepAlive<'_>,
    ) {
        self.hunt.adopt(association, keep_alive.registrar);
        self.tell(PoolElementEvent::HomeChanged { registrar: keep_alive.registrar });
        if let Some(membership) = &mut self.membership {
            membership.attempts = 0;
        }
        self.use_new_home(now);
    }

    /// RFC 5352 §3.1. RSPLIB's answers carry the R flag exactly if they carry an error.
    fn on_registration_response(
        &mut self,
        now: Instant,
        response: &RegistrationResponse<'_>,
    ) -> Result<(), InputError> {
        if !self.is_us(response.pool_handle, response.pe_id) {
            return Err(InputError::Unexpected);
        }
        let cause = response.error.map(|error| error.cause());
        match self.state {
            State::Registering { t2: Some(_) } if response.rejected => self.reject(now, cause),
            // In the second state an ASAP Error came first: a complaint, not a rejection.
            State::Registering { t2: Some(_) } | State::Holding { .. } if !response.rejected => {
                self.accept(now, cause);
            }
            _ => return Err(InputError::Unexpected),
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant, warning: Option<Cause>) {
        self.hunt.confirm_home();
        let Some(membership) = &mut self.membership else { return };
        (membership.attempts, membership.pause) = (0, None);
        let news = !core::mem::replace(&mut membership.reported, true) || warning.is_some();
        let timers = &self.hunt.timers;
        self.state = if membership.changed {
            State::Registering { t2: None }
        } else {
            let t4 = timers.t4_for_life(self.profile, timers.registration_life);
            State::Registered { t4: now + t4 }
        };
        if news {
            self.tell(PoolElementEvent::Registered { warning });
        }
    }

    /// RFC 5352 §3.1: what was rejected is not repeated as it is, unless the profile says so.
    fn reject(&mut self, now: Instant, cause: Option<Cause>) {
        self.hunt.confirm_home();
        let retry_in = self.hunt.timers.registration_retry;
        self.hold(now, retry_in, None);
        self.tell(PoolElementEvent::Rejected { cause, retry_in });
        let changed = self.membership.as_ref().is_some_and(|membership| membership.changed);
        if changed {
            // The rejected values are not the current ones any more.
            self.owe_registration(now);
        }
    }

    fn hold(&mut self, now: Instant, retry_in: Option<Duration>, pause: Option<Span>) {
        self.state = State::Holding { retry: retry_in.map(|retry_in| now + retry_in) };
        if let Some(membership) = &mut self.membership {
            (membership.attempts, membership.pause) = (0, pause);
            membership.reported = false;
        }
    }

    /// RFC 5352 §3.2, and §2.2.4: also sent without a request when the registration's life ends.
    fn on_deregistration_response(
        &mut self,
        now: Instant,
        response: &DeregistrationResponse<'_>,
    ) -> Result<(), InputError> {
        if !self.is_us(response.pool_handle, response.pe_id) {
            return Err(InputError::Unexpected);
        }
        let cause = response.error.map(|error| error.cause());
        match self.state {
            State::Deregistering { owed: false, .. } => {
                self.finish(PoolElementEvent::Deregistered { cause });
            }
            State::Registered { .. } if cause.is_none() => {
                self.tell(PoolElementEvent::Expired);
                if let Some(membership) = &mut self.membership {
                    membership.reported = false;
                }
                self.owe_registration(now);
            }
            _ => return Err(InputError::Unexpected),
        }
        Ok(())
    }

    /// An ASAP Error is taken as the answer to what is outstanding, because RSPLIB answers what
    /// it cannot parse that way, without reference to the request.
    fn on_error(&mut self, now: Instant, error: &Error<'_>) -> Result<(), InputError> {
        let cause = Some(error.error.cause());
        match self.state {
            State::Registering { t2: Some(_) } => self.reject(now, cause),
            State::Deregistering { owed: false, .. } => {
                self.finish(PoolElementEvent::Deregistered { cause });
            }
            _ => return Err(InputError::Unexpected),
        }
        Ok(())
    }

    /// The registrar has lost what it knew, this element too.
    fn on_restarted(&mut self, now: Instant, association: AssociationId) {
        if !self.hunt.is_home(association) {
            return;
        }
        self.forget_ack(association);
        // What was rejected is not repeated for that.
        if !matches!(self.state, State::Holding { .. }) {
            self.use_new_home(now);
        }
    }

    fn on_down(&mut self, now: Instant, association: AssociationId) {
        self.forget_ack(association);
        if self.owed_error.as_ref().is_some_and(|owed| owed.association == association) {
            self.owed_error = None;
        }
        if !self.hunt.on_down(now, association) {
            return;
        }
        self.tell(PoolElementEvent::RegistrarLost);
        match self.state {
            // Holding hunts when it is time to try again.
            State::Idle | State::Holding { .. } => {}
            State::Hunting | State::Registering { .. } | State::Registered { .. } => {
                // With the association the registrar has dropped the element.
                if let Some(membership) = &mut self.membership {
                    membership.reported = false;
                }
                self.owe_registration(now);
            }
            State::Deregistering { t3, .. } => {
                self.state = State::Deregistering { t3, owed: true };
                if self.may_attempt() {
                    self.hunt_if_homeless(now);
                } else {
                    self.finish(PoolElementEvent::DeregistrationFailed);
                }
            }
        }
    }

    #[cfg_attr(feature = "small", inline(never))]
    fn forget_ack(&mut self, association: AssociationId) {
        self.acks.retain(|&owed| owed != association);
    }

    /// MAX-REG-ATTEMPT (RFC 5352 §3.1) is not reached yet.
    fn may_attempt(&self) -> bool {
        let attempts = self.membership.as_ref().map_or(0, |membership| membership.attempts);
        attempts < self.hunt.timers.max_reg_attempt
    }

    /// RFC 5352 §3.1: another registrar is tried, MAX-REG-ATTEMPT times in all.
    pub(super) fn on_t2_registration(&mut self, now: Instant) {
        self.give_up_home(now);
        if self.may_attempt() {
            self.state = State::Hunting;
            self.hunt_if_homeless(now);
        } else {
            let timers = &self.hunt.timers;
            let pause = self.membership.as_ref().and_then(|membership| membership.pause);
            let pause = pause.unwrap_or(Span::of(timers.t2_registration));
            let longest = timers.registration_retry;
            let retry_in = longest.map(|longest| pause.to_duration().min(longest));
            self.hold(now, retry_in, Some(pause.doubled()));
            self.tell(PoolElementEvent::RegistrationFailed { retry_in });
        }
    }

    /// RFC 5352 §3.2: as often as a registration, then never mind.
    pub(super) fn on_t3_deregistration(&mut self, now: Instant) {
        // One that found no registrar counts as well.
        if matches!(self.state, State::Deregistering { owed: true, .. })
            && let Some(membership) = &mut self.membership
        {
            membership.attempts = membership.attempts.saturating_add(1);
        }
        self.give_up_home(now);
        if self.may_attempt() {
            self.owe_deregistration(now);
            self.hunt_if_homeless(now);
        } else {
            self.finish(PoolElementEvent::DeregistrationFailed);
        }
    }

    fn give_up_home(&mut self, now: Instant) {
        if let Some(association) = self.hunt.give_up_home(now) {
            self.forget_ack(association);
            self.tell(PoolElementEvent::RegistrarLost);
        }
    }

    fn is_us(&self, pool: PoolHandle<'_>, pe_id: PeId) -> bool {
        let in_pool = self.membership.as_ref().is_some_and(|m| m.pool.as_handle() == pool);
        in_pool && pe_id == self.pe_id
    }
}
