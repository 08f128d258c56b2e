//! The tree of pools, and the walk through all elements.

use core::cmp::Ordering;

use heapless::Vec;

use super::Cursor;
use super::checksum;
use super::core::{Core, Peek};
use super::register::Entry;
use super::resolve::Each;
use super::slots::{self, POOL_TREES, Pool};
use crate::identifier::{POOL_HANDLE_LEN_MAX, PeId, PoolHandle, RegistrarId};
use crate::store::id_tree::{self, IdNode, Place};
use crate::store::{Link, get, slot};
use crate::store::{list, tree};

/// Spreads handles that begin alike; whoever makes digests collide gains nothing.
#[inline]
fn digest(handle: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |mix: u64, word: u64| {
        let product = (mix ^ word).wrapping_mul(ODD);
        product ^ product >> 32
    };
    if let Some((first, last)) = short(handle) {
        return mix(mix(handle.len() as u64, first), last) as u32;
    }
    let (words, rest) = handle.as_chunks();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let sum = words.fold(handle.len() as u64, mix);
    // The last eight bytes, some of them a second time, take fewer steps than the rest.
    let last = match handle.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |last, byte| last << 8 | u64::from(*byte)),
    };
    mix(sum, last) as u32
}

/// The first and the last eight bytes of a handle of 8 to 16, which most are.
#[inline]
fn short(handle: &[u8]) -> Option<(u64, u64)> {
    let (first, last) = (handle.first_chunk()?, handle.last_chunk()?);
    (handle.len() <= 16).then(|| (u64::from_le_bytes(*first), u64::from_le_bytes(*last)))
}

#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match (short(a), short(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        }
}

fn compare(handle: &[u8], pool: &Pool) -> Ordering {
    handle.len().cmp(&usize::from(pool.handle_len)).then_with(|| handle.cmp(pool.handle_bytes()))
}

/// Which of the trees of pools it is in. So all pools are ordered by digest.
#[inline]
const fn tree_of(digest: u32) -> usize {
    (digest >> (u32::BITS - POOL_TREES.ilog2())) as usize
}

/// Where the pool of `handle` is or would be in its tree.
///
/// The tree is ordered by digest and then by handle, so that a search looks at small nodes alone.
fn locate(
    nodes: &[IdNode],
    pools: &[Pool],
    tops: &[Link; POOL_TREES],
    handle: PoolHandle<'_>,
) -> Place {
    let handle = handle.as_bytes();
    let digest = digest(handle);
    let (mut link, mut place) = (tops[tree_of(digest)], Place::Free(0, 0));
    while let Some(node) = get(nodes, link) {
        let side = if node.key != digest {
            usize::from(node.key < digest)
        } else {
            match compare(handle, &pools[slot(link)]) {
                Ordering::Less => 0,
                Ordering::Equal => return Place::Taken(link),
                Ordering::Greater => 1,
            }
        };
        place = Place::Free(link, side);
        link = node.links.child[side];
    }
    place
}

/// The pool of `handle`, or 0.
#[inline]
pub(crate) fn find(
    nodes: &[IdNode],
    pools: &[Pool],
    tops: &[Link; POOL_TREES],
    handle: PoolHandle<'_>,
) -> Link {
    let digest = digest(handle.as_bytes());
    let link = id_tree::find(nodes, tops[tree_of(digest)], digest);
    match get(pools, link) {
        Some(pool) if !is_same(pool.handle_bytes(), handle.as_bytes()) => {
            match locate(nodes, pools, tops, handle) {
                Place::Taken(pool) => pool,
                Place::Free(..) => 0,
            }
        }
        _ => link,
    }
}

/// The order of the walk: pools by digest, length and bytes of their handles, then elements by
/// identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    digest: u32,
    len: usize,
    handle: &'a [u8],
    id: u32,
}

impl<'a> Rank<'a> {
    fn new(handle: &'a [u8], id: u32) -> Self {
        Self { digest: digest(handle), len: handle.len(), handle, id }
    }
}

/// How many elements are taken out of an owner's list at a time.
const BATCH: usize = 16;

