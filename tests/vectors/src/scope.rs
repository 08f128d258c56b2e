//! Registrars, an element and users in one image, each over an SCTP endpoint of its own, and a
//! network between them that can be cut. Nothing is allocated, and time is somebody else's.

use core::net::{IpAddr, SocketAddr};

use heapless::Vec;
use rserpool_core::asap::{
    POOL_ELEMENT_MESSAGE_LEN_MAX, PoolElement, PoolElementEvent, PoolUser, PoolUserEvent,
};
use rserpool_core::association::{
    AssociationId, Channel, ConnectId, Endpoint as Peer, Input, Transmit,
};
use rserpool_core::enrp::{InlineTables, Registrar};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::Inline as Space;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{self, Config, Connect, Datagram, Endpoint, Event, Handle};
use rserpool_core::time::Instant;

/// Where a scope gets its time from: a variable on the host, a timer on a board.
pub trait Clock {
    /// The time.
    fn now(&self) -> Instant;
    /// Returns when it is `at`, or a little later.
    fn sleep_until(&mut self, at: Instant);
}

/// The port of all associations.
pub(crate) const PORT: u16 = 3_863;
const MESSAGE_LEN_MAX: usize = 512;
const PACKET_LEN_MAX: usize = 1_500;
const ASSOCIATIONS_MAX: usize = 4;
/// More is never in flight at one moment.
const ROUNDS_MAX: usize = 200;

pub(crate) type SmallRegistrar =
    Registrar<Space<4, 2, 2, 2>, InlineTables<4, 4, 4, 2, 16>, SplitMix64>;
pub(crate) type SmallUser = PoolUser<1, 4, 2>;

/// What a node is.
#[expect(clippy::large_enum_variant, reason = "there is no heap, and there are four of them")]
pub(crate) enum Body {
    Registrar(SmallRegistrar),
    Element(PoolElement),
    User(SmallUser),
}

/// What the machines told, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) registered: u32,
    pub(crate) registrar_found: u32,
    pub(crate) registrar_lost: u32,
    pub(crate) no_registrar: u32,
    pub(crate) deregistration_failed: u32,
    pub(crate) resolved: u32,
    pub(crate) unresolved: u32,
    pub(crate) announces: u32,
    /// HEARTBEAT chunks sent, and their acknowledgements.
    pub(crate) heartbeats: u32,
    pub(crate) heartbeat_acks: u32,
    /// INIT chunks sent.
    pub(crate) inits: u32,
}

struct Link {
    association: AssociationId,
    handle: Handle,
    connect: Option<ConnectId>,
}

/// A machine with its endpoint.
pub(crate) struct Node {
    pub(crate) body: Body,
    /// What it sends and what is sent to it gets lost.
    pub(crate) is_cut: bool,
    pub(crate) told: Told,
    endpoint: Endpoint<sctp::Inline<ASSOCIATIONS_MAX, 1_024, 1_536, 8>, SplitMix64>,
    address: IpAddr,
    links: Vec<Link, ASSOCIATIONS_MAX>,
    next_association: u32,
    announce: Option<Vec<u8, 64>>,
}

impl Node {
    /// The node number `number`.
    pub(crate) fn new(number: u8, body: Body) -> Self {
        let entropy = SplitMix64::new(number.into());
        let storage = sctp::Inline::new();
        let mut endpoint = Endpoint::new(Config::DEFAULT, entropy, [number; 32], storage);
        endpoint.listen(PORT).expect("it is the first port");
        Self {
            body,
            is_cut: false,
            told: Told::default(),
            endpoint,
            address: address(number),
            links: Vec::new(),
            next_association: 0,
            announce: None,
        }
    }

    pub(crate) fn registrar(&mut self) -> &mut SmallRegistrar {
        let Body::Registrar(registrar) = &mut self.body else { panic!("it is no registrar") };
        registrar
    }

    pub(crate) fn element(&mut self) -> &mut PoolElement {
        let Body::Element(element) = &mut self.body else { panic!("it is no element") };
        element
    }

    pub(crate) fn user(&mut self) -> &mut SmallUser {
        let Body::User(user) = &mut self.body else { panic!("it is no user") };
        user
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let body = match &self.body {
            Body::Registrar(machine) => machine.poll_timeout(),
            Body::Element(machine) => machine.poll_timeout(),
            Body::User(machine) => machine.poll_timeout(),
        };
        Instant::earliest(body, self.endpoint.poll_timeout())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        match &mut self.body {
            Body::Registrar(machine) => machine.handle_timeout(now),
            Body::Element(machine) => machine.handle_timeout(now),
            Body::User(machine) => machine.handle_timeout(now),
        }
        self.drain(now);
    }

