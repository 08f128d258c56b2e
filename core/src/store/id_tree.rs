//! A tree ordered by a number of 32 bits: pool elements by identifier, owners, associations.

use super::tree::{self, Links, Node, Root, Side};
use super::{Link, get, slot};

/// A node of 16 bytes: four share a cache line.
#[derive(Clone, Copy, Debug)]
pub struct IdNode {
    pub(crate) key: u32,
    pub(crate) links: Links,
}

impl IdNode {
    /// An unused node, all zero bits.
    pub const EMPTY: Self = Self { key: 0, links: Links::NONE };
}

impl Node for IdNode {
    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }
}

/// Where a key is, or where it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Taken(Link),
    Free(Link, Side),
}

/// Looks `key` up in the tree below `top`.
pub(crate) fn locate(nodes: &[IdNode], top: Link, key: u32) -> Place {
    let (mut link, mut above, mut is_after) = (top, 0, false);
    while let Some(node) = get(nodes, link) {
        if node.key == key {
            return Place::Taken(link);
        }
        above = link;
        is_after = node.key < key;
        let [smaller, larger] = node.links.child;
        link = if is_after { larger } else { smaller };
    }
    Place::Free(above, usize::from(is_after))
}

/// The node with `key`, or 0.
pub(crate) fn find(nodes: &[IdNode], top: Link, key: u32) -> Link {
    let mut link = top;
    while let Some(node) = get(nodes, link) {
        if node.key == key {
            return link;
        }
        link = node.links.child[usize::from(node.key < key)];
    }
    0
}

/// The first node with a key above `key`, or 0.
pub(crate) fn find_after(nodes: &[IdNode], top: Link, key: u32) -> Link {
    let (mut link, mut found) = (top, 0);
    while let Some(node) = get(nodes, link) {
        if node.key > key {
            found = link;
        }
        link = node.links.child[usize::from(node.key <= key)];
    }
    found
}

/// Inserts the node `link` with `key` at a place that [`locate`] found free.
pub(crate) fn insert(
    nodes: &mut [IdNode],
    top: &mut Link,
    place: (Link, Side),
    link: Link,
    key: u32,
) {
    nodes[slot(link)].key = key;
    let mut root = Root { top: *top, weighted: false };
    tree::insert(nodes, &mut root, place, link);
    *top = root.top;
}

/// Takes the node `link` out.
pub(crate) fn remove(nodes: &mut [IdNode], top: &mut Link, link: Link) {
    let mut root = Root { top: *top, weighted: false };
    tree::remove(nodes, &mut root, link);
    *top = root.top;
}
