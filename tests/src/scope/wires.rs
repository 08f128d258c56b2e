//! How associations come and go, and what they carry.
//!
//! Each end has a state of its own, so that an association can be half open, as when the process
//! at one end is gone or has given up and the other has not noticed. What comes to an end that is
//! closed is answered by an ABORT.

use std::collections::VecDeque;
use std::time::Duration;

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, RoundTrip, StreamId,
};
use rserpool_core::entropy::Entropy;
use rserpool_core::time::Instant;

use super::{Body, ENRP_PORT, Node, PORT, SERVICE_PORT, Scope};

/// The first end is the one that asked for the association.
pub(super) struct Association {
    /// Of both ends.
    port: u16,
    connect: ConnectId,
    ends: [End; 2],
}

struct End {
    node: Node,
    /// Which process of the node.
    life: u32,
    state: EndState,
    /// Until when messages to it are under way already: on stream 0, and on the others.
    busy_until: [Instant; 2],
    /// What does not pass at the moment, in order.
    stalled: VecDeque<Parcel>,
    /// What its machine was told of the round trip.
    round_trip: RoundTrip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndState {
    /// Its machine does not know of it yet.
    Opening,
    Up,
    /// It wants a graceful end, and still takes what comes.
    ShuttingDown,
    /// It has aborted, and its machine is about to hear so.
    Aborting,
    Closed,
}

/// What an association carries to one of its ends.
pub(super) enum Parcel {
    Up,
    Message { stream: StreamId, ppid: Ppid, data: Vec<u8> },
    Down(DownReason),
}

/// An attempt to set up an association.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    node: Node,
    life: u32,
    peer: Node,
    port: u16,
    connect: ConnectId,
    pause: Duration,
    until: Instant,
}

pub(super) enum Delivery {
    Parcel {
        association: u32,
        end: usize,
        parcel: Parcel,
        /// It has arrived already, at a process that was stopped.
        is_there: bool,
    },
    /// The end of an association that was decided at that end.
    Ended {
        association: u32,
        end: usize,
        reason: DownReason,
    },
    /// Time to look whether anything passes.
    Check {
        association: u32,
        end: usize,
    },
    Attempt(Attempt),
    Refused {
        node: Node,
        life: u32,
        port: u16,
        connect: ConnectId,
    },
}

/// How long an attempt goes on that nobody answers.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How soon it is repeated the first time.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);

/// How long a machine waits to be told of an end that it has decided itself.
const LOCAL: Duration = Duration::from_micros(50);

/// How soon a machine is refused where no process listens.
const REFUSAL: Duration = Duration::from_millis(2);

impl Association {
    fn end_of(&self, node: Node, life: u32) -> Option<usize> {
        self.ends.iter().position(|end| end.node == node && end.life == life)
    }
}

impl Scope {
    pub(super) fn connect(&mut self, node: Node, connect: ConnectId, endpoint: &Endpoint) {
        let (port, life) = (endpoint.port, self.places[node.0].life);
        let peer = endpoint.addresses.iter().find_map(|&address| Node::of(address));
        let peer = peer.filter(|peer| peer.0 < self.places.len());
        let is_known = [PORT, ENRP_PORT, SERVICE_PORT].contains(&port);
        let Some(peer) = peer.filter(|_| is_known) else {
            self.push_wire(self.now + REFUSAL, Delivery::Refused { node, life, port, connect });
            return;
        };
        let until = self.now + CONNECT_PATIENCE;
        let attempt = Attempt { node, life, peer, port, connect, pause: CONNECT_PAUSE, until };
        let at = self.now + self.delay([node, peer]);
        self.push_wire(at, Delivery::Attempt(attempt));
    }