    fn input(&mut self, now: Instant, input: Input<'_>) {
        // What a machine refuses is the machine's business.
        let _ = match &mut self.body {
            Body::Registrar(machine) => machine.handle_input(now, input).is_ok(),
            Body::Element(machine) => machine.handle_input(now, input).is_ok(),
            Body::User(machine) => machine.handle_input(now, input).is_ok(),
        };
        self.drain(now);
    }

    fn hear(&mut self, now: Instant, source: IpAddr, announce: &[u8]) {
        let source = SocketAddr::new(source, 40_000);
        let _ = match &mut self.body {
            Body::Registrar(machine) => machine.handle_announce(now, source, announce).is_ok(),
            Body::Element(machine) => machine.handle_announce(now, source, announce).is_ok(),
            Body::User(machine) => machine.handle_announce(now, source, announce).is_ok(),
        };
        self.drain(now);
    }

    /// Does what the machine wants, and notes what it tells.
    pub(crate) fn drain(&mut self, now: Instant) {
        const { assert!(POOL_ELEMENT_MESSAGE_LEN_MAX <= MESSAGE_LEN_MAX) };
        let mut buffer = [0; MESSAGE_LEN_MAX];
        for _ in 0..ROUNDS_MAX {
            let transmit = match &mut self.body {
                Body::Registrar(machine) => machine.poll_transmit(now, &mut buffer),
                Body::Element(machine) => machine.poll_transmit(now, &mut buffer),
                Body::User(machine) => machine.poll_transmit(now, &mut buffer),
            };
            match transmit {
                Some(transmit) => self.carry_out(now, &transmit, &buffer),
                None => break,
            }
        }
        self.take_events();
    }

    fn take_events(&mut self) {
        let told = &mut self.told;
        match &mut self.body {
            Body::Registrar(machine) => while machine.poll_event().is_some() {},
            Body::Element(machine) => {
                while let Some(event) = machine.poll_event() {
                    match event {
                        PoolElementEvent::Registered { .. } => told.registered += 1,
                        PoolElementEvent::RegistrarFound { .. } => told.registrar_found += 1,
                        PoolElementEvent::RegistrarLost => told.registrar_lost += 1,
                        PoolElementEvent::NoRegistrar => told.no_registrar += 1,
                        PoolElementEvent::DeregistrationFailed => told.deregistration_failed += 1,
                        _ => {}
                    }
                }
            }
            Body::User(machine) => {
                while let Some(event) = machine.poll_event() {
                    match event {
                        PoolUserEvent::Resolved { .. } => told.resolved += 1,
                        PoolUserEvent::NoRegistrar { .. } | PoolUserEvent::Failed { .. } => {
                            told.unresolved += 1;
                        }
                        PoolUserEvent::RegistrarFound { .. } => told.registrar_found += 1,
                        PoolUserEvent::RegistrarLost => told.registrar_lost += 1,
                        _ => {}
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, now: Instant, transmit: &Transmit, buffer: &[u8]) {
        let known = |id: &AssociationId| {
            self.links.iter().find(|link| link.association == *id).map(|link| link.handle)
        };
        match transmit {
            Transmit::Connect { connect, endpoint } => self.connect(now, *connect, endpoint),
            Transmit::CancelConnect { connect } => {
                let is_it = |link: &Link| link.connect == Some(*connect);
                if let Some(at) = self.links.iter().position(is_it) {
                    let link = self.links.swap_remove(at);
                    let _ = self.endpoint.abort(now, link.handle);
                }
            }
            Transmit::Message { association, stream, ppid, len } => {
                if let Some(handle) = known(association) {
                    let data = &buffer[..*len];
                    let sent = self.endpoint.send(now, handle, *stream, *ppid, false, data);
                    assert!(sent.is_ok(), "{sent:?}: an association is full or closed");
                }
            }
            Transmit::Multicast { channel: Channel::Asap, len } => {
                self.told.announces += 1;
                self.announce = Vec::from_slice(&buffer[..*len]).ok();
                assert!(self.announce.is_some(), "announces are short");
            }
            Transmit::Shutdown { association } => {
                let _ = known(association).map(|handle| self.endpoint.shutdown(now, handle));
            }
            Transmit::Abort { association } => {
                let _ = known(association).map(|handle| self.endpoint.abort(now, handle));
            }
            other => panic!("nobody taught the scope to {other:?}"),
        }
    }

    fn connect(&mut self, now: Instant, connect: ConnectId, peer: &Peer) {
        let remote = SocketAddr::new(peer.addresses[0], peer.port);
        let options = Connect { local_port: PORT, remote, udp: None };
        match self.endpoint.connect(now, options) {
            Ok(handle) => self.add_link(handle, Some(connect)),
            Err(_) => self.input(now, Input::ConnectFailed { connect }),
        }
    }

    fn add_link(&mut self, handle: Handle, connect: Option<ConnectId>) {
        let association = AssociationId(self.next_association);
        self.next_association += 1;
        let link = Link { association, handle, connect };
        assert!(self.links.push(link).is_ok(), "the endpoint has no more associations either");
    }

    /// Tells the machine what its endpoint tells. Whether there was anything.
    fn pass_on(&mut self, now: Instant) -> bool {
        let Some(event) = self.endpoint.poll_event() else { return false };
        match event {
            Event::Up { handle, remote, .. } => {
                if self.link(handle).is_none() {
                    self.add_link(handle, None);
                }
                let Some(link) = self.link(handle) else { return true };
                let (association, connect) = (link.association, link.connect.take());
                let peer_addresses = &[remote.ip()];
                let peer_port = remote.port();
                let up = Input::Up { association, connect, peer_addresses, peer_port };
                self.input(now, up);
            }
            Event::Readable { handle } => self.receive(now, handle),
            Event::Restarted { handle } => {
                if let Some(association) = self.link(handle).map(|link| link.association) {
                    self.input(now, Input::Restarted { association });
                }
            }
            Event::Down { handle, was_up, reason, .. } => {
                let Some(at) = self.links.iter().position(|link| link.handle == handle) else {
                    return true;
                };
                let Link { association, connect, .. } = self.links.swap_remove(at);
                match connect {
                    _ if was_up => self.input(now, Input::Down { association, reason }),
                    Some(connect) => self.input(now, Input::ConnectFailed { connect }),
                    None => {}
                }
            }
            _ => {}
        }
        true
    }

    fn link(&mut self, handle: Handle) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.handle == handle)
    }

    fn receive(&mut self, now: Instant, handle: Handle) {
        let mut buffer = [0; 1_536];
        while let Some(received) = self.endpoint.recv(now, handle, &mut buffer) {
            let Some(link) = self.link(handle) else { return };
            let (association, data) = (link.association, &buffer[..received.len]);
            let sctp::Received { stream, ppid, .. } = received;
            self.input(now, Input::Message { association, stream, ppid, data });
        }
    }
}

/// All nodes, and the time.
pub(crate) struct Scope<'c, C, const NODES: usize> {
    pub(crate) nodes: [Node; NODES],
    clock: &'c mut C,
}

impl<'c, C: Clock, const NODES: usize> Scope<'c, C, NODES> {
    pub(crate) fn new(clock: &'c mut C, nodes: [Node; NODES]) -> Self {
        Self { nodes, clock }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Lets everything happen that happens until `end`.
    pub(crate) fn run_until(&mut self, end: Instant) {
        loop {
            self.settle();
            let timeouts = self.nodes.iter().filter_map(Node::poll_timeout);
            let next = timeouts.min().filter(|&next| next < end);
            self.clock.sleep_until(next.unwrap_or(end));
            let now = self.clock.now();
            for node in &mut self.nodes {
                node.handle_timeout(now);
            }
            if next.is_none() {
                self.settle();
                return;
            }
        }
    }

    /// Carries all packets until nobody has one.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let mut is_quiet = true;
            for from in 0..NODES {
                while self.nodes[from].pass_on(now) {
                    is_quiet = false;
                }
                is_quiet &= !self.carry(now, from);
            }
            if is_quiet {
                return;
            }
        }
        panic!("they never fall silent");
    }

