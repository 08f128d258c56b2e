//! The tables of peers, of the associations with them, and of elements that are being adopted.

use core::net::{IpAddr, Ipv4Addr};

use crate::association::{ADDRESSES_MAX, AssociationId, ConnectId, Endpoint};
use crate::handlespace::{Cursor, ElementIndex};
use crate::identifier::RegistrarId;
use crate::time::Instant;
use crate::wire::Cause;

use super::super::distance::Distance;
use super::super::rate::Meter;
use super::super::tables::{AssociationState, REPORTED_LEN_MAX};

/// The most peers that a registrar can have: sets of them are words of 64 bits.
pub const PEERS_MAX: usize = 64;

/// A peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerSlot {
    pub(in super::super) state: PeerState,
    /// [`RegistrarId::UNKNOWN`] of a configured peer that nobody has heard yet.
    pub(in super::super) id: RegistrarId,
    /// Whether it stays in the table when it is dead.
    pub(super) is_configured: bool,
    pub(super) addresses: [IpAddr; ADDRESSES_MAX],
    pub(super) address_count: u8,
    pub(super) port: u16,
    /// Where it is reached by SCTP over UDP, if that is known.
    pub(super) udp_port: Option<u16>,
    pub(in super::super) link: Option<AssociationId>,
    pub(super) connect: Option<ConnectId>,
    /// No connection attempt before this.
    pub(super) connect_at: Instant,
    pub(super) owes: u16,
    /// Changes may have been missed that its checksum does not show, such as renewed
    /// registrations.
    pub(super) is_stale: bool,
    /// When the state ends unless the peer is heard.
    pub(super) deadline: Instant,
    /// How far into the changes the peer has been told.
    pub(super) told: u64,
    /// The table download from it.
    pub(super) sync: Sync,
    pub(super) sync_deadline: Instant,
    /// A download was broken off: the next one may go on in the middle of the table.
    pub(super) is_broken_off: bool,
    /// Elements that were last named in another round than the latest are gone.
    pub(super) round: u8,
    /// Its table download from here: where it goes on, and whether it wants our elements alone.
    pub(super) cursor: Option<Cursor>,
    pub(super) wants_own: bool,
    pub(super) cursor_deadline: Instant,
    /// While it is taken over: the places of the peers whose acknowledgements are missing.
    pub(super) acks_missing: u64,
    /// The places of the peers whose takeovers by this peer we acknowledge.
    pub(super) acks_owed: u64,
    /// The same of a target that we do not know.
    pub(super) ack_owed: RegistrarId,
}

/// What is known of a peer's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum PeerState {
    /// Nobody.
    #[default]
    Free,
    /// Somebody named it, but it has not been heard.
    Unheard,
    /// It was heard less than MAX-TIME-LAST-HEARD ago.
    Active,
    /// It was asked for a sign of life.
    Suspect,
    /// It is dead, and we want its elements.
    Claimed,
    /// It is dead, and another registrar wants its elements.
    Ceded,
}

/// A table download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sync {
    #[default]
    Idle,
    /// No table yet: the mentor is to say first who there is.
    List,
    /// The whole handlespace, from the mentor.
    All,
    /// The elements that the peer owns; those that it does not name are removed in the end.
    Own,
}

/// What a peer is owed.
pub(super) mod owes {
    pub(in super::super) const PRESENCE: u16 = 1;
    /// With the wish for an answer.
    pub(in super::super) const PRESENCE_QUESTION: u16 = 2;
    pub(in super::super) const LIST_REQUEST: u16 = 4;
    pub(in super::super) const TABLE_REQUEST: u16 = 8;
    pub(in super::super) const LIST: u16 = 16;
    pub(in super::super) const LIST_REFUSAL: u16 = 32;
    pub(in super::super) const TABLE: u16 = 64;
    pub(in super::super) const TABLE_REFUSAL: u16 = 128;
}