    fn on_attempt(&mut self, attempt: Attempt) {
        let Attempt { node, life, peer, port, connect, pause, until } = attempt;
        if self.places[node.0].life != life {
            return;
        }
        let passes = !self.is_cut(node, peer) && !self.is_cut(peer, node);
        let is_listening = match &self.places[peer.0].body {
            Body::Registrar(_) => port != SERVICE_PORT,
            Body::Element(_) => port != ENRP_PORT,
            Body::User(_) => port == PORT,
            Body::Dead => false,
        };
        let is_silent = self.stopped_are_silent && self.is_paused(peer);
        if !passes || is_silent {
            let next = self.now + pause;
            let again = Attempt { pause: pause * 2, ..attempt };
            match next < until {
                true => self.push_wire(next, Delivery::Attempt(again)),
                false => {
                    self.push_wire(until, Delivery::Refused { node, life, port, connect });
                }
            }
        } else if is_listening {
            self.establish(attempt);
        } else {
            self.push_wire(self.now + REFUSAL, Delivery::Refused { node, life, port, connect });
        }
    }

    fn establish(&mut self, attempt: Attempt) {
        let id = self.next_association;
        self.next_association += 1;
        let end = |node: Node, life: u32| End {
            node,
            life,
            state: EndState::Opening,
            busy_until: [self.now; 2],
            stalled: VecDeque::new(),
            round_trip: RoundTrip::default(),
        };
        let peer_life = self.places[attempt.peer.0].life;
        let ends = [end(attempt.node, attempt.life), end(attempt.peer, peer_life)];
        let (port, connect) = (attempt.port, attempt.connect);
        self.associations.insert(id, Association { port, connect, ends });
        self.schedule(id, 1, Parcel::Up);
        // The initiator knows only after the other has answered; both may speak from then on.
        let known = self.associations.get_mut(&id).expect("just made");
        known.ends[0].busy_until = known.ends[1].busy_until;
        self.schedule(id, 0, Parcel::Up);
    }

    /// The machine behind `port` gives up an attempt.
    pub(super) fn cancel(&mut self, node: Node, port: u16, cancelled: ConnectId) {
        let life = self.places[node.0].life;
        // The registrar's faces share their numbers, and its attempts go to either port.
        let is_it = |of: Node, its_life: u32, its_port: u16, connect: ConnectId| {
            let is_side = (its_port == SERVICE_PORT) == (port == SERVICE_PORT);
            of == node && its_life == life && connect == cancelled && is_side
        };
        self.deliveries.retain(|_, delivery| match delivery {
            super::Delivery::Wire(Delivery::Attempt(it)) => {
                !is_it(it.node, it.life, it.port, it.connect)
            }
            super::Delivery::Wire(Delivery::Refused { node, life, port, connect }) => {
                !is_it(*node, *life, *port, *connect)
            }
            _ => true,
        });
        let made = self.associations.iter().find(|(_, known)| {
            let end = &known.ends[0];
            end.state == EndState::Opening && is_it(end.node, end.life, known.port, known.connect)
        });
        if let Some(id) = made.map(|(&id, _)| id) {
            self.close(id, 0);
            self.schedule(id, 1, Parcel::Down(DownReason::Aborted));
        }
    }

    pub(super) fn send(&mut self, node: Node, id: u32, stream: StreamId, ppid: Ppid, data: &[u8]) {
        let life = self.places[node.0].life;
        let Some(known) = self.associations.get(&id) else { return };
        if let Some(end) = known.end_of(node, life)
            && known.ends[end].state == EndState::Up
        {
            self.schedule(id, 1 - end, Parcel::Message { stream, ppid, data: data.to_vec() });
        }
    }

    pub(super) fn shut_down(&mut self, node: Node, id: u32) {
        self.leave(node, id, EndState::ShuttingDown);
    }

    pub(super) fn abort(&mut self, node: Node, id: u32) {
        self.leave(node, id, EndState::Aborting);
    }

    fn leave(&mut self, node: Node, id: u32, how: EndState) {
        let life = self.places[node.0].life;
        let Some(known) = self.associations.get_mut(&id) else { return };
        let Some(end) = known.end_of(node, life) else { return };
        if !matches!(known.ends[end].state, EndState::Up | EndState::ShuttingDown) {
            return;
        }
        known.ends[end].state = how;
        if how == EndState::ShuttingDown {
            self.schedule(id, 1 - end, Parcel::Down(DownReason::Shutdown));
            let check = Delivery::Check { association: id, end };
            self.push_wire(self.now + self.lost_after, check);
        } else {
            self.schedule(id, 1 - end, Parcel::Down(DownReason::Aborted));
            let (association, reason) = (id, DownReason::Aborted);
            self.push_wire(self.now + LOCAL, Delivery::Ended { association, end, reason });
        }
    }

