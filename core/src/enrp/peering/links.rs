//! Associations with peers: how they come, end, and are tied to whoever speaks on them. Read
//! RFC 5353 §3.4 before editing.

use core::net::IpAddr;
use core::time::Duration;

use crate::association::{AssociationId, ConnectId};
use crate::entropy::Entropy;
use crate::handlespace::Storage;
use crate::identifier::RegistrarId;
use crate::time::Instant;

use super::super::event::{InputError, Limit};
use super::super::registrar::Registrar;
use super::super::tables::{AssociationState, Tables};
use super::table::{LinkSlot, PeerSlot, PeerState, Sync, owes};

/// How soon after an attempt, or after it has failed, the next one follows.
pub(super) const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    pub(in super::super) fn link(&mut self, id: AssociationId) -> Option<&mut LinkSlot> {
        let links = self.tables.lend().links.iter_mut();
        links.filter(|link| link.state != AssociationState::Free).find(|link| link.id == id)
    }

    /// Decides to end an association with a peer.
    pub(super) fn end_link(&mut self, id: AssociationId, how: AssociationState) {
        if let Some(link) = self.link(id)
            && link.state == AssociationState::Up
        {
            link.state = how;
        }
        self.untie(id);
    }

    /// The peer that an association was with has none.
    pub(super) fn untie(&mut self, id: AssociationId) {
        let peers = self.tables.lend().peers.iter_mut();
        for peer in peers.filter(|peer| peer.link == Some(id)) {
            peer.link = None;
            peer.owes = 0;
            peer.cursor = None;
        }
    }

    /// Ends all associations with peers, as the registrar stops.
    pub(in super::super) fn end_links(&mut self) {
        for link in self.tables.lend().links.iter_mut() {
            if link.state == AssociationState::Up {
                link.state = AssociationState::ShutdownOwed;
            }
        }
        self.peering.is_on = false;
        self.find_peer_deadline();
    }

    /// Whether an association with a peer is left.
    pub(in super::super) fn has_links(&mut self) -> bool {
        self.tables.lend().links.iter().any(|link| link.state != AssociationState::Free)
    }

    pub(super) fn on_link_up(
        &mut self,
        now: Instant,
        id: AssociationId,
        connect: Option<ConnectId>,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<(), InputError> {
        if !self.peering.is_on || !self.is_running() {
            let _ = self.peering.refused.push(id);
            return Err(InputError::Stopped);
        }
        if self.link(id).is_some() {
            return Err(InputError::KnownAssociation);
        }
        let patience = self.config.max_time_last_heard;
        let links = &mut self.tables.lend().links;
        let Some(link) = links.iter_mut().find(|link| link.state == AssociationState::Free) else {
            let _ = self.peering.refused.push(id);
            self.try_to_reach_later(now, connect);
            return Err(self.limited(id, Limit::Peers));
        };
        let is_ours = connect.is_some();
        *link = LinkSlot { state: AssociationState::Up, id, is_ours, port, ..LinkSlot::FREE };
        link.deadline = now + patience;
        for (place, address) in link.addresses.iter_mut().zip(addresses) {
            *place = address.to_canonical();
            link.address_count += 1;
        }
        let peers = &mut self.tables.lend().peers;
        let is_meant = |peer: &PeerSlot| match connect {
            Some(_) => peer.connect == connect,
            None => peer.link.is_none() && peer.is_at(addresses, port),
        };
        if let Some(place) = peers.iter().position(|peer| peer.is_used() && is_meant(peer)) {
            self.tie(place, id);
        }
        Ok(())
    }

    /// There was no room for an association that we wanted; there may be later.
    fn try_to_reach_later(&mut self, now: Instant, connect: Option<ConnectId>) {
        let peers = self.tables.lend().peers.iter_mut();
        for peer in peers.filter(|peer| connect.is_some() && peer.connect == connect) {
            (peer.connect, peer.connect_at) = (None, now + RECONNECT_INTERVAL);
        }
    }

    /// Speaks with a peer on an association from now on.
    pub(super) fn tie(&mut self, place: usize, id: AssociationId) {
        let end = self.peering.changes.end();
        let peer = &mut self.tables.lend().peers[place];
        (peer.link, peer.connect, peer.told) = (Some(id), None, end);
        peer.is_stale = true;
        // Its download from here begins anew, and so does ours from it.
        peer.cursor = None;
        peer.owes |= match peer.state {
            PeerState::Active => owes::PRESENCE,
            _ => owes::PRESENCE_QUESTION,
        };
        peer.owes |= match peer.sync {
            Sync::Idle => 0,
            Sync::List => owes::LIST_REQUEST,
            Sync::All | Sync::Own => owes::TABLE_REQUEST,
        };
    }

    /// Its association, if that is up.
    pub(super) fn first_link_of(&mut self, place: usize) -> Option<AssociationId> {
        let first = self.tables.lend().peers[place].link?;
        self.link(first).is_some_and(|it| it.state == AssociationState::Up).then_some(first)
    }

    /// If two registrars reach each other at the same time, both keep the association that the
    /// one with the smaller identifier began. Whether that is `second`, one that we wanted.
    pub(super) fn replaces_first(
        &mut self,
        first: AssociationId,
        second: AssociationId,
        peer: RegistrarId,
    ) -> bool {
        let is_ours = |link: Option<&mut LinkSlot>| link.is_some_and(|link| link.is_ours);
        self.identifier < peer && is_ours(self.link(second)) && !is_ours(self.link(first))
    }

    /// Somebody speaks for a peer that has an association with us: the peer after a restart at
    /// another address, or after both have begun one, or an impostor. It is not heard before the
    /// first association is down, on which whoever lives answers.
    pub(super) fn on_second_link(
        &mut self,
        now: Instant,
        place: usize,
        second: AssociationId,
    ) -> InputError {
        self.counters.unexpected += 1;
        let peer = self.tables.lend().peers[place].id;
        let is_ours_kept = self.identifier < peer;
        if let Some(link) = self.link(second) {
            link.claimed = peer;
            if link.is_ours != is_ours_kept {
                // What it is answered still reaches it.
                self.end_link(second, AssociationState::ShutdownOwed);
            }
        }
        self.suspect(now, place);
        InputError::TakenIdentifier
    }

    /// The association on which somebody speaks for `peer`, and for nobody else.
    fn second_link_of(&mut self, peer: RegistrarId) -> Option<AssociationId> {
        let lent = self.tables.lend();
        let is_waiting = |link: &&LinkSlot| {
            let is_up = link.state == AssociationState::Up;
            let mut tied = lent.peers.iter().filter_map(|peer| peer.link);
            is_up && link.claimed == peer && tied.all(|id| id != link.id)
        };
        let second =
            lent.links.iter().find(is_waiting).filter(|it| it.claimed != RegistrarId::UNKNOWN);
        second.map(|link| link.id)
    }

    /// Speaks with a peer on the association on which somebody has spoken for it, if there is one.
    fn ties_second(&mut self, place: usize) -> bool {
        let peer = self.tables.lend().peers[place].id;
        let Some(second) = self.second_link_of(peer) else { return false };
        self.tie(place, second);
        // What it was asked on the first association it may not have read.
        self.tables.lend().peers[place].owes |= owes::PRESENCE_QUESTION | owes::LIST_REQUEST;
        true
    }

    /// A peer is silent on its association. If somebody speaks for it on another one, whoever that
    /// is is asked before it is taken for dead.
    pub(super) fn asks_second(&mut self, now: Instant, place: usize) -> bool {
        let deadline = now + self.config.max_time_no_response;
        let first = self.tables.lend().peers[place].link;
        if !self.ties_second(place) {
            return false;
        }
        if let Some(first) = first {
            self.end_link(first, AssociationState::AbortOwed);
        }
        self.tables.lend().peers[place].deadline = deadline;
        true
    }

    pub(super) fn on_link_down(
        &mut self,
        now: Instant,
        id: AssociationId,
    ) -> Result<(), InputError> {
        let link = self.link(id).ok_or(InputError::UnknownAssociation)?;
        *link = LinkSlot::FREE;
        let lost = self.tables.lend().peers.iter().position(|peer| peer.link == Some(id));
        self.untie(id);
        if let Some(place) = lost {
            self.suspect(now, place);
            self.ties_second(place);
        }
        self.stopped_if_alone();
        Ok(())
    }

    pub(super) fn on_link_restarted(&mut self, id: AssociationId) -> Result<(), InputError> {
        // Whoever it claimed to be was before it started anew.
        self.link(id).ok_or(InputError::UnknownAssociation)?.claimed = RegistrarId::UNKNOWN;
        let peers = &self.tables.lend().peers;
        let place = peers.iter().position(|peer| peer.link == Some(id));
        self.untie(id);
        if let Some(place) = place {
            self.tie(place, id);
            self.tables.lend().peers[place].owes |= owes::PRESENCE_QUESTION;
        }
        Ok(())
    }

    pub(super) fn on_peer_connect_failed(
        &mut self,
        now: Instant,
        connect: ConnectId,
    ) -> Result<(), InputError> {
        let peers = &mut self.tables.lend().peers;
        let place = peers.iter().position(|peer| peer.connect == Some(connect));
        let place = place.ok_or(InputError::Unexpected)?;
        let peer = &mut peers[place];
        (peer.connect, peer.connect_at) = (None, now + RECONNECT_INTERVAL);
        // RFC 5353 §3.4.3: if the send fails, the peer is dead.
        if peer.state == PeerState::Suspect {
            self.on_peer_dead(now, place);
        }
        Ok(())
    }

    /// Whoever has an association and does not say who it is loses it.
    pub(super) fn on_link_deadline(&mut self, now: Instant, place: usize) {
        let patience = self.config.max_time_last_heard;
        let lent = self.tables.lend();
        let link = &mut lent.links[place];
        if link.state != AssociationState::Up || link.deadline > now {
            return;
        }
        if lent.peers.iter().any(|peer| peer.link == Some(link.id)) {
            link.deadline = now + patience;
        } else {
            link.state = AssociationState::AbortOwed;
        }
    }
}
