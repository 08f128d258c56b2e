//! The order of selection within a pool, or the weights of a draw: one tree for both.
//!
//! Where the k smallest are wanted, nodes are ordered by (key, sequence) and there are no sums.
//! Where draws in proportion to weight are wanted, every key would be the same; nodes are ordered
//! by sequence alone, and the word that would hold the key holds the sum of the weights in the
//! subtree of the first child. So a draw reads one node of 32 bytes per level, and a node that
//! is appended changes no sum.

use super::tree::{self, Links, Node, Root, Side};
use super::{Link, slot};

/// A node of 32 bytes: two share a cache line.
#[derive(Clone, Copy, Debug)]
pub struct OrderNode {
    /// The key, or the sum of the weights before the node in its subtree.
    word: u64,
    sequence: u64,
    links: Links,
    weight: u32,
}

impl OrderNode {
    /// An unused node, all zero bits.
    pub const EMPTY: Self = Self { word: 0, sequence: 0, links: Links::NONE, weight: 0 };
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

/// Whether (key, sequence) `a` comes before `b`. Keys are compared around the end of their range,
/// so a key that only ever grows (weighted round robin) may wrap.
fn is_before(a: (u64, u64), b: (u64, u64)) -> bool {
    let ahead = b.0.wrapping_sub(a.0) as i64;
    ahead > 0 || ahead == 0 && a.1 < b.1
}

/// The key and the sequence number of a node of an ordered tree.
pub(crate) fn place(nodes: &[OrderNode], link: Link) -> (u64, u64) {
    let node = &nodes[slot(link)];
    (node.word, node.sequence)
}

/// The weight of a node; 0 says that it is in no tree.
pub(crate) fn weight(nodes: &[OrderNode], link: Link) -> u32 {
    nodes[slot(link)].weight
}

/// Inserts into an ordered tree. The weight only says that the node is in a tree.
pub(crate) fn insert_ordered(
    nodes: &mut [OrderNode],
    top: &mut Link,
    link: Link,
    (key, sequence): (u64, u64),
) {
    let (mut below, mut place): (Link, (Link, Side)) = (*top, (0, 0));
    while below != 0 {
        let node = &nodes[slot(below)];
        let side = usize::from(!is_before((key, sequence), (node.word, node.sequence)));
        place = (below, side);
        below = node.links.child[side];
    }
    let node = &mut nodes[slot(link)];
    (node.word, node.sequence, node.weight) = (key, sequence, 1);
    let mut root = Root { top: *top, weighted: false };
    tree::insert(nodes, &mut root, place, link);
    *top = root.top;
}

/// Takes a node out of an ordered tree.
pub(crate) fn remove_ordered(nodes: &mut [OrderNode], top: &mut Link, link: Link) {
    let mut root = Root { top: *top, weighted: false };
    tree::remove(nodes, &mut root, link);
    *top = root.top;
    nodes[slot(link)].weight = 0;
}

/// Gives a node of an ordered tree a later place. The usual case, that it stays where it is, costs
/// one look at its neighbour.
pub(crate) fn move_later(nodes: &mut [OrderNode], top: &mut Link, link: Link, place: (u64, u64)) {
    let next = tree::next(nodes, link);
    if next != 0 {
        let next = &nodes[slot(next)];
        if !is_before(place, (next.word, next.sequence)) {
            remove_ordered(nodes, top, link);
            insert_ordered(nodes, top, link, place);
            return;
        }
    }
    let node = &mut nodes[slot(link)];
    debug_assert!(!is_before(place, (node.word, node.sequence)));
    (node.word, node.sequence) = place;
}

/// Appends to a weighted tree. `weight` must not be 0.
pub(crate) fn append_weighted(
    nodes: &mut [OrderNode],
    top: &mut Link,
    link: Link,
    sequence: u64,
    weight: u32,
) {
    debug_assert!(weight != 0);
    let last = tree::outermost(nodes, *top, 1);
    let node = &mut nodes[slot(link)];
    (node.word, node.sequence, node.weight) = (0, sequence, weight);
    let mut root = Root { top: *top, weighted: true };
    tree::insert(nodes, &mut root, (last, 1), link);
    *top = root.top;
}

/// Takes a node out of a weighted tree.
pub(crate) fn remove_weighted(nodes: &mut [OrderNode], top: &mut Link, link: Link) {
    set_weight(nodes, link, 0);
    let mut root = Root { top: *top, weighted: true };
    tree::remove(nodes, &mut root, link);
    *top = root.top;
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

/// The node that covers `ticket`, a number below the tree's sum, and the sum before it.
pub(crate) fn draw(nodes: &[OrderNode], top: Link, ticket: u64) -> Option<(Link, u64)> {
    let (mut link, mut rest) = (top, ticket);
    while link != 0 {
        let node = &nodes[slot(link)];
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

/// Panics unless an ordered tree is in order.
pub(crate) fn check(nodes: &[OrderNode], top: Link) {
    let mut link = tree::outermost(nodes, top, 0);
    while link != 0 {
        let next = tree::next(nodes, link);
        assert!(next == 0 || is_before(place(nodes, link), place(nodes, next)), "order at {link}");
        link = next;
    }
}
