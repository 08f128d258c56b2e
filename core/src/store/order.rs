//! The order of selection within a pool, the weights of a draw, the queue of deadlines.
//!
//! Nodes stand in a circular list that is entered at its first. Over the list there may be a tree:
//!
//! * Where the k smallest are wanted, the list is sorted by key, equal keys as they came, and the
//!   tree holds some of the nodes: of those beside each other at most [`LOOSE_MAX`] are loose, not
//!   in the tree. It finds a place; the list gives what comes next. Most nodes enter and leave
//!   without a change of the tree, above all a first one that had its turn.
//! * Where draws in proportion to weight are wanted, every key would be the same. The tree holds
//!   all nodes, and the word that would hold the key holds the sum of the weights in the subtree
//!   of the first child. So a draw reads one node of 32 bytes per level, and a node that is
//!   appended changes no sum.
//! * Where elements only take turns, there is no tree, as nothing is ever looked for.

use super::list::{self, Linked};
use super::tree::{self, Links, Node, Root};
use super::{Link, get, slot};

/// A node of 32 bytes: two share a cache line.
#[derive(Clone, Copy, Debug)]
pub struct OrderNode {
    /// The key, or the sum of the weights before the node in its subtree.
    word: u64,
    links: Links,
    place: list::Place,
    /// 0 says that the node is in no order.
    weight: u32,
}

impl OrderNode {
    /// An unused node, all zero bits.
    pub const EMPTY: Self =
        Self { word: 0, links: Links::NONE, place: list::Place::NONE, weight: 0 };
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

impl Linked<0> for OrderNode {
    fn place(&mut self) -> &mut list::Place {
        &mut self.place
    }

    fn place_ref(&self) -> &list::Place {
        &self.place
    }
}

/// A list of these nodes and the tree over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) top: Link,
    pub(crate) first: Link,
}

/// What is loose between two nodes of the tree; 0 stands for the ends of the list.
#[derive(Clone, Copy)]
struct Gap {
    before: Link,
    after: Link,
    loose: usize,
}

/// The most loose nodes beside each other. More make a search longer, above all where each is a
/// cache miss; fewer make more changes of the tree.
const LOOSE_MAX: usize = 4;

/// Whether a key comes before another. They are compared around the end of their range, so a key
/// that only ever grows (weighted round robin) may wrap.
#[inline]
const fn is_earlier(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}

/// The key of a node of a sorted order.
#[inline]
pub(crate) fn key(nodes: &[OrderNode], link: Link) -> u64 {
    nodes[slot(link)].word
}

/// The weight of a node; 0 says that it is in no order.
#[inline]
pub(crate) fn weight(nodes: &[OrderNode], link: Link) -> u32 {
    nodes[slot(link)].weight
}

/// Replaces what is kept as the weight of a node of a sorted order.
pub(crate) fn set_kept(nodes: &mut [OrderNode], link: Link, weight: u32) {
    nodes[slot(link)].weight = weight;
}

/// Those of the list.
impl Order {
    pub(crate) const EMPTY: Self = Self { top: 0, first: 0 };

    /// The node after `link`; 0 after the last.
    #[inline]
    pub(crate) fn next(&self, nodes: &[OrderNode], link: Link) -> Link {
        list::next(nodes, self.first, link)
    }

    /// Appends a node where there is no tree.
    pub(crate) fn append_turn(&mut self, nodes: &mut [OrderNode], link: Link) {
        nodes[slot(link)].weight = 1;
        list::append(nodes, &mut self.first, link);
    }

    /// Takes a node out where there is no tree.
    pub(crate) fn remove_turn(&mut self, nodes: &mut [OrderNode], link: Link) {
        nodes[slot(link)].weight = 0;
        list::remove(nodes, &mut self.first, link);
    }

    /// Lets the first node, if it is `link`, be the last.
    #[inline]
    pub(crate) fn end_turn(&mut self, nodes: &[OrderNode], link: Link) {
        if self.first == link {
            self.first = nodes[slot(link)].place.after;
        }
    }
}

/// Those of a sorted order.
impl Order {
    /// Inserts a node behind all with the same key. The weight, which must not be 0, is only kept.
    pub(crate) fn insert(&mut self, nodes: &mut [OrderNode], link: Link, key: u64, weight: u32) {
        nodes[slot(link)].weight = weight;
        self.enter(nodes, link, key);
    }

