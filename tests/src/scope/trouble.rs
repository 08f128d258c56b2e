//! What goes wrong between nodes and with them.

use std::collections::{BTreeMap, BTreeSet};

use rserpool_core::association::DownReason;
use rserpool_core::entropy::Entropy;
use rserpool_core::time::Instant;

use super::{Body, Delivery, Node, Scope, wires};

/// What is wrong at the moment.
#[derive(Default)]
pub(super) struct Trouble {
    /// Processes that are stopped, since when.
    paused: BTreeMap<Node, Instant>,
    held: Vec<(Node, Delivery)>,
    /// Ways on which nothing passes, since when.
    cuts: BTreeMap<(Node, Node), Instant>,
    unplugged: BTreeMap<Node, Instant>,
}

impl Scope {
    /// The process ends without a word, and the system aborts its associations.
    pub fn kill(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} is killed"));
        self.end_process(node, true);
    }

    /// The machine crashes: its associations fall silent. If it starts anew, it refuses them.
    pub fn crash(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} crashes"));
        self.end_process(node, false);
    }

    fn end_process(&mut self, node: Node, tells_peers: bool) {
        for id in self.associations_of(node) {
            self.close_end_of(id, node, tells_peers);
        }
        let place = &mut self.places[node.0];
        place.body = Body::Dead;
        place.life += 1;
        place.timeout = None;
        self.trouble.paused.remove(&node);
        self.trouble.held.retain(|(held, _)| *held != node);
    }

    /// Nothing passes to and from the machine any more, but it goes on.
    pub fn unplug(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} is unplugged"));
        self.trouble.unplugged.entry(node).or_insert(self.now);
        for id in self.associations_of(node) {
            self.check_later(id);
        }
    }

    /// The machine is back on the network.
    pub fn plug_in(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} is plugged in"));
        self.trouble.unplugged.remove(&node);
        self.release_stalled();
    }

    /// The process stops and remembers all (SIGSTOP).
    pub fn pause(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} stops"));
        self.trouble.paused.entry(node).or_insert(self.now);
        if self.stopped_are_silent {
            for id in self.associations_of(node) {
                self.check_later(id);
            }
        }
    }

    /// It goes on; what was sent to it in the meantime comes now.
    pub fn resume(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} goes on"));
        self.trouble.paused.remove(&node);
        for (held, delivery) in std::mem::take(&mut self.trouble.held) {
            if held == node {
                self.push(self.now, delivery);
            } else {
                self.trouble.held.push((held, delivery));
            }
        }
    }

    /// Nothing passes between the two any more.
    pub fn cut(&mut self, a: Node, b: Node) {
        self.cut_way(a, b);
        self.cut_way(b, a);
    }

    /// Nothing passes from the one to the other any more.
    pub fn cut_way(&mut self, from: Node, to: Node) {
        self.trace.note_blow(self.now, || format!("nothing passes from {from:?} to {to:?}"));
        self.trouble.cuts.entry((from, to)).or_insert(self.now);
        for id in self.associations_of(from) {
            if self.is_between(id, from, to) {
                self.check_later(id);
            }
        }
    }

    /// All cuts are mended.
    pub fn mend(&mut self) {
        self.trace.note_blow(self.now, || "all ways are open".into());
        self.trouble.cuts.clear();
        self.release_stalled();
    }

    /// Cuts one of the associations, chosen at random. Returns whether there was one.
    pub fn cut_one(&mut self) -> bool {
        let up = self.up();
        let place = self.random.below(up.len() as u64) as usize;
        let Some(&id) = up.get(place) else { return false };
        self.trace.note_blow(self.now, || format!("association {id} is lost"));
        self.lose(id);
        true
    }

    /// Whether nothing passes that way.
    pub(super) fn is_cut(&self, from: Node, to: Node) -> bool {
        let trouble = &self.trouble;
        !trouble.cuts.is_empty() && trouble.cuts.contains_key(&(from, to))
            || !trouble.unplugged.is_empty()
                && [from, to].iter().any(|node| trouble.unplugged.contains_key(node))
    }

    /// Since when an association between the two cannot work.
    pub(super) fn broken_since(&self, a: Node, b: Node) -> Option<Instant> {
        let trouble = &self.trouble;
        let cuts = [(a, b), (b, a)].into_iter().filter_map(|way| trouble.cuts.get(&way));
        let unplugged = [a, b].into_iter().filter_map(|node| trouble.unplugged.get(&node));
        let paused = [a, b].into_iter().filter_map(|node| trouble.paused.get(&node));
        let paused = paused.filter(|_| self.stopped_are_silent);
        cuts.chain(unplugged).chain(paused).min().copied()
    }

    /// Whether a process is stopped.
    #[must_use]
    pub fn is_paused(&self, node: Node) -> bool {
        !self.trouble.paused.is_empty() && self.trouble.paused.contains_key(&node)
    }

    /// Whether a machine is unplugged.
    #[must_use]
    pub fn is_unplugged(&self, node: Node) -> bool {
        self.trouble.unplugged.contains_key(&node)
    }

    /// The nodes that are stopped, and those that are unplugged.
    #[must_use]
    pub fn troubled(&self) -> BTreeSet<Node> {
        self.trouble.paused.keys().chain(self.trouble.unplugged.keys()).copied().collect()
    }

    /// Keeps what goes to a process that is stopped.
    pub(super) fn hold_back(&mut self, mut delivery: Delivery) -> Option<Delivery> {
        if self.trouble.paused.is_empty() {
            return Some(delivery);
        }
        let to = match &delivery {
            // What does not pass is not there yet.
            Delivery::Wire(delivery) if self.stalls(delivery) => None,
            Delivery::Wire(delivery) => self.receiver_of(delivery),
            // A socket buffer holds a few and drops the rest; these are out of date anyway.
            Delivery::Datagram { to, .. } if self.is_paused(*to) => return None,
            Delivery::Datagram { .. } => None,
        };
        match to.filter(|&node| self.is_paused(node)) {
            Some(node) => {
                if let Delivery::Wire(wires::Delivery::Parcel { is_there, .. }) = &mut delivery {
                    *is_there = true;
                }
                self.hold(node, delivery);
                None
            }
            None => Some(delivery),
        }
    }

    pub(super) fn hold(&mut self, node: Node, delivery: Delivery) {
        self.trouble.held.push((node, delivery));
    }

    /// Ends an association for both of its ends, as when SCTP gives up.
    fn lose(&mut self, id: u32) {
        for end in 0..2 {
            self.end_locally(id, end, DownReason::Lost);
        }
    }
}
