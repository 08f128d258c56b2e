//! The slots that a storage lends, and what is in them.

use crate::identifier::{POOL_HANDLE_LEN_MAX, PoolHandle};
use crate::policy::{Kind, Values};
use crate::store::Link;
use crate::store::id_tree::IdNode;
use crate::store::list::{Linked, Place};
use crate::store::order::{Order, OrderNode};
use crate::store::slab::{Free, Slab};

/// The slots of a storage, for reading. Slices of one paragraph have the same length.
#[derive(Clone, Copy, Debug)]
pub struct Slots<'a> {
    /// Elements: their places in the order of selection.
    pub order: &'a [OrderNode],
    /// Elements: their places in the tree by identifier of their pool.
    pub ids: &'a [IdNode],
    /// Elements: all else.
    pub elements: &'a [Element],
    /// Elements: their places in the queue of deadlines.
    pub due: &'a [OrderNode],
    /// As many as elements: the tree of associations.
    pub association_ids: &'a [IdNode],
    /// As many as elements: the elements of each association.
    pub associations: &'a [Members],

    /// Pools: the tree by handle.
    pub pool_nodes: &'a [IdNode],
    /// Pools: all else.
    pub pools: &'a [Pool],

    /// Owners (registrars): the tree by identifier.
    pub owner_ids: &'a [IdNode],
    /// Owners: the elements of each.
    pub owners: &'a [Members],

    /// Transports that do not fit into their element.
    pub blocks: &'a [Block],
}

/// The slots of a storage, for writing.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields are those of Slots")]
pub struct SlotsMut<'a> {
    pub order: &'a mut [OrderNode],
    pub ids: &'a mut [IdNode],
    pub elements: &'a mut [Element],
    pub due: &'a mut [OrderNode],
    pub association_ids: &'a mut [IdNode],
    pub associations: &'a mut [Members],

    pub pool_nodes: &'a mut [IdNode],
    pub pools: &'a mut [Pool],

    pub owner_ids: &'a mut [IdNode],
    pub owners: &'a mut [Members],

    pub blocks: &'a mut [Block],
}

/// How many bytes of transports are kept in the element itself: enough for an IPv6 user transport
/// and an IPv4 ASAP transport.
pub const INLINE_LEN: usize = 48;

/// The most bytes of one encoded transport: eight IPv6 addresses.
pub const TRANSPORT_LEN_MAX: usize = 8 + 8 * 20;

/// What a pool element is, apart from its places in trees and queues.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    pub(crate) pool: Link,
    pub(crate) pe_id: u32,
    pub(crate) owner: Link,
    pub(crate) association: Link,
    pub(crate) owner_place: Place,
    pub(crate) association_place: Place,
    pub(crate) owed_place: Place,
    pub(crate) values: Values,
    pub(crate) selections: u32,
    pub(crate) life: u32,
    /// Blocks of the user transport and of the ASAP transport; 0 where it is inline.
    pub(crate) blocks: [Link; 2],
    /// How many bytes they have; 0 where there is none.
    pub(crate) lens: [u8; 2],
    pub(crate) owed: u8,
    pub(crate) scratch: Scratch,
    pub(crate) inline: [u8; INLINE_LEN],
}

/// Small numbers about an element that mean something to the registrar alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scratch {
    /// Reports that the element is unreachable.
    pub bad_reports: u8,
    /// The registrar's flags.
    pub flags: u8,
    /// The round of synchronisation in which its home last named it.
    pub round: u8,
    /// Whether its home has it no more, and it was asked if it is ours.
    pub is_let_go: bool,
    /// When the registration ends, in whole seconds of the registrar's clock; 0 for never.
    pub expires_s: u32,
    /// Until when it is suggested to no other home, in whole seconds of the registrar's clock; 0
    /// if that may be done now, all ones if never again.
    pub settled_s: u32,
}

/// What a pool is, apart from its place in the tree of pools.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    pub(crate) handle: [u8; POOL_HANDLE_LEN_MAX],
    pub(crate) handle_len: u8,
    pub(crate) kind: Kind,
    pub(crate) is_control: bool,
    /// The parameter type of its user transports.
    pub(crate) transport: u16,
    /// The handle's share in each element's checksum.
    pub(crate) handle_sum: u32,
    pub(crate) count: u32,
    pub(crate) ids: Link,
    pub(crate) order: Order,
    /// The sum of all weights, where elements are drawn at random.
    pub(crate) weight: u64,
    /// Weighted round robin: the pass of the last selection.
    pub(crate) pass: u64,
}

/// The elements of an owner or an association.
#[derive(Clone, Copy, Debug)]
pub struct Members {
    pub(crate) first: Link,
    pub(crate) count: u32,
    /// The running sum of their checksum.
    pub(crate) sum: u32,
}