    /// Takes a node out.
    pub(crate) fn remove(&mut self, nodes: &mut [OrderNode], link: Link) {
        self.leave(nodes, link);
        nodes[slot(link)].weight = 0;
    }

    /// Gives a node another key, behind all that have the same.
    #[inline]
    pub(crate) fn move_to(&mut self, nodes: &mut [OrderNode], link: Link, key: u64) {
        let list::Place { before, after } = nodes[slot(link)].place;
        if (link == self.first || !is_earlier(key, nodes[slot(before)].word))
            && (after == self.first || is_earlier(key, nodes[slot(after)].word))
        {
            nodes[slot(link)].word = key;
        } else {
            self.leave_and_enter(nodes, link, key);
        }
    }

    /// One function, as a selection usually ends here and calls would be a fifth of its cost; but
    /// apart from it, whose registers it would take.
    #[inline(never)]
    fn leave_and_enter(&mut self, nodes: &mut [OrderNode], link: Link, key: u64) {
        self.leave(nodes, link);
        self.enter(nodes, link, key);
    }

    #[inline(always)]
    fn enter(&mut self, nodes: &mut [OrderNode], link: Link, key: u64) {
        nodes[slot(link)].word = key;
        let last = get(nodes, self.first).map_or(0, |first| first.place.before);
        let gap = match get(nodes, last) {
            Some(node) if is_earlier(key, node.word) => {
                let (later, gap) = self.find_later(nodes, key);
                list::insert_before(nodes, later, link);
                if later == self.first {
                    self.first = link;
                }
                gap
            }
            _ => {
                list::append(nodes, &mut self.first, link);
                self.last_gap(nodes, last)
            }
        };
        self.index(nodes, link, gap);
    }

    /// The first node with a later key, which there must be, and the gap before it.
    #[inline(always)]
    fn find_later(&self, nodes: &[OrderNode], key: u64) -> (Link, Gap) {
        let mut gap = Gap { before: 0, after: 0, loose: 0 };
        let (mut link, mut later) = (self.top, self.first);
        while let Some(node) = get(nodes, link) {
            let is_after = !is_earlier(key, node.word);
            if is_after {
                gap.before = link;
            }
            link = node.links.child[usize::from(is_after)];
        }
        if gap.before != 0 {
            later = nodes[slot(gap.before)].place.after;
        }
        let mut node = &nodes[slot(later)];
        while !is_earlier(key, node.word) {
            gap.loose += 1;
            later = node.place.after;
            node = &nodes[slot(later)];
        }
        gap.after = later;
        while node.links.is_loose() {
            gap.loose += 1;
            gap.after = node.place.after;
            if gap.after == self.first {
                gap.after = 0;
                break;
            }
            node = &nodes[slot(gap.after)];
        }
        (later, gap)
    }

    /// The gap up to `last`.
    #[inline(always)]
    fn last_gap(&self, nodes: &[OrderNode], last: Link) -> Gap {
        let mut gap = Gap { before: last, after: 0, loose: 0 };
        while let Some(node) = get(nodes, gap.before)
            && node.links.is_loose()
        {
            gap.loose += 1;
            gap.before = if gap.before == self.first { 0 } else { node.place.before };
        }
        gap
    }

    /// Puts a node that is new in a gap into the tree if there are too many in it.
    #[inline(always)]
    fn index(&mut self, nodes: &mut [OrderNode], link: Link, gap: Gap) {
        if gap.loose < LOOSE_MAX {
            nodes[slot(link)].links = Links::LOOSE;
        } else {
            self.enter_tree(nodes, link, gap);
        }
    }

    /// The node after the new one is taken if it is loose, so that nodes that are put behind each
    /// other leave full gaps behind them.
    fn enter_tree(&mut self, nodes: &mut [OrderNode], link: Link, gap: Gap) {
        let list::Place { after, .. } = nodes[slot(link)].place;
        let chosen = if after == self.first || after == gap.after { link } else { after };
        nodes[slot(link)].links = Links::LOOSE;
        let place = match get(nodes, gap.before) {
            Some(node) if node.links.child[1] == 0 => (gap.before, 1),
            _ => (gap.after, 0),
        };
        let mut root = Root { top: self.top, weighted: false };
        tree::insert(nodes, &mut root, place, chosen);
        self.top = root.top;
    }

