//! Looks at a registrar from inside: how much of what it was lent is in use, and whether its
//! tables agree with each other and with the handlespace.

use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, Storage};

use super::keep_alive::flag;
use super::peering::{AdoptionSlot, PeerSlot};
use super::registrar::Registrar;
use super::tables::{AssociationState, Lent, Tables};

/// How many slots of a registrar's tables are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Usage {
    /// Associations with elements and users.
    pub associations: usize,
    /// Unreachable reports that count.
    pub reports: usize,
    /// Registrations that wait for the outcome of a challenge.
    pub challenges: usize,
    /// Peers.
    pub peers: usize,
    /// Associations with peers.
    pub links: usize,
    /// Connection attempts to elements.
    pub adoptions: usize,
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// How many slots of the tables are in use.
    #[must_use]
    pub fn usage(&mut self) -> Usage {
        let lent = self.tables.lend();
        Usage {
            associations: lent.associations.iter().filter(|slot| is_used(slot.state)).count(),
            reports: lent.reports.iter().filter(|slot| slot.element.is_some()).count(),
            challenges: lent.challenges.iter().filter(|slot| slot.used).count(),
            peers: lent.peers.iter().filter(|slot| slot.is_used()).count(),
            links: lent.links.iter().filter(|slot| is_used(slot.state)).count(),
            adoptions: lent.adoptions.iter().filter(|slot| !slot.is_free()).count(),
        }
    }

    /// Looks whether all structures agree with each other, for tests and fuzzing.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub fn check(&mut self) {
        self.handlespace.check();
        self.check_elements();
        let usage = self.usage();
        assert_eq!(usage.associations, self.association_count() as usize, "associations");
        let handlespace = &self.handlespace;
        let lent = self.tables.lend();
        for slot in lent.associations.iter().filter(|slot| is_used(slot.state)) {
            let count = handlespace.elements_of(slot.id).count();
            assert_eq!(slot.element_count as usize, count, "elements of {:?}", slot.id);
        }
        for index in lent.reports.iter().filter_map(|slot| slot.element) {
            let reports = handlespace.element(index).scratch().bad_reports;
            assert!(reports > 0, "a report about an element that has none");
        }
        for index in lent.challenges.iter().filter_map(|slot| slot.element) {
            let flags = handlespace.element(index).scratch().flags;
            assert!(flags & flag::CHALLENGED != 0, "a challenge that its element does not know");
        }
        for index in lent.adoptions.iter().filter_map(AdoptionSlot::wanted) {
            let flags = handlespace.element(index).scratch().flags;
            assert!(flags & flag::ADOPTED != 0, "nobody wants the element of an adoption");
        }
        check_peers(&lent);
    }

    /// Every element is watched over by somebody, or its end is set.
    fn check_elements(&mut self) {
        // Who stops waits for others to take over what has left already.
        let is_running = self.is_running();
        let keeps_alive = is_running && !self.config.keep_alive_interval.is_zero();
        let us = self.identifier;
        let (handlespace, lent) = (&self.handlespace, self.tables.lend());
        handlespace.walk_after(None, None, |view| {
            let (index, scratch): (ElementIndex, _) = (view.index(), view.scratch());
            if let Some(id) = view.association() {
                let is_known =
                    |slot: &&super::AssociationSlot| is_used(slot.state) && slot.id == id;
                assert!(lent.associations.iter().any(|slot| is_known(&slot)), "{id:?} is gone");
            }
            let is_ours = view.home() == us;
            let is_watched = view.association().is_some() || scratch.flags & flag::ADOPTED != 0;
            let is_watched = is_watched || !is_running;
            assert!(!is_ours || is_watched, "nobody watches over {:?}", view.pe_id());
            let has_end = scratch.expires_s != 0 || (is_ours && keeps_alive);
            let has_deadline = handlespace.deadline(index).is_some();
            assert!(!has_end || has_deadline, "{:?} is never looked at", view.pe_id());
            true
        });
    }
}

fn is_used(state: AssociationState) -> bool {
    state != AssociationState::Free
}

/// Peers and associations with them are tied one to one, and no peer is known twice.
fn check_peers(lent: &Lent<'_>) {
    let used = |slot: &&PeerSlot| slot.is_used();
    for (place, peer) in lent.peers.iter().enumerate().filter(|(_, peer)| peer.is_used()) {
        let rest = &lent.peers[place + 1..];
        let is_same = |other: &PeerSlot| other.id == peer.id && peer.is_known();
        assert!(!rest.iter().filter(used).any(is_same), "{:?} is known twice", peer.id);
        if let Some(id) = peer.link {
            let is_link = |link: &&super::LinkSlot| is_used(link.state) && link.id == id;
            assert!(lent.links.iter().any(|link| is_link(&link)), "{id:?} is gone");
            assert!(!rest.iter().any(|other| other.link == Some(id)), "{id:?} is of two peers");
        }
    }
}
