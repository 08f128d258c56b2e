//! A height-balanced (AVL) tree whose nodes are slots linked by indices.
//!
//! The depth never exceeds 1.44 times the binary logarithm of the node count, whatever a peer
//! chooses as keys. This file links, unlinks and walks; where a node belongs is decided by
//! [`id_tree`](super::id_tree) and [`order`](super::order).

use super::{Link, get, slot};

/// The first child (smaller keys) or the second (larger ones).
pub(crate) type Side = usize;

/// The links of a node: children, and the parent with the balance in its low two bits.
///
/// Balance 0: both subtrees have the same height; `side + 1`: the one on that side is taller by
/// one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    pub(crate) child: [Link; 2],
    up: u32,
}

impl Links {
    pub(crate) const NONE: Self = Self { child: [0; 2], up: 0 };

    /// Those of a node that is in no tree, where others beside it are.
    pub(crate) const LOOSE: Self = Self { child: [0; 2], up: 3 };

    pub(crate) const fn is_loose(self) -> bool {
        self.up == Self::LOOSE.up
    }

    const fn parent(self) -> Link {
        self.up >> 2
    }

    const fn balance(self) -> u32 {
        self.up & 3
    }

    fn set_parent(&mut self, parent: Link) {
        self.up = parent << 2 | self.up & 3;
    }

    fn set_balance(&mut self, balance: u32) {
        self.up = self.up & !3 | balance;
    }
}

/// A slot that can be a node.
///
/// A weighted tree also keeps in each node the sum of the weights in the subtree of its first
/// child. Nodes without weights leave the three methods alone.
pub(crate) trait Node {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;

    fn weight(&self) -> u64 {
        0
    }

    fn sum_before(&self) -> u64 {
        0
    }

    fn set_sum_before(&mut self, _sum: u64) {}
}

/// A tree's root and whether its nodes carry sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    pub(crate) top: Link,
    pub(crate) weighted: bool,
}

const fn tall(side: Side) -> u32 {
    side as u32 + 1
}

fn links<N: Node>(nodes: &[N], link: Link) -> &Links {
    nodes[slot(link)].links()
}

fn links_mut<N: Node>(nodes: &mut [N], link: Link) -> &mut Links {
    nodes[slot(link)].links_mut()
}

fn side_of<N: Node>(nodes: &[N], parent: Link, child: Link) -> Side {
    usize::from(links(nodes, parent).child[1] == child)
}

/// The parent of `link` and on which side of it `link` is.
pub(crate) fn parent<N: Node>(nodes: &[N], link: Link) -> Option<(Link, Side)> {
    let parent = links(nodes, link).parent();
    (parent != 0).then(|| (parent, side_of(nodes, parent, link)))
}

/// The outermost node below `top` on `side`; 0 in an empty tree.
pub(crate) fn outermost<N: Node>(nodes: &[N], top: Link, side: Side) -> Link {
    let (mut link, mut found) = (top, 0);
    while let Some(node) = get(nodes, link) {
        found = link;
        link = node.links().child[side];
    }
    found
}

/// The node after `link` in order; 0 after the last.
pub(crate) fn next<N: Node>(nodes: &[N], link: Link) -> Link {
    let after = links(nodes, link).child[1];
    if after != 0 {
        return outermost(nodes, after, 0);
    }
    let mut link = link;
    loop {
        let above = links(nodes, link).parent();
        match get(nodes, above) {
            Some(node) if node.links().child[1] == link => link = above,
            _ => return above,
        }
    }
}

/// Hangs the node `link` below `above` on `side`, where there must be none; `above` is 0 in an
/// empty tree. In a weighted tree the caller sees to the sums above the node.
pub(crate) fn insert<N: Node>(
    nodes: &mut [N],
    root: &mut Root,
    (above, side): (Link, Side),
    link: Link,
) {
    *links_mut(nodes, link) = Links { child: [0; 2], up: above << 2 };
    if above == 0 {
        root.top = link;
        return;
    }
    links_mut(nodes, above).child[side] = link;
    let (mut node, mut side) = (above, side);
    loop {
        let links = links_mut(nodes, node);
        let balance = links.balance();
        if balance != 0 {
            if balance == tall(side) {
                lower(nodes, root, node, side);
            } else {
                links.up &= !3;
            }
            return;
        }
        let above = links.parent();
        links.up |= tall(side);
        let Some(higher) = get(nodes, above) else { return };
        side = usize::from(higher.links().child[1] == node);
        node = above;
    }
}

