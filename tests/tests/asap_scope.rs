//! Elements, users and registrars talk to one another over a switch that loses nothing: their
//! machines agree on what is said, and get over the death of any of them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::asap::{
    PoolElement, PoolElementConfig, PoolElementStatus, PoolUser, PoolUserConfig, PoolUserEvent,
    UserTransport,
};
use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::enrp::{Config, InlineTables, Registrar};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::Inline;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::time::Instant;
use rserpool_core::wire::Policy;

type SmallRegistrar = Registrar<Inline<16, 4, 4, 4>, InlineTables<16, 32, 8, 4, 64>, SplitMix64>;

enum Node {
    Registrar(Box<SmallRegistrar>),
    Element(Box<PoolElement>),
    User(Box<PoolUser>),
}

impl Node {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        // Refusals are part of the protocol; what they lead to is what is looked at here.
        let _ = match self {
            Self::Registrar(machine) => machine.handle_input(now, input).is_ok(),
            Self::Element(machine) => machine.handle_input(now, input).is_ok(),
            Self::User(machine) => machine.handle_input(now, input).is_ok(),
        };
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Registrar(machine) => machine.handle_timeout(now),
            Self::Element(machine) => machine.handle_timeout(now),
            Self::User(machine) => machine.handle_timeout(now),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Registrar(machine) => machine.poll_timeout(),
            Self::Element(machine) => machine.poll_timeout(),
            Self::User(machine) => machine.poll_timeout(),
        }
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        match self {
            Self::Registrar(machine) => machine.poll_transmit(now, buf),
            Self::Element(machine) => machine.poll_transmit(now, buf),
            Self::User(machine) => machine.poll_transmit(now, buf),
        }
    }
}

/// What is on its way to a node.
enum Parcel {
    Up(AssociationId, Option<ConnectId>, IpAddr),
    Failed(ConnectId),
    Message(AssociationId, Vec<u8>),
    Down(AssociationId, DownReason),
}

/// An association: the same number at both ends.
struct Link {
    id: AssociationId,
    ends: [usize; 2],
}

struct Scope {
    nodes: Vec<Node>,
    alive: Vec<bool>,
    links: Vec<Link>,
    parcels: VecDeque<(usize, Parcel)>,
    next_link: u32,
    now: Instant,
    user_events: Vec<PoolUserEvent>,
}

impl Scope {
    /// `registrars` registrars, then `elements` elements, then one user.
    fn new(profile: Profile, registrars: usize, elements: usize) -> Self {
        let mut nodes = Vec::new();
        for index in 0..registrars {
            let mut config = Config::new(profile);
            config.identifier = RegistrarId(index as u32 + 1);
            let random = SplitMix64::new(index as u64);
            let registrar = Registrar::new(config, Inline::new(), InlineTables::new(), random);
            nodes.push(Node::Registrar(Box::new(registrar)));
        }
        for index in registrars..registrars + elements {
            let mut config = PoolElementConfig::new(profile);
            config.pe_id = Some(PeId(index as u32));
            let mut element = PoolElement::new(config, &mut SplitMix64::new(index as u64));
            for registrar in 0..registrars {
                element.add_registrar(&endpoint(registrar)).unwrap();
            }
            nodes.push(Node::Element(Box::new(element)));
        }
        let mut user = PoolUser::new(PoolUserConfig::new(profile), &mut SplitMix64::new(99));
        for registrar in 0..registrars {
            user.add_registrar(&endpoint(registrar)).unwrap();
        }
        nodes.push(Node::User(Box::new(user)));
        Self {
            alive: vec![true; nodes.len()],
            nodes,
            links: Vec::new(),
            parcels: VecDeque::new(),
            next_link: 0,
            now: Instant::ZERO,
            user_events: Vec::new(),
        }
    }

    fn element(&mut self, node: usize) -> &mut PoolElement {
        let Node::Element(element) = &mut self.nodes[node] else { panic!("{node} is none") };
        element
    }

    fn register(&mut self, node: usize) {
        let now = self.now;
        let transport = UserTransport::sctp(endpoint(node));
        self.element(node).register(now, pool(), &transport, Policy::RoundRobin).unwrap();
        self.settle();
    }

    fn statuses(&mut self, nodes: std::ops::Range<usize>) -> Vec<PoolElementStatus> {
        nodes.map(|node| self.element(node).status()).collect()
    }