    #[inline(always)]
    fn leave(&mut self, nodes: &mut [OrderNode], link: Link) {
        if !nodes[slot(link)].links.is_loose() {
            self.leave_tree(nodes, link);
        }
        list::remove(nodes, &mut self.first, link);
    }

    /// A node of the tree leaves its place there to the loose one after it; but the first makes
    /// those after it the first, whom nothing need precede.
    fn leave_tree(&mut self, nodes: &mut [OrderNode], link: Link) {
        let list::Place { after, .. } = nodes[slot(link)].place;
        let mut root = Root { top: self.top, weighted: false };
        if link == self.first || after == self.first || !nodes[slot(after)].links.is_loose() {
            tree::remove(nodes, &mut root, link);
        } else {
            tree::replace(nodes, &mut root, link, after);
        }
        self.top = root.top;
    }
}

/// Those of draws by weight.
impl Order {
    /// Appends a node. `weight` must not be 0.
    pub(crate) fn append_weighted(&mut self, nodes: &mut [OrderNode], link: Link, weight: u32) {
        debug_assert!(weight != 0);
        let last = get(nodes, self.first).map_or(0, |first| first.place.before);
        list::append(nodes, &mut self.first, link);
        let node = &mut nodes[slot(link)];
        (node.word, node.weight) = (0, weight);
        let mut root = Root { top: self.top, weighted: true };
        tree::insert(nodes, &mut root, (last, 1), link);
        self.top = root.top;
    }

    /// Takes a node out.
    pub(crate) fn remove_weighted(&mut self, nodes: &mut [OrderNode], link: Link) {
        set_weight(nodes, link, 0);
        let mut root = Root { top: self.top, weighted: true };
        tree::remove(nodes, &mut root, link);
        self.top = root.top;
        list::remove(nodes, &mut self.first, link);
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

/// Changes the weight of a node that is drawn by it.
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

/// What is over the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Nothing,
    SomeInTree,
    AllInTree,
}

/// Panics unless the order is as it must be; returns its node count.
pub(crate) fn check(nodes: &[OrderNode], order: Order, over: Over) -> usize {
    let weighted = over == Over::AllInTree;
    let in_tree_count = tree::check(nodes, Root { top: order.top, weighted });
    let mut in_tree = tree::outermost(nodes, order.top, 0);
    let (mut link, mut count, mut loose, mut found_count) = (order.first, 0, 0, 0);
    while link != 0 {
        count += 1;
        assert!(count <= nodes.len(), "the list does not close");
        assert!(weight(nodes, link) != 0, "{link} has no weight");
        let list::Place { after, .. } = nodes[slot(link)].place;
        assert_eq!(nodes[slot(after)].place.before, link, "before {after}");
        if link == in_tree {
            in_tree = tree::next(nodes, link);
            (loose, found_count) = (0, found_count + 1);
        } else {
            loose += 1;
        }
        let next = order.next(nodes, link);
        match over {
            Over::Nothing => assert_eq!(order.top, 0, "a tree over those who take turns"),
            Over::AllInTree => assert_eq!(loose, 0, "{link} is loose"),
            Over::SomeInTree => {
                assert!(loose <= LOOSE_MAX, "{loose} loose nodes up to {link}");
                assert_eq!(nodes[slot(link)].links.is_loose(), loose > 0, "{link} is marked");
                let is_sorted = next == 0 || !is_earlier(key(nodes, next), key(nodes, link));
                assert!(is_sorted, "order at {link}");
            }
        }
        link = next;
    }
    assert_eq!(found_count, in_tree_count, "nodes of the tree in the list's order");
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SplitMix64};

    const NODES: usize = 600;
    // Miri takes a thousand times as long.
    const SEEDS: u64 = if cfg!(miri) { 4 } else { 25 };
    const STEPS: u64 = if cfg!(miri) { 200 } else { 3_000 };

    /// Both orders, and the sorted one as anyone can see it to be: keys and links.
    struct Both {
        nodes: [OrderNode; NODES],
        order: Order,
        model: std::vec::Vec<(u64, Link)>,
    }

    impl Both {
        fn new() -> Self {
            let model = std::vec::Vec::new();
            Self { nodes: [OrderNode::EMPTY; NODES], order: Order::EMPTY, model }
        }