impl Peek<'_> {
    fn locate_pool(&self, handle: PoolHandle<'_>) -> Place {
        locate(self.slots.pool_nodes, self.slots.pools, &self.state.pool_tops, handle)
    }

    /// The element `id` of the pool of `handle`, or 0.
    pub(crate) fn find(&self, handle: PoolHandle<'_>, PeId(id): PeId) -> Link {
        let slots = &self.slots;
        match find(slots.pool_nodes, slots.pools, &self.state.pool_tops, handle) {
            0 => 0,
            pool => id_tree::find(slots.ids, slots.pools[slot(pool)].ids, id),
        }
    }

    /// The first element after this place; 0 after the last.
    fn first_after(&self, cursor: Option<(PoolHandle<'_>, PeId)>) -> Link {
        let Some((handle, PeId(id))) = cursor else {
            return self.first_of_pool(self.first_pool(0));
        };
        match self.locate_pool(handle) {
            Place::Taken(pool) => {
                let top = self.slots.pools[slot(pool)].ids;
                match id_tree::find_after(self.slots.ids, top, id) {
                    0 => self.first_of_pool(self.next_pool(pool)),
                    element => element,
                }
            }
            Place::Free(0, _) => {
                let tree = tree_of(digest(handle.as_bytes()));
                self.first_of_pool(self.first_pool(tree + 1))
            }
            Place::Free(above, 0) => self.first_of_pool(above),
            Place::Free(above, _) => self.first_of_pool(self.next_pool(above)),
        }
    }

    /// Shows the elements after `cursor` until `each` returns false.
    pub(crate) fn walk_after(
        &self,
        cursor: Option<&Cursor>,
        owner: Option<RegistrarId>,
        each: Each<'_>,
    ) {
        let place = cursor.map(|cursor| (cursor.pool.as_handle(), cursor.pe_id));
        let Some(id) = owner else { return self.walk_all(place, |_| true, each) };
        let Some(owner) = self.owner(id) else { return };
        let (count, all) = (u64::from(owner.count), u64::from(self.state.elements.count));
        if count.saturating_mul(count) > all.saturating_mul(BATCH as u64) {
            return self.walk_all(place, |home| home == id, each);
        }
        self.walk_few(owner.first, place, each);
    }

    /// Walks through all elements, and shows those of the homes that are wanted.
    fn walk_all(
        &self,
        place: Option<(PoolHandle<'_>, PeId)>,
        is_wanted: impl Fn(RegistrarId) -> bool,
        each: Each<'_>,
    ) {
        let mut link = self.first_after(place);
        while link != 0 {
            let view = self.view(link);
            if is_wanted(view.home()) && !each(&view) {
                return;
            }
            link = self.next(link);
        }
    }

    /// The same walk for a list that is so short that going through it again and again, each time
    /// for the next [`BATCH`] elements, takes less than going through all elements once.
    fn walk_few(&self, first: Link, place: Option<(PoolHandle<'_>, PeId)>, each: Each<'_>) {
        let mut after = place.map(|(handle, PeId(id))| Rank::new(handle.as_bytes(), id));
        // Each round shows as many elements as a batch has, or is the last.
        loop {
            let mut batch: Vec<(Rank<'_>, Link), BATCH> = Vec::new();
            let mut link = first;
            while link != 0 {
                let rank = self.rank(link);
                if after.is_none_or(|after| after < rank) {
                    let at = batch.partition_point(|(other, _)| *other < rank);
                    if batch.is_full() && at < BATCH {
                        batch.pop();
                    }
                    // One that comes behind a full batch is for the next round.
                    let _ = batch.insert(at, (rank, link));
                }
                link = list::next::<_, { slots::OWNER }>(self.slots.elements, first, link);
            }
            for &(rank, link) in &batch {
                if !each(&self.view(link)) {
                    return;
                }
                after = Some(rank);
            }
            if !batch.is_full() {
                return;
            }
        }
    }

    /// Where an element comes in the walk.
    fn rank(&self, link: Link) -> Rank<'_> {
        let pool = self.slots.elements[slot(link)].pool;
        let handle = self.slots.pools[slot(pool)].handle_bytes();
        let digest = self.slots.pool_nodes[slot(pool)].key;
        Rank { digest, len: handle.len(), handle, id: self.view(link).pe_id().0 }
    }

    /// The element after `link` in the walk; 0 after the last.
    fn next(&self, link: Link) -> Link {
        match tree::next(self.slots.ids, link) {
            0 => {
                let pool = self.slots.elements[slot(link)].pool;
                self.first_of_pool(self.next_pool(pool))
            }
            next => next,
        }
    }

    /// The first pool from the tree with this number on; 0 if there is none.
    pub(crate) fn first_pool(&self, tree: usize) -> Link {
        let tops = self.state.pool_tops.iter().skip(tree);
        let top = tops.copied().find(|&top| top != 0).unwrap_or(0);
        tree::outermost(self.slots.pool_nodes, top, 0)
    }

    /// The pool after `pool`; 0 after the last.
    pub(crate) fn next_pool(&self, pool: Link) -> Link {
        match tree::next(self.slots.pool_nodes, pool) {
            0 => self.first_pool(tree_of(self.slots.pool_nodes[slot(pool)].key) + 1),
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
    pub(crate) fn make_pool(&mut self, entry: &Entry<'_>) -> Link {
        let Place::Free(above, side) = self.peek().locate_pool(entry.pool) else {
            unreachable!("the pool was looked for");
        };
        let pool = self.state.pools.take(self.slots.pool_nodes).expect("room was checked");
        let bytes = entry.pool.as_bytes();
        let mut handle = [0; POOL_HANDLE_LEN_MAX];
        handle[..bytes.len()].copy_from_slice(bytes);
        self.slots.pools[slot(pool)] = Pool {
            handle,
            handle_len: bytes.len() as u8,
            kind: entry.kind,
            is_control: entry.is_control,
            transport: entry.transport,
            handle_sum: checksum::handle_sum(entry.pool),
            ..Pool::EMPTY
        };
        let digest = digest(bytes);
        let top = &mut self.state.pool_tops[tree_of(digest)];
        id_tree::insert(self.slots.pool_nodes, top, (above, side), pool, digest);
        pool
    }

    /// Removes a pool that has no elements left.
    pub(crate) fn drop_pool(&mut self, pool: Link) {
        let tree = tree_of(self.slots.pool_nodes[slot(pool)].key);
        id_tree::remove(self.slots.pool_nodes, &mut self.state.pool_tops[tree], pool);
        self.state.pools.give_back(self.slots.pool_nodes, pool);
    }
}