/// An encoded transport.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub(crate) next: Link,
    pub(crate) bytes: [u8; TRANSPORT_LEN_MAX],
}

/// How many trees the pools are in, by the highest bits of their digests. That spares a search
/// the first levels.
pub(crate) const POOL_TREES: usize = 64;

/// Counters and roots; all zero bits say that nothing is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) elements: Slab,
    pub(crate) associations: Slab,
    pub(crate) pools: Slab,
    pub(crate) owners: Slab,
    pub(crate) blocks: Slab,
    pub(crate) due: Order,
    pub(crate) owed: Link,
    pub(crate) pool_tops: [Link; POOL_TREES],
    pub(crate) owner_top: Link,
    pub(crate) association_top: Link,
    /// How many elements of one response are charged; 0: as the policy wants.
    pub(crate) charge_max: u32,
}

impl State {
    pub(crate) const EMPTY: Self = Self {
        elements: Slab::EMPTY,
        associations: Slab::EMPTY,
        pools: Slab::EMPTY,
        owners: Slab::EMPTY,
        blocks: Slab::EMPTY,
        due: Order::EMPTY,
        owed: 0,
        pool_tops: [0; POOL_TREES],
        owner_top: 0,
        association_top: 0,
        charge_max: 0,
    };
}

impl Element {
    /// An unused slot, all zero bits.
    pub const EMPTY: Self = Self {
        pool: 0,
        pe_id: 0,
        owner: 0,
        association: 0,
        owner_place: Place::NONE,
        association_place: Place::NONE,
        owed_place: Place::NONE,
        values: Values { base: 0, degradation: 0, distance_penalty: 0, distance: 0 },
        selections: 0,
        life: 0,
        blocks: [0; 2],
        lens: [0; 2],
        owed: 0,
        scratch: Scratch {
            bad_reports: 0,
            flags: 0,
            round: 0,
            is_let_go: false,
            expires_s: 0,
            settled_s: 0,
        },
        inline: [0; INLINE_LEN],
    };
}

impl Pool {
    /// An unused slot, all zero bits.
    pub const EMPTY: Self = Self {
        handle: [0; POOL_HANDLE_LEN_MAX],
        handle_len: 0,
        kind: Kind::RoundRobin,
        is_control: false,
        transport: 0,
        handle_sum: 0,
        count: 0,
        ids: 0,
        order: Order::EMPTY,
        weight: 0,
        pass: 0,
    };

    #[inline]
    pub(crate) fn handle_bytes(&self) -> &[u8] {
        &self.handle[..usize::from(self.handle_len)]
    }

    pub(crate) fn handle(&self) -> PoolHandle<'_> {
        PoolHandle::new(self.handle_bytes()).expect("a pool in use was made from a handle")
    }
}

impl Members {
    /// An unused slot, all zero bits.
    pub const EMPTY: Self = Self { first: 0, count: 0, sum: 0 };
}

impl Block {
    /// An unused slot, all zero bits.
    pub const EMPTY: Self = Self { next: 0, bytes: [0; TRANSPORT_LEN_MAX] };
}

impl Free for Block {
    fn next_free(&mut self) -> &mut Link {
        &mut self.next
    }
}

/// The list of an owner's elements.
pub(crate) const OWNER: usize = 0;
/// The list of an association's elements.
pub(crate) const ASSOCIATION: usize = 1;
/// The queue of elements with owed work.
pub(crate) const OWED: usize = 2;

impl Linked<OWNER> for Element {
    fn place(&mut self) -> &mut Place {
        &mut self.owner_place
    }

    fn place_ref(&self) -> &Place {
        &self.owner_place
    }
}

impl Linked<ASSOCIATION> for Element {
    fn place(&mut self) -> &mut Place {
        &mut self.association_place
    }

    fn place_ref(&self) -> &Place {
        &self.association_place
    }
}

impl Linked<OWED> for Element {
    fn place(&mut self) -> &mut Place {
        &mut self.owed_place
    }

    fn place_ref(&self) -> &Place {
        &self.owed_place
    }
}

/// The bytes of one element in all slices that have a slot per element.
pub const BYTES_PER_ELEMENT: usize = size_of::<OrderNode>()
    + size_of::<IdNode>()
    + size_of::<Element>()
    + size_of::<OrderNode>()
    + size_of::<IdNode>()
    + size_of::<Members>();

/// The budget of an element with one IPv4 user and one ASAP transport, which fit inline.
const _: () = assert!(BYTES_PER_ELEMENT <= 256 && INLINE_LEN >= 2 * 16);
