//! The registrar among its peers: ENRP (RFC 5353).
//!
//! [`PeerSide`] is the registrar's other face, a machine of its own on the ENRP port, with the
//! same five methods. Both faces share one handlespace. Without
//! [`start_peering`](Registrar::start_peering) a registrar is alone in its scope.
//!
//! ```text
//!            named in a list            heard            silent for MAX-TIME-LAST-HEARD
//!   Free --------------------> Unheard -------> Active -------------------------------> Suspect
//!                                                 ^  ^            heard                    |
//!                                                 |  +-------------------------------------+
//!                                                 | heard            MAX-TIME-NO-RESPONSE, |
//!                                                 |                  or it cannot be reached
//!      Unheard for both times together: as Suspect at its end
//!      Free <--- nothing to take over ------------+----------------------------------------+
//!      Free <--- all acknowledged, or time is up ---- Claimed <----- it owns elements -----+
//!      Free <--- Takeover Server ---- Ceded <--- another registrar claims it ---- any
//! ```

mod adoption;
mod changes;
mod download;
mod learn;
mod links;
mod output;
mod presence;
mod suggestion;
mod table;
mod takeover;
#[cfg(test)]
mod tests;

use core::net::SocketAddr;

use heapless::Vec;

use crate::association::{AssociationId, Endpoint, Input, Ppid, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::{ElementIndex, Storage};
use crate::identifier::RegistrarId;
use crate::machine::Machine;
use crate::time::Instant;
use crate::wire::enrp::{EnrpMessage, HandleUpdate, UpdateAction};
use crate::wire::{Cause, ParseError};

use super::event::{Event, InputError, Limit};
use super::registrar::Registrar;
use super::tables::{AssociationState, Tables};

use changes::{Changes, RECORD_LEN_MAX};
use takeover::HandOver;

pub use table::{AdoptionSlot, LinkSlot, PEERS_MAX, PeerSlot};

/// The type of an ENRP Error (RFC 5353 §2.10).
const ERROR_MESSAGE_TYPE: u8 = 0x0a;

/// Associations beyond the table that the driver is still to abort.
const REFUSED_MAX: usize = 8;

/// What a registrar keeps of its peers beside the tables.
#[derive(Debug)]
pub(super) struct Peering {
    is_on: bool,
    /// When something is due among peers.
    pub(super) deadline: Option<Instant>,
    own: Endpoint,
    changes: Changes,
    next_connect: u32,
    heartbeat_at: Instant,
    is_multicast_owed: bool,
    join: Join,
    /// Whose turn it is to be told something.
    turn: usize,
    refused: Vec<AssociationId, REFUSED_MAX>,
    /// Elements are handed over before the registrar stops.
    hand_over: Option<HandOver>,
}

/// Where the registrar stands on its way into the scope (RFC 5353 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    /// It is in.
    Done,
    /// It looks for a mentor.
    Seeking { until: Instant },
    /// The peer in this place is to give it its tables.
    Mentored { until: Instant, mentor: usize },
}

impl Peering {
    pub(super) const NEW: Self = Self {
        is_on: false,
        deadline: None,
        own: Endpoint { addresses: Vec::new(), port: 0, udp_port: None },
        changes: Changes::NEW,
        next_connect: 0,
        heartbeat_at: Instant::ZERO,
        is_multicast_owed: false,
        join: Join::Done,
        turn: 0,
        refused: Vec::new(),
        hand_over: None,
    };
}

/// The face that a registrar shows to its peers; see [`Registrar::peers`].
#[derive(Debug)]
pub struct PeerSide<'r, S, T, E>(&'r mut Registrar<S, T, E>);

