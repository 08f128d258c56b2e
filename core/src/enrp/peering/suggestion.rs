//! Suggesting other homes for elements, so that they spread again after failures. Read
//! draft-dreibholz-rserpool-enrp-takeover before editing.

use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, Storage};
use crate::identifier::RegistrarId;
use crate::time::Instant;
use crate::wire::RegistrationLife;
use crate::wire::enrp::UpdateAction;

use super::super::registrar::Registrar;
use super::super::tables::Tables;
use super::table::PeerState;

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// Tells the peer whose identifier fits an element of ours best, if it fits better than ours,
    /// that it had better be the element's home (draft-dreibholz-rserpool-enrp-takeover). The fit
    /// grows with each move, so that registrars with different peers send nobody in circles; and
    /// an element is suggested once in the life of a registration, and not in the first of a new
    /// home, however often it registers.
    pub(in super::super) fn suggest_takeover(&mut self, now: Instant, index: ElementIndex) {
        let settled_s = self.handlespace.element(index).scratch().settled_s;
        if !self.config.suggest_takeover || whole_seconds(now) < settled_s {
            return;
        }
        let view = self.handlespace.element(index);
        let fit = |registrar: RegistrarId| registrar.0 ^ view.pe_id().0;
        let own = fit(self.identifier);
        let peers = self.tables.lend().peers.iter();
        let alive = peers.filter(|peer| peer.state == PeerState::Active && peer.link.is_some());
        let best = alive.map(|peer| peer.id).max_by_key(|&id| fit(id));
        if let Some(best) = best.filter(|&best| fit(best) > own) {
            self.announce_to(index, UpdateAction::ADD, best, true);
            self.settle(now, index);
        }
    }

    /// The element moves, or should: for the life of its registration it is not asked to again.
    pub(super) fn settle(&mut self, now: Instant, index: ElementIndex) {
        let life = self.handlespace.element(index).registration_life();
        let settled_s = match life {
            RegistrationLife::INFINITE => u32::MAX,
            life => whole_seconds(now + self.config.registration_life(life.0)).saturating_add(1),
        };
        self.handlespace.scratch_mut(index).settled_s = settled_s;
    }
}

/// The seconds that are over.
fn whole_seconds(at: Instant) -> u32 {
    u32::try_from(at.as_micros() / 1_000_000).unwrap_or(u32::MAX)
}