/// Takes the node `link` out. In a weighted tree the caller has taken its weight out of the sums
/// above it.
pub(crate) fn remove<N: Node>(nodes: &mut [N], root: &mut Root, link: Link) {
    let Links { child: [before, after], up } = *links(nodes, link);
    if before != 0 && after != 0 {
        let (node, side) = put_heir_in_place(nodes, root, link);
        rebalance_shrunk(nodes, root, node, side);
        return;
    }
    let (above, below) = (up >> 2, before.max(after));
    if below != 0 {
        links_mut(nodes, below).set_parent(above);
    }
    if above == 0 {
        root.top = below;
        return;
    }
    let side = side_of(nodes, above, link);
    links_mut(nodes, above).child[side] = below;
    rebalance_shrunk(nodes, root, above, side);
}

/// Puts the node after `link`, which has two children, in its place; returns whose subtree on
/// which side is lower by one now.
fn put_heir_in_place<N: Node>(nodes: &mut [N], root: &mut Root, link: Link) -> (Link, Side) {
    let after = links(nodes, link).child[1];
    let heir = outermost(nodes, after, 0);
    if root.weighted {
        sum_without(nodes, heir, after);
        let sum = nodes[slot(link)].sum_before();
        nodes[slot(heir)].set_sum_before(sum);
    }
    let Links { child: [_, below], up } = *links(nodes, heir);
    let above = up >> 2;
    let side = usize::from(above == link);
    links_mut(nodes, above).child[side] = below;
    if below != 0 {
        links_mut(nodes, below).set_parent(above);
    }
    replace(nodes, root, link, heir);
    (if side == 1 { heir } else { above }, side)
}

/// Takes the weight of `first`, the first below `top`, out of the sums up to there.
fn sum_without<N: Node>(nodes: &mut [N], first: Link, top: Link) {
    let weight = nodes[slot(first)].weight();
    let mut link = first;
    while link != top {
        link = links(nodes, link).parent();
        let node = &mut nodes[slot(link)];
        node.set_sum_before(node.sum_before() - weight);
    }
}

/// Puts the node `new` in the place of `old`.
pub(crate) fn replace<N: Node>(nodes: &mut [N], root: &mut Root, old: Link, new: Link) {
    let place = *links(nodes, old);
    *links_mut(nodes, new) = place;
    for child in place.child {
        if child != 0 {
            links_mut(nodes, child).set_parent(new);
        }
    }
    hook(nodes, root, place.parent(), old, new);
}

/// Restores the balance after the subtree of `node` on `side` became lower by one.
fn rebalance_shrunk<N: Node>(nodes: &mut [N], root: &mut Root, node: Link, side: Side) {
    let (mut node, mut side) = (node, side);
    loop {
        let links = links_mut(nodes, node);
        let balance = links.balance();
        let top = if balance == 0 {
            links.set_balance(tall(1 - side));
            return;
        } else if balance == tall(side) {
            links.set_balance(0);
            node
        } else {
            let (top, is_lower) = lower(nodes, root, node, 1 - side);
            if !is_lower {
                return;
            }
            top
        };
        match parent(nodes, top) {
            None => return,
            Some(above) => (node, side) = above,
        }
    }
}

/// Rotates at `node`, whose subtree on `side` is too tall by two. Returns what is on top now, and
/// whether the whole is lower than before.
fn lower<N: Node>(nodes: &mut [N], root: &mut Root, node: Link, side: Side) -> (Link, bool) {
    let other = 1 - side;
    let upper = *links(nodes, node);
    let child = upper.child[side];
    let lower = *links(nodes, child);
    if lower.balance() == tall(other) {
        return (lower_twice(nodes, root, (node, child), side), true);
    }
    if root.weighted {
        let [above, below] = [slot(node), slot(child)];
        let (high, low) = (nodes[above].sum_before(), nodes[below].sum_before());
        if side == 0 {
            let weight = nodes[below].weight();
            nodes[above].set_sum_before(high - low - weight);
        } else {
            let weight = nodes[above].weight();
            nodes[below].set_sum_before(low + high + weight);
        }
    }
    let is_lower = lower.balance() != 0;
    let [upper_balance, lower_balance] = if is_lower { [0, 0] } else { [tall(side), tall(other)] };
    let inner = lower.child[other];
    let links = links_mut(nodes, node);
    links.child[side] = inner;
    links.up = child << 2 | upper_balance;
    let links = links_mut(nodes, child);
    links.child[other] = node;
    links.up = upper.up & !3 | lower_balance;
    if inner != 0 {
        links_mut(nodes, inner).set_parent(node);
    }
    hook(nodes, root, upper.parent(), node, child);
    (child, is_lower)
}

