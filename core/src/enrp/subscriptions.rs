//! Who is told when a pool changes. Read RFC 5352 §2.2.5 and §2.2.6 before editing.
//!
//! A subscription is a slot with a bit that says whether its user is owed an update; what the
//! update lists is looked up when it is sent, so that changes in quick succession are one.

use crate::association::{AssociationId, Ppid, StreamId, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::Storage;
use crate::identifier::PoolHandle;
use crate::time::Instant;
use crate::wire::asap::{HandleResolutionResponse, HandleResolutionResponseBuilder};
use crate::wire::{Cause, EmitError, OperationError, PoolElement};

use super::registrar::Registrar;
use super::tables::{HandleBytes, Tables};

/// A user that is told of the changes of a pool.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionSlot {
    /// `None` in a slot that nobody uses.
    association: Option<AssociationId>,
    pool: HandleBytes,
    /// How many elements an update lists.
    items: u32,
    /// Something has changed since the user was told.
    is_owed: bool,
    /// No update before this.
    next_at: Instant,
}

impl SubscriptionSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self {
        association: None,
        pool: HandleBytes::EMPTY,
        items: 0,
        is_owed: false,
        next_at: Instant::ZERO,
    };

    fn is_for(&self, id: AssociationId, pool: &HandleBytes) -> bool {
        self.association == Some(id) && self.pool == *pool
    }
}

/// What there is of the subscriptions beside their slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriptions {
    /// How many there are.
    count: u32,
    /// How many are owed an update.
    owed_count: u32,
    /// Where the next one to be served is looked for.
    next: usize,
    /// When an update is due that had to wait.
    pub(super) deadline: Option<Instant>,
}

impl Subscriptions {
    pub(super) const NEW: Self = Self { count: 0, owed_count: 0, next: 0, deadline: None };
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// How many subscriptions there are.
    #[must_use]
    pub const fn subscription_count(&self) -> u32 {
        self.subscriptions.count
    }

    /// Begins a subscription or goes on with it; false if there is no room.
    pub(super) fn subscribe(&mut self, id: AssociationId, pool: HandleBytes, items: u32) -> bool {
        let next_at = self.now() + self.config.subscription_interval_min;
        let max = self.config.subscriptions_per_association_max;
        let slots = self.tables.lend().subscriptions;
        let of_association = |slot: &&mut SubscriptionSlot| slot.association == Some(id);
        if let Some(slot) = slots.iter_mut().find(|slot| slot.is_for(id, &pool)) {
            slot.items = items;
            // The answer to the request tells all.
            self.subscriptions.owed_count -= u32::from(core::mem::take(&mut slot.is_owed));
            return true;
        }
        if slots.iter_mut().filter(of_association).count() >= max as usize {
            return false;
        }
        let Some(slot) = slots.iter_mut().find(|slot| slot.association.is_none()) else {
            return false;
        };
        *slot = SubscriptionSlot { association: Some(id), pool, items, is_owed: false, next_at };
        self.subscriptions.count += 1;
        true
    }

    /// Ends the subscription to a pool, or with `None` all of an association.
    pub(super) fn unsubscribe(&mut self, id: AssociationId, pool: Option<&HandleBytes>) {
        if self.subscriptions.count == 0 {
            return;
        }
        for slot in self.tables.lend().subscriptions.iter_mut() {
            if slot.association == Some(id) && pool.is_none_or(|pool| slot.pool == *pool) {
                self.subscriptions.count -= 1;
                self.subscriptions.owed_count -= u32::from(slot.is_owed);
                *slot = SubscriptionSlot::FREE;
            }
        }
    }

    /// Something has changed that the users of `pool` would like to know.
    pub(super) fn on_pool_change(&mut self, pool: PoolHandle<'_>) {
        if self.subscriptions.count == 0 {
            return;
        }
        let pool = HandleBytes::new(pool);
        for slot in self.tables.lend().subscriptions.iter_mut() {
            if slot.association.is_some() && slot.pool == pool && !slot.is_owed {
                slot.is_owed = true;
                self.subscriptions.owed_count += 1;
            }
        }
        self.find_subscription_deadline();
    }

    /// Whether a registration tells anything that users do not know.
    pub(super) fn is_news(&self, pool: PoolHandle<'_>, element: &PoolElement<'_>) -> bool {
        if self.subscriptions.count == 0 {
            return false;
        }
        let Some(index) = self.handlespace.find(pool, element.id) else { return true };
        let view = self.handlespace.element(index);
        view.policy() != element.policy
            || view.home() != element.home
            || view.user_transport().as_bytes() != element.user_transport.as_bytes()
    }

    /// Looks when an update is due that has to wait.
    pub(super) fn find_subscription_deadline(&mut self) {
        self.subscriptions.deadline = None;
        if self.subscriptions.owed_count == 0 {
            return;
        }
        let now = self.now();
        let owed = self.tables.lend().subscriptions.iter().filter(|slot| slot.is_owed);
        let later = owed.map(|slot| slot.next_at).filter(|&at| at > now);
        self.subscriptions.deadline = later.min();
    }

    /// The next update that may be sent, if any is owed; users take turns.
    pub(super) fn next_update(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        // Each round forgives one.
        while self.subscriptions.owed_count > 0 {
            let now = self.now();
            let slots = self.tables.lend().subscriptions;
            let (count, first) = (slots.len(), self.subscriptions.next);
            let mut places = (first..count).chain(0..first.min(count));
            let is_due = |slot: &SubscriptionSlot| slot.is_owed && slot.next_at <= now;
            let place = places.find(|&place| is_due(&slots[place]))?;
            self.subscriptions.next = place + 1;
            let SubscriptionSlot { association, pool, items, .. } = slots[place];
            slots[place].is_owed = false;
            slots[place].next_at = now + self.config.subscription_interval_min;
            self.subscriptions.owed_count -= 1;
            self.find_subscription_deadline();
            let Some(association) = association else { continue };
            if let Ok(len) = self.emit_update(association, &pool, items, buf) {
                self.counters.updates += 1;
                let (stream, ppid) = (StreamId(0), Ppid::ASAP);
                return Some(Transmit::Message { association, stream, ppid, len });
            }
            self.counters.unsendable += 1;
        }
        None
    }

    /// Lists elements without charging them: an update is no selection. Without any element the
    /// subscription ends, as after each negative response (RFC 5352 §2.2.5).
    fn emit_update(
        &mut self,
        id: AssociationId,
        pool: &HandleBytes,
        items: u32,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let handle = pool.as_handle().ok_or(EmitError::Full)?;
        let mut response = HandleResolutionResponseBuilder::new(buf, handle)?;
        response.accept(true);
        let mut has_policy = false;
        let listed = self.handlespace.list(handle, items as usize, |view| {
            has_policy = has_policy || response.policy(view.policy()).is_ok();
            has_policy && response.element(&view.to_wire(false)).is_ok()
        });
        let len = response.finish();
        let cause = match listed {
            Some(1..) => return Ok(len),
            Some(0) => Cause::LACK_OF_RESOURCES,
            None => Cause::UNKNOWN_POOL_HANDLE,
        };
        self.unsubscribe(id, Some(pool));
        HandleResolutionResponse::refused(handle, OperationError::new(cause, &[])).emit(buf)
    }
}