    /// The process at an end is gone; its system tells the peer or does not.
    pub(super) fn close_end_of(&mut self, id: u32, node: Node, tells_peer: bool) {
        let life = self.places[node.0].life;
        let Some(known) = self.associations.get(&id) else { return };
        let Some(end) = known.end_of(node, life) else { return };
        let is_open = known.ends[end].state != EndState::Closed;
        self.close(id, end);
        if is_open && tells_peer {
            self.schedule(id, 1 - end, Parcel::Down(DownReason::Aborted));
        } else if is_open {
            let check = Delivery::Check { association: id, end: 1 - end };
            self.push_wire(self.now + self.lost_after, check);
        }
    }

    /// An end is closed without its machine having wanted it.
    pub(super) fn end_locally(&mut self, association: u32, end: usize, reason: DownReason) {
        let Some(known) = self.associations.get_mut(&association) else { return };
        if matches!(known.ends[end].state, EndState::Up | EndState::ShuttingDown) {
            known.ends[end].state = EndState::Aborting;
            let at = self.now + self.delay([]);
            self.push_wire(at, Delivery::Ended { association, end, reason });
        }
    }

    /// What comes to this end after that finds nobody.
    fn close(&mut self, id: u32, end: usize) {
        let Some(known) = self.associations.get_mut(&id) else { return };
        known.ends[end].state = EndState::Closed;
        known.ends[end].stalled.clear();
        if known.ends[1 - end].state == EndState::Closed {
            self.associations.remove(&id);
        }
    }

    /// Looks later whether an association still works.
    pub(super) fn check_later(&mut self, association: u32) {
        for end in 0..2 {
            let check = Delivery::Check { association, end };
            self.push_wire(self.now + self.lost_after, check);
        }
    }

    /// Associations that somebody still holds and that have an end at `node`.
    pub(super) fn associations_of(&self, node: Node) -> Vec<u32> {
        let life = self.places[node.0].life;
        let of_node = self.associations.iter().filter(|(_, known)| {
            known.end_of(node, life).is_some_and(|end| known.ends[end].state != EndState::Closed)
        });
        of_node.map(|(&id, _)| id).collect()
    }

    pub(super) fn is_between(&self, id: u32, a: Node, b: Node) -> bool {
        let ends =
            self.associations.get(&id).map(|known| [known.ends[0].node, known.ends[1].node]);
        ends.is_some_and(|ends| ends == [a, b] || ends == [b, a])
    }

    /// The associations whose ends are both up.
    pub(super) fn up(&self) -> Vec<u32> {
        let up = self
            .associations
            .iter()
            .filter(|(_, known)| known.ends.iter().all(|end| end.state == EndState::Up));
        up.map(|(&id, _)| id).collect()
    }

    /// How many associations are up.
    #[must_use]
    pub fn association_count(&self) -> usize {
        self.up().len()
    }

    /// How many associations there have been.
    #[must_use]
    pub fn associations_ever(&self) -> u32 {
        self.next_association
    }

    /// How many associations anybody holds, those that are half open among them.
    #[must_use]
    pub fn held_association_count(&self) -> usize {
        self.associations.len()
    }

    /// Moves a node so far away from the middle of the network.
    pub fn move_away(&mut self, node: Node, one_way: Duration) {
        self.places[node.0].remoteness = one_way;
    }

    /// How far away a node is.
    #[must_use]
    pub fn remoteness(&self, node: Node) -> Duration {
        self.places[node.0].remoteness
    }

    fn one_way(&self, ends: impl IntoIterator<Item = Node>) -> Duration {
        ends.into_iter().map(|end| self.places[end.0].remoteness).sum()
    }

