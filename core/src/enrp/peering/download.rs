//! Handle tables: giving and taking them. Read RFC 5353 §3.2.3 and §3.6.3 before editing.

use core::time::Duration;

use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, Storage};
use crate::identifier::RegistrarId;
use crate::time::Instant;
use crate::wire::enrp::HandleTableResponse;

use super::super::event::Event;
use super::super::keep_alive::flag;
use super::super::registrar::Registrar;
use super::super::tables::Tables;
use super::Join;
use super::learn::Source;
use super::table::{PeerSlot, PeerState, Sync, owes};

/// What is due among peers comes after what is due of elements.
const DOUBT_MIN: Duration = Duration::from_secs(1);

impl PeerSlot {
    /// Waits no longer for the table of the peer, which may go on where it is when it is asked the
    /// next time.
    pub(super) fn break_off(&mut self) {
        self.sync = Sync::Idle;
        self.is_broken_off = true;
    }
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// Asks a peer for a table.
    pub(super) fn start_sync(&mut self, now: Instant, place: usize, sync: Sync) {
        let sync_deadline = now + self.config.max_time_no_response;
        let peer = &mut self.tables.lend().peers[place];
        (peer.sync, peer.sync_deadline) = (sync, sync_deadline);
        peer.round = peer.round.wrapping_add(1);
        peer.owes |= owes::TABLE_REQUEST;
    }

    /// Asks the home of an element whose registration seems to have ended for its table, where the
    /// element is still named if it was renewed: a renewal is lost if too many changes come at a
    /// time, and no checksum shows it. If the home seems to be dead, waits until that is settled.
    /// Whether the element may be renewed.
    pub(in super::super) fn asks_home(&mut self, now: Instant, index: ElementIndex) -> bool {
        let view = self.handlespace.element(index);
        let (home, is_doubted) = (view.home(), view.scratch().flags & flag::DOUBTED != 0);
        let Some(place) = self.place_of(home) else { return false };
        let peer = self.tables.lend().peers[place];
        let patience = match (peer.state, peer.link) {
            // As long as pieces of its table come, the element may be in the next.
            (PeerState::Active, _) if is_doubted => {
                let left = peer.sync_deadline.saturating_duration_since(now);
                Some(left).filter(|left| peer.sync != Sync::Idle && !left.is_zero())
            }
            (PeerState::Active | PeerState::Suspect, Some(_)) if !is_doubted => {
                if peer.sync == Sync::Idle {
                    self.start_sync(now, place, Sync::Own);
                    self.find_peer_deadline();
                }
                Some(self.config.max_time_no_response)
            }
            // Who takes the element over will renew its registration.
            _ => {
                let left = peer.deadline.saturating_duration_since(now);
                Some(left.max(DOUBT_MIN)).filter(|_| peer.deadline >= now)
            }
        };
        if let Some(patience) = patience {
            self.doubt(now, index, patience);
        }
        patience.is_some()
    }

    /// A peer wants a table, or the next piece of it.
    pub(super) fn on_table_request(&mut self, now: Instant, place: usize, own_only: bool) {
        let patience = self.config.max_time_no_response;
        let is_in = self.peering.join == Join::Done;
        let peer = &mut self.tables.lend().peers[place];
        if !is_in {
            peer.owes |= owes::TABLE_REFUSAL;
            return;
        }
        if peer.wants_own != own_only {
            peer.cursor = None;
        }
        peer.wants_own = own_only;
        peer.cursor_deadline = now + patience;
        peer.owes |= owes::TABLE;
    }

    /// A table, or a piece of it.
    pub(super) fn on_table(
        &mut self,
        now: Instant,
        place: usize,
        table: &HandleTableResponse<'_>,
    ) {
        let peer = &mut self.tables.lend().peers[place];
        let sync = peer.sync;
        if matches!(sync, Sync::Idle | Sync::List) {
            peer.is_broken_off |= table.more;
            self.counters.unexpected += 1;
            return;
        }
        if table.rejected {
            match sync {
                Sync::All => self.on_refused_by_mentor(now, place),
                _ => self.tables.lend().peers[place].sync = Sync::Idle,
            }
            return;
        }
        let source = if sync == Sync::All { Source::Mentor } else { Source::Table };
        for (pool, element) in table.entries {
            // A whole table that was asked for before may come late, when the homes of others in
            // it are gone, and nobody would ever tell that their elements are.
            let is_its_own = [RegistrarId::UNKNOWN, table.sender].contains(&element.home);
            if source == Source::Table && !is_its_own {
                continue;
            }
            self.learn(now, table.sender, pool, element, source);
        }
        let sync_deadline = now + self.config.max_time_no_response;
        if table.more {
            let peer = &mut self.tables.lend().peers[place];
            peer.sync_deadline = sync_deadline;
            peer.owes |= owes::TABLE_REQUEST;
            self.encourage_mentor(now, place);
            return;
        }
        let peer = &mut self.tables.lend().peers[place];
        peer.sync = Sync::Idle;
        if core::mem::take(&mut peer.is_broken_off) && sync == Sync::Own {
            // What it named before the break is missing in this round.
            self.start_sync(now, place, Sync::Own);
            return;
        }
        match sync {
            Sync::All => self.joined(),
            _ => self.forget_unnamed(now, place),
        }
        self.tell(Event::Synchronized { peer: table.sender });
    }

    /// Removes the peer's elements that it did not name. It may have lost them to another, which
    /// we have not believed as long as it was their home: the checksums of the others will tell.
    fn forget_unnamed(&mut self, now: Instant, place: usize) {
        let peer = self.tables.lend().peers[place];
        let mut next = self.handlespace.first_owned_by(peer.id);
        let mut is_any = false;
        // Each round passes an element of the peer.
        while let Some(index) = next {
            next = self.handlespace.next_owned(index);
            if self.handlespace.element(index).scratch().round != peer.round {
                self.on_let_go(now, index);
                is_any = true;
            }
        }
        let others = self.tables.lend().peers.iter_mut().enumerate();
        for (_, other) in others.filter(|(other, _)| is_any && *other != place) {
            if other.is_alive() {
                other.owes |= owes::PRESENCE_QUESTION;
            }
        }
    }
}
