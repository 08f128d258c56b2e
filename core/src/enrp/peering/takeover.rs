//! Takeover of a dead peer's elements, and handing over one's own. Read RFC 5353 §3.5 and
//! draft-dreibholz-rserpool-enrp-takeover before editing.
//!
//! Who may take over is settled by the peers that live. An acknowledgement that does not come in
//! time stops nobody: its sender is dead, too, or cannot be reached, and the elements need a home.

use core::time::Duration;

use crate::entropy::Entropy;
use crate::handlespace::Storage;
use crate::identifier::{PeId, RegistrarId};
use crate::time::Instant;
use crate::wire::enrp::{InitTakeover, TakeoverServer, UpdateAction};

use super::super::event::Event;
use super::super::registrar::Registrar;
use super::super::tables::Tables;
use super::table::{PeerState, owes};

/// How often elements that have not found another home are suggested to the next peer.
const HAND_OVER_ROUND: Duration = Duration::from_secs(1);

/// A registrar that stops, and waits until its elements have found other homes.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandOver {
    until: Instant,
    /// How many elements have not found another home.
    left: usize,
    next_at: Instant,
    round: u8,
    /// Some elements of this round have not been suggested yet, as the peers are still to be told
    /// of others.
    has_more: bool,
}

impl HandOver {
    /// When something is due.
    pub(super) fn deadline(&self) -> Instant {
        self.until.min(self.next_at)
    }
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// The peer is dead: what it owns needs a home.
    pub(super) fn on_peer_dead(&mut self, now: Instant, place: usize) {
        let target = self.tables.lend().peers[place].id;
        if target == RegistrarId::UNKNOWN || self.handlespace.count_of(target) == 0 {
            self.drop_peer(place);
            return;
        }
        let deadline = now + self.config.takeover_timeout;
        let peers = &mut self.tables.lend().peers;
        let mut missing = 0;
        for (other, peer) in peers.iter().enumerate() {
            if other != place && peer.is_alive() {
                missing |= 1 << other;
            }
        }
        let peer = &mut peers[place];
        (peer.state, peer.deadline, peer.acks_missing) = (PeerState::Claimed, deadline, missing);
        self.counters.takeovers_started += 1;
        self.tell(Event::TakeoverStarted { target });
        self.claim_before(RegistrarId::UNKNOWN, target);
        if missing == 0 {
            self.take_over(now, place);
        }
    }

    /// Tells one peer, or all, that we want the elements of `target`.
    fn claim_before(&mut self, receiver: RegistrarId, target: RegistrarId) {
        let message = InitTakeover::new(self.identifier, receiver, target);
        let mut bytes = [0; 16];
        if message.emit(&mut bytes).is_ok() {
            self.peering.changes.push(self.tables.lend().changes, receiver, &bytes);
        }
    }

    pub(super) fn on_init_takeover(&mut self, now: Instant, from: usize, target: RegistrarId) {
        if target == self.identifier {
            self.insist();
            return;
        }
        let sender = self.tables.lend().peers[from].id;
        let Some(place) = self.place_of(target) else {
            self.tables.lend().peers[from].ack_owed = target;
            return;
        };
        let has_priority = match self.config.lower_identifier_takes_over {
            true => self.identifier < sender,
            false => self.identifier > sender,
        };
        if self.tables.lend().peers[place].state == PeerState::Claimed && has_priority {
            // It may not have heard of our claim.
            self.claim_before(sender, target);
            return;
        }
        let patience = self.config.takeover_timeout + self.config.max_time_no_response;
        let peers = &mut self.tables.lend().peers;
        if from != place {
            let peer = &mut peers[place];
            (peer.state, peer.deadline) = (PeerState::Ceded, now + patience);
        }
        peers[from].acks_owed |= 1 << place;
    }

    pub(super) fn on_init_takeover_ack(&mut self, now: Instant, from: usize, target: RegistrarId) {
        let Some(place) = self.place_of(target) else { return };
        let peer = &mut self.tables.lend().peers[place];
        peer.acks_missing &= !(1 << from);
        if peer.state == PeerState::Claimed && peer.acks_missing == 0 {
            self.take_over(now, place);
        }
    }

    /// Becomes the home of all elements of a dead peer (RFC 5353 §3.5.2).
    pub(super) fn take_over(&mut self, now: Instant, place: usize) {
        let target = self.tables.lend().peers[place].id;
        let message = TakeoverServer::new(self.identifier, RegistrarId::UNKNOWN, target);
        let mut bytes = [0; 16];
        if message.emit(&mut bytes).is_ok() {
            let ring = self.tables.lend().changes;
            self.peering.changes.push(ring, RegistrarId::UNKNOWN, &bytes);
        }
        let mut elements = 0_u32;
        // Each round takes an element from the target.
        while let Some(index) = self.handlespace.first_owned_by(target) {
            if self.handlespace.set_owner(index, self.identifier).is_err() {
                self.forget_element(index);
                continue;
            }
            elements = elements.saturating_add(1);
            // Its home was dead for a while, and nobody could renew its registration.
            let life = self.handlespace.element(index).registration_life();
            self.note_end(now, index, life);
            self.start_adoption(now, index);
        }
        self.counters.takeovers += 1;
        self.drop_peer(place);
        self.tell(Event::TakenOver { target, elements });
    }