    /// Tells an end of an association what its transport has measured, if that is news.
    fn tell_round_trip(&mut self, id: u32, end: usize) {
        let Some(known) = self.associations.get(&id) else { return };
        let ends = [known.ends[0].node, known.ends[1].node];
        let round_trip = 2 * self.one_way(ends) + Duration::from_millis(5);
        let Some(known) = self.associations.get_mut(&id) else { return };
        if let Some(micros) = known.ends[end].round_trip.on_measured(round_trip) {
            let port = known.port;
            let association = AssociationId(id);
            self.input(ends[end], port, Input::RoundTrip { association, micros });
        }
    }

    fn delay(&mut self, ends: impl IntoIterator<Item = Node>) -> Duration {
        let remoteness = self.one_way(ends);
        let weather = self.weather;
        let jitter = self.random.below(weather.jitter.as_micros() as u64 + 1);
        let mut delay = weather.delay + remoteness + Duration::from_micros(jitter);
        let mut pause = weather.retransmission;
        // The network may lose a packet again and again, and SCTP waits longer each time.
        for _ in 0..3 {
            if weather.loss == 0 || self.random.below(256) >= weather.loss {
                break;
            }
            delay += pause;
            pause *= 2;
        }
        delay
    }

    fn push_wire(&mut self, at: Instant, delivery: Delivery) {
        self.push(at, super::Delivery::Wire(delivery));
    }

    /// Sends something to one end of an association, behind all that is under way to it.
    fn schedule(&mut self, association: u32, end: usize, parcel: Parcel) {
        let Some(known) = self.associations.get(&association) else { return };
        let ends = [known.ends[0].node, known.ends[1].node];
        let at = self.now + self.delay(ends);
        let Some(known) = self.associations.get_mut(&association) else { return };
        let busy = &mut known.ends[end].busy_until;
        let at = match parcel {
            Parcel::Message { stream, .. } => {
                let busy = &mut busy[usize::from(stream != StreamId(0))];
                *busy = at.max(*busy);
                *busy
            }
            Parcel::Up | Parcel::Down(_) => {
                let at = at.max(busy[0]).max(busy[1]);
                *busy = [at; 2];
                at
            }
        };
        self.push_wire(at, Delivery::Parcel { association, end, parcel, is_there: false });
    }

    /// What stalled goes on where the way is open again.
    pub(super) fn release_stalled(&mut self) {
        let ids: Vec<u32> = self.associations.keys().copied().collect();
        for id in ids {
            for end in 0..2 {
                let Some(known) = self.associations.get_mut(&id) else { continue };
                let (to, from) = (known.ends[end].node, known.ends[1 - end].node);
                if known.ends[end].stalled.is_empty() || self.is_cut(from, to) {
                    continue;
                }
                // At once, before all that is under way behind it, and behind what has come to a
                // process that is stopped.
                let is_there = self.is_paused(to);
                let known = self.associations.get_mut(&id).expect("just seen");
                for parcel in std::mem::take(&mut known.ends[end].stalled) {
                    let association = id;
                    let delivery = Delivery::Parcel { association, end, parcel, is_there };
                    match is_there {
                        true => self.hold(to, super::Delivery::Wire(delivery)),
                        false => self.push_wire(self.now, delivery),
                    }
                }
            }
        }
    }

    /// Whose process a delivery is for.
    pub(super) fn receiver_of(&self, delivery: &Delivery) -> Option<Node> {
        match delivery {
            Delivery::Parcel { association, end, .. }
            | Delivery::Ended { association, end, .. }
            | Delivery::Check { association, end } => {
                self.associations.get(association).map(|known| known.ends[*end].node)
            }
            Delivery::Refused { node, .. } => Some(*node),
            Delivery::Attempt(_) => None,
        }
    }

    /// Whether something does not pass at the moment, or has to wait for what does not.
    pub(super) fn stalls(&self, delivery: &Delivery) -> bool {
        let Delivery::Parcel { association, end, is_there: false, .. } = delivery else {
            return false;
        };
        self.associations.get(association).is_some_and(|known| {
            let (to, from) = (&known.ends[*end], &known.ends[1 - end]);
            self.is_cut(from.node, to.node) || !to.stalled.is_empty()
        })
    }

