//! A whole operation scope in one process: registrars, pool elements and pool users as machines,
//! associations in memory, and a clock that jumps.
//!
//! Associations are reliable and ordered with a random delay, as SCTP's are; what they suffer is
//! what reaches the machines of real trouble: they are refused, cut, or fall silent.

mod announces;
mod peers;
mod wires;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool::HeapTables;
use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::asap::{
    PoolElement, PoolElementConfig, PoolElementEvent, PoolUser, PoolUserConfig, PoolUserEvent,
    UserTransport,
};
use rserpool_core::association::{
    AssociationId, Channel, ConnectId, DownReason, Endpoint, Input, Ppid, RoundTrip, StreamId,
    Transmit,
};
use rserpool_core::enrp::{self, Config, Registrar};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::identifier::PoolHandle;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;
use rserpool_core::wire::Policy;

/// The port of every machine's associations.
pub const PORT: u16 = 3_863;

/// The port of registrars' associations with each other.
pub const ENRP_PORT: u16 = 9_901;

/// A machine of the scope, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(usize);

impl Node {
    /// The node's only address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        let [high, low] = u16::try_from(self.0 + 1).expect("few nodes").to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 1, high, low))
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(self) -> Endpoint {
        Endpoint::new(SocketAddr::new(self.address(), PORT))
    }
}

type AnyRegistrar = Registrar<HeapStorage, HeapTables, SplitMix64>;

enum Body {
    Registrar(Box<AnyRegistrar>),
    Element(Box<PoolElement>, Vec<PoolElementEvent>),
    User(Box<PoolUser>, Vec<PoolUserEvent>),
    /// Its process is gone, and refuses associations.
    Dead,
    /// Its machine is unplugged: nothing comes back.
    Unplugged,
}

struct Association {
    ends: [Node; 2],
    /// Of both ends.
    port: u16,
    /// Until when messages to each end are under way already.
    busy_until: [Instant; 2],
    is_up: bool,
    /// What each end was told of the round trip.
    round_trips: [RoundTrip; 2],
}

enum Delivery {
    Up {
        association: u32,
        end: usize,
        connect: Option<ConnectId>,
    },
    Refused {
        node: Node,
        port: u16,
        connect: ConnectId,
    },
    Message {
        association: u32,
        end: usize,
        stream: StreamId,
        ppid: Ppid,
        data: Vec<u8>,
    },
    Down {
        association: u32,
        end: usize,
        reason: DownReason,
    },
    /// A datagram to all who may be in the multicast group.
    Announce {
        from: Node,
        data: Vec<u8>,
    },
    /// The same among registrars.
    Presence {
        from: Node,
        data: Vec<u8>,
    },
}

/// The scope.
pub struct Scope {
    /// The time.
    pub now: Instant,
    /// Events of all registrars since anybody looked.
    pub registrar_events: Vec<enrp::Event>,
    /// Messages delivered.
    pub message_count: u64,
    bodies: Vec<Body>,
    associations: BTreeMap<u32, Association>,
    next_association: u32,
    deliveries: BTreeMap<(Instant, u64), Delivery>,
    next_delivery: u64,
    random: SplitMix64,
    profile: Profile,
    /// The share of announces that are lost on the way to each receiver, of 256.
    pub announce_loss: u64,
    /// Whether elements try again whose registration has failed; the RFC leaves that to users.
    pub is_stubborn: bool,
    trouble: peers::Trouble,
    /// How far away from the middle of the network a node is, if that is worth mentioning.
    remoteness: BTreeMap<Node, Duration>,
}