    pub(super) fn on_takeover_server(
        &mut self,
        now: Instant,
        sender: RegistrarId,
        target: RegistrarId,
    ) {
        if target == self.identifier || target == sender {
            self.insist();
            return;
        }
        let round = self.place_of(sender).map_or(0, |place| self.tables.lend().peers[place].round);
        // Each round takes an element from the target.
        while let Some(index) = self.handlespace.first_owned_by(target) {
            if self.handlespace.set_owner(index, sender).is_err() {
                self.forget_element(index);
                continue;
            }
            self.stop_adoption(index);
            self.handlespace.scratch_mut(index).round = round;
            let life = self.handlespace.element(index).registration_life();
            self.note_end(now, index, life);
            self.wait_for_end(index);
        }
        let Some(place) = self.place_of(target) else { return };
        let peer = &self.tables.lend().peers[place];
        if peer.state != PeerState::Active || peer.link.is_none() {
            self.drop_peer(place);
            return;
        }
        // It has been heard since anybody claimed it. If it lives, its audit and that of the
        // sender show who owns what.
        self.suspect(now, place);
        if let Some(place) = self.place_of(sender) {
            self.tables.lend().peers[place].owes |= owes::PRESENCE_QUESTION;
        }
    }

    /// Suggests to the peers that they become the homes of our elements, each to the one whose
    /// identifier fits best. Whether there is anything to wait for.
    pub(in super::super) fn begin_hand_over(&mut self) -> bool {
        let peers = self.tables.lend().peers.iter();
        let has_heirs = peers.filter(|peer| peer.is_alive()).any(|peer| peer.link.is_some());
        let left = self.handlespace.count_of(self.identifier);
        if !has_heirs || left == 0 {
            return false;
        }
        let mut next = self.handlespace.first_owned_by(self.identifier);
        // Each round passes an element of ours.
        while let Some(index) = next {
            next = self.handlespace.next_owned(index);
            self.handlespace.scratch_mut(index).round = 0;
        }
        let now = self.now();
        let (until, next_at) = (now + self.config.hand_over_patience, now + HAND_OVER_ROUND);
        // The round is also the mark of the elements that were suggested in it.
        self.peering.hand_over = Some(HandOver { until, left, next_at, round: 1, has_more: true });
        self.suggest_more();
        self.find_peer_deadline();
        true
    }

    /// Goes on with suggesting homes. Whether there was anything left to suggest.
    pub(super) fn suggest_more(&mut self) -> bool {
        let Some(round) =
            self.peering.hand_over.filter(|it| it.has_more).map(|hand_over| hand_over.round)
        else {
            return false;
        };
        let has_more = self.suggest_homes(round);
        if let Some(hand_over) = &mut self.peering.hand_over {
            hand_over.has_more = has_more;
        }
        true
    }

    /// Suggests a home for each element that we have still: to the peer that fits best, and in
    /// each further `round` to the next best, as a peer may not support suggestions. Stops before
    /// a peer would miss one; whether some are left.
    fn suggest_homes(&mut self, round: u8) -> bool {
        let mut next = self.handlespace.first_owned_by(self.identifier);
        // Each round passes an element of ours.
        while let Some(index) = next {
            next = self.handlespace.next_owned(index);
            let view = self.handlespace.element(index);
            let element = view.pe_id();
            if view.scratch().round == round {
                continue;
            }
            if !self.has_change_room() {
                return true;
            }
            let Some(peer) = self.heir_of(element, round.wrapping_sub(1)) else { return false };
            self.handlespace.scratch_mut(index).round = round;
            self.announce_to(index, UpdateAction::ADD, peer, true);
        }
        false
    }

    /// Whether all peers that can be told something will be told one change more.
    fn has_change_room(&mut self) -> bool {
        let lent = self.tables.lend();
        let linked = lent.peers.iter().filter(|peer| peer.link.is_some());
        let slowest = linked.map(|peer| peer.told).min();
        slowest.is_none_or(|told| self.peering.changes.has_room(lent.changes.len(), told))
    }

    /// The peer that fits an element best, or the next best, and so on around.
    fn heir_of(&mut self, element: PeId, round: u8) -> Option<RegistrarId> {
        let peers = &self.tables.lend().peers;
        let able = || {
            let able = peers.iter().filter(|peer| peer.is_alive() && peer.link.is_some());
            able.map(|peer| peer.id)
        };
        let fit = |id: &RegistrarId| id.0 ^ element.0;
        let mut heir = able().max_by_key(fit)?;
        for _ in 0..usize::from(round) % able().count() {
            let worse = able().filter(|id| fit(id) < fit(&heir));
            heir = worse.max_by_key(fit).unwrap_or(heir);
        }
        Some(heir)
    }

    /// Ends the hand-over when its time is up; before that, asks others for what is left.
    pub(super) fn on_hand_over_due(&mut self, now: Instant) {
        let Some(hand_over) = &mut self.peering.hand_over else { return };
        if hand_over.until <= now {
            self.end_hand_over();
        } else if hand_over.next_at <= now {
            hand_over.next_at = now + HAND_OVER_ROUND;
            // A round ends when all have been suggested.
            if !hand_over.has_more {
                hand_over.round = hand_over.round.wrapping_add(1);
                hand_over.has_more = true;
            }
            self.suggest_more();
        }
    }

    fn end_hand_over(&mut self) {
        self.peering.hand_over = None;
        self.shut_down_all();
    }

    /// Stops waiting when the last element has found another home, and waits on as long as one
    /// after the other does.
    pub(in super::super) fn end_hand_over_if_done(&mut self) {
        let left = self.handlespace.count_of(self.identifier);
        let until = self.now() + self.config.hand_over_patience;
        match &mut self.peering.hand_over {
            Some(_) if left == 0 => self.end_hand_over(),
            Some(hand_over) if left < hand_over.left => {
                (hand_over.left, hand_over.until) = (left, until);
                self.find_peer_deadline();
            }
            _ => {}
        }
    }
}