/// A peer, as its registrar knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PeerView {
    /// Its identifier; unknown until a configured peer has been heard.
    pub identifier: RegistrarId,
    /// Whether it has been heard lately.
    pub is_alive: bool,
    /// Whether there is an association with it.
    pub is_connected: bool,
}

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// Enters the scope of `peers` from now on, and tells all that it is reached at `own`: its
    /// addresses and ENRP port. Peers that are not named may come by themselves.
    ///
    /// # Errors
    ///
    /// If there is no room for all of them; those that found room are kept.
    pub fn start_peering(
        &mut self,
        now: Instant,
        own: Endpoint,
        peers: &[Endpoint],
    ) -> Result<(), InputError> {
        let now = self.advance(now);
        self.peering.is_on = true;
        self.peering.own = own;
        self.peering.heartbeat_at = now;
        self.peering.join = match peers {
            // RFC 5353 §3.2.2.1: without any it is alone.
            [] => Join::Done,
            _ => Join::Seeking { until: now + self.config.mentor_timeout },
        };
        for peer in peers {
            self.name_peer(now, RegistrarId::UNKNOWN, &peer.addresses, peer.port, true)
                .map(|place| self.tables.lend().peers[place].udp_port = peer.udp_port)
                .ok_or(InputError::Limited(Limit::Peers))?;
        }
        self.find_peer_deadline();
        Ok(())
    }

    /// Looks for a mentor for a while even without configured peers, as presences come by
    /// multicast.
    pub fn seek_mentor(&mut self, now: Instant) {
        let until = self.advance(now) + self.config.mentor_timeout;
        self.peering.join = Join::Seeking { until };
        self.find_peer_deadline();
    }

    /// Takes a presence that came by multicast from `source`.
    ///
    /// # Errors
    ///
    /// If it is no presence with a way to reach its sender, or if there is no room for the peer.
    pub fn handle_presence(
        &mut self,
        now: Instant,
        source: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), InputError> {
        let now = self.advance(now);
        let presence = match EnrpMessage::parse(bytes) {
            Ok(EnrpMessage::Presence(presence)) => presence,
            Ok(_) => return Err(InputError::Unexpected),
            Err(_) => return Err(InputError::Malformed),
        };
        // Our own come back to us.
        if presence.sender == self.identifier || !self.peering.is_on {
            return Ok(());
        }
        let result = self.on_multicast_presence(now, source, &presence);
        self.find_peer_deadline();
        result
    }

    /// Its face towards peers, which speaks ENRP on the ENRP port.
    #[must_use]
    pub fn peers(&mut self) -> PeerSide<'_, S, T, E> {
        PeerSide(self)
    }

    /// Shows all peers.
    pub fn for_each_peer(&mut self, mut each: impl FnMut(PeerView)) {
        for slot in self.tables.lend().peers.iter().filter(|slot| slot.is_used()) {
            each(PeerView {
                identifier: slot.id,
                is_alive: slot.is_alive(),
                is_connected: slot.link.is_some(),
            });
        }
    }

    /// Whether it is done with entering the scope: its tables are those of its mentor.
    #[must_use]
    pub const fn has_joined(&self) -> bool {
        matches!(self.peering.join, Join::Done)
    }

    /// Tells all peers what has become of an element of ours.
    pub(super) fn announce(&mut self, index: ElementIndex, action: UpdateAction) {
        self.announce_to(index, action, RegistrarId::UNKNOWN, false);
    }

    pub(super) fn announce_to(
        &mut self,
        index: ElementIndex,
        action: UpdateAction,
        receiver: RegistrarId,
        takeover_suggested: bool,
    ) {
        if !self.peering.is_on {
            return;
        }
        let view = self.handlespace.element(index);
        let element = view.to_wire(true);
        // RFC 5353 §3.3: what is for all names no receiver.
        let update = HandleUpdate::new(self.identifier, receiver, action, view.pool(), element);
        let update = HandleUpdate { takeover_suggested, ..update };
        let mut message = [0; RECORD_LEN_MAX];
        let emitted = update.emit(&mut message);
        let ring = self.tables.lend().changes;
        let is_told =
            emitted.is_ok_and(|len| self.peering.changes.push(ring, receiver, &message[..len]));
        if !is_told {
            // The audit brings it to them.
            self.counters.unsendable += 1;
        }
    }

    /// Looks when the next thing is due among peers.
    pub(super) fn find_peer_deadline(&mut self) {
        self.peering.deadline = if self.peering.is_on { self.next_peer_deadline() } else { None };
    }

    fn next_peer_deadline(&mut self) -> Option<Instant> {
        let mut next = Some(self.peering.heartbeat_at);
        let hand_over = self.peering.hand_over.as_ref();
        next = Instant::earliest(next, hand_over.map(HandOver::deadline));
        if let Join::Seeking { until } | Join::Mentored { until, .. } = self.peering.join {
            next = Instant::earliest(next, Some(until));
        }
        let may_connect = self.is_running();
        let lent = self.tables.lend();
        for peer in lent.peers.iter().filter(|peer| peer.is_used()) {
            next = Instant::earliest(next, peer.next_deadline(may_connect));
        }
        for link in lent.links.iter().filter(|link| link.state == AssociationState::Up) {
            next = Instant::earliest(next, Some(link.deadline));
        }
        next
    }

    fn on_peer_message(
        &mut self,
        now: Instant,
        id: AssociationId,
        ppid: Ppid,
        data: &[u8],
    ) -> Result<(), InputError> {
        match self.link(id) {
            Some(link) if link.state == AssociationState::Up => {}
            _ => return Err(InputError::UnknownAssociation),
        }
        if ppid != Ppid::ENRP {
            self.counters.unexpected += 1;
            // As at the port of ASAP.
            if ppid == Ppid::ASAP {
                self.end_link(id, AssociationState::AbortOwed);
            }
            return Err(InputError::WrongPpid);
        }
        let message = match EnrpMessage::parse(data) {
            Ok(message) => message,
            Err(error) => return Err(self.on_malformed_from_peer(now, id, data, error)),
        };
        let Some((sender, _)) = message.ids() else {
            self.counters.unexpected += 1;
            if let EnrpMessage::Unknown(unknown) = message
                && let Some(error) = unknown.operation_error()
            {
                self.owe_error(now, id, error.cause(), unknown.bytes);
            }
            return Err(InputError::Unexpected);
        };
        if let EnrpMessage::Error(_) = message {
            // RSPLIB swaps the identifiers of errors: they say nothing about who lives.
            self.counters.errors_received += 1;
            return Ok(());
        }
        if sender == self.identifier || sender == RegistrarId::UNKNOWN {
            self.counters.unexpected += 1;
            return Err(InputError::Unexpected);
        }
        let heard = self.heard_on(now, id, sender);
        if let EnrpMessage::Presence(presence) = &message
            && heard == Err(InputError::TakenIdentifier)
            && let Some(link) = self.link(id)
        {
            // A peer that does not know that it has reached us before hears who we are.
            link.owes_presence |= presence.reply_required;
        }
        let place = heard?;
        if let Some(parameter) = message.unrecognized().next() {
            self.owe_error(now, id, Cause::UNRECOGNIZED_PARAMETER, parameter);
        }
        self.on_enrp(now, place, message)
    }

    fn on_enrp(
        &mut self,
        now: Instant,
        place: usize,
        message: EnrpMessage<'_>,
    ) -> Result<(), InputError> {
        match message {
            EnrpMessage::Presence(presence) => self.on_presence(now, place, &presence),
            EnrpMessage::ListRequest(_) => self.on_list_request(place),
            EnrpMessage::ListResponse(list) => self.on_list_response(now, place, &list),
            EnrpMessage::HandleTableRequest(request) => {
                self.on_table_request(now, place, request.own_only);
            }
            EnrpMessage::HandleTableResponse(table) => self.on_table(now, place, &table),
            EnrpMessage::HandleUpdate(update) => self.on_update(now, &update),
            EnrpMessage::InitTakeover(message) => {
                self.on_init_takeover(now, place, message.target);
            }
            EnrpMessage::InitTakeoverAck(message) => {
                self.on_init_takeover_ack(now, place, message.target);
            }
            EnrpMessage::TakeoverServer(message) => {
                self.on_takeover_server(now, message.sender, message.target);
            }
            EnrpMessage::Error(_) | EnrpMessage::Unknown(_) => {}
        }
        Ok(())
    }

    fn on_malformed_from_peer(
        &mut self,
        now: Instant,
        id: AssociationId,
        data: &[u8],
        error: ParseError<'_>,
    ) -> InputError {
        self.counters.malformed += 1;
        let is_error = data.first() == Some(&ERROR_MESSAGE_TYPE);
        if let Some(cause) = error.cause().filter(|_| !is_error) {
            self.owe_error(now, id, cause, error.bytes);
        }
        InputError::Malformed
    }

    /// Errors do not queue: of several at a time the first is sent, unless the association has had
    /// too many.
    fn owe_error(&mut self, now: Instant, id: AssociationId, cause: Cause, data: &[u8]) {
        let limit = self.config.error_rate;
        let Some(link) = self.link(id).filter(|link| link.error.is_none()) else { return };
        if !link.errors.admit(now, limit) {
            self.limited(id, Limit::ErrorRate);
            return;
        }
        link.error = Some(cause);
        link.data_len = 0;
        if let Some(place) = link.data.get_mut(..data.len()) {
            place.copy_from_slice(data);
            link.data_len = data.len() as u16;
        }
    }

    /// Does what is due among peers.
    pub(super) fn on_peer_deadlines(&mut self, now: Instant) {
        if !self.peering.is_on {
            return;
        }
        self.on_join_deadline(now);
        if self.peering.heartbeat_at <= now {
            self.on_heartbeat(now);
        }
        for place in 0..self.tables.lend().peers.len() {
            self.on_peer_deadline(now, place);
        }
        for place in 0..self.tables.lend().links.len() {
            self.on_link_deadline(now, place);
        }
        self.on_hand_over_due(now);
        self.find_peer_deadline();
    }
}