    pub(super) fn deliver_wire(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Parcel { association, end, parcel, is_there } => {
                self.on_parcel(association, end, parcel, is_there);
            }
            Delivery::Ended { association, end, reason } => {
                if self.associations.contains_key(&association) {
                    self.finish(association, end, reason);
                }
            }
            Delivery::Check { association, end } => self.on_check(association, end),
            Delivery::Attempt(attempt) => self.on_attempt(attempt),
            Delivery::Refused { node, life, port, connect } => {
                if self.places[node.0].life == life {
                    self.input(node, port, Input::ConnectFailed { connect });
                }
            }
        }
    }

    fn on_parcel(&mut self, association: u32, end: usize, parcel: Parcel, is_there: bool) {
        let Some(known) = self.associations.get(&association) else { return };
        let (to, from) = (&known.ends[end], &known.ends[1 - end]);
        if !is_there && (self.is_cut(from.node, to.node) || !to.stalled.is_empty()) {
            if let Parcel::Down(DownReason::Aborted) = parcel {
                // Nobody repeats an ABORT.
                let check = Delivery::Check { association, end };
                self.push_wire(self.now + self.lost_after, check);
                return;
            }
            let known = self.associations.get_mut(&association).expect("just seen");
            known.ends[end].stalled.push_back(parcel);
            return;
        }
        let (node, port, state) = (to.node, known.port, to.state);
        let peer = from.node;
        match (state, parcel) {
            (EndState::Closed, Parcel::Down(DownReason::Aborted)) | (EndState::Aborting, _) => {}
            (EndState::Closed, _) => {
                self.schedule(association, 1 - end, Parcel::Down(DownReason::Aborted));
            }
            (_, Parcel::Up) => self.on_parcel_up(association, end, peer),
            (EndState::Opening, Parcel::Message { .. }) => {
                unreachable!("it is up before anybody can speak")
            }
            (_, Parcel::Message { stream, ppid, data }) => {
                self.message_count += 1;
                self.tell_round_trip(association, end);
                let association = AssociationId(association);
                self.input(node, port, Input::Message { association, stream, ppid, data: &data });
            }
            (_, Parcel::Down(reason)) => {
                let known = &self.associations[&association];
                let is_answered = known.ends[1 - end].state == EndState::ShuttingDown;
                if reason == DownReason::Shutdown && is_answered {
                    self.schedule(association, 1 - end, Parcel::Down(reason));
                }
                self.finish(association, end, reason);
            }
        }
    }

    fn on_parcel_up(&mut self, id: u32, end: usize, peer: Node) {
        let known = self.associations.get_mut(&id).expect("just seen");
        known.ends[end].state = EndState::Up;
        let (node, port) = (known.ends[end].node, known.port);
        let connect = (end == 0).then_some(known.connect);
        let association = AssociationId(id);
        let peer_addresses = &[peer.address()];
        self.input(
            node,
            port,
            Input::Up { association, connect, peer_addresses, peer_port: port },
        );
    }

    /// An end learns that the association is over.
    fn finish(&mut self, id: u32, end: usize, reason: DownReason) {
        let known = &self.associations[&id];
        let (node, port, state) = (known.ends[end].node, known.port, known.ends[end].state);
        let connect = known.connect;
        self.close(id, end);
        match state {
            EndState::Closed => {}
            EndState::Opening if end == 0 => {
                self.input(node, port, Input::ConnectFailed { connect });
            }
            EndState::Opening => {}
            _ => self.input(node, port, Input::Down { association: AssociationId(id), reason }),
        }
    }

    fn on_check(&mut self, association: u32, end: usize) {
        let Some(known) = self.associations.get(&association) else { return };
        let (here, there) = (&known.ends[end], &known.ends[1 - end]);
        if here.state == EndState::Closed {
            return;
        }
        let is_gone = there.state == EndState::Closed;
        match self.broken_since(here.node, there.node) {
            Some(since) if since + self.lost_after <= self.now => {
                self.finish(association, end, DownReason::Lost);
                let check = Delivery::Check { association, end: 1 - end };
                self.push_wire(self.now + self.lost_after, check);
            }
            Some(since) => {
                let check = Delivery::Check { association, end };
                self.push_wire(since + self.lost_after, check);
            }
            None if is_gone => self.finish(association, end, DownReason::Aborted),
            None => {}
        }
    }
}
