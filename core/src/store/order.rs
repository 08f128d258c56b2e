//! The order of selection within a pool, the weights of a draw, the queue of deadlines: one tree
//! for all.
//!
//! Where the k smallest are wanted, nodes are ordered by (key, sequence) and there are no sums.
//! Where draws in proportion to weight are wanted, every key would be the same; nodes are ordered
//! by sequence alone, and the word that would hold the key holds the sum of the weights in the
//! subtree of the first child. So a draw reads one node of 32 bytes per level, and a node that
//! is appended changes no sum.
//!
//! Where elements only take turns, nothing is ever looked for by a key: the nodes are a ring,
//! whose links before and after are the two children, and whoever had its turn is last because
//! the next one is first. An order without a top but with a first node is such a ring.

use super::tree::{self, Links, Node, Root, Side};
use super::{Link, get, slot};

/// A node of 32 bytes: two share a cache line.
#[derive(Clone, Copy, Debug)]
pub struct OrderNode {
    /// The key, or the sum of the weights before the node in its subtree.
    word: u64,
    sequence: u64,
    links: Links,
    /// 0 says that the node is in no tree.
    weight: u32,
}

impl OrderNode {
    /// An unused node, all zero bits.
    pub const EMPTY: Self = Self { word: 0, sequence: 0, links: Links::NONE, weight: 0 };

    const fn place(&self) -> Place {
        (self.word, self.sequence)
    }
}

impl Node for OrderNode {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    fn weight(&self) -> u64 {
        u64::from(self.weight)
    }

    fn sum_before(&self) -> u64 {
        self.word
    }

    fn set_sum_before(&mut self, sum: u64) {
        self.word = sum;
    }
}

/// A tree of these nodes; its ends are remembered, as that is where most happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) top: Link,
    pub(crate) first: Link,
    last: Link,
}

/// The key and the sequence number.
pub(crate) type Place = (u64, u64);

/// Whether `a` comes before `b`. Keys are compared around the end of their range, so a key that
/// only ever grows (weighted round robin) may wrap.
fn is_before(a: Place, b: Place) -> bool {
    let wide = |(key, sequence): Place| u128::from(key) << 64 | u128::from(sequence);
    (wide(a).wrapping_sub(wide(b)) as i128) < 0
}

/// Whether a key comes before another, around the end of their range.
#[inline]
const fn is_earlier(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}

/// The place of a node of an ordered tree.
pub(crate) fn place(nodes: &[OrderNode], link: Link) -> Place {
    nodes[slot(link)].place()
}

/// The weight of a node; 0 says that it is in no tree.
pub(crate) fn weight(nodes: &[OrderNode], link: Link) -> u32 {
    nodes[slot(link)].weight
}

impl Order {
    pub(crate) const EMPTY: Self = Self { top: 0, first: 0, last: 0 };

    /// Inserts into an ordered tree. The weight, which must not be 0, is only kept.
    pub(crate) fn insert(
        &mut self,
        nodes: &mut [OrderNode],
        link: Link,
        place: Place,
        weight: u32,
    ) {
        let below = self.locate(nodes, place);
        let node = &mut nodes[slot(link)];
        (node.word, node.sequence, node.weight) = (place.0, place.1, weight);
        self.hang(nodes, link, below, false);
    }

    /// Appends a node to a ring.
    pub(crate) fn append_turn(&mut self, nodes: &mut [OrderNode], link: Link) {
        let first = self.first;
        let before = if first == 0 {
            self.first = link;
            link
        } else {
            core::mem::replace(&mut nodes[slot(first)].links.child[0], link)
        };
        let after = if first == 0 { link } else { first };
        let node = &mut nodes[slot(link)];
        (node.word, node.sequence, node.weight) = (0, 0, 1);
        node.links.child = [before, after];
        nodes[slot(before)].links.child[1] = link;
    }