    /// Carries what a node sends. Whether there was anything.
    fn carry(&mut self, now: Instant, from: usize) -> bool {
        let mut buffer = [0; PACKET_LEN_MAX];
        let mut any = false;
        while let Some(packet) = self.nodes[from].endpoint.poll_transmit(now, &mut buffer) {
            any = true;
            let payload = &buffer[..packet.len];
            self.nodes[from].count_chunk(payload);
            let (local, remote) = (packet.remote, self.nodes[from].address);
            let to = self.nodes.iter().position(|node| node.address == local);
            if let Some(to) = to.filter(|&to| !self.nodes[from].is_cut && !self.nodes[to].is_cut) {
                let datagram = Datagram { local, remote, udp: None, payload };
                let input = sctp::Input::Datagram(datagram);
                let _ = self.nodes[to].endpoint.handle_input(now, input);
            }
        }
        let source = self.nodes[from].address;
        if let Some(announce) = self.nodes[from].announce.take()
            && !self.nodes[from].is_cut
        {
            let others = self.nodes.iter_mut().filter(|node| node.address != source);
            for node in others.filter(|node| !node.is_cut) {
                node.hear(now, source, &announce);
            }
            any = true;
        }
        any
    }
}

impl Node {
    /// Counts what the first chunk of a packet is.
    fn count_chunk(&mut self, packet: &[u8]) {
        match packet.get(12) {
            Some(1) => self.told.inits += 1,
            Some(4) => self.told.heartbeats += 1,
            Some(5) => self.told.heartbeat_acks += 1,
            _ => {}
        }
    }
}

/// Where the node of a number is.
pub(crate) fn address(number: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, number + 1])
}
