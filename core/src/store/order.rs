//! The order of selection within a pool, the weights of a draw, the queue of deadlines: one tree
//! for all.
//!
//! Where the k smallest are wanted, nodes are ordered by (key, sequence) and there are no sums.
//! Where draws in proportion to weight are wanted, every key would be the same; nodes are ordered
//! by sequence alone, and the word that would hold the key holds the sum of the weights in the
//! subtree of the first child. So a draw reads one node of 32 bytes per level, and a node that
//! is appended changes no sum.

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

    /// Gives a node of an ordered tree a later place. The usual case, that it stays where it is,
    /// costs one look at its neighbor.
    pub(crate) fn move_later(&mut self, nodes: &mut [OrderNode], link: Link, place: Place) {
        let next = tree::neighbor(nodes, link, 1);
        if get(nodes, next).is_some_and(|next| !is_before(place, next.place())) {
            self.move_to(nodes, link, place);
            return;
        }
        let node = &mut nodes[slot(link)];
        debug_assert!(!is_before(place, node.place()));
        (node.word, node.sequence) = place;
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
