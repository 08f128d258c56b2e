//! A whole operation scope in one process: registrars, pool elements and pool users as machines,
//! associations in memory, and clocks that jump.
//!
//! Associations are reliable and ordered within a stream, as SCTP's are; what they suffer is what
//! reaches the machines of real trouble: they come late, stall, are refused, cut, half open, or
//! fall silent. Datagrams get lost, come twice and overtake each other.
//!
//! - this file: nodes, time, and how machines are driven;
//! - `nodes.rs`: registrars, elements and users, their birth, commands and looks;
//! - `wires.rs`: associations;
//! - `datagrams.rs`: multicast;
//! - `trouble.rs`: what goes wrong between nodes and with them;
//! - `service.rs`, `sessions.rs`: what elements do for users;
//! - `trace.rs`: the digest of all that happened.

mod datagrams;
mod nodes;
mod service;
mod sessions;
mod tables;
mod trace;
mod trouble;
mod wires;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool::HeapTables;
use rserpool::heap_storage::HeapStorage;
use rserpool_core::asap::{PoolElement, PoolElementEvent, PoolUser, PoolUserEvent};
use rserpool_core::association::{AssociationId, Channel, Endpoint, Input, Transmit};
use rserpool_core::enrp::{self, Registrar};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::identifier::{PeId, PoolHandle};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;

pub use service::{Service, ServiceCounts};
pub use sessions::{JobCounts, JobOutcome};
pub use tables::TableSizes;
use trace::Trace;
use wires::Association;

/// The port of every machine's associations.
pub const PORT: u16 = 3_863;

/// The port of registrars' associations with each other.
pub const ENRP_PORT: u16 = 9_901;

/// The port at which elements serve.
pub const SERVICE_PORT: u16 = 4_000;

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

    /// Another address of it, under which it is reached and which it never names.
    #[must_use]
    pub fn other_address(self) -> IpAddr {
        let [high, low] = u16::try_from(self.0 + 1).expect("few nodes").to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 2, high, low))
    }

    /// The node that has an address.
    fn of(address: IpAddr) -> Option<Self> {
        let IpAddr::V4(address) = address else { return None };
        match address.octets() {
            [10, 1 | 2, high, low] => usize::from(u16::from_be_bytes([high, low])).checked_sub(1),
            _ => None,
        }
        .map(Node)
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(self) -> Endpoint {
        Endpoint::new(SocketAddr::new(self.address(), PORT))
    }
}

/// A registrar as the scope has it.
pub type AnyRegistrar = Registrar<HeapStorage, HeapTables, SplitMix64>;

struct ElementBody {
    machine: PoolElement,
    events: Vec<PoolElementEvent>,
    service: Service,
}

struct UserBody {
    machine: PoolUser,
    events: Vec<PoolUserEvent>,
    sessions: Option<sessions::Sessions>,
}

enum Body {
    Registrar(Box<AnyRegistrar>),
    Element(Box<ElementBody>),
    User(Box<UserBody>),
    /// Its process is gone, and refuses associations.
    Dead,
}

/// A place in the scope where a process may live.
struct Place {
    body: Body,
    /// Which process of this node it is; what belongs to an earlier one is not for it.
    life: u32,
    /// How much faster its clock is than the scope's, in millionths.
    drift_ppm: i64,
    /// How far away it is from the middle of the network.
    remoteness: Duration,
    /// When it next wants to be woken, by the scope's clock.
    timeout: Option<Instant>,
}

/// Something that is to happen.
enum Delivery {
    Wire(wires::Delivery),
    Datagram { from: Node, to: Node, channel: Channel, data: std::rc::Rc<[u8]> },
}

/// How the network treats what is sent.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The least time on the way.
    pub delay: Duration,
    /// Up to this much is added, for each packet anew.
    pub jitter: Duration,
    /// Packets of associations lost, of 256; they are sent again after `retransmission`.
    pub loss: u64,
    /// Datagrams lost, of 256.
    pub datagram_loss: u64,
    /// Datagrams that come twice, of 256.
    pub duplication: u64,
    /// How long it takes an association to notice that a packet is lost.
    pub retransmission: Duration,
}

impl Weather {
    /// Half a millisecond to five, and nothing gets lost.
    pub const FAIR: Self = Self {
        delay: Duration::from_micros(500),
        jitter: Duration::from_micros(4_500),
        loss: 0,
        datagram_loss: 0,
        duplication: 0,
        retransmission: Duration::from_secs(1),
    };
}

/// What a user was told about a pool.
#[derive(Clone, Debug)]
pub struct HandedOut {
    /// To whom.
    pub user: Node,
    /// Which elements.
    pub elements: Vec<PeId>,
}