    /// The elements that the user gets, in order of their numbers.
    fn resolve(&mut self) -> Result<Vec<u32>, PoolUserEvent> {
        let now = self.now;
        let Some(Node::User(user)) = self.nodes.last_mut() else { panic!("no user") };
        user.resolve(now, pool(), Some(8)).unwrap();
        self.settle();
        self.run(Duration::from_secs(10));
        let event = self.user_events.pop().expect("ten seconds are enough");
        if !matches!(event, PoolUserEvent::Resolved { .. }) {
            return Err(event);
        }
        let Some(Node::User(user)) = self.nodes.last() else { panic!("no user") };
        let mut ids: Vec<u32> = user.elements(pool()).iter().map(|e| e.id.0).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    fn report(&mut self, pe_id: u32) {
        let now = self.now;
        let Some(Node::User(user)) = self.nodes.last_mut() else { panic!("no user") };
        user.report_unreachable(now, pool(), PeId(pe_id)).unwrap();
        self.settle();
    }

    /// A machine dies; its transport tells the others at once.
    fn kill(&mut self, node: usize) {
        self.alive[node] = false;
        let (gone, links): (Vec<Link>, Vec<Link>) =
            self.links.drain(..).partition(|link| link.ends.contains(&node));
        self.links = links;
        for link in gone {
            let other = link.ends[usize::from(link.ends[0] == node)];
            self.parcels.push_back((other, Parcel::Down(link.id, DownReason::Lost)));
        }
        self.settle();
    }

    /// A process stops: its transport still answers, it does not.
    fn freeze(&mut self, node: usize) {
        self.alive[node] = false;
    }

    fn thaw(&mut self, node: usize) {
        self.alive[node] = true;
        self.settle();
    }

    /// Lets time pass.
    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..100_000 {
            let alive = self.nodes.iter().zip(&self.alive).filter(|(_, alive)| **alive);
            let next = alive.filter_map(|(node, _)| node.poll_timeout()).min();
            let Some(next) = next.filter(|&next| next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            for node in 0..self.nodes.len() {
                if self.alive[node] {
                    self.nodes[node].handle_timeout(self.now);
                }
            }
            self.settle();
        }
        panic!("too much to do");
    }

    /// Delivers until nobody has anything to say.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            for node in 0..self.nodes.len() {
                if self.alive[node] {
                    self.drain(node);
                }
            }
            let Some(index) = self.parcels.iter().position(|(to, _)| self.alive[*to]) else {
                return;
            };
            let (to, parcel) = self.parcels.remove(index).expect("just found");
            self.deliver(to, parcel);
        }
        panic!("they never stop talking");
    }

    fn deliver(&mut self, to: usize, parcel: Parcel) {
        let addresses;
        let input = match parcel {
            Parcel::Up(association, connect, peer) => {
                addresses = [peer];
                Input::Up { association, connect, peer_addresses: &addresses, peer_port: 3863 }
            }
            Parcel::Failed(connect) => Input::ConnectFailed { connect },
            Parcel::Message(association, ref data) => {
                Input::Message { association, stream: StreamId(0), ppid: Ppid::ASAP, data }
            }
            Parcel::Down(association, reason) => Input::Down { association, reason },
        };
        self.nodes[to].handle_input(self.now, input);
    }

    fn drain(&mut self, node: usize) {
        let mut buf = [0; 2_048];
        while let Some(transmit) = self.nodes[node].poll_transmit(self.now, &mut buf) {
            match transmit {
                Transmit::Connect { connect, endpoint } => self.connect(node, connect, &endpoint),
                Transmit::CancelConnect { .. } => {}
                Transmit::Message { association, len, .. } => {
                    if let Some(peer) = self.peer(node, association) {
                        let parcel = Parcel::Message(association, buf[..len].to_vec());
                        self.parcels.push_back((peer, parcel));
                    }
                }
                Transmit::Shutdown { association } => {
                    self.end(association, DownReason::Shutdown);
                }
                Transmit::Abort { association } => self.end(association, DownReason::Aborted),
                other => panic!("{other:?}"),
            }
        }
        if let Node::User(user) = &mut self.nodes[node] {
            while let Some(event) = user.poll_event() {
                let ends = !matches!(
                    event,
                    PoolUserEvent::RegistrarFound { .. } | PoolUserEvent::RegistrarLost
                );
                self.user_events.extend(ends.then_some(event));
            }
        }
    }

    fn connect(&mut self, from: usize, connect: ConnectId, to: &Endpoint) {
        let node = (0..self.nodes.len()).find(|&node| endpoint(node) == *to).expect("known");
        // One that has died refuses; one that is frozen would not answer, but has a transport.
        let dead = !self.alive[node] && !self.links.iter().any(|link| link.ends.contains(&node));
        if dead {
            self.parcels.push_back((from, Parcel::Failed(connect)));
            return;
        }
        let id = AssociationId(self.next_link);
        self.next_link += 1;
        self.links.push(Link { id, ends: [from, node] });
        self.parcels.push_back((from, Parcel::Up(id, Some(connect), address(node))));
        self.parcels.push_back((node, Parcel::Up(id, None, address(from))));
    }

    fn peer(&self, node: usize, association: AssociationId) -> Option<usize> {
        let link = self.links.iter().find(|link| link.id == association)?;
        Some(link.ends[usize::from(link.ends[0] == node)])
    }

    fn end(&mut self, association: AssociationId, reason: DownReason) {
        let Some(index) = self.links.iter().position(|link| link.id == association) else {
            return;
        };
        for end in self.links.remove(index).ends {
            self.parcels.push_back((end, Parcel::Down(association, reason)));
        }
    }
}

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(b"ComputePool").unwrap()
}

