//! Registration (RFC 5352 §3.1, rules 1 to 5) and removal.

use super::core::Core;
use super::error::RegistrationError;
use super::pools;
use super::slots::{Block, Element, INLINE_LEN, TRANSPORT_LEN_MAX};
use super::storage::Resource;
use crate::association::AssociationId;
use crate::identifier::{PeId, PoolHandle, RegistrarId};
use crate::policy::{Kind, Values};
use crate::store::id_tree::{self, Place};
use crate::store::slab::Slab;
use crate::store::{Link, get, slot};

/// A registration that has been taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) pool: PoolHandle<'a>,
    pub(crate) pe_id: PeId,
    pub(crate) life: u32,
    pub(crate) kind: Kind,
    pub(crate) values: Values,
    /// The parameter type of the user transport.
    pub(crate) transport: u16,
    pub(crate) is_control: bool,
    /// The encoded user transport, and the encoded ASAP transport or nothing.
    pub(crate) transports: [&'a [u8]; 2],
    pub(crate) owner: RegistrarId,
    pub(crate) association: Option<AssociationId>,
}

/// What a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// The element is new in its pool.
    New,
    /// The element was known; it has the new attributes.
    Updated,
}

/// Which of the two transports are kept in blocks.
type InBlocks = [bool; 2];

