//! How far away elements are, for the delay-sensitive policies. Read
//! draft-dreibholz-rserpool-delay before editing.
//!
//! Half the round trip of the association is the distance of an element at its home. Each
//! registrar that learns of the element adds its own distance to whom it heard it from.

use core::time::Duration;

use crate::association::AssociationId;
use crate::entropy::Entropy;
use crate::handlespace::Storage;
use crate::identifier::RegistrarId;
use crate::wire::Policy;
use crate::wire::enrp::UpdateAction;

use super::event::InputError;
use super::registrar::Registrar;
use super::tables::{HandleBytes, Tables};

/// The distance of an association's peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Distance {
    /// In milliseconds, a multiple of the step; `None` until it was measured.
    millis: Option<u32>,
}

impl Distance {
    pub(super) const NONE: Self = Self { millis: None };

    /// Takes a round trip. Whether that changes the distance: it has to be nearer to another
    /// multiple of the step by a quarter step, so that what lies between two does not flap.
    fn on_round_trip(&mut self, micros: u32, step: Duration) -> bool {
        let step_micros = u32::try_from(step.as_micros()).unwrap_or(u32::MAX).max(1_000);
        let one_way = micros / 2;
        if let Some(millis) = self.millis
            && one_way.abs_diff(millis.saturating_mul(1_000)) <= step_micros / 4 * 3
        {
            return false;
        }
        let steps = one_way.saturating_add(step_micros / 2) / step_micros;
        let millis = Some(steps.saturating_mul(step_micros / 1_000));
        core::mem::replace(&mut self.millis, millis) != millis
    }
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// The policy of an element that registers on an association at `distance`.
    pub(super) fn policy_at(&self, distance: &Distance, policy: Policy) -> Policy {
        match distance.millis {
            Some(millis) => policy.at_distance(millis),
            // An element does not know how far away it is.
            None if !self.config.distance_step.is_zero() => policy.at_distance(0),
            None => policy,
        }
    }

    /// The policy of an element that the peer `sender` tells of.
    pub(super) fn policy_from(&mut self, sender: RegistrarId, policy: Policy) -> Policy {
        let Some(distance) = policy.distance() else { return policy };
        let lent = self.tables.lend();
        let peer = lent.peers.iter().find(|peer| peer.id == sender);
        let link = peer.and_then(|peer| peer.link);
        let to_sender = lent.links.iter().find(|slot| Some(slot.id) == link);
        let more = to_sender.and_then(|slot| slot.distance.millis).unwrap_or(0);
        policy.at_distance(distance.saturating_add(more))
    }

    pub(super) fn on_round_trip(
        &mut self,
        id: AssociationId,
        micros: u32,
    ) -> Result<(), InputError> {
        let step = self.config.distance_step;
        let slot = self.up(id).ok_or(InputError::UnknownAssociation)?;
        if step.is_zero() || !slot.distance.on_round_trip(micros, step) {
            return Ok(());
        }
        let distance = slot.distance;
        let mut next = self.handlespace.first_of(id);
        // As long as what the association has registered.
        while let Some(index) = next {
            next = self.handlespace.next_of(id, index);
            let known = self.handlespace.element(index).policy();
            let is_ours = self.handlespace.element(index).home() == self.identifier;
            let policy = self.policy_at(&distance, known);
            if is_ours && policy != known && self.handlespace.set_policy(index, policy).is_ok() {
                self.announce(index, UpdateAction::ADD);
                let pool = HandleBytes::new(self.handlespace.element(index).pool());
                if let Some(pool) = pool.as_handle() {
                    self.on_pool_change(pool);
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_round_trip_to_peer(
        &mut self,
        id: AssociationId,
        micros: u32,
    ) -> Result<(), InputError> {
        let step = self.config.distance_step;
        let link = self.link(id).ok_or(InputError::UnknownAssociation)?;
        // Elements follow with the next that the peer says of them.
        let _ = !step.is_zero() && link.distance.on_round_trip(micros, step);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(50);

    fn after(round_trips_ms: &[u32]) -> (Option<u32>, bool) {
        let mut distance = Distance::NONE;
        let mut changed = false;
        for ms in round_trips_ms {
            changed = distance.on_round_trip(ms * 1_000, STEP);
        }
        (distance.millis, changed)
    }

    #[test]
    fn half_the_round_trip_is_rounded_to_the_step() {
        assert_eq!(after(&[]), (None, false));
        assert_eq!(after(&[0]), (Some(0), true));
        assert_eq!(after(&[49]), (Some(0), true));
        assert_eq!(after(&[50]), (Some(50), true));
        assert_eq!(after(&[149]), (Some(50), true));
        assert_eq!(after(&[260]), (Some(150), true));
        assert_eq!(after(&[u32::MAX / 1_000]).0, Some(2_147_500));
    }

    #[test]
    fn what_lies_between_two_steps_does_not_flap() {
        assert_eq!(after(&[100, 151]), (Some(50), false));
        assert_eq!(after(&[100, 174]), (Some(50), false));
        assert_eq!(after(&[100, 176]), (Some(100), true));
        assert_eq!(after(&[100, 176, 149]), (Some(100), false));
    }

    #[test]
    fn a_step_below_a_millisecond_counts_as_one() {
        let mut distance = Distance::NONE;
        assert!(distance.on_round_trip(6_000, Duration::from_micros(1)));
        assert_eq!(distance.millis, Some(3));
    }
}