impl Scope {
    /// An empty scope.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            now: Instant::from_millis(1),
            registrar_events: Vec::new(),
            message_count: 0,
            bodies: Vec::new(),
            associations: BTreeMap::new(),
            next_association: 0,
            deliveries: BTreeMap::new(),
            next_delivery: 0,
            random: SplitMix64::new(seed),
            profile,
            announce_loss: 0,
            is_stubborn: false,
            trouble: peers::Trouble::default(),
            remoteness: BTreeMap::new(),
        }
    }

    fn new_registrar(&mut self) -> Body {
        let config = Config::new(self.profile);
        self.new_registrar_with(config)
    }

    fn new_registrar_with(&mut self, config: Config) -> Body {
        let storage = HeapStorage::new(HeapLimits::for_elements(1_000));
        let seed = SplitMix64::new(self.random.next_u64());
        Body::Registrar(Box::new(Registrar::new(config, storage, HeapTables::new(1_000), seed)))
    }

    /// Adds a registrar.
    pub fn add_registrar(&mut self) -> Node {
        let body = self.new_registrar();
        self.add(body)
    }

    /// Starts a registrar anew that was killed: it knows nobody.
    pub fn restart_registrar(&mut self, node: Node) {
        self.bodies[node.0] = self.new_registrar();
    }

    /// Adds an element that registers in `pool`.
    pub fn add_element(&mut self, registrars: &[Node], pool: &str, policy: Policy) -> Node {
        let mut config = PoolElementConfig::new(self.profile);
        if self.is_stubborn {
            config.timers.registration_retry = Some(Duration::from_secs(5));
        }
        let mut element = PoolElement::new(config, &mut self.random);
        for registrar in registrars {
            element.add_registrar(&registrar.endpoint()).expect("room");
        }
        let node = Node(self.bodies.len());
        let service = Endpoint { port: 4_000, ..node.endpoint() };
        let transport = UserTransport::sctp(service);
        element.register(self.now, handle(pool), &transport, policy).expect("a registration");
        let node = self.add(Body::Element(Box::new(element), Vec::new()));
        self.drain(node);
        node
    }

    /// Adds a pool user.
    pub fn add_user(&mut self, registrars: &[Node]) -> Node {
        let mut user = PoolUser::new(PoolUserConfig::new(self.profile), &mut self.random);
        for registrar in registrars {
            user.add_registrar(&registrar.endpoint()).expect("room");
        }
        self.add(Body::User(Box::new(user), Vec::new()))
    }

    fn add(&mut self, body: Body) -> Node {
        self.bodies.push(body);
        Node(self.bodies.len() - 1)
    }

    /// A registrar to look at.
    #[must_use]
    pub fn registrar(&self, node: Node) -> &AnyRegistrar {
        match &self.bodies[node.0] {
            Body::Registrar(registrar) => registrar,
            _ => panic!("{node:?} is no registrar"),
        }
    }

    /// An element to look at.
    #[must_use]
    pub fn element(&self, node: Node) -> &PoolElement {
        match &self.bodies[node.0] {
            Body::Element(element, _) => element,
            _ => panic!("{node:?} is no element"),
        }
    }

    /// Whether a service would answer at that address.
    #[must_use]
    pub fn is_alive(&self, address: IpAddr) -> bool {
        let node = (0..self.bodies.len()).map(Node).find(|node| node.address() == address);
        node.is_some_and(|node| matches!(self.bodies[node.0], Body::Element(..)))
    }

    /// Gives an element a command.
    pub fn with_element<R>(
        &mut self,
        node: Node,
        command: impl FnOnce(&mut PoolElement) -> R,
    ) -> R {
        let Body::Element(element, _) = &mut self.bodies[node.0] else {
            panic!("{node:?} is no element")
        };
        let result = command(element);
        self.drain(node);
        result
    }

    /// Gives a user a command.
    pub fn with_user<R>(&mut self, node: Node, command: impl FnOnce(&mut PoolUser) -> R) -> R {
        let Body::User(user, _) = &mut self.bodies[node.0] else { panic!("{node:?} is no user") };
        let result = command(user);
        self.drain(node);
        result
    }

    /// What an element told since the last look.
    pub fn element_events(&mut self, node: Node) -> Vec<PoolElementEvent> {
        match &mut self.bodies[node.0] {
            Body::Element(_, events) => std::mem::take(events),
            _ => Vec::new(),
        }
    }

    /// What a user told since the last look.
    pub fn user_events(&mut self, node: Node) -> Vec<PoolUserEvent> {
        match &mut self.bodies[node.0] {
            Body::User(_, events) => std::mem::take(events),
            _ => Vec::new(),
        }
    }

    /// Resolves a pool and waits for the answer: the addresses, the preferred one first.
    pub fn resolve(&mut self, user: Node, pool: &str, wait: Duration) -> Option<Vec<IpAddr>> {
        let now = self.now;
        self.with_user(user, |user| user.resolve(now, handle(pool), Some(3))).ok()?;
        let end = self.now + wait;
        while self.now < end {
            self.run_for(Duration::from_millis(10));
            for event in self.user_events(user) {
                match event {
                    PoolUserEvent::Resolved { .. } => {
                        let Body::User(user, _) = &self.bodies[user.0] else { return None };
                        let elements = user.elements(handle(pool)).iter();
                        let first = |endpoint: &Endpoint| endpoint.addresses[0];
                        return Some(
                            elements.map(|found| first(&found.transport.endpoint)).collect(),
                        );
                    }
                    PoolUserEvent::UnknownPool { .. }
                    | PoolUserEvent::NoRegistrar { .. }
                    | PoolUserEvent::Failed { .. } => return None,
                    _ => {}
                }
            }
        }
        None
    }

    /// The process ends without a word: its associations are aborted.
    pub fn kill(&mut self, node: Node) {
        self.bodies[node.0] = Body::Dead;
        for id in self.associations_of(node) {
            self.down(id, DownReason::Aborted);
        }
    }

    /// The machine is unplugged: its associations fall silent.
    pub fn unplug(&mut self, node: Node) {
        self.bodies[node.0] = Body::Unplugged;
    }

    /// Cuts one of the associations, chosen at random. Returns whether there was one.
    pub fn cut_one(&mut self) -> bool {
        let up: Vec<u32> = self.up().collect();
        let Ok(place) = usize::try_from(self.random.below(up.len() as u64)) else { return false };
        match up.get(place) {
            Some(&id) => self.down(id, DownReason::Lost),
            None => return false,
        }
        true
    }

    /// How many associations are up.
    #[must_use]
    pub fn association_count(&self) -> usize {
        self.up().count()
    }

    fn up(&self) -> impl Iterator<Item = u32> + '_ {
        self.associations.iter().filter(|(_, association)| association.is_up).map(|(&id, _)| id)
    }

    fn associations_of(&self, node: Node) -> Vec<u32> {
        self.up().filter(|id| self.associations[id].ends.contains(&node)).collect()
    }

    /// Moves a node so far away from the middle of the network.
    pub fn move_away(&mut self, node: Node, one_way: Duration) {
        self.remoteness.insert(node, one_way);
    }

    fn one_way(&self, ends: [Node; 2]) -> Duration {
        ends.iter().filter_map(|end| self.remoteness.get(end)).sum()
    }

    /// Tells an end of an association what its transport has measured, if that is news.
    fn tell_round_trip(&mut self, id: u32, end: usize) {
        let Some(known) = self.associations.get(&id) else { return };
        let round_trip = 2 * self.one_way(known.ends) + Duration::from_millis(5);
        let Some(known) = self.associations.get_mut(&id) else { return };
        if let Some(micros) = known.round_trips[end].on_measured(round_trip) {
            let (node, port) = (known.ends[end], known.port);
            self.input(node, port, Input::RoundTrip { association: AssociationId(id), micros });
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.next_at().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            while let Some(entry) = self.deliveries.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let delivery = entry.remove();
                if let Some(delivery) = self.hold_back(delivery) {
                    self.deliver(delivery);
                }
            }
            for place in 0..self.bodies.len() {
                self.wake(Node(place));
            }
        }
        self.now = end;
    }

    fn next_at(&self) -> Option<Instant> {
        let delivery = self.deliveries.first_key_value().map(|(&(at, _), _)| at);
        let awake = (0..self.bodies.len()).filter(|&place| !self.is_paused(Node(place)));
        let timeouts = awake.filter_map(|place| match &self.bodies[place] {
            Body::Registrar(registrar) => registrar.poll_timeout(),
            Body::Element(element, _) => element.poll_timeout(),
            Body::User(user, _) => user.poll_timeout(),
            Body::Dead | Body::Unplugged => None,
        });
        timeouts.chain(delivery).min()
    }

    fn wake(&mut self, node: Node) {
        if self.is_paused(node) {
            return;
        }
        let now = self.now;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        match &mut self.bodies[node.0] {
            Body::Registrar(machine) if is_due(machine.poll_timeout()) => {
                machine.handle_timeout(now);
            }
            Body::Element(machine, _) if is_due(machine.poll_timeout()) => {
                machine.handle_timeout(now);
            }
            Body::User(machine, _) if is_due(machine.poll_timeout()) => {
                machine.handle_timeout(now);
            }
            _ => return,
        }
        self.drain(node);
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Refused { node, port, connect } => {
                self.input(node, port, Input::ConnectFailed { connect });
            }
            Delivery::Up { association, end, connect } => {
                let Some(known) = self.associations.get(&association) else { return };
                if !known.is_up {
                    return;
                }
                let (node, peer, port) = (known.ends[end], known.ends[1 - end], known.port);
                let association = AssociationId(association);
                let peer_addresses = &[peer.address()];
                let up = Input::Up { association, connect, peer_addresses, peer_port: port };
                self.input(node, port, up);
            }
            Delivery::Message { association, end, stream, ppid, data } => {
                let Some(known) = self.associations.get(&association) else { return };
                if !known.is_up {
                    return;
                }
                self.message_count += 1;
                self.tell_round_trip(association, end);
                let Some(known) = self.associations.get(&association) else { return };
                let (node, port) = (known.ends[end], known.port);
                let association = AssociationId(association);
                self.input(node, port, Input::Message { association, stream, ppid, data: &data });
            }
            Delivery::Down { association, end, reason } => {
                let Some(known) = self.associations.get(&association) else { return };
                let (node, port) = (known.ends[end], known.port);
                let association = AssociationId(association);
                self.input(node, port, Input::Down { association, reason });
            }
            Delivery::Announce { from, data } => self.deliver_to_all(from, &data),
            Delivery::Presence { from, data } => self.deliver_presence(from, &data),
        }
    }

    fn input(&mut self, node: Node, port: u16, input: Input<'_>) {
        let now = self.now;
        match &mut self.bodies[node.0] {
            Body::Registrar(machine) if port == ENRP_PORT => {
                let _ = machine.peers().handle_input(now, input);
            }
            Body::Registrar(machine) => {
                let result = machine.handle_input(now, input);
                assert_ne!(result, Err(enrp::InputError::Busy), "it was drained");
            }
            Body::Element(machine, _) => {
                let _ = machine.handle_input(now, input);
            }
            Body::User(machine, _) => {
                let _ = machine.handle_input(now, input);
            }
            Body::Dead | Body::Unplugged => return,
        }
        self.drain(node);
    }

    fn drain(&mut self, node: Node) {
        let mut buffer = [0; 8_192];
        let now = self.now;
        loop {
            let transmit = match &mut self.bodies[node.0] {
                Body::Registrar(machine) => machine.poll_transmit(now, &mut buffer),
                Body::Element(machine, _) => machine.poll_transmit(now, &mut buffer),
                Body::User(machine, _) => machine.poll_transmit(now, &mut buffer),
                Body::Dead | Body::Unplugged => None,
            };
            match transmit {
                Some(transmit) => self.transmit(node, transmit, &buffer),
                None => break,
            }
        }
        self.drain_peers(node);
        match &mut self.bodies[node.0] {
            Body::Registrar(machine) => {
                self.registrar_events.extend(std::iter::from_fn(|| machine.poll_event()));
            }
            Body::Element(machine, events) => {
                events.extend(std::iter::from_fn(|| machine.poll_event()));
            }
            Body::User(machine, events) => {
                events.extend(std::iter::from_fn(|| machine.poll_event()));
            }
            Body::Dead | Body::Unplugged => {}
        }
    }

    fn transmit(&mut self, node: Node, transmit: Transmit, buffer: &[u8]) {
        match transmit {
            Transmit::Connect { connect, endpoint } => self.connect(node, connect, &endpoint),
            Transmit::CancelConnect { connect } => self.cancel(node, connect),
            Transmit::Message { association: AssociationId(association), stream, ppid, len } => {
                let Some(end) = self.far_end(association, node) else { return };
                let data = buffer[..len].to_vec();
                self.schedule(association, end, |association, end| Delivery::Message {
                    association,
                    end,
                    stream,
                    ppid,
                    data,
                });
            }
            Transmit::Shutdown { association } => self.down(association.0, DownReason::Shutdown),
            Transmit::Abort { association } => self.down(association.0, DownReason::Aborted),
            Transmit::Multicast { channel: Channel::Asap, len } => {
                let at = self.now + Duration::from_millis(1);
                self.push(at, Delivery::Announce { from: node, data: buffer[..len].to_vec() });
            }
            Transmit::Multicast { channel: Channel::Enrp, len } => {
                let at = self.now + Duration::from_millis(1);
                self.push(at, Delivery::Presence { from: node, data: buffer[..len].to_vec() });
            }
            other => panic!("nobody taught the scope to {other:?}"),
        }
    }

    fn far_end(&self, association: u32, node: Node) -> Option<usize> {
        let known = self.associations.get(&association).filter(|known| known.is_up)?;
        known.ends.iter().position(|&end| end != node)
    }

    /// Delivers something at one end of an association, behind all that is under way to it.
    fn schedule(
        &mut self,
        association: u32,
        end: usize,
        make: impl FnOnce(u32, usize) -> Delivery,
    ) {
        if self.is_lost(association) {
            return;
        }
        let Some(ends) = self.associations.get(&association).map(|known| known.ends) else {
            return;
        };
        let delay = Duration::from_micros(500 + self.random.below(4_500)) + self.one_way(ends);
        let Some(known) = self.associations.get_mut(&association) else { return };
        let at = known.busy_until[end].max(self.now + delay);
        known.busy_until[end] = at;
        self.push(at, make(association, end));
    }

    fn push(&mut self, at: Instant, delivery: Delivery) {
        self.deliveries.insert((at, self.next_delivery), delivery);
        self.next_delivery += 1;
    }
}

fn handle(pool: &str) -> PoolHandle<'_> {
    PoolHandle::new(pool.as_bytes()).expect("a handle")
}
