//! The tree of pools, ordered by handle: shorter handles first, then byte by byte.

use core::cmp::Ordering;

use super::Cursor;
use super::checksum;
use super::core::{Core, Peek};
use super::register::Entry;
use super::resolve::Each;
use super::slots::Pool;
use crate::identifier::{POOL_HANDLE_LEN_MAX, PeId, PoolHandle, RegistrarId};
use crate::store::id_tree::{self, Place};
use crate::store::tree::{self, Node};
use crate::store::{Link, slot};

/// A handle, so cut that comparing takes few steps.
struct Key {
    len: u8,
    words: [u64; WORDS],
}

const WORDS: usize = POOL_HANDLE_LEN_MAX / 8;

impl Key {
    fn new(handle: PoolHandle<'_>) -> Self {
        let bytes = padded(handle);
        Self { len: handle.as_bytes().len() as u8, words: words(&bytes) }
    }

    fn compare(&self, pool: &Pool) -> Ordering {
        self.len.cmp(&pool.handle_len).then_with(|| {
            for (word, chunk) in self.words.iter().zip(pool.handle.as_chunks().0) {
                let other = u64::from_be_bytes(*chunk);
                if *word != other {
                    return word.cmp(&other);
                }
            }
            Ordering::Equal
        })
    }
}

fn padded(handle: PoolHandle<'_>) -> [u8; POOL_HANDLE_LEN_MAX] {
    let mut bytes = [0; POOL_HANDLE_LEN_MAX];
    bytes[..handle.as_bytes().len()].copy_from_slice(handle.as_bytes());
    bytes
}

fn words(bytes: &[u8; POOL_HANDLE_LEN_MAX]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*chunk);
    }
    words
}

impl Peek<'_> {
    /// Where the pool of `handle` is or would be.
    pub(crate) fn locate_pool(&self, handle: PoolHandle<'_>) -> Place {
        let key = Key::new(handle);
        let (mut link, mut place) = (self.state.pool_top, Place::Free(0, 0));
        while link != 0 {
            let side = match key.compare(&self.slots.pools[slot(link)]) {
                Ordering::Equal => return Place::Taken(link),
                Ordering::Less => 0,
                Ordering::Greater => 1,
            };
            place = Place::Free(link, side);
            link = self.slots.pool_nodes[slot(link)].links().child[side];
        }
        place
    }

    /// The pool of `handle`, or 0.
    pub(crate) fn find_pool(&self, handle: PoolHandle<'_>) -> Link {
        match self.locate_pool(handle) {
            Place::Taken(pool) => pool,
            Place::Free(..) => 0,
        }
    }

    /// The element `id` of the pool of `handle`, or 0.
    pub(crate) fn find(&self, handle: PoolHandle<'_>, PeId(id): PeId) -> Link {
        match self.find_pool(handle) {
            0 => 0,
            pool => id_tree::find(self.slots.ids, self.slots.pools[slot(pool)].ids, id),
        }
    }

    /// The first element, by handle and identifier, after this place; 0 after the last.
    fn first_after(&self, cursor: Option<(PoolHandle<'_>, PeId)>) -> Link {
        let Some((handle, PeId(id))) = cursor else {
            return self.first_of_pool(tree::outermost(
                self.slots.pool_nodes,
                self.state.pool_top,
                0,
            ));
        };
        match self.locate_pool(handle) {
            Place::Taken(pool) => {
                let top = self.slots.pools[slot(pool)].ids;
                match id_tree::find_after(self.slots.ids, top, id) {
                    0 => self.first_of_pool(tree::next(self.slots.pool_nodes, pool)),
                    element => element,
                }
            }
            Place::Free(above, 0) => self.first_of_pool(above),
            Place::Free(above, _) => self.first_of_pool(tree::next(self.slots.pool_nodes, above)),
        }
    }

    /// Shows the elements after `cursor` until `each` returns false.
    pub(crate) fn walk_after(
        &self,
        cursor: Option<&Cursor>,
        owner: Option<RegistrarId>,
        each: Each<'_>,
    ) {
        let mut link =
            self.first_after(cursor.map(|cursor| (cursor.pool.as_handle(), cursor.pe_id)));
        while link != 0 {
            let view = self.view(link);
            if owner.is_none_or(|owner| owner == view.home()) && !each(&view) {
                return;
            }
            link = self.next(link);
        }
    }

    /// The element after `link` by handle and identifier; 0 after the last.
    fn next(&self, link: Link) -> Link {
        match tree::next(self.slots.ids, link) {
            0 => {
                let pool = self.slots.elements[slot(link)].pool;
                self.first_of_pool(tree::next(self.slots.pool_nodes, pool))
            }
            next => next,
        }
    }

    /// The pool's element with the smallest identifier; a pool has at least one.
    fn first_of_pool(&self, pool: Link) -> Link {
        match pool {
            0 => 0,
            pool => tree::outermost(self.slots.ids, self.slots.pools[slot(pool)].ids, 0),
        }
    }
}

impl Core<'_> {
    /// Makes the pool that `entry` is the first element of; there must be room.
    pub(crate) fn make_pool(&mut self, entry: &Entry<'_>, place: (Link, tree::Side)) -> Link {
        let pool = self.state.pools.take(self.slots.pool_nodes).expect("room was checked");
        self.slots.pools[slot(pool)] = Pool {
            handle: padded(entry.pool),
            handle_len: entry.pool.as_bytes().len() as u8,
            kind: entry.kind,
            is_control: entry.is_control,
            transport: entry.transport,
            handle_sum: checksum::handle_sum(entry.pool),
            ..Pool::EMPTY
        };
        let top = &mut self.state.pool_top;
        id_tree::insert(self.slots.pool_nodes, top, place, pool, 0);
        pool
    }

    /// Removes a pool that has no elements left.
    pub(crate) fn drop_pool(&mut self, pool: Link) {
        id_tree::remove(self.slots.pool_nodes, &mut self.state.pool_top, pool);
        self.state.pools.give_back(self.slots.pool_nodes, pool);
    }
}
