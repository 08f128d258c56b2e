//! The memory that a registrar needs beside its handlespace: tables of slots that the caller
//! lends, each as long as the caller likes.
//!
//! A slot that is all zero bits is free, so that statics land in `.bss`.

use core::net::{IpAddr, Ipv4Addr};

use crate::association::{ADDRESSES_MAX, AssociationId};
use crate::handlespace::ElementIndex;
use crate::identifier::{POOL_HANDLE_LEN_MAX, PeId, PoolHandle};
use crate::time::Instant;
use crate::wire::Cause;

use super::distance::Distance;
use super::event::Event;
use super::peering::{AdoptionSlot, LinkSlot, PEERS_MAX, PeerSlot};
use super::rate::Meter;
use super::subscriptions::SubscriptionSlot;

/// The longest piece of a bad message that an error cause repeats to its sender; where it would
/// be longer the cause goes without it.
pub const REPORTED_LEN_MAX: usize = 128;

/// The longest pool element parameter that can wait for the outcome of a challenge.
pub const CHALLENGER_LEN_MAX: usize = 256;

/// How many replies one input can cause: to a message the answer, and an error about parameters
/// that nobody knows, and the rejection of whoever challenged the sender. [`Tables`] with fewer
/// reply slots take no input at all.
pub const REPLIES_PER_INPUT_MAX: usize = 3;

/// Lends a registrar its tables.
///
/// The lengths must not change while a registrar uses them.
pub trait Tables {
    /// All tables at once.
    fn lend(&mut self) -> Lent<'_>;
}

/// The tables of a registrar, lent for one call.
#[derive(Debug)]
pub struct Lent<'a> {
    /// One for each association at a time.
    pub associations: &'a mut [AssociationSlot],
    /// One for each reply not yet drained; at least [`REPLIES_PER_INPUT_MAX`].
    pub replies: &'a mut [ReplySlot],
    /// One for each unreachable report that counts.
    pub reports: &'a mut [ReportSlot],
    /// One for each registration that waits for the outcome of a challenge.
    pub challenges: &'a mut [ChallengeSlot],
    /// One for each event not yet drained; losing an association needs one for each element.
    pub events: &'a mut [EventSlot],
    /// One for each peer, at most [`PEERS_MAX`]; none for a registrar that is alone.
    pub peers: &'a mut [PeerSlot],
    /// One for each association with a peer, and some for strangers.
    pub links: &'a mut [LinkSlot],
    /// One for each connection attempt to an element that is taken over.
    pub adoptions: &'a mut [AdoptionSlot],
    /// What peers are still to be told, some 100 bytes a change.
    pub changes: &'a mut [u8],
    /// One for each pool that a user is told the changes of; none without that service.
    pub subscriptions: &'a mut [SubscriptionSlot],
}

/// Tables in arrays, for statics and small registrars.
///
/// ```
/// use rserpool_core::enrp::InlineTables;
/// static TABLES: InlineTables<8, 4, 8, 2, 32> = InlineTables::new();
/// # let _ = &TABLES;
/// ```
#[derive(Debug)]
pub struct InlineTables<
    const ASSOCIATIONS: usize,
    const REPLIES: usize,
    const REPORTS: usize,
    const CHALLENGES: usize,
    const EVENTS: usize,
> {
    associations: [AssociationSlot; ASSOCIATIONS],
    replies: [ReplySlot; REPLIES],
    reports: [ReportSlot; REPORTS],
    challenges: [ChallengeSlot; CHALLENGES],
    events: [EventSlot; EVENTS],
}

impl<const A: usize, const R: usize, const U: usize, const C: usize, const V: usize>
    InlineTables<A, R, U, C, V>
{
    /// Empty tables.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            associations: [AssociationSlot::FREE; A],
            replies: [ReplySlot::FREE; R],
            reports: [ReportSlot::FREE; U],
            challenges: [ChallengeSlot::FREE; C],
            events: [EventSlot::FREE; V],
        }
    }
}

impl<const A: usize, const R: usize, const U: usize, const C: usize, const V: usize> Default
    for InlineTables<A, R, U, C, V>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const A: usize, const R: usize, const U: usize, const C: usize, const V: usize> Tables
    for InlineTables<A, R, U, C, V>
{
    fn lend(&mut self) -> Lent<'_> {
        Lent {
            associations: &mut self.associations,
            replies: &mut self.replies,
            reports: &mut self.reports,
            challenges: &mut self.challenges,
            events: &mut self.events,
            peers: &mut [],
            links: &mut [],
            adoptions: &mut [],
            changes: &mut [],
            subscriptions: &mut [],
        }
    }
}

