//! Multicast in a scope: announces and presences reach all others, twice or never.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rserpool_core::association::Channel;
use rserpool_core::entropy::Entropy;

use super::{Body, Delivery, ENRP_PORT, Node, Scope};

/// Where announces come from.
const ANNOUNCE_PORT: u16 = 40_000;

impl Scope {
    /// Lets a registrar announce itself from now on.
    pub fn announce(&mut self, node: Node) {
        let now = self.local_now(node);
        self.with_registrar(node, |registrar| {
            registrar.start_announcing(now, &node.endpoint()).expect("an endpoint");
        });
    }

    /// Lets a datagram arrive at all nodes, as if `source` had sent it to the multicast group.
    pub fn flood(&mut self, source: SocketAddr, data: &[u8]) {
        for place in 0..self.places.len() {
            self.announced(Node(place), source, data);
        }
    }

    pub(super) fn multicast(&mut self, from: Node, channel: Channel, data: &[u8]) {
        let data: Rc<[u8]> = data.into();
        for place in 0..self.places.len() {
            let to = Node(place);
            let wants = match (&self.places[place].body, channel) {
                (Body::Dead, _) => false,
                (Body::Registrar(_), _) => to != from,
                (_, channel) => channel == Channel::Asap,
            };
            if !wants || self.is_cut(from, to) {
                continue;
            }
            let copies = 1 + u64::from(self.random.below(256) < self.weather.duplication);
            for _ in 0..copies {
                if self.random.below(256) < self.weather.datagram_loss {
                    continue;
                }
                let jitter = self.random.below(self.weather.jitter.as_micros() as u64 + 1);
                let at = self.now + self.weather.delay + Duration::from_micros(jitter);
                self.push(at, Delivery::Datagram { from, to, channel, data: Rc::clone(&data) });
            }
        }
    }

    pub(super) fn deliver_datagram(
        &mut self,
        from: Node,
        to: Node,
        channel: Channel,
        data: &[u8],
    ) {
        if channel == Channel::Asap {
            self.announced(to, SocketAddr::new(from.address(), ANNOUNCE_PORT), data);
            return;
        }
        self.trace.note_datagram(self.now, to.0, ENRP_PORT, data);
        let source = SocketAddr::new(from.address(), ENRP_PORT);
        let now = self.local_now(to);
        if let Body::Registrar(machine) = &mut self.places[to.0].body {
            let _ = machine.handle_presence(now, source, data);
            self.drain(to);
        }
    }

    fn announced(&mut self, to: Node, source: SocketAddr, data: &[u8]) {
        self.trace.note_datagram(self.now, to.0, ANNOUNCE_PORT, data);
        let now = self.local_now(to);
        // Refused announces are dropped, as a driver does it.
        let _ = match &mut self.places[to.0].body {
            Body::Registrar(machine) => machine.handle_announce(now, source, data).is_ok(),
            Body::Element(element) => element.machine.handle_announce(now, source, data).is_ok(),
            Body::User(user) => user.machine.handle_announce(now, source, data).is_ok(),
            Body::Dead => return,
        };
        self.drain(to);
    }
}
