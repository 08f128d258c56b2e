//! A handlespace's memory on the heap, grown in small steps up to a limit.

use rserpool_core::handlespace::slots::{Block, Element, Members, Pool, Slots, SlotsMut};
use rserpool_core::handlespace::{IdNode, OrderNode, Resource, Storage};

/// How much a [`HeapStorage`] may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapLimits {
    /// Pool elements.
    pub elements: usize,
    /// Pools.
    pub pools: usize,
    /// Registrars that own elements.
    pub owners: usize,
    /// Transports that do not fit into their element, because they have several addresses.
    pub blocks: usize,
}

impl HeapLimits {
    /// Limits for so many elements: a pool each if need be, and two blocks for every fourth.
    #[must_use]
    pub const fn for_elements(elements: usize) -> Self {
        Self { elements, pools: elements, owners: 1024, blocks: elements / 2 + 2 }
    }

    /// The same with another limit of pools.
    #[must_use]
    pub const fn with_pools(self, pools: usize) -> Self {
        Self { pools, ..self }
    }

    /// The same with another limit of owners.
    #[must_use]
    pub const fn with_owners(self, owners: usize) -> Self {
        Self { owners, ..self }
    }

    /// The same with another limit of blocks.
    #[must_use]
    pub const fn with_blocks(self, blocks: usize) -> Self {
        Self { blocks, ..self }
    }
}

/// Slots on the heap.
///
/// Address space is set aside for the limits at once, so that nothing ever moves; memory is taken
/// as it is needed, some hundred kilobytes at a time.
///
/// ```
/// use rserpool::heap_storage::{HeapLimits, HeapStorage};
/// use rserpool_core::handlespace::Handlespace;
///
/// let space = Handlespace::new(HeapStorage::new(HeapLimits::for_elements(100_000)));
/// assert_eq!(space.element_count(), 0);
/// ```
#[derive(Debug)]
pub struct HeapStorage {
    limits: HeapLimits,
    order: Vec<OrderNode>,
    ids: Vec<IdNode>,
    elements: Vec<Element>,
    due: Vec<OrderNode>,
    association_ids: Vec<IdNode>,
    associations: Vec<Members>,
    pool_nodes: Vec<IdNode>,
    pools: Vec<Pool>,
    owner_ids: Vec<IdNode>,
    owners: Vec<Members>,
    blocks: Vec<Block>,
}

/// How many slots are added at a time.
const STEP: usize = 1024;

impl HeapStorage {
    /// Empty storage that may grow up to `limits`.
    #[must_use]
    pub fn new(limits: HeapLimits) -> Self {
        let HeapLimits { elements, pools, owners, blocks } = limits;
        Self {
            limits,
            order: Vec::with_capacity(elements),
            ids: Vec::with_capacity(elements),
            elements: Vec::with_capacity(elements),
            due: Vec::with_capacity(elements),
            association_ids: Vec::with_capacity(elements),
            associations: Vec::with_capacity(elements),
            pool_nodes: Vec::with_capacity(pools),
            pools: Vec::with_capacity(pools),
            owner_ids: Vec::with_capacity(owners),
            owners: Vec::with_capacity(owners),
            blocks: Vec::with_capacity(blocks),
        }
    }

    /// The limits.
    #[must_use]
    pub const fn limits(&self) -> HeapLimits {
        self.limits
    }

    /// How many bytes are in use now.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&self.order[..])
            + size_of_val(&self.ids[..])
            + size_of_val(&self.elements[..])
            + size_of_val(&self.due[..])
            + size_of_val(&self.association_ids[..])
            + size_of_val(&self.associations[..])
            + size_of_val(&self.pool_nodes[..])
            + size_of_val(&self.pools[..])
            + size_of_val(&self.owner_ids[..])
            + size_of_val(&self.owners[..])
            + size_of_val(&self.blocks[..])
    }

    fn grow_elements(&mut self, len: usize) {
        lengthen(&mut self.order, len, const { &[OrderNode::EMPTY; 32] });
        lengthen(&mut self.ids, len, const { &[IdNode::EMPTY; 32] });
        lengthen(&mut self.elements, len, const { &[Element::EMPTY; 32] });
        lengthen(&mut self.due, len, const { &[OrderNode::EMPTY; 32] });
        lengthen(&mut self.association_ids, len, const { &[IdNode::EMPTY; 32] });
        lengthen(&mut self.associations, len, const { &[Members::EMPTY; 32] });
    }
}

/// Lengthens in steps that are copied, which is faster than to make each slot.
fn lengthen<T: Copy, const STEP: usize>(slots: &mut Vec<T>, len: usize, empty: &[T; STEP]) {
    while slots.len() + STEP <= len {
        slots.extend_from_slice(empty);
    }
    slots.resize(len, empty[0]);
}

impl Storage for HeapStorage {
    fn slots(&self) -> Slots<'_> {
        Slots {
            order: &self.order,
            ids: &self.ids,
            elements: &self.elements,
            due: &self.due,
            association_ids: &self.association_ids,
            associations: &self.associations,
            pool_nodes: &self.pool_nodes,
            pools: &self.pools,
            owner_ids: &self.owner_ids,
            owners: &self.owners,
            blocks: &self.blocks,
        }
    }

    fn slots_mut(&mut self) -> SlotsMut<'_> {
        SlotsMut {
            order: &mut self.order,
            ids: &mut self.ids,
            elements: &mut self.elements,
            due: &mut self.due,
            association_ids: &mut self.association_ids,
            associations: &mut self.associations,
            pool_nodes: &mut self.pool_nodes,
            pools: &mut self.pools,
            owner_ids: &mut self.owner_ids,
            owners: &mut self.owners,
            blocks: &mut self.blocks,
        }
    }

    fn grow(&mut self, short: Resource) -> bool {
        let (len, limit) = match short {
            Resource::Elements => (self.elements.len(), self.limits.elements),
            Resource::Pools => (self.pools.len(), self.limits.pools),
            Resource::Owners => (self.owners.len(), self.limits.owners),
            Resource::Blocks => (self.blocks.len(), self.limits.blocks),
            _ => return false,
        };
        let longer = limit.min(len + STEP);
        match short {
            Resource::Elements => self.grow_elements(longer),
            Resource::Pools => {
                self.pool_nodes.resize(longer, IdNode::EMPTY);
                self.pools.resize(longer, Pool::EMPTY);
            }
            Resource::Owners => {
                self.owner_ids.resize(longer, IdNode::EMPTY);
                self.owners.resize(longer, Members::EMPTY);
            }
            _ => self.blocks.resize(longer, Block::EMPTY),
        }
        longer > len
    }
}