fn address(node: usize) -> IpAddr {
    [10, 77, 0, 11 + node as u8].into()
}

fn endpoint(node: usize) -> Endpoint {
    Endpoint::new(SocketAddr::new(address(node), 3863))
}

const PROFILES: [Profile; 2] = [Profile::Rsplib, Profile::Rfc];

#[test]
fn elements_register_and_a_user_finds_them() {
    for profile in PROFILES {
        let mut scope = Scope::new(profile, 1, 3);
        for node in 1..4 {
            scope.register(node);
        }
        assert_eq!(scope.statuses(1..4), [PoolElementStatus::Registered; 3]);
        assert_eq!(scope.resolve(), Ok(vec![1, 2, 3]));
    }
}

#[test]
fn they_stay_registered_for_an_hour() {
    for profile in PROFILES {
        let mut scope = Scope::new(profile, 1, 3);
        for node in 1..4 {
            scope.register(node);
        }
        scope.run(Duration::from_secs(3_600));
        assert_eq!(scope.statuses(1..4), [PoolElementStatus::Registered; 3]);
        assert_eq!(scope.resolve(), Ok(vec![1, 2, 3]));
    }
}

#[test]
fn who_deregisters_is_not_found_any_more() {
    let mut scope = Scope::new(Profile::Rsplib, 1, 2);
    scope.register(1);
    scope.register(2);
    let now = scope.now;
    scope.element(1).deregister(now).unwrap();
    scope.settle();
    assert_eq!(scope.statuses(1..2), [PoolElementStatus::Idle]);
    assert_eq!(scope.resolve(), Ok(vec![2]));
    let now = scope.now;
    scope.element(2).deregister(now).unwrap();
    scope.settle();
    assert!(matches!(scope.resolve(), Err(PoolUserEvent::UnknownPool { .. })));
}

#[test]
fn an_element_that_dies_is_not_found_any_more() {
    let mut scope = Scope::new(Profile::Rsplib, 1, 2);
    scope.register(1);
    scope.register(2);
    scope.kill(1);
    assert_eq!(scope.resolve(), Ok(vec![2]));
}

#[test]
fn an_element_that_freezes_is_removed_and_comes_back() {
    let mut scope = Scope::new(Profile::Rsplib, 1, 2);
    scope.register(1);
    scope.register(2);
    scope.freeze(1);
    scope.run(Duration::from_secs(15));
    assert_eq!(scope.resolve(), Ok(vec![2]));
    scope.thaw(1);
    assert_eq!(scope.resolve(), Ok(vec![1, 2]));
}

#[test]
fn a_false_report_of_an_unreachable_element_does_no_harm() {
    let mut scope = Scope::new(Profile::Rsplib, 1, 2);
    scope.register(1);
    scope.register(2);
    assert_eq!(scope.resolve(), Ok(vec![1, 2]));
    scope.report(1);
    assert_eq!(scope.resolve(), Ok(vec![1, 2]));
}

#[test]
fn a_true_report_removes_the_element_before_its_keep_alive_is_due() {
    let mut scope = Scope::new(Profile::Rfc, 1, 2);
    scope.register(1);
    scope.register(2);
    scope.freeze(1);
    scope.report(1);
    // The timeout of the probe.
    scope.run(Duration::from_secs(5));
    assert_eq!(scope.resolve(), Ok(vec![2]));
}

#[test]
fn when_a_registrar_dies_everybody_moves_to_the_other() {
    for profile in PROFILES {
        let mut scope = Scope::new(profile, 2, 3);
        for node in 2..5 {
            scope.register(node);
        }
        scope.kill(0);
        scope.run(Duration::from_secs(1));
        assert_eq!(scope.statuses(2..5), [PoolElementStatus::Registered; 3]);
        assert_eq!(scope.resolve(), Ok(vec![2, 3, 4]));
    }
}

#[test]
fn when_the_only_registrar_comes_back_so_does_the_pool() {
    let mut scope = Scope::new(Profile::Rsplib, 1, 2);
    scope.register(1);
    scope.register(2);
    scope.kill(0);
    scope.run(Duration::from_secs(60));
    assert_eq!(scope.statuses(1..3), [PoolElementStatus::Hunting; 2]);
    assert!(matches!(scope.resolve(), Err(PoolUserEvent::NoRegistrar { .. })));
    let mut again = Scope::new(Profile::Rsplib, 1, 0);
    scope.nodes[0] = again.nodes.swap_remove(0);
    scope.thaw(0);
    // RETRAN-MAX and an eighth.
    scope.run(Duration::from_secs(34));
    assert_eq!(scope.statuses(1..3), [PoolElementStatus::Registered; 2]);
    assert_eq!(scope.resolve(), Ok(vec![1, 2]));
}