        /// Inserts or moves the node, as the case may be.
        fn put(&mut self, link: Link, key: u64) {
            if weight(&self.nodes, link) == 0 {
                self.order.insert(&mut self.nodes, link, key, 1);
            } else {
                self.order.move_to(&mut self.nodes, link, key);
                self.model.retain(|&(_, other)| other != link);
            }
            let place = self.model.partition_point(|&(other, _)| !is_earlier(key, other));
            self.model.insert(place, (key, link));
        }

        fn remove(&mut self, link: Link) {
            if weight(&self.nodes, link) != 0 {
                self.order.remove(&mut self.nodes, link);
                self.model.retain(|&(_, other)| other != link);
            }
        }

        fn compare(&self) {
            assert_eq!(check(&self.nodes, self.order, Over::SomeInTree), self.model.len());
            let mut link = self.order.first;
            for &expected in &self.model {
                assert_eq!((key(&self.nodes, link), link), expected);
                link = self.order.next(&self.nodes, link);
            }
            assert_eq!(link, 0);
        }
    }

    /// Keys of a kind: spread, many equal, rising, falling, around the end of their range.
    fn key_of(kind: u64, step: u64, random: u64) -> u64 {
        match kind {
            0 => random % 1_000_000,
            1 => random % 3,
            2 => step,
            3 => 1_000_000 - step,
            _ => (step << 50).wrapping_sub(1 << 60).wrapping_add(random % 1_000),
        }
    }

    #[test]
    fn every_step_is_as_in_a_sorted_vector() {
        for seed in 0..SEEDS {
            let mut random = SplitMix64::new(seed);
            let mut both = Both::new();
            let links = 1 << (3 + seed % 7);
            for step in 0..STEPS {
                let link = (random.next_u64() % links) as Link + 1;
                let key = key_of(seed % 5, step, random.next_u64());
                match random.next_u64() % 8 {
                    0 => both.remove(link),
                    1 => both.remove(both.order.first.max(1)),
                    2 if both.order.first != 0 => both.put(both.order.first, key),
                    _ => both.put(link, key),
                }
                if step % 16 == 0 {
                    both.compare();
                }
            }
            both.compare();
            for link in 1..=links as Link {
                both.remove(link);
                if link % 8 == 0 {
                    both.compare();
                }
            }
        }
    }

    #[test]
    fn draws_hit_each_node_as_often_as_it_weighs() {
        for seed in 0..SEEDS.min(8) {
            let mut random = SplitMix64::new(seed);
            let (mut nodes, mut order) = ([OrderNode::EMPTY; NODES], Order::EMPTY);
            let mut model: std::vec::Vec<(Link, u32)> = std::vec::Vec::new();
            for step in 0..STEPS {
                let link = (random.next_u64() % (4 << seed)) as Link + 1;
                let weight = (random.next_u64() % 5) as u32 + 1;
                match model.iter().position(|&(other, _)| other == link) {
                    None => {
                        order.append_weighted(&mut nodes, link, weight);
                        model.push((link, weight));
                    }
                    Some(at) if step % 3 == 0 => {
                        set_weight(&mut nodes, link, weight);
                        model[at].1 = weight;
                    }
                    Some(at) => {
                        order.remove_weighted(&mut nodes, link);
                        model.remove(at);
                    }
                }
                if step % 64 == 0 {
                    assert_eq!(check(&nodes, order, Over::AllInTree), model.len());
                    let tickets =
                        model.iter().flat_map(|&(link, weight)| (0..weight).map(move |_| link));
                    for (ticket, link) in (0..).zip(tickets) {
                        assert_eq!(order.draw(&nodes, ticket).map(|drawn| drawn.0), Some(link));
                    }
                }
            }
        }
    }

    #[test]
    fn a_tree_over_few_nodes_finds_a_place_among_many_equal_ones() {
        let mut both = Both::new();
        for link in 1..=NODES as Link {
            both.put(link, u64::from(link % 2));
        }
        both.compare();
        let in_tree = (1..=NODES as Link).filter(|&link| !both.nodes[slot(link)].links.is_loose());
        let most = NODES.div_ceil(LOOSE_MAX / 2);
        assert!((NODES / (LOOSE_MAX + 1)..=most).contains(&in_tree.count()));
    }
}