/// Other tables, and room for users that are told of changes.
#[derive(Debug)]
pub struct WithSubscriptions<T, const SUBSCRIPTIONS: usize> {
    tables: T,
    subscriptions: [SubscriptionSlot; SUBSCRIPTIONS],
}

impl<T, const S: usize> WithSubscriptions<T, S> {
    /// Adds an empty table of subscriptions.
    #[must_use]
    pub const fn new(tables: T) -> Self {
        Self { tables, subscriptions: [SubscriptionSlot::FREE; S] }
    }
}

impl<T: Tables, const S: usize> Tables for WithSubscriptions<T, S> {
    fn lend(&mut self) -> Lent<'_> {
        Lent { subscriptions: &mut self.subscriptions, ..self.tables.lend() }
    }
}

/// Other tables, and what a registrar needs to have peers.
///
/// ```
/// use rserpool_core::enrp::{InlineTables, WithPeers};
/// static TABLES: WithPeers<InlineTables<8, 4, 8, 2, 32>, 4, 8, 4, 4096> =
///     WithPeers::new(InlineTables::new());
/// # let _ = &TABLES;
/// ```
#[derive(Debug)]
pub struct WithPeers<
    T,
    const PEERS: usize,
    const LINKS: usize,
    const ADOPTIONS: usize,
    const CHANGES_LEN: usize,
> {
    tables: T,
    peers: [PeerSlot; PEERS],
    links: [LinkSlot; LINKS],
    adoptions: [AdoptionSlot; ADOPTIONS],
    changes: [u8; CHANGES_LEN],
}

impl<T, const P: usize, const L: usize, const A: usize, const C: usize> WithPeers<T, P, L, A, C> {
    const CHECK: () = assert!(P <= PEERS_MAX, "sets of peers are words of 64 bits");

    /// Adds empty tables for peers.
    #[must_use]
    pub const fn new(tables: T) -> Self {
        let () = Self::CHECK;
        Self {
            tables,
            peers: [PeerSlot::FREE; P],
            links: [LinkSlot::FREE; L],
            adoptions: [AdoptionSlot::FREE; A],
            changes: [0; C],
        }
    }
}

impl<T: Tables, const P: usize, const L: usize, const A: usize, const C: usize> Tables
    for WithPeers<T, P, L, A, C>
{
    fn lend(&mut self) -> Lent<'_> {
        Lent {
            peers: &mut self.peers,
            links: &mut self.links,
            adoptions: &mut self.adoptions,
            changes: &mut self.changes,
            ..self.tables.lend()
        }
    }
}

impl<T: Tables + ?Sized> Tables for &mut T {
    fn lend(&mut self) -> Lent<'_> {
        (**self).lend()
    }
}

/// What is known of one association.
#[derive(Clone, Copy, Debug)]
pub struct AssociationSlot {
    pub(super) state: AssociationState,
    pub(super) id: AssociationId,
    pub(super) addresses: [IpAddr; ADDRESSES_MAX],
    pub(super) address_count: u8,
    pub(super) port: u16,
    /// Whether nobody but a pool user can be at its other end.
    pub(super) is_user: bool,
    /// Whether this registrar has asked for it, and so ends it when no element needs it.
    pub(super) is_own: bool,
    pub(super) element_count: u32,
    pub(super) distance: Distance,
    pub(super) registrations: Meter,
    pub(super) handle_resolutions: Meter,
    pub(super) unreachables: Meter,
    pub(super) errors: Meter,
    /// First slot of the chain of this slot's number, plus 1; 0 if there is none.
    pub(super) chain_head: u32,
    /// Next slot of the chain that this slot is in, or of the free list; plus 1.
    pub(super) chain_next: u32,
    /// Next slot in the queue of associations to end; plus 1.
    pub(super) ending_next: u32,
}

/// What an association is doing. What it owes its peer is part of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AssociationState {
    #[default]
    Free,
    Up,
    /// The driver has yet to be told to abort it.
    AbortOwed,
    /// The driver has yet to be told to shut it down.
    ShutdownOwed,
    /// The driver has been told; only its end can follow.
    Closing,
}