    /// Takes a node out of a ring.
    pub(crate) fn remove_turn(&mut self, nodes: &mut [OrderNode], link: Link) {
        let node = &mut nodes[slot(link)];
        node.weight = 0;
        let [before, after] = node.links.child;
        if after == link {
            self.first = 0;
            return;
        }
        nodes[slot(before)].links.child[1] = after;
        nodes[slot(after)].links.child[0] = before;
        if self.first == link {
            self.first = after;
        }
    }

    /// Lets the node after the first be the first, if `link` is.
    #[inline]
    pub(crate) fn end_turn(&mut self, nodes: &[OrderNode], link: Link) {
        if self.first == link {
            self.first = nodes[slot(link)].links.child[1];
        }
    }

    /// The node after `link`: in a ring, the first comes after the last again.
    #[inline]
    pub(crate) fn next(&self, nodes: &[OrderNode], link: Link) -> Link {
        if self.top == 0 {
            get(nodes, link).map_or(0, |node| node.links.child[1])
        } else {
            tree::next(nodes, link)
        }
    }

    /// Where a node belongs; usually at the end.
    fn locate(&self, nodes: &[OrderNode], place: Place) -> (Link, Side) {
        if get(nodes, self.last).is_some_and(|last| !is_before(place, last.place())) {
            return (self.last, 1);
        }
        let (mut link, mut above, mut is_before_it) = (self.top, 0, false);
        while let Some(node) = get(nodes, link) {
            above = link;
            is_before_it = is_before(place, node.place());
            let [before, after] = node.links.child;
            link = if is_before_it { before } else { after };
        }
        (above, usize::from(!is_before_it))
    }

    fn hang(&mut self, nodes: &mut [OrderNode], link: Link, below: (Link, Side), weighted: bool) {
        let is_only = below.0 == 0;
        if is_only || below == (self.first, 0) {
            self.first = link;
        }
        if is_only || below == (self.last, 1) {
            self.last = link;
        }
        let mut root = Root { top: self.top, weighted };
        tree::insert(nodes, &mut root, below, link);
        self.top = root.top;
    }

    fn unhang(&mut self, nodes: &mut [OrderNode], link: Link, weighted: bool) {
        if link == self.first {
            self.first = tree::neighbor(nodes, link, 1);
        }
        if link == self.last {
            self.last = tree::neighbor(nodes, link, 0);
        }
        let mut root = Root { top: self.top, weighted };
        tree::remove(nodes, &mut root, link);
        self.top = root.top;
    }

    /// Takes a node out of an ordered tree.
    pub(crate) fn remove(&mut self, nodes: &mut [OrderNode], link: Link) {
        self.unhang(nodes, link, false);
        nodes[slot(link)].weight = 0;
    }

    /// Gives a node of an ordered tree another place.
    pub(crate) fn move_to(&mut self, nodes: &mut [OrderNode], link: Link, place: Place) {
        self.unhang(nodes, link, false);
        let weight = weight(nodes, link);
        self.insert(nodes, link, place, weight);
    }

    /// Gives a node of an ordered tree a later place, with a sequence number above all others. The
    /// usual case, that it stays where it is, costs one look at its neighbor.
    #[inline]
    pub(crate) fn move_later(&mut self, nodes: &mut [OrderNode], link: Link, place: Place) {
        let next = tree::neighbor(nodes, link, 1);
        if get(nodes, next).is_some_and(|next| !is_earlier(place.0, next.word)) {
            self.move_behind(nodes, link, next, place);
            return;
        }
        let node = &mut nodes[slot(link)];
        debug_assert!(!is_before(place, node.place()));
        (node.word, node.sequence) = place;
    }

