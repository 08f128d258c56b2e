//! Where the slots come from.

use super::slots::{Block, Element, Members, Pool, Slots, SlotsMut};
use crate::store::id_tree::IdNode;
use crate::store::order::OrderNode;

/// Lends slots to a [`Handlespace`](super::Handlespace).
///
/// The slices may grow between calls, never shrink, and new slots are `EMPTY`. What was lent
/// before keeps its contents.
pub trait Storage {
    /// All slots, for reading.
    fn slots(&self) -> Slots<'_>;

    /// All slots, for writing.
    fn slots_mut(&mut self) -> SlotsMut<'_>;

    /// Called when `short` has run out: makes more of it and returns true, or returns false if it
    /// may not. The work of one call should be bounded.
    fn grow(&mut self, short: Resource) -> bool {
        let _ = short;
        false
    }
}

/// What a storage has only so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Resource {
    /// Slots for pool elements.
    Elements,
    /// Slots for pools.
    Pools,
    /// Slots for registrars that own elements.
    Owners,
    /// Blocks for transports that do not fit into their element.
    Blocks,
}

/// A storage in one piece, for boards and for small pools.
///
/// `OWNERS` counts the registrars that may own elements, `BLOCKS` the transports of more
/// addresses than fit into an element (see [`INLINE_LEN`](super::slots::INLINE_LEN)).
#[derive(Clone, Debug)]
pub struct Inline<
    const ELEMENTS: usize,
    const POOLS: usize,
    const OWNERS: usize = 4,
    const BLOCKS: usize = 0,
> {
    order: [OrderNode; ELEMENTS],
    ids: [IdNode; ELEMENTS],
    elements: [Element; ELEMENTS],
    due: [OrderNode; ELEMENTS],
    association_ids: [IdNode; ELEMENTS],
    associations: [Members; ELEMENTS],
    pool_nodes: [IdNode; POOLS],
    pools: [Pool; POOLS],
    owner_ids: [IdNode; OWNERS],
    owners: [Members; OWNERS],
    blocks: [Block; BLOCKS],
}

impl<const ELEMENTS: usize, const POOLS: usize, const OWNERS: usize, const BLOCKS: usize>
    Inline<ELEMENTS, POOLS, OWNERS, BLOCKS>
{
    /// Storage with every slot unused: all zero bits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            order: [OrderNode::EMPTY; ELEMENTS],
            ids: [IdNode::EMPTY; ELEMENTS],
            elements: [Element::EMPTY; ELEMENTS],
            due: [OrderNode::EMPTY; ELEMENTS],
            association_ids: [IdNode::EMPTY; ELEMENTS],
            associations: [Members::EMPTY; ELEMENTS],
            pool_nodes: [IdNode::EMPTY; POOLS],
            pools: [Pool::EMPTY; POOLS],
            owner_ids: [IdNode::EMPTY; OWNERS],
            owners: [Members::EMPTY; OWNERS],
            blocks: [Block::EMPTY; BLOCKS],
        }
    }
}

impl<const ELEMENTS: usize, const POOLS: usize, const OWNERS: usize, const BLOCKS: usize> Default
    for Inline<ELEMENTS, POOLS, OWNERS, BLOCKS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const ELEMENTS: usize, const POOLS: usize, const OWNERS: usize, const BLOCKS: usize> Storage
    for Inline<ELEMENTS, POOLS, OWNERS, BLOCKS>
{
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
}
