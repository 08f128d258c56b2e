//! A registration of an identifier that another association holds. Read RFC 5354 §3.12.5 (and
//! RFC 5352 §3.1 rule 3, which knows no such case) before editing.
//!
//! The holder is asked for a sign of life. If it gives one, the newcomer is told that the
//! identifier is not unique; if it does not, its association is aborted and the newcomer is
//! registered. The newcomer's registration waits in a slot until then, without an answer.

use core::time::Duration;

use crate::association::AssociationId;
use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, Storage};
use crate::identifier::PoolHandle;
use crate::time::Instant;
use crate::wire::{Cause, PoolElement};

use super::event::{InputError, Limit, RemovalReason};
use super::keep_alive::flag;
use super::registrar::Registrar;
use super::tables::{
    CHALLENGER_LEN_MAX, ChallengeSlot, HandleBytes, REPLIES_PER_INPUT_MAX, Tables,
};

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// Has the holder of `index` prove that it lives, because `id` registers its identifier.
    pub(super) fn challenge(
        &mut self,
        now: Instant,
        index: ElementIndex,
        id: AssociationId,
        pool: PoolHandle<'_>,
        element: PoolElement<'_>,
    ) -> Result<(), InputError> {
        // RFC 5355 §2.14: who has just answered a probe is left alone for a moment.
        let hold = match self.handlespace.element(index).scratch().flags & flag::HOLD {
            0 => Duration::ZERO,
            _ => self.config.probe_interval_min,
        };
        let challenges = self.tables.lend().challenges;
        let current = challenges.iter_mut().find(|slot| slot.element == Some(index));
        let (place, deadline) = match current {
            Some(slot) if slot.challenger == id => {
                let deadline = slot.deadline;
                (Some(slot), deadline)
            }
            // Whoever comes third can only lose.
            Some(_) => {
                let cause = Cause::NON_UNIQUE_PE_IDENTIFIER;
                return self.reject_registration(id, pool, element.id, cause, &[]);
            }
            None => {
                let free = challenges.iter_mut().find(|slot| !slot.used);
                (free, now + hold + self.config.challenge_timeout)
            }
        };
        let mut parameter = [0; CHALLENGER_LEN_MAX];
        let (Some(slot), Ok(len)) = (place, element.emit(&mut parameter)) else {
            let cause = Cause::LACK_OF_RESOURCES;
            let _ = self.reject_registration(id, pool, element.id, cause, &[]);
            return Err(self.limited(id, Limit::Challenges));
        };
        *slot = ChallengeSlot {
            used: true,
            element: Some(index),
            challenger: id,
            deadline,
            pool: HandleBytes::new(pool),
            parameter,
            parameter_len: len as u16,
        };
        self.note_challenge_deadline();
        self.handlespace.scratch_mut(index).flags |= flag::CHALLENGED;
        self.probe(now, index);
        Ok(())
    }

    /// An element has answered or registered again: whoever wants its identifier loses.
    pub(super) fn on_sign_of_life(&mut self, index: ElementIndex) {
        let scratch = self.handlespace.scratch_mut(index);
        if scratch.flags & flag::CHALLENGED == 0 {
            return;
        }
        scratch.flags &= !flag::CHALLENGED;
        let challenges = self.tables.lend().challenges;
        let Some(slot) = challenges.iter_mut().find(|slot| slot.element == Some(index)) else {
            return;
        };
        let lost = core::mem::replace(slot, ChallengeSlot::FREE);
        self.note_challenge_deadline();
        if let (Some(pool), Ok(element)) = (lost.pool.as_handle(), lost.element_parameter()) {
            let cause = Cause::NON_UNIQUE_PE_IDENTIFIER;
            let _ = self.reject_registration(lost.challenger, pool, element.id, cause, &[]);
        }
    }

    /// The holder is gone: the newcomer is registered at the next occasion.
    pub(super) fn settle_challenge_of_removed(&mut self, now: Instant, index: ElementIndex) {
        for slot in self.tables.lend().challenges.iter_mut() {
            if slot.element == Some(index) {
                slot.element = None;
                slot.deadline = now;
            }
        }
        self.note_challenge_deadline();
    }

    /// The newcomer is gone: its registration waits no more.
    pub(super) fn drop_challenges_of(&mut self, challenger: AssociationId) {
        // Each round frees a slot.
        loop {
            let challenges = self.tables.lend().challenges;
            let of_challenger =
                |slot: &&mut ChallengeSlot| slot.used && slot.challenger == challenger;
            let Some(slot) = challenges.iter_mut().find(of_challenger) else {
                break;
            };
            let dropped = core::mem::replace(slot, ChallengeSlot::FREE);
            if let Some(index) = dropped.element {
                self.handlespace.scratch_mut(index).flags &= !flag::CHALLENGED;
            }
        }
        self.note_challenge_deadline();
    }

    /// Registers the newcomers whose opponents have not answered in time, as long as there is
    /// room for replies.
    pub(super) fn on_challenge_timeouts(&mut self, now: Instant) {
        // Each round frees a slot.
        while self.challenge_deadline.is_some_and(|at| at <= now)
            && self.has_reply_room(REPLIES_PER_INPUT_MAX)
        {
            let challenges = self.tables.lend().challenges;
            let is_due = |slot: &&mut ChallengeSlot| slot.used && slot.deadline <= now;
            let Some(slot) = challenges.iter_mut().find(is_due) else {
                return;
            };
            let won = core::mem::replace(slot, ChallengeSlot::FREE);
            self.note_challenge_deadline();
            if let Some(index) = won.element {
                let holder = self.handlespace.element(index).association();
                self.remove_element(now, index, RemovalReason::Superseded);
                if let Some(holder) = holder {
                    self.abort(now, holder, RemovalReason::AssociationAborted);
                }
            }
            if let (Some(pool), Ok(element)) = (won.pool.as_handle(), won.element_parameter()) {
                // Somebody else may have taken the identifier since.
                let _ = self.claim(now, won.challenger, pool, element);
            }
        }
    }

    fn note_challenge_deadline(&mut self) {
        let challenges = self.tables.lend().challenges.iter();
        let deadlines = challenges.filter(|slot| slot.used).map(|slot| slot.deadline);
        self.challenge_deadline = deadlines.min();
    }
}

impl ChallengeSlot {
    fn element_parameter(&self) -> Result<PoolElement<'_>, crate::wire::ParseError<'_>> {
        let parameter = self.parameter.get(..usize::from(self.parameter_len));
        PoolElement::parse(parameter.unwrap_or_default())
    }
}