    /// Moves a node behind `next`, the one after it, at least.
    fn move_behind(&mut self, nodes: &mut [OrderNode], link: Link, next: Link, place: Place) {
        if link != self.first {
            self.move_to(nodes, link, place);
            return;
        }
        tree::remove_first(nodes, &mut self.top, link);
        self.first = next;
        let (key, _) = place;
        let node = &mut nodes[slot(link)];
        (node.word, node.sequence) = place;
        let (mut at, mut above, mut side) = (self.top, 0, 1);
        while let Some(node) = get(nodes, at) {
            above = at;
            side = usize::from(!is_earlier(key, node.word));
            at = node.links.child[side];
        }
        if side == 1 && above == self.last {
            self.last = link;
        }
        let mut root = Root { top: self.top, weighted: false };
        tree::insert(nodes, &mut root, (above, side), link);
        self.top = root.top;
    }

    /// Appends to a weighted tree. `weight` must not be 0.
    pub(crate) fn append_weighted(
        &mut self,
        nodes: &mut [OrderNode],
        link: Link,
        sequence: u64,
        weight: u32,
    ) {
        debug_assert!(weight != 0);
        let node = &mut nodes[slot(link)];
        (node.word, node.sequence, node.weight) = (0, sequence, weight);
        self.hang(nodes, link, (self.last, 1), true);
    }

    /// Takes a node out of a weighted tree.
    pub(crate) fn remove_weighted(&mut self, nodes: &mut [OrderNode], link: Link) {
        set_weight(nodes, link, 0);
        self.unhang(nodes, link, true);
    }

    /// The node that covers `ticket`, a number below the sum of all weights; the sum before it.
    pub(crate) fn draw(&self, nodes: &[OrderNode], ticket: u64) -> Option<(Link, u64)> {
        let (mut link, mut rest) = (self.top, ticket);
        while let Some(node) = get(nodes, link) {
            match rest.checked_sub(node.word) {
                None => link = node.links.child[0],
                Some(within) => match within.checked_sub(u64::from(node.weight)) {
                    None => return Some((link, ticket - within)),
                    Some(after) => (link, rest) = (node.links.child[1], after),
                },
            }
        }
        None
    }
}

/// Changes the weight of a node of a weighted tree.
pub(crate) fn set_weight(nodes: &mut [OrderNode], link: Link, weight: u32) {
    let old = core::mem::replace(&mut nodes[slot(link)].weight, weight);
    let change = u64::from(weight).wrapping_sub(u64::from(old));
    let mut below = link;
    while let Some((above, side)) = tree::parent(nodes, below) {
        if side == 0 {
            let node = &mut nodes[slot(above)];
            node.word = node.word.wrapping_add(change);
        }
        below = above;
    }
}

/// Replaces what is kept as the weight of a node of an ordered tree.
pub(crate) fn set_kept(nodes: &mut [OrderNode], link: Link, weight: u32) {
    nodes[slot(link)].weight = weight;
}

/// Panics unless the ring is linked as it must be; returns its node count.
pub(crate) fn check_ring(nodes: &[OrderNode], order: Order) -> usize {
    assert_eq!((order.top, order.last), (0, 0), "a ring has no top");
    let (mut link, mut count) = (order.first, 0);
    while link != 0 {
        count += 1;
        assert!(count <= nodes.len(), "the ring does not close");
        assert_eq!(weight(nodes, link), 1, "weight in a ring");
        let [_, after] = nodes[slot(link)].links.child;
        assert_eq!(nodes[slot(after)].links.child[0], link, "before {after}");
        link = if after == order.first { 0 } else { after };
    }
    count
}

/// Panics unless the tree is as it must be; returns its node count.
pub(crate) fn check(nodes: &[OrderNode], order: Order, weighted: bool) -> usize {
    let count = tree::check(nodes, Root { top: order.top, weighted });
    assert_eq!(order.first, tree::outermost(nodes, order.top, 0), "the first");
    assert_eq!(order.last, tree::outermost(nodes, order.top, 1), "the last");
    let mut link = order.first;
    while link != 0 {
        let next = tree::next(nodes, link);
        let is_in_order =
            next == 0 || weighted || is_before(place(nodes, link), place(nodes, next));
        assert!(is_in_order, "order at {link}");
        link = next;
    }
    count
}