impl<S: Storage, T: Tables, E: Entropy> Machine for PeerSide<'_, S, T, E> {
    type Input<'a> = Input<'a>;
    type Transmit = Transmit;
    type Event = Event;
    type Error = InputError;

    fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), InputError> {
        let now = self.0.advance(now);
        let result = match input {
            Input::Up { association, connect, peer_addresses, peer_port } => {
                self.0.on_link_up(now, association, connect, peer_addresses, peer_port)
            }
            // RFC 5353 §2: registrars speak SCTP with each other.
            Input::UserUp { .. } => Err(InputError::Unexpected),
            Input::Message { association, ppid, data, .. } => {
                self.0.on_peer_message(now, association, ppid, data)
            }
            Input::Restarted { association } => self.0.on_link_restarted(association),
            Input::Down { association, .. } => self.0.on_link_down(now, association),
            Input::ConnectFailed { connect } => self.0.on_peer_connect_failed(now, connect),
            Input::RoundTrip { association, micros } => {
                self.0.on_round_trip_to_peer(association, micros)
            }
        };
        self.0.end_hand_over_if_done();
        self.0.find_peer_deadline();
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let now = self.0.advance(now);
        let transmit = self.0.next_to_peers(now, buf);
        self.0.find_peer_deadline();
        transmit
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.0.poll_event()
    }
}