/// The scope.
pub struct Scope {
    /// The time.
    pub now: Instant,
    /// Events of all registrars since anybody looked.
    pub registrar_events: Vec<enrp::Event>,
    /// What users were told since anybody looked.
    pub handed_out: Vec<HandedOut>,
    /// Messages delivered.
    pub message_count: u64,
    /// How the network treats what is sent.
    pub weather: Weather,
    /// How long an association takes to notice that nothing passes.
    pub lost_after: Duration,
    /// Whether an association to a stopped process falls silent, as userland SCTP does.
    pub stopped_are_silent: bool,
    /// Whether elements try again whose registration has failed; the RFC leaves that to users.
    pub is_stubborn: bool,
    places: Vec<Place>,
    associations: BTreeMap<u32, Association>,
    next_association: u32,
    deliveries: BTreeMap<(Instant, u64), Delivery>,
    next_delivery: u64,
    random: SplitMix64,
    profile: Profile,
    trouble: trouble::Trouble,
    trace: Trace,
    buffer: Vec<u8>,
}

impl Scope {
    /// An empty scope.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            now: Instant::from_millis(1),
            registrar_events: Vec::new(),
            handed_out: Vec::new(),
            message_count: 0,
            weather: Weather::FAIR,
            lost_after: Duration::from_secs(60),
            stopped_are_silent: false,
            is_stubborn: false,
            places: Vec::new(),
            associations: BTreeMap::new(),
            next_association: 0,
            deliveries: BTreeMap::new(),
            next_delivery: 0,
            random: SplitMix64::new(seed),
            profile,
            trouble: trouble::Trouble::default(),
            trace: Trace::default(),
            buffer: vec![0; 8_192],
        }
    }

    /// Prints all that happens from now on.
    pub fn print_trace(&mut self) {
        self.trace.is_printed = true;
    }

    /// A digest of all that has happened so far, and when.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.trace.digest()
    }

    /// What a node's own clock shows.
    #[must_use]
    pub fn local_now(&self, node: Node) -> Instant {
        self.places[node.0].local(self.now)
    }

    /// Lets a node's clock run faster or slower from the beginning of time on.
    pub fn set_drift(&mut self, node: Node, ppm: i64) {
        assert!(ppm.abs() < 500_000, "clocks go forward");
        self.places[node.0].drift_ppm = ppm;
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
            for place in 0..self.places.len() {
                self.wake(Node(place));
            }
        }
        self.now = end;
    }

    fn next_at(&self) -> Option<Instant> {
        let delivery = self.deliveries.first_key_value().map(|(&(at, _), _)| at);
        let awake = (0..self.places.len()).filter(|&place| !self.is_paused(Node(place)));
        awake.filter_map(|place| self.places[place].timeout).chain(delivery).min()
    }

    fn wake(&mut self, node: Node) {
        let place = &mut self.places[node.0];
        if place.timeout.is_none_or(|at| at > self.now) || self.is_paused(node) {
            return;
        }
        let place = &mut self.places[node.0];
        let now = place.local(self.now);
        match &mut place.body {
            Body::Registrar(machine) => machine.handle_timeout(now),
            Body::Element(element) => element.machine.handle_timeout(now),
            Body::User(user) => {
                user.machine.handle_timeout(now);
                if let Some(sessions) = &mut user.sessions {
                    sessions.handle_timeout(now, &mut user.machine);
                }
            }
            Body::Dead => {}
        }
        self.drain(node);
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Wire(delivery) => self.deliver_wire(delivery),
            Delivery::Datagram { from, to, channel, data } => {
                self.deliver_datagram(from, to, channel, &data);
            }
        }
    }

    /// Hands an input to the machine that listens at `port`.
    fn input(&mut self, node: Node, port: u16, input: Input<'_>) {
        self.trace.note_input(self.now, node.0, port, &input);
        let place = &mut self.places[node.0];
        let now = place.local(self.now);
        match &mut place.body {
            Body::Registrar(machine) if port == ENRP_PORT => {
                let _ = machine.peers().handle_input(now, input);
            }
            Body::Registrar(machine) => {
                let result = machine.handle_input(now, input);
                assert_ne!(result, Err(enrp::InputError::Busy), "it was drained");
            }
            Body::Element(element) if port == SERVICE_PORT => element.service.handle_input(input),
            Body::Element(element) => {
                let _ = element.machine.handle_input(now, input);
            }
            Body::User(user) => match &mut user.sessions {
                Some(sessions) if port == SERVICE_PORT => {
                    sessions.handle_input(now, input, &mut user.machine);
                }
                _ => {
                    let _ = user.machine.handle_input(now, input);
                }
            },
            Body::Dead => return,
        }
        self.drain(node);
    }

    /// Takes all that the machines of a node want, and looks when they want to be woken.
    fn drain(&mut self, node: Node) {
        let mut buffer = std::mem::take(&mut self.buffer);
        // Answers of one face may be of use to the other.
        while self.drain_faces(node, &mut buffer) {}
        self.buffer = buffer;
        let place = &mut self.places[node.0];
        let timeout = match &mut place.body {
            Body::Registrar(machine) => {
                self.registrar_events.extend(std::iter::from_fn(|| machine.poll_event()));
                machine.poll_timeout()
            }
            Body::Element(element) => {
                let machine = &mut element.machine;
                element.events.extend(std::iter::from_fn(|| machine.poll_event()));
                machine.poll_timeout()
            }
            Body::User(user) => {
                let wakes = user.sessions.as_ref().and_then(|sessions| sessions.poll_timeout());
                Instant::earliest(user.machine.poll_timeout(), wakes)
            }
            Body::Dead => None,
        };
        place.timeout = timeout.map(|at| place.global(at));
    }

    /// Drains each face of a node once; whether there was anything.
    fn drain_faces(&mut self, node: Node, buffer: &mut [u8]) -> bool {
        let mut is_any = false;
        for port in [PORT, ENRP_PORT, SERVICE_PORT] {
            while let Some(transmit) = self.next_transmit(node, port, buffer) {
                self.transmit(node, port, transmit, buffer);
                is_any = true;
            }
        }
        self.take_user_events(node) || is_any
    }

    fn next_transmit(&mut self, node: Node, port: u16, buffer: &mut [u8]) -> Option<Transmit> {
        let place = &mut self.places[node.0];
        let now = place.local(self.now);
        match (&mut place.body, port) {
            (Body::Registrar(machine), PORT) => machine.poll_transmit(now, buffer),
            (Body::Registrar(machine), ENRP_PORT) => machine.peers().poll_transmit(now, buffer),
            (Body::Element(element), PORT) => element.machine.poll_transmit(now, buffer),
            (Body::Element(element), SERVICE_PORT) => element.service.poll_transmit(buffer),
            (Body::User(user), PORT) => user.machine.poll_transmit(now, buffer),
            (Body::User(user), SERVICE_PORT) => user.sessions.as_mut()?.poll_transmit(buffer),
            _ => None,
        }
    }

    /// Takes what a user machine tells; whether its sessions had any use for it.
    fn take_user_events(&mut self, node: Node) -> bool {
        let place = &mut self.places[node.0];
        let now = place.local(self.now);
        let Body::User(user) = &mut place.body else { return false };
        let mut is_used = false;
        while let Some(event) = user.machine.poll_event() {
            if let PoolUserEvent::Resolved { pool, .. } | PoolUserEvent::Updated { pool } = event {
                let elements = user.machine.elements(pool.as_handle());
                let elements = elements.iter().map(|element| element.id).collect();
                self.handed_out.push(HandedOut { user: node, elements });
            }
            match &mut user.sessions {
                Some(sessions) => {
                    sessions.on_user_event(now, event, &mut user.machine);
                    is_used = true;
                }
                None => user.events.push(event),
            }
        }
        is_used
    }

    fn transmit(&mut self, node: Node, port: u16, transmit: Transmit, buffer: &[u8]) {
        match transmit {
            Transmit::Connect { connect, endpoint } => self.connect(node, connect, &endpoint),
            Transmit::CancelConnect { connect } => self.cancel(node, port, connect),
            Transmit::Message { association: AssociationId(association), stream, ppid, len } => {
                self.send(node, association, stream, ppid, &buffer[..len]);
            }
            Transmit::Shutdown { association } => self.shut_down(node, association.0),
            Transmit::Abort { association } => self.abort(node, association.0),
            Transmit::Multicast { channel, len } => self.multicast(node, channel, &buffer[..len]),
            other => panic!("nobody taught the scope to {other:?}"),
        }
    }

    fn push(&mut self, at: Instant, delivery: Delivery) {
        self.deliveries.insert((at, self.next_delivery), delivery);
        self.next_delivery += 1;
    }
}

impl Place {
    const fn new(body: Body) -> Self {
        Self { body, life: 0, drift_ppm: 0, remoteness: Duration::ZERO, timeout: None }
    }

    /// What its clock shows when the scope's shows `at`.
    fn local(&self, at: Instant) -> Instant {
        if self.drift_ppm == 0 {
            return at;
        }
        let micros = i128::from(at.as_micros());
        let drift = micros * i128::from(self.drift_ppm) / 1_000_000;
        Instant::from_micros(u64::try_from(micros + drift).expect("drift is below one"))
    }

    /// When its clock will have come to `at`, by the scope's.
    fn global(&self, at: Instant) -> Instant {
        if self.drift_ppm == 0 {
            return at;
        }
        let rate = u128::try_from(1_000_000 + self.drift_ppm).expect("drift is below one");
        let micros = (u128::from(at.as_micros()) * 1_000_000).div_ceil(rate);
        // Rounding down on the way back may miss it by one.
        Instant::from_micros(u64::try_from(micros + 1).unwrap_or(u64::MAX))
    }
}

fn handle(pool: &str) -> PoolHandle<'_> {
    PoolHandle::new(pool.as_bytes()).expect("a handle")
}
