//! Becoming the home of an element that has registered elsewhere: a keep-alive with the H flag, on
//! an association of our own making. Read RFC 5353 §3.5.2 and RFC 5352 §3.4 before editing.
//!
//! A few connection attempts run at a time; who finds no room tries again a little later, by its
//! own deadline.

use core::time::Duration;

use crate::association::{ADDRESSES_MAX, AssociationId, ConnectId, Endpoint, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, Storage};
use crate::identifier::{PeId, PoolHandle};
use crate::time::Instant;
use crate::wire::enrp::UpdateAction;

use super::super::event::{InputError, RemovalReason};
use super::super::keep_alive::{ADOPTION, KEEP_ALIVE_TIMEOUT, flag};
use super::super::registrar::Registrar;
use super::super::tables::{AssociationState, Tables};
use super::table::{AdoptionSlot, AdoptionState};

/// When an element that found no room for a connection attempt tries again.
const PAUSE: Duration = Duration::from_millis(250);

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    pub(super) fn start_adoption(&mut self, now: Instant, index: ElementIndex) {
        self.handlespace.scratch_mut(index).flags |= flag::ADOPTED;
        self.handlespace.set_deadline(index, now, ADOPTION);
    }

    /// Wants the element no more, or has it.
    pub(in super::super) fn stop_adoption(&mut self, index: ElementIndex) {
        let scratch = self.handlespace.scratch_mut(index);
        let flags = scratch.flags;
        scratch.flags &= !(flag::ADOPTED | flag::HOME);
        scratch.is_let_go = false;
        if flags & flag::ADOPTED == 0 {
            return;
        }
        let slots = self.tables.lend().adoptions.iter_mut();
        if let Some(slot) = slots.into_iter().find(|slot| slot.element == Some(index)) {
            slot.element = None;
            slot.state = match slot.state {
                AdoptionState::Connecting => AdoptionState::CancelOwed,
                _ => AdoptionState::Free,
            };
        }
    }

    /// Takes the next step towards an element.
    pub(in super::super) fn on_adoption_due(&mut self, now: Instant, index: ElementIndex) {
        let Some(endpoint) = self.endpoint_of(index) else {
            self.give_up_adoption(now, index);
            return;
        };
        if let Some(association) = self.association_with(&endpoint, None) {
            self.reach(now, index, association, flag::HOME);
            return;
        }
        let connect = ConnectId(self.peering.next_connect);
        let may_connect = self.has_association_room() && !self.is_connecting_to(&endpoint);
        let slots = &mut self.tables.lend().adoptions;
        let free = slots.iter_mut().find(|slot| slot.state == AdoptionState::Free);
        let Some(slot) = free.filter(|_| may_connect) else {
            self.try_again(now, index);
            return;
        };
        let (state, element) = (AdoptionState::ConnectOwed, Some(index));
        *slot = AdoptionSlot { state, element, connect };
        self.peering.next_connect = connect.0.wrapping_add(1);
        let at = now + self.config.keep_alive_timeout;
        self.handlespace.set_deadline(index, at, KEEP_ALIVE_TIMEOUT);
    }

    /// There is no room for an attempt at the moment, but maybe soon. Who finds none until the end
    /// of its registration is forgotten, since nobody has looked after it all that time.
    fn try_again(&mut self, now: Instant, index: ElementIndex) {
        self.set_deadline(index, Some(now + PAUSE), ADOPTION);
    }

    /// Asks the element on this association whether it lives and, by the flag, to take us as its
    /// home.
    fn reach(&mut self, now: Instant, index: ElementIndex, association: AssociationId, flags: u8) {
        let before = self.handlespace.element(index).association();
        self.handlespace.set_association(index, Some(association));
        if before != Some(association) {
            self.count_element_of(before, -1);
            self.count_element_of(Some(association), 1);
        }
        self.send_keep_alive(now, index, flags);
    }

    /// The element is reached in vain.
    pub(in super::super) fn give_up_adoption(&mut self, now: Instant, index: ElementIndex) {
        if self.handlespace.element(index).home() != self.identifier {
            self.let_go(index);
        } else if !self.ask_elsewhere(now, index) {
            self.remove_element(now, index, RemovalReason::KeepAliveTimeout);
        }
    }

    /// The association on which an element was asked to take us as its home, if its answer is
    /// still to come.
    pub(in super::super) fn asked_on(
        &mut self,
        pool: PoolHandle<'_>,
        pe_id: PeId,
    ) -> Option<AssociationId> {
        let view = self.handlespace.element(self.handlespace.find(pool, pe_id)?);
        let asked = flag::AWAITING | flag::HOME;
        let is_asked = view.scratch().flags & asked == asked;
        view.association().filter(|&id| is_asked && self.up(id).is_some())
    }

    /// An element of ours does not answer where it was asked to take us as its home. It may have
    /// registered on another association meanwhile: then it is asked there whether it lives.
    pub(in super::super) fn ask_elsewhere(&mut self, now: Instant, index: ElementIndex) -> bool {
        let view = self.handlespace.element(index);
        let (before, flags) = (view.association(), view.scratch().flags);
        if flags & flag::HOME == 0 || before.is_none() {
            return false;
        }
        let Some(other) =
            self.endpoint_of(index).and_then(|it| self.association_with(&it, before))
        else {
            return false;
        };
        self.stop_adoption(index);
        self.reach(now, index, other, 0);
        true
    }

    /// An element of another registrar has no association here any more. If it was the last that
    /// somebody had of it, it is gone.
    pub(in super::super) fn let_go(&mut self, index: ElementIndex) {
        if self.handlespace.element(index).scratch().is_let_go {
            self.forget_element(index);
            return;
        }
        self.stop_adoption(index);
        self.detach(index);
    }

    /// The element has taken us as its home.
    pub(in super::super) fn adopted(&mut self, now: Instant, index: ElementIndex) {
        self.stop_adoption(index);
        let life = self.handlespace.element(index).registration_life();
        self.note_expiry(now, index, life);
        self.settle(now, index);
        if self.handlespace.element(index).home() != self.identifier
            && self.handlespace.set_owner(index, self.identifier).is_ok()
        {
            self.announce(index, UpdateAction::ADD);
        }
        self.counters.adoptions += 1;
    }

    /// The element's home has it no more. If we are about to become its home, it may have left
    /// for us, though its acknowledgement is still on its way. If it was ours before and is still
    /// on an association here, it is asked whether we are its home again: a registrar that was
    /// stopped for a while may have read an old registration and its end at once.
    pub(super) fn on_let_go(&mut self, now: Instant, index: ElementIndex) {
        let view = self.handlespace.element(index);
        if view.scratch().is_let_go {
            // It was asked already.
            return;
        }
        let is_wanted = view.scratch().flags & flag::ADOPTED != 0;
        let association = view.association().filter(|&id| self.up(id).is_some());
        if is_wanted && self.handlespace.set_owner(index, self.identifier).is_ok() {
            self.announce(index, UpdateAction::ADD);
        } else if let Some(association) = association.filter(|_| !is_wanted) {
            let scratch = self.handlespace.scratch_mut(index);
            scratch.flags |= flag::ADOPTED;
            scratch.is_let_go = true;
            self.reach(now, index, association, flag::HOME);
        } else {
            self.forget_element(index);
        }
    }

    /// How registrars reach the element.
    fn endpoint_of(&self, index: ElementIndex) -> Option<Endpoint> {
        let transport = self.handlespace.element(index).asap_transport()?;
        let addresses = transport.addresses().take(ADDRESSES_MAX).collect();
        let endpoint = Endpoint { addresses, port: transport.port(), udp_port: None };
        (endpoint.port != 0 && !endpoint.addresses.is_empty()).then_some(endpoint)
    }

    /// An association with that endpoint, if there is one but `other_than`.
    fn association_with(
        &mut self,
        endpoint: &Endpoint,
        other_than: Option<AssociationId>,
    ) -> Option<AssociationId> {
        let mut slots = self.tables.lend().associations.iter();
        let slot = slots.find(|slot| {
            slot.state == AssociationState::Up
                && Some(slot.id) != other_than
                && slot.port == endpoint.port
                && slot.addresses().iter().any(|address| endpoint.addresses.contains(address))
        })?;
        Some(slot.id)
    }

    fn is_connecting_to(&mut self, endpoint: &Endpoint) -> bool {
        for place in 0..self.tables.lend().adoptions.len() {
            let slot = self.tables.lend().adoptions[place];
            let other = slot.element.and_then(|index| self.endpoint_of(index));
            if other.is_some_and(|other| other == *endpoint) {
                return true;
            }
        }
        false
    }

    fn take_adoption(&mut self, connect: ConnectId) -> Option<Option<ElementIndex>> {
        let slots = self.tables.lend().adoptions.iter_mut();
        let slot = slots
            .into_iter()
            .find(|slot| slot.state != AdoptionState::Free && slot.connect == connect)?;
        let element = slot.element;
        *slot = AdoptionSlot::FREE;
        Some(element)
    }

    /// An association that we wanted is up.
    pub(in super::super) fn on_adoption_up(
        &mut self,
        now: Instant,
        connect: ConnectId,
        association: AssociationId,
    ) {
        match self.take_adoption(connect).flatten() {
            Some(index) => self.reach(now, index, association, flag::HOME),
            None => self.shut_down(association),
        }
    }

    /// An association that we wanted is up, and there is no room for it.
    pub(in super::super) fn on_adoption_refused(&mut self, now: Instant, connect: ConnectId) {
        if let Some(index) = self.take_adoption(connect).flatten() {
            self.try_again(now, index);
        }
    }

    /// An association that we wanted cannot be had.
    pub(in super::super) fn on_adoption_failed(
        &mut self,
        now: Instant,
        connect: ConnectId,
    ) -> Result<(), InputError> {
        let element = self.take_adoption(connect).ok_or(InputError::Unexpected)?;
        if let Some(index) = element {
            match self.endpoint_of(index).and_then(|it| self.association_with(&it, None)) {
                Some(association) => self.reach(now, index, association, flag::HOME),
                None => self.give_up_adoption(now, index),
            }
        }
        Ok(())
    }

    /// The next attempt to begin or to give up.
    pub(in super::super) fn next_adoption(&mut self) -> Option<Transmit> {
        for place in 0..self.tables.lend().adoptions.len() {
            let slot = &mut self.tables.lend().adoptions[place];
            let AdoptionSlot { state, element, connect } = *slot;
            match state {
                AdoptionState::ConnectOwed => {
                    slot.state = AdoptionState::Connecting;
                    if let Some(endpoint) = element.and_then(|index| self.endpoint_of(index)) {
                        return Some(Transmit::Connect { connect, endpoint });
                    }
                }
                AdoptionState::CancelOwed => {
                    *slot = AdoptionSlot::FREE;
                    return Some(Transmit::CancelConnect { connect });
                }
                _ => {}
            }
        }
        None
    }
}