impl Core<'_> {
    pub(crate) fn register(
        &mut self,
        entry: &Entry<'_>,
    ) -> Result<(Link, Outcome), RegistrationError> {
        // RFC 5352 §3.1, rule 5.
        if entry.pe_id == PeId(0) {
            return Err(RegistrationError::ZeroIdentifier);
        }
        if entry.transports.iter().any(|transport| transport.len() > TRANSPORT_LEN_MAX) {
            return Err(RegistrationError::TooManyAddresses);
        }
        match self.find_pool(entry.pool) {
            // Rule 1.
            0 => {
                if self.state.pools.room(self.slots.pools.len()) == 0 {
                    return Err(RegistrationError::Full(Resource::Pools));
                }
                let in_blocks = self.check_room(entry, 0)?;
                let pool = self.make_pool(entry);
                Ok((self.add(entry, in_blocks, pool, (0, 0)), Outcome::New))
            }
            pool => {
                self.check_consistency(entry, pool)?;
                let top = self.slots.pools[slot(pool)].ids;
                match id_tree::locate(self.slots.ids, top, entry.pe_id.0) {
                    // Rule 2.
                    Place::Free(above, side) => {
                        let in_blocks = self.check_room(entry, 0)?;
                        Ok((self.add(entry, in_blocks, pool, (above, side)), Outcome::New))
                    }
                    // Rule 3.
                    Place::Taken(link) => {
                        let in_blocks = self.check_room(entry, link)?;
                        self.update(entry, in_blocks, link);
                        Ok((link, Outcome::Updated))
                    }
                }
            }
        }
    }

    #[inline]
    fn find_pool(&self, handle: PoolHandle<'_>) -> Link {
        let slots = &self.slots;
        pools::find(slots.pool_nodes, slots.pools, &self.state.pool_tops, handle)
    }

    /// RFC 5352 §3.1, rules 2 and 3: the same tests for a new element and for a known one.
    fn check_consistency(&self, entry: &Entry<'_>, pool: Link) -> Result<(), RegistrationError> {
        let pool = &self.slots.pools[slot(pool)];
        if entry.kind != pool.kind {
            Err(RegistrationError::InconsistentPolicy)
        } else if entry.transport != pool.transport {
            Err(RegistrationError::InconsistentTransport)
        } else if entry.is_control != pool.is_control {
            Err(RegistrationError::InconsistentControl)
        } else {
            Ok(())
        }
    }

    /// Whether there is room for the element (`link` is 0 for a new one), and where its transports
    /// will be kept.
    fn check_room(&self, entry: &Entry<'_>, link: Link) -> Result<InBlocks, RegistrationError> {
        if link == 0 && self.state.elements.room(self.slots.elements.len()) == 0 {
            return Err(RegistrationError::Full(Resource::Elements));
        }
        if !self.has_room_for_owner(link, entry.owner) {
            return Err(RegistrationError::Full(Resource::Owners));
        }
        let [user_len, asap_len] = entry.transports.map(<[u8]>::len);
        let user_in_block = user_len > INLINE_LEN;
        let used = if user_in_block { 0 } else { user_len };
        let in_blocks = [user_in_block, used + asap_len > INLINE_LEN];
        let wanted = in_blocks.iter().filter(|&&is_in| is_in).count();
        if wanted > 0 {
            let mut room = self.state.blocks.room(self.slots.blocks.len());
            if link != 0 {
                let own = self.slots.elements[slot(link)].blocks;
                room += own.iter().filter(|&&block| block != 0).count();
            }
            if wanted > room {
                return Err(RegistrationError::Full(Resource::Blocks));
            }
        }
        Ok(in_blocks)
    }

    fn add(
        &mut self,
        entry: &Entry<'_>,
        in_blocks: InBlocks,
        pool: Link,
        place: (Link, usize),
    ) -> Link {
        let link = self.state.elements.take(self.slots.ids).expect("room was checked");
        let element = &mut self.slots.elements[slot(link)];
        element.pool = pool;
        element.pe_id = entry.pe_id.0;
        element.values = entry.values;
        element.life = entry.life;
        keep_transports(element, &mut self.state.blocks, self.slots.blocks, entry, in_blocks);
        let pool = &mut self.slots.pools[slot(pool)];
        pool.count += 1;
        id_tree::insert(self.slots.ids, &mut pool.ids, place, link, entry.pe_id.0);
        self.join_owner(link, entry.owner);
        self.set_association(link, entry.association);
        self.enter_order(link);
        link
    }

    fn update(&mut self, entry: &Entry<'_>, in_blocks: InBlocks, link: Link) {
        let element = &mut self.slots.elements[slot(link)];
        let owner = self.slots.owner_ids[slot(element.owner)].key;
        element.life = entry.life;
        keep_transports(element, &mut self.state.blocks, self.slots.blocks, entry, in_blocks);
        self.set_values(link, entry.values);
        if owner != entry.owner.0 {
            self.leave_owner(link);
            self.join_owner(link, entry.owner);
        }
        self.set_association(link, entry.association);
    }

    /// Gives the element `link` new policy values. RFC 5356 §5.2.2: selections are counted anew.
    pub(crate) fn set_values(&mut self, link: Link, values: Values) {
        let element = &mut self.slots.elements[slot(link)];
        if element.values != values || element.selections != 0 {
            element.values = values;
            element.selections = 0;
            self.renew_order(link);
        }
    }

    /// Removes the element `id` of the pool of `handle`; whether there was one.
    pub(crate) fn deregister(&mut self, handle: PoolHandle<'_>, PeId(id): PeId) -> bool {
        let pool = self.find_pool(handle);
        let Some(pool) = get(self.slots.pools, pool) else { return false };
        let link = id_tree::find(self.slots.ids, pool.ids, id);
        if link != 0 {
            self.remove(link);
        }
        link != 0
    }

    /// Removes the element `link`; its pool vanishes with its last element.
    pub(crate) fn remove(&mut self, link: Link) {
        self.clear_deadline(link);
        self.forgive(link);
        self.leave_order(link);
        self.leave_owner(link);
        self.set_association(link, None);
        let element = &mut self.slots.elements[slot(link)];
        free_blocks(element, &mut self.state.blocks, self.slots.blocks);
        let pool_link = element.pool;
        element.selections = 0;
        element.scratch = super::slots::Scratch::default();
        let pool = &mut self.slots.pools[slot(pool_link)];
        id_tree::remove(self.slots.ids, &mut pool.ids, link);
        pool.count -= 1;
        let is_last = pool.count == 0;
        self.state.elements.give_back(self.slots.ids, link);
        if is_last {
            self.drop_pool(pool_link);
        }
    }
}

/// Copies the transports into the element or into blocks, of which there must be enough.
fn keep_transports(
    element: &mut Element,
    slab: &mut Slab,
    blocks: &mut [Block],
    entry: &Entry<'_>,
    in_blocks: InBlocks,
) {
    free_blocks(element, slab, blocks);
    let mut used = 0;
    for (which, (bytes, in_block)) in entry.transports.into_iter().zip(in_blocks).enumerate() {
        let room = if in_block {
            let block = slab.take(blocks).expect("room was checked");
            element.blocks[which] = block;
            &mut blocks[slot(block)].bytes[..]
        } else {
            let room = &mut element.inline[used..];
            used += bytes.len();
            room
        };
        room[..bytes.len()].copy_from_slice(bytes);
        element.lens[which] = bytes.len() as u8;
    }
}

fn free_blocks(element: &mut Element, slab: &mut Slab, blocks: &mut [Block]) {
    for block in &mut element.blocks {
        if *block != 0 {
            slab.give_back(blocks, core::mem::take(block));
        }
    }
}
