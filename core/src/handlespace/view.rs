//! What can be seen of an element.

use super::core::Peek;
use super::slots::{Block, Element, Pool, Scratch, Slots};
use crate::association::AssociationId;
use crate::identifier::{PeId, PoolHandle, RegistrarId};
use crate::policy::{Kind, Values};
use crate::store::id_tree::IdNode;
use crate::store::{Link, get, slot};

/// A pool element, borrowed from the handlespace.
#[derive(Clone, Copy, Debug)]
pub struct ElementView<'a> {
    index: super::ElementIndex,
    element: &'a Element,
    pool: &'a Pool,
    home: RegistrarId,
    association: Option<AssociationId>,
    blocks: &'a [Block],
}

/// The slices that a view looks into.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) elements: &'a [Element],
    pub(crate) pools: &'a [Pool],
    pub(crate) beside: Beside<'a>,
}

/// Those apart from pools and elements.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) owner_ids: &'a [IdNode],
    pub(crate) association_ids: &'a [IdNode],
    pub(crate) blocks: &'a [Block],
}

impl<'a> Seen<'a> {
    #[inline]
    pub(crate) fn view(&self, link: Link) -> ElementView<'a> {
        let element = &self.elements[slot(link)];
        self.beside.view(&self.pools[slot(element.pool)], element, link)
    }
}

impl<'a> Beside<'a> {
    #[inline]
    pub(crate) fn view<'v>(
        &self,
        pool: &'v Pool,
        element: &'v Element,
        link: Link,
    ) -> ElementView<'v>
    where
        'a: 'v,
    {
        ElementView {
            index: super::ElementIndex(link),
            element,
            pool,
            home: RegistrarId(get(self.owner_ids, element.owner).map_or(0, |node| node.key)),
            association: get(self.association_ids, element.association)
                .map(|node| AssociationId(node.key)),
            blocks: self.blocks,
        }
    }
}

impl<'a> Peek<'a> {
    pub(crate) fn view(&self, link: Link) -> ElementView<'a> {
        let Slots { elements, pools, owner_ids, association_ids, blocks, .. } = self.slots;
        let beside = Beside { owner_ids, association_ids, blocks };
        Seen { elements, pools, beside }.view(link)
    }
}

impl<'a> ElementView<'a> {
    /// Its index.
    #[must_use]
    pub const fn index(&self) -> super::ElementIndex {
        self.index
    }

    /// Its identifier.
    #[must_use]
    pub const fn pe_id(&self) -> PeId {
        PeId(self.element.pe_id)
    }

    /// The handle of its pool.
    #[must_use]
    pub fn pool(&self) -> PoolHandle<'a> {
        self.pool.handle()
    }

    /// The registrar that owns it.
    #[must_use]
    pub const fn home(&self) -> RegistrarId {
        self.home
    }

    /// The association that it registered on, if that is at this registrar.
    #[must_use]
    pub const fn association(&self) -> Option<AssociationId> {
        self.association
    }

    /// The registrar's small numbers about it.
    #[must_use]
    pub const fn scratch(&self) -> Scratch {
        self.element.scratch
    }

    /// How often it was selected since it told its load; counted for policies with degradation.
    #[must_use]
    pub const fn selections(&self) -> u32 {
        self.element.selections
    }

    pub(crate) const fn life(&self) -> u32 {
        self.element.life
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.pool.kind
    }

    pub(crate) const fn values(&self) -> Values {
        self.element.values
    }

    pub(crate) fn transport(&self, which: usize) -> &'a [u8] {
        let element = self.element;
        let len = usize::from(element.lens[which]);
        match element.blocks[which] {
            0 => {
                let before =
                    if which == 1 && element.blocks[0] == 0 { element.lens[0] } else { 0 };
                &element.inline[usize::from(before)..][..len]
            }
            block => &self.blocks[slot(block)].bytes[..len],
        }
    }

    /// Its place in the walk through all elements.
    #[must_use]
    pub fn cursor(&self) -> super::Cursor {
        super::Cursor { pool: self.pool().to_buf(), pe_id: self.pe_id() }
    }
}
