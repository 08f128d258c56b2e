//! Several registrars in one scope, and what keeps them from hearing each other.

use std::collections::BTreeSet;
use std::time::Duration;

use rserpool_core::association::{DownReason, Endpoint};
use rserpool_core::enrp::Config;
use rserpool_core::entropy::Entropy;
use rserpool_core::identifier::{PeId, RegistrarId};
use rserpool_core::machine::Machine;

use super::{AnyRegistrar, Body, Delivery, ENRP_PORT, Node, Scope};

/// How long an association takes to notice that nothing passes.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// What is wrong at the moment.
#[derive(Default)]
pub(super) struct Trouble {
    paused: BTreeSet<Node>,
    held: Vec<Delivery>,
    /// Pairs between which nothing passes.
    cuts: BTreeSet<(Node, Node)>,
    /// Associations that were cut: what is sent on them is lost even when the cut is mended.
    lost: BTreeSet<u32>,
}

impl Scope {
    /// Adds a registrar with an identifier, which enters the scope of `peers`.
    pub fn add_peer_registrar(&mut self, identifier: u32, peers: &[Node]) -> Node {
        let mut config = Config::new(self.profile);
        config.identifier = RegistrarId(identifier);
        self.add_registrar_with(config, peers)
    }

    /// Adds a registrar of that configuration, which enters the scope of `peers`.
    pub fn add_registrar_with(&mut self, config: Config, peers: &[Node]) -> Node {
        let body = self.new_registrar_with(config);
        let node = self.add(body);
        self.start_peering(node, peers);
        node
    }

    /// Starts a registrar anew that was killed, under the same identifier.
    pub fn restart_peer_registrar(&mut self, node: Node, identifier: u32, peers: &[Node]) {
        let mut config = Config::new(self.profile);
        config.identifier = RegistrarId(identifier);
        self.bodies[node.0] = self.new_registrar_with(config);
        self.start_peering(node, peers);
    }

    fn start_peering(&mut self, node: Node, peers: &[Node]) {
        let endpoint = |node: Node| Endpoint { port: ENRP_PORT, ..node.endpoint() };
        let peers: Vec<_> = peers.iter().map(|&peer| endpoint(peer)).collect();
        let now = self.now;
        self.registrar_mut(node).start_peering(now, endpoint(node), &peers).expect("room");
        self.drain(node);
    }

    /// Stops a registrar as a signal would.
    pub fn stop_registrar(&mut self, node: Node) {
        self.registrar_mut(node).stop();
        self.drain(node);
    }

    fn registrar_mut(&mut self, node: Node) -> &mut AnyRegistrar {
        match &mut self.bodies[node.0] {
            Body::Registrar(registrar) => registrar,
            _ => panic!("{node:?} is no registrar"),
        }
    }

    /// The process stops and remembers all (SIGSTOP).
    pub fn pause(&mut self, node: Node) {
        self.trouble.paused.insert(node);
    }

    /// It goes on; what was sent to it in the meantime comes now.
    pub fn resume(&mut self, node: Node) {
        self.trouble.paused.remove(&node);
        for delivery in std::mem::take(&mut self.trouble.held) {
            self.push(self.now, delivery);
        }
    }

    /// Nothing passes between the two any more.
    pub fn cut(&mut self, a: Node, b: Node) {
        self.trouble.cuts.insert((a.min(b), a.max(b)));
        for id in self.associations_of(a) {
            if self.associations[&id].ends.contains(&b) {
                for end in 0..2 {
                    let (association, reason) = (id, DownReason::Lost);
                    let down = Delivery::Down { association, end, reason };
                    self.push(self.now + LOST_AFTER, down);
                }
                self.trouble.lost.insert(id);
            }
        }
    }

    /// All cuts are mended.
    pub fn mend(&mut self) {
        self.trouble.cuts.clear();
    }

    pub(super) fn is_cut(&self, a: Node, b: Node) -> bool {
        self.trouble.cuts.contains(&(a.min(b), a.max(b)))
    }

    pub(super) fn is_lost(&self, association: u32) -> bool {
        self.trouble.lost.contains(&association)
    }

    pub(super) fn is_paused(&self, node: Node) -> bool {
        self.trouble.paused.contains(&node)
    }

    /// Keeps what goes to a process that is stopped.
    pub(super) fn hold_back(&mut self, delivery: Delivery) -> Option<Delivery> {
        let to = match &delivery {
            Delivery::Refused { node, .. } => Some(*node),
            Delivery::Up { association, end, .. }
            | Delivery::Message { association, end, .. }
            | Delivery::Down { association, end, .. } => {
                self.associations.get(association).map(|known| known.ends[*end])
            }
            Delivery::Announce { .. } | Delivery::Presence { .. } => None,
        };
        if to.is_some_and(|node| self.is_paused(node)) {
            self.trouble.held.push(delivery);
            return None;
        }
        Some(delivery)
    }

    pub(super) fn drain_peers(&mut self, node: Node) {
        let mut buffer = [0; 8_192];
        let now = self.now;
        loop {
            let Body::Registrar(machine) = &mut self.bodies[node.0] else { return };
            match machine.peers().poll_transmit(now, &mut buffer) {
                Some(transmit) => self.transmit(node, transmit, &buffer),
                None => return,
            }
        }
    }

    /// Presences by multicast are lost as announces are.
    pub(super) fn deliver_presence(&mut self, from: Node, data: &[u8]) {
        let source = std::net::SocketAddr::new(from.address(), ENRP_PORT);
        for place in 0..self.bodies.len() {
            let node = Node(place);
            let is_lost = self.random.below(256) < self.announce_loss;
            if node == from || is_lost || self.is_cut(from, node) || self.is_paused(node) {
                continue;
            }
            let now = self.now;
            if let Body::Registrar(machine) = &mut self.bodies[place] {
                let _ = machine.handle_presence(now, source, data);
                self.drain(node);
            }
        }
    }

    /// What a registrar that lives believes: each element with its home.
    #[must_use]
    pub fn beliefs(&self, node: Node) -> Vec<(String, PeId, RegistrarId)> {
        let mut beliefs = Vec::new();
        self.registrar(node).handlespace().walk_after(None, None, |view| {
            let pool = String::from_utf8_lossy(view.pool().as_bytes()).into_owned();
            beliefs.push((pool, view.pe_id(), view.home()));
            true
        });
        beliefs
    }
}
