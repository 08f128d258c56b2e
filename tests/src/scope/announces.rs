//! Multicast in a scope: announces of registrars reach all others, or get lost.

use std::net::SocketAddr;

use rserpool_core::entropy::Entropy;

use super::{Body, Node, Scope};

impl Scope {
    /// Adds a registrar that announces itself to all.
    pub fn add_announced_registrar(&mut self) -> Node {
        let node = self.add_registrar();
        self.announce(node);
        node
    }

    /// Lets a registrar announce itself from now on.
    pub fn announce(&mut self, node: Node) {
        let now = self.now;
        let Body::Registrar(registrar) = &mut self.bodies[node.0] else {
            panic!("{node:?} is no registrar")
        };
        registrar.start_announcing(now, &node.endpoint()).expect("an endpoint");
        self.drain(node);
    }

    /// Lets a datagram arrive at all nodes, as if `source` had sent it to the multicast group.
    pub fn flood(&mut self, source: SocketAddr, data: &[u8]) {
        for place in 0..self.bodies.len() {
            self.announced(Node(place), source, data);
        }
    }

    fn announced(&mut self, to: Node, source: SocketAddr, data: &[u8]) {
        let now = self.now;
        // Refused announces are dropped, as a driver does it.
        let _ = match &mut self.bodies[to.0] {
            Body::Registrar(machine) => machine.handle_announce(now, source, data).is_ok(),
            Body::Element(machine, _) => machine.handle_announce(now, source, data).is_ok(),
            Body::User(machine, _) => machine.handle_announce(now, source, data).is_ok(),
            Body::Dead | Body::Unplugged => return,
        };
        self.drain(to);
    }

    /// Delivers an announce to each node that it does not get lost to.
    pub(super) fn deliver_to_all(&mut self, from: Node, data: &[u8]) {
        let source = SocketAddr::new(from.address(), 40_000);
        for place in 0..self.bodies.len() {
            if self.random.below(256) >= self.announce_loss {
                self.announced(Node(place), source, data);
            }
        }
    }
}