impl PeerSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self {
        state: PeerState::Free,
        id: RegistrarId::UNKNOWN,
        is_configured: false,
        addresses: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); ADDRESSES_MAX],
        address_count: 0,
        port: 0,
        udp_port: None,
        link: None,
        connect: None,
        connect_at: Instant::ZERO,
        owes: 0,
        is_stale: false,
        deadline: Instant::ZERO,
        told: 0,
        sync: Sync::Idle,
        sync_deadline: Instant::ZERO,
        is_broken_off: false,
        round: 0,
        cursor: None,
        wants_own: false,
        cursor_deadline: Instant::ZERO,
        acks_missing: 0,
        acks_owed: 0,
        ack_owed: RegistrarId::UNKNOWN,
    };

    pub(in super::super) fn is_used(&self) -> bool {
        self.state != PeerState::Free
    }

    /// Whether it has said who it is.
    pub(in super::super) fn is_known(&self) -> bool {
        self.id != RegistrarId::UNKNOWN
    }

    /// Whether it takes part in the scope, as far as anybody knows.
    pub(super) const fn is_alive(&self) -> bool {
        matches!(self.state, PeerState::Active | PeerState::Suspect)
    }

    pub(super) fn addresses(&self) -> &[IpAddr] {
        self.addresses.get(..usize::from(self.address_count)).unwrap_or_default()
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        let addresses = self.addresses().iter().copied().collect();
        Endpoint { addresses, port: self.port, udp_port: self.udp_port }
    }

    pub(super) fn set_addresses(&mut self, addresses: impl Iterator<Item = IpAddr>, port: u16) {
        let mut count = 0;
        for (place, address) in self.addresses.iter_mut().zip(addresses) {
            *place = address.to_canonical();
            count += 1;
        }
        self.address_count = count;
        self.port = port;
    }

    /// Whether it is the one at these addresses and that port.
    pub(super) fn is_at(&self, addresses: &[IpAddr], port: u16) -> bool {
        self.port == port
            && self
                .addresses()
                .iter()
                .any(|known| addresses.iter().any(|address| address.to_canonical() == *known))
    }
}

/// An association with a peer, or with somebody who has not said yet who it is.
#[derive(Clone, Copy, Debug)]
pub struct LinkSlot {
    pub(in super::super) state: AssociationState,
    pub(in super::super) id: AssociationId,
    /// Whether we began it.
    pub(super) is_ours: bool,
    /// Who its peer claims to be while another association with that one is up.
    pub(super) claimed: RegistrarId,
    /// It has asked for our presence meanwhile.
    pub(super) owes_presence: bool,
    pub(super) addresses: [IpAddr; ADDRESSES_MAX],
    pub(super) address_count: u8,
    pub(super) port: u16,
    /// When an association is given up whose peer says nothing.
    pub(super) deadline: Instant,
    pub(in super::super) distance: Distance,
    /// How many errors it has been sent.
    pub(super) errors: Meter,
    /// An error to send.
    pub(super) error: Option<Cause>,
    pub(super) data: [u8; REPORTED_LEN_MAX],
    pub(super) data_len: u16,
}

impl LinkSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self {
        state: AssociationState::Free,
        id: AssociationId(0),
        is_ours: false,
        claimed: RegistrarId::UNKNOWN,
        owes_presence: false,
        addresses: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); ADDRESSES_MAX],
        address_count: 0,
        port: 0,
        deadline: Instant::ZERO,
        distance: Distance::NONE,
        errors: Meter::NEW,
        error: None,
        data: [0; REPORTED_LEN_MAX],
        data_len: 0,
    };

    pub(super) fn addresses(&self) -> &[IpAddr] {
        self.addresses.get(..usize::from(self.address_count)).unwrap_or_default()
    }

    pub(super) fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.data_len)).unwrap_or_default()
    }
}

/// A connection attempt to an element whose home we want to be.
#[derive(Clone, Copy, Debug)]
pub struct AdoptionSlot {
    pub(super) state: AdoptionState,
    pub(super) element: Option<ElementIndex>,
    pub(super) connect: ConnectId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AdoptionState {
    #[default]
    Free,
    ConnectOwed,
    Connecting,
    CancelOwed,
}

impl AdoptionSlot {
    /// A slot that nobody uses.
    pub const FREE: Self =
        Self { state: AdoptionState::Free, element: None, connect: ConnectId(0) };

    pub(in super::super) fn is_free(&self) -> bool {
        self.state == AdoptionState::Free
    }

    /// The element that it is for, if that is still wanted.
    pub(in super::super) fn wanted(&self) -> Option<ElementIndex> {
        self.element.filter(|_| !self.is_free())
    }
}