/// Puts the inner grandchild of `node` above it and above its child on `side`; returns it.
fn lower_twice<N: Node>(
    nodes: &mut [N],
    root: &mut Root,
    (node, child): (Link, Link),
    side: Side,
) -> Link {
    let other = 1 - side;
    let grandchild = links(nodes, child).child[other];
    if root.weighted {
        sum_twice(nodes, [node, child, grandchild].map(slot), side);
    }
    let Links { child: halves, up: balance } = *links(nodes, grandchild);
    let balance = balance & 3;
    let (near, far) = (halves[side], halves[other]);
    let up = links(nodes, node).up;
    let links = links_mut(nodes, node);
    links.child[side] = far;
    links.up = grandchild << 2 | if balance == tall(side) { tall(other) } else { 0 };
    let links = links_mut(nodes, child);
    links.child[other] = near;
    links.up = grandchild << 2 | if balance == tall(other) { tall(side) } else { 0 };
    let links = links_mut(nodes, grandchild);
    links.child[side] = child;
    links.child[other] = node;
    links.up = up & !3;
    if near != 0 {
        links_mut(nodes, near).set_parent(child);
    }
    if far != 0 {
        links_mut(nodes, far).set_parent(node);
    }
    hook(nodes, root, up >> 2, node, grandchild);
    grandchild
}

/// The sums of a double rotation, before it: of a node, its child on `side`, the inner grandchild.
fn sum_twice<N: Node>(nodes: &mut [N], slots: [usize; 3], side: Side) {
    let [high, middle, low] = slots.map(|slot| nodes[slot].sum_before());
    let [node, child, grandchild] = slots;
    let own = nodes[grandchild].weight();
    if side == 0 {
        let before = middle + nodes[child].weight();
        nodes[grandchild].set_sum_before(before + low);
        nodes[node].set_sum_before(high - before - low - own);
    } else {
        nodes[grandchild].set_sum_before(high + nodes[node].weight() + low);
        nodes[child].set_sum_before(middle - low - own);
    }
}

/// Lets `above`, or the root, point to `new` where it pointed to `old`.
#[inline]
fn hook<N: Node>(nodes: &mut [N], root: &mut Root, above: Link, old: Link, new: Link) {
    if above == 0 {
        root.top = new;
    } else {
        let links = links_mut(nodes, above);
        links.child[usize::from(links.child[1] == old)] = new;
    }
}

/// Panics unless the tree is linked, balanced and summed as it must be; returns its node count.
///
/// What is true of a node because it is true of its children is looked up along one path.
pub(crate) fn check<N: Node>(nodes: &[N], root: Root) -> usize {
    let mut link = outermost(nodes, root.top, 0);
    let mut count = 0;
    if root.top != 0 {
        assert_eq!(links(nodes, root.top).parent(), 0, "the root {} has a parent", root.top);
    }
    while link != 0 {
        count += 1;
        assert!(count <= nodes.len(), "the tree has a cycle");
        let [before, after] = links(nodes, link).child;
        for child in [before, after] {
            assert!(child == 0 || links(nodes, child).parent() == link, "parent of {child}");
        }
        let balance = match (height(nodes, before), height(nodes, after)) {
            (before, after) if before == after => 0,
            (before, after) if before == after + 1 => tall(0),
            (before, after) if before + 1 == after => tall(1),
            (before, after) => panic!("heights {before} and {after} below {link}"),
        };
        assert_eq!(links(nodes, link).balance(), balance, "balance of {link}");
        if root.weighted {
            assert_eq!(nodes[slot(link)].sum_before(), sum(nodes, before), "sum before {link}");
        }
        link = next(nodes, link);
    }
    count
}

fn height<N: Node>(nodes: &[N], top: Link) -> u32 {
    let (mut link, mut height) = (top, 0);
    while let Some(node) = get(nodes, link) {
        height += 1;
        let links = node.links();
        link = links.child[usize::from(links.balance() == tall(1))];
    }
    height
}

/// The sum of all weights below `top` of a weighted tree.
pub(crate) fn sum<N: Node>(nodes: &[N], top: Link) -> u64 {
    let (mut link, mut sum) = (top, 0);
    while let Some(node) = get(nodes, link) {
        sum += node.sum_before() + node.weight();
        link = node.links().child[1];
    }
    sum
}
