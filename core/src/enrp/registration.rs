//! Registration and deregistration. Read RFC 5352 §3.1 and §3.2 before editing.

use crate::association::AssociationId;
use crate::entropy::Entropy;
use crate::handlespace::{Cursor, ElementIndex, NewElement, Outcome, RegistrationError, Storage};
use crate::identifier::{PeId, PoolHandle};
use crate::time::Instant;
use crate::wire::enrp::UpdateAction;
use crate::wire::{
    Cause, Layout, ParameterType, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf,
    TransportUse,
};

use super::addresses;
use super::config::KnownIdentifier;
use super::event::{Event, InputError, Limit, RemovalReason};
use super::keep_alive::flag;
use super::registrar::Registrar;
use super::tables::{
    AssociationSlot, HandleBytes, REPORTED_LEN_MAX, ReplyKind, ReplySlot, Tables,
};

/// An SCTP transport with as many addresses as are kept of an endpoint.
const TRANSPORT_LEN_MAX: usize = 8 + 20 * crate::association::ADDRESSES_MAX;

type Buf = TransportBuf<TRANSPORT_LEN_MAX>;

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    pub(super) fn on_registration(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        element: PoolElement<'_>,
    ) -> Result<(), InputError> {
        let limit = self.config.registration_rate;
        let slot = self.up(id).ok_or(InputError::UnknownAssociation)?;
        if !slot.registrations.admit(now, limit) {
            let _ = self.reject_registration(id, pool, element.id, Cause::LACK_OF_RESOURCES, &[]);
            return Err(self.limited(id, Limit::RegistrationRate));
        }
        if slot.is_user {
            return self.reject_registration(id, pool, element.id, Cause::SECURITY, &[]);
        }
        self.claim(now, id, pool, element)
    }

    /// Takes a registration, or has whoever holds its identifier prove that it lives.
    pub(super) fn claim(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        element: PoolElement<'_>,
    ) -> Result<(), InputError> {
        if let Some(index) = self.handlespace.find(pool, element.id) {
            let view = self.handlespace.element(index);
            let holder = view.association();
            // An element that we are about to adopt may come by itself meanwhile.
            let is_ours =
                view.home() == self.identifier && view.scratch().flags & flag::ADOPTED == 0;
            if holder == Some(id) {
                self.on_sign_of_life(index);
            } else if let Some(holder) = holder
                && is_ours
                && self.config.known_identifier == KnownIdentifier::Challenge
                && self.up(holder).is_some()
            {
                return self.challenge(now, index, id, pool, element);
            }
        }
        self.admit(now, id, pool, element)
    }

    /// Takes a registration whose identifier nobody else holds, or may keep.
    fn admit(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        element: PoolElement<'_>,
    ) -> Result<(), InputError> {
        let peer = *self.up(id).ok_or(InputError::UnknownAssociation)?;
        if self.has_invalid_values(&element) {
            let mut parameter = [0; REPORTED_LEN_MAX];
            let len = element.emit(&mut parameter).unwrap_or(0);
            let data = parameter.get(..len).unwrap_or_default();
            return self.reject_registration(id, pool, element.id, Cause::INVALID_VALUES, data);
        }
        let (user, asap) = match (self.user_transport(&element, &peer), asap_transport(&peer)) {
            (Some(user), Some(asap)) => (user, asap),
            _ => {
                let data = element.user_transport.as_bytes();
                let pe_id = element.id;
                return self.reject_registration(id, pool, pe_id, Cause::INVALID_VALUES, data);
            }
        };
        let element = PoolElement {
            policy: self.policy_at(&peer.distance, element.policy),
            home: self.identifier,
            user_transport: user.as_transport(),
            asap_transport: Some(asap.as_transport()),
            layout: Layout::OURS,
            ..element
        };
        let known = self.handlespace.find(pool, element.id);
        let holder = known.and_then(|index| self.handlespace.element(index).association());
        let is_full = peer.element_count >= self.config.elements_per_association_max;
        if holder != Some(id) && is_full {
            let cause = Cause::LACK_OF_RESOURCES;
            let _ = self.reject_registration(id, pool, element.id, cause, &[]);
            return Err(self.limited(id, Limit::ElementsPerAssociation));
        }
        self.register(now, id, pool, &element, holder)
    }

    fn register(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        element: &PoolElement<'_>,
        holder: Option<AssociationId>,
    ) -> Result<(), InputError> {
        let pool_count = self.handlespace.pool_count();
        let is_news = self.is_news(pool, element);
        // An element that was asked on one association to take us as its home, and has not heard
        // so yet, registers on another one; it will move to the first.
        let asked_on = self.asked_on(pool, element.id).filter(|_| holder != Some(id));
        let association = asked_on.or(Some(id));
        let new = NewElement { pool, element, owner: self.identifier, association };
        let registered = match self.handlespace.register(&new) {
            Ok(registered) => registered,
            Err(error) => return self.on_refused(id, pool, element.id, error),
        };
        if holder != association {
            self.count_element_of(holder, -1);
            self.count_element_of(association, 1);
        }
        if self.handlespace.pool_count() > pool_count {
            self.tell(Event::PoolCreated { pool: pool.to_buf() });
        }
        let (pool_buf, element_id, association) = (pool.to_buf(), element.id, id);
        match registered.outcome {
            Outcome::New => {
                self.counters.registrations += 1;
                let element = element_id;
                self.tell(Event::ElementRegistered { pool: pool_buf, element, association });
            }
            Outcome::Updated => {
                self.counters.reregistrations += 1;
                self.forget_reports_about(registered.index);
                let element = element_id;
                self.tell(Event::ElementUpdated { pool: pool_buf, element, association });
            }
        }
        self.note_expiry(now, registered.index, element.registration_life);
        if asked_on.is_none() {
            self.stop_adoption(registered.index);
            self.start_keep_alive(now, registered.index);
        }
        self.announce(registered.index, UpdateAction::ADD);
        self.suggest_takeover(now, registered.index);
        if is_news {
            self.on_pool_change(pool);
        }
        let pool = HandleBytes::new(pool);
        self.reply(ReplySlot::about(ReplyKind::Registered, id, pool, element.id));
        Ok(())
    }

    /// RFC 5352 §3.1 rule 5; a PE identifier of 0 stands for none with RSPLIB.
    fn has_invalid_values(&self, element: &PoolElement<'_>) -> bool {
        let transport = element.user_transport;
        element.id == PeId(0)
            || (transport.protocol() != Protocol::Opaque && transport.port() == 0)
            || (self.config.expire_own_elements
                && element.registration_life == RegistrationLife(0))
    }

    /// The user transport with those of its addresses that are the peer's; `None` if there is
    /// none such.
    fn user_transport(&self, element: &PoolElement<'_>, peer: &AssociationSlot) -> Option<Buf> {
        let transport = element.user_transport;
        if transport.protocol() == Protocol::Opaque {
            return Buf::copy_of(transport).ok();
        }
        let mut kept = addresses::cut(transport.addresses(), peer.addresses());
        if kept.is_empty() && self.config.observed_address {
            kept.extend(addresses::usable(peer.addresses()).take(1));
        }
        if kept.iter().copied().eq(transport.addresses()) {
            return Buf::copy_of(transport).ok();
        }
        Buf::with_addresses(transport, &kept).ok()
    }

    fn on_refused(
        &mut self,
        id: AssociationId,
        pool: PoolHandle<'_>,
        pe_id: PeId,
        error: RegistrationError,
    ) -> Result<(), InputError> {
        let mut data = [0; REPORTED_LEN_MAX];
        let len = self.explain(pool, error, &mut data);
        let data = data.get(..len).unwrap_or_default();
        let rejected = self.reject_registration(id, pool, pe_id, error.cause(), data);
        if matches!(error, RegistrationError::Full(_)) {
            return Err(self.limited(id, Limit::Elements));
        }
        rejected
    }

    /// What of the pool an element contradicts (RFC 5354 §3.12.6 and §3.12.8).
    fn explain(&self, pool: PoolHandle<'_>, error: RegistrationError, data: &mut [u8]) -> usize {
        let first = Cursor { pool: pool.to_buf(), pe_id: PeId(0) };
        let Some(index) = self.handlespace.next_after(Some(&first), None) else {
            return 0;
        };
        let view = self.handlespace.element(index);
        match error {
            RegistrationError::InconsistentPolicy if view.pool() == pool => {
                policy_parameter(view.policy(), data)
            }
            RegistrationError::InconsistentTransport if view.pool() == pool => {
                let transport = view.user_transport();
                let place = data.get_mut(..transport.as_bytes().len());
                place.map_or(0, |place| {
                    place.copy_from_slice(transport.as_bytes());
                    place.len()
                })
            }
            _ => 0,
        }
    }

    pub(super) fn reject_registration(
        &mut self,
        id: AssociationId,
        pool: PoolHandle<'_>,
        pe_id: PeId,
        cause: Cause,
        data: &[u8],
    ) -> Result<(), InputError> {
        self.counters.registrations_rejected += 1;
        let pool = HandleBytes::new(pool);
        let reply = ReplySlot::about(ReplyKind::RegistrationRejected, id, pool, pe_id);
        Err(self.reject(reply.because(cause).with_data(data)))
    }

    pub(super) fn on_deregistration(
        &mut self,
        now: Instant,
        id: AssociationId,
        pool: PoolHandle<'_>,
        pe_id: PeId,
    ) -> Result<(), InputError> {
        let limit = self.config.registration_rate;
        let slot = self.up(id).ok_or(InputError::UnknownAssociation)?;
        let reply =
            ReplySlot::about(ReplyKind::DeregistrationRejected, id, HandleBytes::new(pool), pe_id);
        if !slot.registrations.admit(now, limit) {
            let _ = self.reject(reply.because(Cause::LACK_OF_RESOURCES));
            return Err(self.limited(id, Limit::RegistrationRate));
        }
        if slot.is_user {
            return Err(self.reject(reply.because(Cause::SECURITY)));
        }
        if let Some(index) = self.handlespace.find(pool, pe_id) {
            if !self.may_deregister(id, index) {
                return Err(self.reject(reply.because(Cause::SECURITY)));
            }
            self.remove_element(now, index, RemovalReason::Deregistered);
        }
        // RFC 5352 §3.2: granted for unknown elements too.
        self.counters.deregistrations += 1;
        self.reply(ReplySlot { kind: ReplyKind::Deregistered, ..reply });
        Ok(())
    }

    /// Whether an association may deregister an element: its own, or one on the same host.
    fn may_deregister(&mut self, id: AssociationId, index: ElementIndex) -> bool {
        let holder = self.handlespace.element(index).association();
        if self.config.foreign_deregistration || holder == Some(id) {
            return true;
        }
        let Some(peer) = self.up(id).copied() else {
            return false;
        };
        addresses::shares_one(self.handlespace.element(index).user_transport(), peer.addresses())
    }

    /// Takes an element out of the handlespace, and out of all that knows of it.
    pub(super) fn remove_element(
        &mut self,
        now: Instant,
        index: ElementIndex,
        reason: RemovalReason,
    ) {
        let view = self.handlespace.element(index);
        let (pool, element) = (view.pool().to_buf(), view.pe_id());
        let association = view.association();
        let is_challenged = view.scratch().flags & flag::CHALLENGED != 0;
        let pool_count = self.handlespace.pool_count();
        let is_ours = view.home() == self.identifier;
        if is_ours {
            self.announce(index, UpdateAction::DELETE);
        }
        self.stop_adoption(index);
        self.forget_reports_about(index);
        if is_challenged {
            self.settle_challenge_of_removed(now, index);
        }
        self.handlespace.remove(index);
        self.on_pool_change(pool.as_handle());
        self.count_element_of(association, -1);
        self.counters.removals += 1;
        self.tell(Event::ElementRemoved { pool, element, reason });
        if self.handlespace.pool_count() < pool_count {
            self.tell(Event::PoolRemoved { pool });
        }
    }

    pub(super) fn count_element_of(&mut self, association: Option<AssociationId>, change: i32) {
        let Some(id) = association else { return };
        let Some(slot) = self.association(id) else { return };
        slot.element_count = slot.element_count.saturating_add_signed(change);
        // An association of our making has served when its last element is gone.
        if slot.element_count == 0 && slot.is_own {
            self.shut_down(id);
        }
    }
}

/// How registrars reach an element: where its association comes from (RFC 5352 §3.1 rule 4).
fn asap_transport(peer: &AssociationSlot) -> Option<Buf> {
    let mut kept = addresses::Kept::new();
    kept.extend(addresses::usable(peer.addresses()));
    Buf::new(Protocol::Sctp, peer.port, TransportUse::Data, &kept).ok()
}

/// Writes a policy as a parameter and says how many bytes it takes.
fn policy_parameter(policy: Policy, data: &mut [u8]) -> usize {
    let len = policy.encoded_len();
    let header = u32::from(ParameterType::POLICY.0) << 16 | len as u32;
    let words = [header, policy.policy_type().0];
    for (place, word) in
        data.chunks_exact_mut(4).zip(words.iter().chain(policy.words().as_slice()))
    {
        place.copy_from_slice(&word.to_be_bytes());
    }
    len
}
