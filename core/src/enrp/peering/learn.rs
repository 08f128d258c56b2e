//! What peers say about elements. Read RFC 5353 §3.3 and §3.6.3 before editing.
//!
//! Who owns an element decides about it. A deletion counts only from the owner, so a registrar
//! that was taken for dead cannot delete what it has lost. Where two claim one element, the last
//! registration wins: an update tells of one, a table does not.

use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, NewElement, RegistrationError, Storage};
use crate::identifier::{PoolHandle, RegistrarId};
use crate::time::Instant;
use crate::wire::PoolElement;
use crate::wire::enrp::{HandleUpdate, UpdateAction};

use super::super::event::{Event, Limit, RemovalReason};
use super::super::keep_alive::flag;
use super::super::registrar::Registrar;
use super::super::tables::Tables;

/// How an element came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It has just registered there.
    Update,
    /// It is in the table of its owner's elements.
    Table,
    /// It is in the whole table of the mentor.
    Mentor,
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    pub(super) fn on_update(&mut self, now: Instant, update: &HandleUpdate<'_>) {
        let (pool, element) = (update.pool_handle, update.element);
        match update.action {
            UpdateAction::ADD => {
                let learnt = self.learn(now, update.sender, pool, element, Source::Update);
                if let Some(index) = learnt.filter(|_| update.takeover_suggested)
                    && self.config.accept_takeover_suggestion
                {
                    self.start_adoption(now, index);
                }
            }
            UpdateAction::DELETE => {
                if let Some(index) = self.handlespace.find(pool, element.id)
                    && self.handlespace.element(index).home() == update.sender
                {
                    self.on_let_go(now, index);
                }
            }
            _ => self.counters.unexpected += 1,
        }
    }

    /// Takes what a peer says about an element. Returns it if it is a foreign one now.
    pub(super) fn learn(
        &mut self,
        now: Instant,
        sender: RegistrarId,
        pool: PoolHandle<'_>,
        element: PoolElement<'_>,
        source: Source,
    ) -> Option<ElementIndex> {
        let home = match element.home {
            RegistrarId::UNKNOWN => sender,
            home => home,
        };
        let known = self.handlespace.find(pool, element.id);
        let is_ours =
            known.is_some_and(|index| self.handlespace.element(index).home() == self.identifier);
        if home == self.identifier {
            // Before it was restarted, this registrar was its home.
            if source == Source::Mentor && known.is_none() {
                let index = self.enter(now, pool, &element, home)?;
                self.start_adoption(now, index);
            }
            return None;
        }
        if is_ours && source != Source::Update && !self.yields(now, known?, sender) {
            return None;
        }
        if source == Source::Table && known.is_some_and(|index| self.is_in_good_hands(index, home))
        {
            return None;
        }
        let holder = known.and_then(|index| self.handlespace.element(index).association());
        // Not where it was let go and asked: that is its own association.
        let is_wanted = known.is_some_and(|index| {
            let scratch = self.handlespace.element(index).scratch();
            scratch.flags & flag::ADOPTED != 0 && !scratch.is_let_go
        });
        let policy = self.policy_from(sender, element.policy);
        let element = PoolElement { policy, ..element };
        let index = self.enter(now, pool, &element, home)?;
        // It has a home, so it need not have us for one.
        self.stop_adoption(index);
        // Who has moved ends the association; who has not can be asked on it, however often it
        // was claimed.
        let is_kept = (is_ours || !is_wanted) && holder.is_some_and(|id| self.up(id).is_some());
        match holder {
            Some(holder) if is_kept => self.handlespace.set_association(index, Some(holder)),
            _ => self.count_element_of(holder, -1),
        }
        Some(index)
    }

    /// Whether an element of ours that is in the table of `sender` is given up. One that is
    /// registered on an association here is not; of two registrars that both believe that, the
    /// one with the smaller identifier asks the element to decide.
    fn yields(&mut self, now: Instant, index: ElementIndex, sender: RegistrarId) -> bool {
        let view = self.handlespace.element(index);
        let (is_registered, flags) = (view.association().is_some(), view.scratch().flags);
        if is_registered && flags & (flag::AWAITING | flag::HOME) == 0 {
            // RFC 5355 §2.14: and not again and again.
            if self.identifier < sender && flags & flag::HOLD == 0 {
                self.send_keep_alive(now, index, flag::HOME | flag::PROBE);
            }
            return false;
        }
        !is_registered
    }

    /// Whether an element is another living registrar's than `claimant`, in whose table it is. A
    /// registrar that was cut off may not have heard yet that it has lost the element, and would
    /// delete it when it does.
    fn is_in_good_hands(&mut self, index: ElementIndex, claimant: RegistrarId) -> bool {
        let owner = self.handlespace.element(index).home();
        owner != claimant
            && self.place_of(owner).is_some_and(|place| self.tables.lend().peers[place].is_alive())
    }

    /// Enters an element of another registrar, or what has changed of it.
    fn enter(
        &mut self,
        now: Instant,
        pool: PoolHandle<'_>,
        element: &PoolElement<'_>,
        owner: RegistrarId,
    ) -> Option<ElementIndex> {
        let pool_count = self.handlespace.pool_count();
        let is_news = self.is_news(pool, &PoolElement { home: owner, ..*element });
        let new = NewElement { pool, element, owner, association: None };
        let index = match self.handlespace.register(&new) {
            Ok(registered) => registered.index,
            Err(error) => {
                self.counters.unlearnable += 1;
                if matches!(error, RegistrationError::Full(_)) {
                    self.counters.limited += 1;
                    self.tell(Event::Unlearnable { owner, limit: Limit::Elements });
                }
                return None;
            }
        };
        if self.handlespace.pool_count() > pool_count {
            self.tell(Event::PoolCreated { pool: pool.to_buf() });
        }
        let round = self.place_of(owner).map_or(0, |place| self.tables.lend().peers[place].round);
        let scratch = self.handlespace.scratch_mut(index);
        scratch.round = round;
        scratch.flags &= !flag::WATCH;
        self.note_end(now, index, element.registration_life);
        self.wait_for_end(index);
        if is_news {
            self.on_pool_change(pool);
        }
        Some(index)
    }

    /// Removes an element that is not ours.
    pub(super) fn forget_element(&mut self, index: ElementIndex) {
        let now = self.now();
        self.remove_element(now, index, RemovalReason::RemovedByHome);
    }
}
