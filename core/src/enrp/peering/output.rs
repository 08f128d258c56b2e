//! What peers are told, computed when it is pulled. A peer hears of all changes before the
//! presence whose checksum covers them.

use crate::association::{AssociationId, Channel, ConnectId, Ppid, StreamId, Transmit};
use crate::entropy::Entropy;
use crate::handlespace::{Cursor, Storage};
use crate::identifier::RegistrarId;
use crate::time::Instant;
use crate::wire::enrp::{
    Error, HandleTableRequest, HandleTableResponse, HandleTableResponseBuilder, InitTakeoverAck,
    ListRequest, ListResponse, ListResponseBuilder, Presence,
};
use crate::wire::{
    EmitError, OperationError, PeChecksum, Protocol, ServerInformation, TransportBuf, TransportUse,
};

use super::super::registrar::Registrar;
use super::super::tables::{AssociationState, Tables};
use super::links::RECONNECT_INTERVAL;
use super::table::{PeerSlot, Sync, owes};

/// An SCTP transport with as many addresses as are kept of an endpoint.
const TRANSPORT_LEN_MAX: usize = 8 + 20 * crate::association::ADDRESSES_MAX;

/// The order in which a peer is told what it is owed.
const ORDER: [u16; 8] = [
    owes::PRESENCE_QUESTION,
    owes::LIST_REQUEST,
    owes::TABLE_REQUEST,
    owes::PRESENCE,
    owes::LIST,
    owes::LIST_REFUSAL,
    owes::TABLE,
    owes::TABLE_REFUSAL,
];

impl<S: Storage, T: Tables, E: Entropy> Registrar<S, T, E> {
    /// The next thing to send from the ENRP port.
    pub(super) fn next_to_peers(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        if let Some(association) = self.peering.refused.pop() {
            return Some(Transmit::Abort { association });
        }
        if let Some(transmit) = self.next_link_business(buf) {
            return Some(transmit);
        }
        if let Some(transmit) = self.next_to_any(now, buf) {
            return Some(transmit);
        }
        if self.suggest_more()
            && let Some(transmit) = self.next_to_any(now, buf)
        {
            return Some(transmit);
        }
        if core::mem::take(&mut self.peering.is_multicast_owed)
            && let Ok(len) = self.emit_presence(false, RegistrarId::UNKNOWN, buf)
        {
            return Some(Transmit::Multicast { channel: Channel::Enrp, len });
        }
        None
    }

    /// What the next peer is to be told, each in its turn.
    fn next_to_any(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let count = self.tables.lend().peers.len();
        for step in 0..count {
            let place = (self.peering.turn + step) % count;
            if let Some(transmit) = self.next_to(now, place, buf) {
                self.peering.turn = place;
                return Some(transmit);
            }
        }
        None
    }

    /// Errors, presences on second associations, and ends of associations.
    fn next_link_business(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        for place in 0..self.tables.lend().links.len() {
            let link = &mut self.tables.lend().links[place];
            let association = link.id;
            if core::mem::take(&mut link.owes_presence)
                && let Ok(len) = self.emit_presence(false, RegistrarId::UNKNOWN, buf)
            {
                return Some(message(association, len));
            }
            let link = &mut self.tables.lend().links[place];
            match link.state {
                AssociationState::AbortOwed => {
                    link.state = AssociationState::Closing;
                    return Some(Transmit::Abort { association });
                }
                AssociationState::ShutdownOwed => {
                    link.state = AssociationState::Closing;
                    return Some(Transmit::Shutdown { association });
                }
                AssociationState::Up => {}
                AssociationState::Free | AssociationState::Closing => continue,
            }
            let Some(cause) = link.error.take() else { continue };
            let link = *link;
            let error = OperationError::new(cause, link.data());
            let error = Error::new(self.identifier, RegistrarId::UNKNOWN, error);
            if let Ok(len) = error.emit(buf) {
                self.counters.errors_sent += 1;
                return Some(message(association, len));
            }
        }
        None
    }

    fn next_to(&mut self, now: Instant, place: usize, buf: &mut [u8]) -> Option<Transmit> {
        let peer = self.tables.lend().peers[place];
        if !peer.is_used() {
            return None;
        }
        let Some(link) = peer.link else {
            return self.next_connect(now, place);
        };
        if let Some(len) = self.next_change(place, buf) {
            return Some(message(link, len));
        }
        // Each round pays a debt.
        while let Some(debt) = self.next_debt(place) {
            match self.emit_debt(place, debt, buf) {
                Ok(len) => return Some(message(link, len)),
                Err(_) => self.counters.unsendable += 1,
            }
        }
        None
    }

    fn next_connect(&mut self, now: Instant, place: usize) -> Option<Transmit> {
        let is_running = self.is_running();
        let connect = ConnectId(self.peering.next_connect);
        let peer = &mut self.tables.lend().peers[place];
        if !peer.is_to_be_connected() || peer.connect_at > now || !is_running {
            return None;
        }
        // Whoever ends each association at once is not asked for the next one at once.
        (peer.connect, peer.connect_at) = (Some(connect), now + RECONNECT_INTERVAL);
        let endpoint = peer.endpoint();
        self.peering.next_connect = connect.0.wrapping_add(1);
        Some(Transmit::Connect { connect, endpoint })
    }

