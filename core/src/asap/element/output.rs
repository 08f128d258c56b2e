//! What a pool element owes, and how that is encoded when it is pulled.

use super::{PoolElement, State};
use crate::asap::answer::message_to;
use crate::asap::timers::registration_life_on_wire;
use crate::association::Transmit;
use crate::identifier::RegistrarId;
use crate::time::Instant;
use crate::wire::asap::{Deregistration, EndpointKeepAliveAck, Registration};
use crate::wire::{self, EmitError};

impl PoolElement {
    pub(super) fn next_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        // What the hunt closes goes first: nothing may follow it on those associations.
        if let Some(transmit) = self.hunt.poll_transmit() {
            return Some(transmit);
        }
        if let Some(transmit) = self.next_ack(buf) {
            return Some(transmit);
        }
        if let Some(owed) = &self.owed_error {
            let transmit = owed.emit(buf)?;
            self.owed_error = None;
            return Some(transmit);
        }
        match self.state {
            State::Registering { t2: None } => self.next_registration(now, buf),
            State::Deregistering { owed: true, .. } => self.next_deregistration(now, buf),
            _ => None,
        }
    }

    /// RFC 5352 §3.4, KA2.1 to KA2.3.
    fn next_ack(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        let &association = self.acks.first()?;
        let membership = self.membership.as_ref()?;
        let ack = EndpointKeepAliveAck::new(membership.pool.as_handle(), self.pe_id);
        let len = ack.emit(buf).ok()?;
        self.acks.remove(0);
        Some(message_to(association, len))
    }

    /// RFC 5352 §3.1, R2 to R4.
    fn next_registration(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let home = self.hunt.home()?;
        let len = self.emit_registration(home.registrar, buf).ok()?;
        let membership = self.membership.as_mut()?;
        membership.sent = Some(membership.policy);
        membership.changed = false;
        membership.attempts = membership.attempts.saturating_add(1);
        self.state = State::Registering { t2: Some(now + self.hunt.timers.t2_registration) };
        Some(message_to(home.association, len))
    }

    fn emit_registration(&self, home: RegistrarId, buf: &mut [u8]) -> Result<usize, EmitError> {
        let Some(membership) = &self.membership else { return Err(EmitError::AddressCount) };
        let life = registration_life_on_wire(self.profile, self.hunt.timers.registration_life);
        // RFC 5352 §3.1 leaves the ASAP transport to the registrar, and RSPLIB ignores it.
        let mut element = wire::PoolElement::new(
            self.pe_id,
            wire::RegistrationLife(life),
            membership.transport.as_transport(),
            membership.policy,
        );
        element.home = home;
        Registration::new(membership.pool.as_handle(), element).emit(buf)
    }

    /// RFC 5352 §3.2, D1 to D4.
    fn next_deregistration(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let home = self.hunt.home()?;
        let membership = self.membership.as_mut()?;
        let message = Deregistration::new(membership.pool.as_handle(), self.pe_id);
        let len = message.emit(buf).ok()?;
        membership.attempts = membership.attempts.saturating_add(1);
        let t3 = now + self.hunt.timers.t3_deregistration;
        self.state = State::Deregistering { t3, owed: false };
        Some(message_to(home.association, len))
    }
}