impl AssociationSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self {
        state: AssociationState::Free,
        id: AssociationId(0),
        addresses: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); ADDRESSES_MAX],
        address_count: 0,
        port: 0,
        is_user: false,
        is_own: false,
        element_count: 0,
        distance: Distance::NONE,
        registrations: Meter::NEW,
        handle_resolutions: Meter::NEW,
        unreachables: Meter::NEW,
        errors: Meter::NEW,
        chain_head: 0,
        chain_next: 0,
        ending_next: 0,
    };

    /// The peer's addresses.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        self.addresses.get(..usize::from(self.address_count)).unwrap_or_default()
    }
}

/// A reply that has not been drained yet.
#[derive(Clone, Copy, Debug)]
pub struct ReplySlot {
    pub(super) kind: ReplyKind,
    pub(super) association: AssociationId,
    pub(super) pool: HandleBytes,
    pub(super) element: PeId,
    pub(super) cause: Cause,
    /// How many elements a handle resolution may yield.
    pub(super) items: u32,
    /// Whether the user wants to be told of changes.
    pub(super) subscribe: bool,
    pub(super) data: [u8; REPORTED_LEN_MAX],
    pub(super) data_len: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReplyKind {
    #[default]
    None,
    Registered,
    RegistrationRejected,
    Deregistered,
    DeregistrationRejected,
    /// The elements are selected when the reply is drained.
    HandleResolution,
    HandleResolutionRejected,
    /// One cause with the data that it is about.
    Error,
    /// One cause for each parameter in the data.
    UnrecognizedParameters,
    /// Abort an association that has no slot.
    Abort,
}

impl ReplySlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self {
        kind: ReplyKind::None,
        association: AssociationId(0),
        pool: HandleBytes::EMPTY,
        element: PeId(0),
        cause: Cause(0),
        items: 0,
        subscribe: false,
        data: [0; REPORTED_LEN_MAX],
        data_len: 0,
    };

    /// The piece of the message that the error cause is about.
    pub(super) fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.data_len)).unwrap_or_default()
    }

    /// Has the error cause repeat `data`, if it is short enough.
    pub(super) fn with_data(mut self, data: &[u8]) -> Self {
        if let Some(place) = self.data.get_mut(..data.len()) {
            place.copy_from_slice(data);
            self.data_len = data.len() as u16;
        }
        self
    }
}

/// A pool handle that may be empty, because a slot must be able to be all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandleBytes {
    len: u8,
    bytes: [u8; POOL_HANDLE_LEN_MAX],
}

impl HandleBytes {
    pub(super) const EMPTY: Self = Self { len: 0, bytes: [0; POOL_HANDLE_LEN_MAX] };

    pub(super) fn new(handle: PoolHandle<'_>) -> Self {
        let mut this = Self::EMPTY;
        if let Some(place) = this.bytes.get_mut(..handle.as_bytes().len()) {
            place.copy_from_slice(handle.as_bytes());
            this.len = handle.as_bytes().len() as u8;
        }
        this
    }

    /// The handle; `None` if it is empty.
    pub(super) fn as_handle(&self) -> Option<PoolHandle<'_>> {
        PoolHandle::new(self.bytes.get(..usize::from(self.len)).unwrap_or_default()).ok()
    }
}

/// An unreachable report that counts: who reported which element.
#[derive(Clone, Copy, Debug)]
pub struct ReportSlot {
    /// `None` in a slot that nobody uses.
    pub(super) element: Option<ElementIndex>,
    pub(super) reporter: u64,
}

impl ReportSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self { element: None, reporter: 0 };
}

/// A registration of an identifier that another association holds.
#[derive(Clone, Copy, Debug)]
pub struct ChallengeSlot {
    pub(super) used: bool,
    /// The element whose holder has to prove that it lives; `None` if it is gone already.
    pub(super) element: Option<ElementIndex>,
    /// The association that wants its identifier.
    pub(super) challenger: AssociationId,
    /// When the holder is given up.
    pub(super) deadline: Instant,
    pub(super) pool: HandleBytes,
    /// The challenger's pool element parameter.
    pub(super) parameter: [u8; CHALLENGER_LEN_MAX],
    pub(super) parameter_len: u16,
}

impl ChallengeSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self {
        used: false,
        element: None,
        challenger: AssociationId(0),
        deadline: Instant::ZERO,
        pool: HandleBytes::EMPTY,
        parameter: [0; CHALLENGER_LEN_MAX],
        parameter_len: 0,
    };
}

/// An event that has not been drained yet.
#[derive(Clone, Copy, Debug)]
pub struct EventSlot {
    pub(super) event: Event,
}

impl EventSlot {
    /// A slot that nobody uses.
    pub const FREE: Self = Self { event: Event::Stopped };
}