    fn next_change(&mut self, place: usize, buf: &mut [u8]) -> Option<usize> {
        let lent = self.tables.lend();
        let peer = &mut lent.peers[place];
        match self.peering.changes.next(lent.changes, &mut peer.told, peer.id, buf) {
            Ok(len) => len,
            Err(_) => {
                // Its audit brings it what it missed.
                peer.owes |= owes::PRESENCE;
                self.counters.peers_lapped += 1;
                None
            }
        }
    }

    /// Takes one thing off what a peer is owed.
    fn next_debt(&mut self, place: usize) -> Option<u16> {
        let peer = &mut self.tables.lend().peers[place];
        if peer.acks_owed != 0 || peer.ack_owed != RegistrarId::UNKNOWN {
            return Some(0);
        }
        let debt = ORDER.into_iter().find(|debt| peer.owes & debt != 0)?;
        peer.owes &= !debt;
        Some(debt)
    }

    fn emit_debt(&mut self, place: usize, debt: u16, buf: &mut [u8]) -> Result<usize, EmitError> {
        let (us, peer) = (self.identifier, self.tables.lend().peers[place]);
        match debt {
            // RFC 5353 §2.1: it may be a heartbeat, which is for all.
            owes::PRESENCE => self.emit_presence(false, RegistrarId::UNKNOWN, buf),
            owes::PRESENCE_QUESTION => self.emit_presence(true, peer.id, buf),
            owes::LIST_REQUEST => ListRequest::new(us, peer.id).emit(buf),
            owes::TABLE_REQUEST => {
                HandleTableRequest::new(peer.sync == Sync::Own, us, peer.id).emit(buf)
            }
            owes::LIST => self.emit_list(peer.id, buf),
            owes::LIST_REFUSAL => ListResponse::refused(us, peer.id).emit(buf),
            owes::TABLE => self.emit_table(place, &peer, buf),
            owes::TABLE_REFUSAL => HandleTableResponse::refused(us, peer.id).emit(buf),
            _ => self.emit_ack(place, buf),
        }
    }

    fn emit_ack(&mut self, place: usize, buf: &mut [u8]) -> Result<usize, EmitError> {
        let peers = &mut self.tables.lend().peers;
        let peer = &mut peers[place];
        let receiver = peer.id;
        let target = match peer.acks_owed {
            0 => core::mem::replace(&mut peer.ack_owed, RegistrarId::UNKNOWN),
            owed => {
                peer.acks_owed = owed & (owed - 1);
                peers[owed.trailing_zeros() as usize].id
            }
        };
        InitTakeoverAck::new(self.identifier, receiver, target).emit(buf)
    }

    fn emit_presence(
        &mut self,
        reply_required: bool,
        receiver: RegistrarId,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let own = &self.peering.own;
        let (protocol, data) = (Protocol::Sctp, TransportUse::Data);
        let transport =
            TransportBuf::<TRANSPORT_LEN_MAX>::new(protocol, own.port, data, &own.addresses)?;
        let server = ServerInformation::new(self.identifier, transport.as_transport());
        let sum = PeChecksum(self.handlespace.checksum(self.identifier));
        Presence::new(reply_required, receiver, sum, server).emit(buf)
    }

    /// All peers that live, the receiver among them.
    fn emit_list(&mut self, receiver: RegistrarId, buf: &mut [u8]) -> Result<usize, EmitError> {
        let mut response = ListResponseBuilder::new(buf, self.identifier, receiver)?;
        for peer in self.tables.lend().peers.iter().filter(|peer| peer.is_alive()) {
            let (protocol, data) = (Protocol::Sctp, TransportUse::Data);
            let transport = TransportBuf::<TRANSPORT_LEN_MAX>::new(
                protocol,
                peer.port,
                data,
                peer.addresses(),
            );
            let Ok(transport) = transport else { continue };
            let server = ServerInformation::new(peer.id, transport.as_transport());
            if response.server(&server).is_err() {
                break;
            }
        }
        Ok(response.finish())
    }

    /// The next piece of a table (RFC 5353 §3.2.3).
    fn emit_table(
        &mut self,
        place: usize,
        peer: &PeerSlot,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let len = buf.len().min(self.config.table_len_max);
        let buf = buf.get_mut(..len).ok_or(EmitError::Full)?;
        let mut response = HandleTableResponseBuilder::new(buf, self.identifier, peer.id)?;
        let owner = peer.wants_own.then_some(self.identifier);
        let (mut cursor, mut count, mut has_more) = (peer.cursor, 0, false);
        self.handlespace.walk_after(peer.cursor.as_ref(), owner, |view| {
            let is_in = count < self.config.table_items_max
                && response.element(view.pool(), &view.to_wire(true)).is_ok();
            if is_in {
                count += 1;
                cursor = Some(Cursor { pool: view.pool().to_buf(), pe_id: view.pe_id() });
            }
            has_more = !is_in;
            is_in
        });
        // An element that alone is too long would be asked for without end.
        has_more = has_more && count > 0;
        let len = response.more(has_more).finish();
        self.tables.lend().peers[place].cursor = cursor.filter(|_| has_more);
        Ok(len)
    }
}

fn message(association: AssociationId, len: usize) -> Transmit {
    Transmit::Message { association, stream: StreamId(0), ppid: Ppid::ENRP, len }
}
