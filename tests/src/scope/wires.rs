//! How associations come and go.

use std::time::Duration;

use rserpool_core::association::{ConnectId, DownReason, Endpoint};

use super::{Association, Body, Delivery, ENRP_PORT, Node, PORT, Scope};

impl Scope {
    pub(super) fn connect(&mut self, node: Node, connect: ConnectId, endpoint: &Endpoint) {
        let port = endpoint.port;
        let peer = (0..self.bodies.len()).map(Node).find(|peer| {
            endpoint.addresses.contains(&peer.address()) && [PORT, ENRP_PORT].contains(&port)
        });
        let peer = match peer {
            Some(peer) if self.is_cut(node, peer) => Some((peer, &Body::Unplugged)),
            peer => peer.map(|peer| (peer, &self.bodies[peer.0])),
        };
        match peer {
            Some((peer, Body::Registrar(_) | Body::Element(..) | Body::User(..))) => {
                let association = self.next_association;
                self.next_association += 1;
                let ends = [node, peer];
                let busy_until = [self.now; 2];
                let round_trips = Default::default();
                let known = Association { ends, port, busy_until, is_up: true, round_trips };
                self.associations.insert(association, known);
                for (end, connect) in [(1, None), (0, Some(connect))] {
                    let up = |association, end| Delivery::Up { association, end, connect };
                    self.schedule(association, end, up);
                }
            }
            Some((_, Body::Unplugged)) => {
                let at = self.now + Duration::from_secs(30);
                self.push(at, Delivery::Refused { node, port, connect });
            }
            Some((_, Body::Dead)) | None => {
                let at = self.now + Duration::from_millis(2);
                self.push(at, Delivery::Refused { node, port, connect });
            }
        }
    }

    pub(super) fn cancel(&mut self, node: Node, cancelled: ConnectId) {
        let mut aborted = Vec::new();
        let associations = &self.associations;
        self.deliveries.retain(|_, delivery| match delivery {
            Delivery::Refused { node: of, connect, .. } => *of != node || *connect != cancelled,
            Delivery::Up { association, connect: Some(connect), .. } => {
                let is_it = associations[association].ends[0] == node && *connect == cancelled;
                if is_it {
                    aborted.push(*association);
                }
                !is_it
            }
            _ => true,
        });
        for association in aborted {
            let known = self.associations.get_mut(&association).expect("known");
            let was_heard_of = known.is_up;
            known.is_up = false;
            if was_heard_of {
                let reason = DownReason::Aborted;
                self.schedule(association, 1, |association, end| Delivery::Down {
                    association,
                    end,
                    reason,
                });
            }
        }
    }

    /// An association ends, for both of its ends.
    pub(super) fn down(&mut self, association: u32, reason: DownReason) {
        let Some(known) = self.associations.get_mut(&association).filter(|known| known.is_up)
        else {
            return;
        };
        known.is_up = false;
        for end in 0..2 {
            self.schedule(association, end, |association, end| Delivery::Down {
                association,
                end,
                reason,
            });
        }
    }
}
