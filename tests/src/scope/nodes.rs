//! Registrars, elements and users: their birth, their commands, and looks at them.

use std::net::IpAddr;
use std::time::Duration;

use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::asap::{
    PoolElement, PoolElementConfig, PoolElementEvent, PoolUser, PoolUserConfig, PoolUserEvent,
    UserTransport,
};
use rserpool_core::association::Endpoint;
use rserpool_core::enrp::{Config, Registrar, Usage};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::identifier::{PeId, RegistrarId};
use rserpool_core::wire::Policy;

use super::sessions::{JobCounts, JobOutcome, Sessions};
use super::{
    AnyRegistrar, Body, ENRP_PORT, ElementBody, Node, Place, SERVICE_PORT, Scope, Service,
    ServiceCounts, TableSizes, UserBody, handle,
};

impl Scope {
    fn add(&mut self, body: Body) -> Node {
        self.places.push(Place::new(body));
        Node(self.places.len() - 1)
    }

    /// Adds a node on which nothing runs yet.
    pub fn add_empty(&mut self) -> Node {
        self.add(Body::Dead)
    }

    /// Starts a process on a node where none runs.
    fn start(&mut self, node: Node, body: Body) {
        let place = &mut self.places[node.0];
        assert!(matches!(place.body, Body::Dead), "{node:?} is taken");
        place.body = body;
    }

    fn new_registrar(&mut self, config: Config, sizes: TableSizes) -> Body {
        let limits = HeapLimits::for_elements(sizes.elements).with_owners(sizes.peers + 2);
        let seed = SplitMix64::new(self.random.next_u64());
        let (storage, tables) = (HeapStorage::new(limits), sizes.tables());
        Body::Registrar(Box::new(Registrar::new(config, storage, tables, seed)))
    }

    /// Adds a registrar that is alone.
    pub fn add_registrar(&mut self) -> Node {
        let body = self.new_registrar(Config::new(self.profile), TableSizes::AMPLE);
        self.add(body)
    }

    /// Adds a registrar that announces itself to all.
    pub fn add_announced_registrar(&mut self) -> Node {
        let node = self.add_registrar();
        self.announce(node);
        node
    }

    /// Starts a registrar anew that was killed: it knows nobody.
    pub fn restart_registrar(&mut self, node: Node) {
        let body = self.new_registrar(Config::new(self.profile), TableSizes::AMPLE);
        self.start(node, body);
    }

    /// Adds a registrar with an identifier, which enters the scope of `peers`.
    pub fn add_peer_registrar(&mut self, identifier: u32, peers: &[Node]) -> Node {
        let node = self.add_empty();
        self.restart_peer_registrar(node, identifier, peers);
        node
    }

    /// Adds a registrar that is set up like this, which enters the scope of `peers`.
    pub fn add_registrar_with(&mut self, config: Config, peers: &[Node]) -> Node {
        let node = self.add_empty();
        self.start_registrar(node, config, TableSizes::AMPLE, peers);
        node
    }

    /// Starts a registrar anew that was killed, under the same identifier.
    pub fn restart_peer_registrar(&mut self, node: Node, identifier: u32, peers: &[Node]) {
        let mut config = Config::new(self.profile);
        config.identifier = RegistrarId(identifier);
        self.start_registrar(node, config, TableSizes::AMPLE, peers);
    }

    /// Starts a registrar on an empty node, which enters the scope of `peers`.
    pub fn start_registrar(
        &mut self,
        node: Node,
        config: Config,
        sizes: TableSizes,
        peers: &[Node],
    ) {
        let peers: Vec<_> = peers.iter().map(|peer| peer.address()).collect();
        self.start_registrar_among(node, config, sizes, &peers);
    }

    /// The same with the addresses of its peers.
    pub fn start_registrar_among(
        &mut self,
        node: Node,
        config: Config,
        sizes: TableSizes,
        peers: &[IpAddr],
    ) {
        self.trace.note_blow(self.now, || format!("{node:?} starts as a registrar"));
        let body = self.new_registrar(config, sizes);
        self.start(node, body);
        let endpoint = |address: IpAddr| Endpoint::new((address, ENRP_PORT).into());
        let peers: Vec<_> = peers.iter().map(|&peer| endpoint(peer)).collect();
        let now = self.local_now(node);
        self.with_registrar(node, |registrar| {
            // Who finds no room for all its peers goes on with those that found some.
            let _ = registrar.start_peering(now, endpoint(node.address()), &peers);
        });
    }

    /// Stops a registrar as a signal would.
    pub fn stop_registrar(&mut self, node: Node) {
        self.trace.note_blow(self.now, || format!("{node:?} is asked to stop"));
        self.with_registrar(node, Registrar::stop);
    }

    /// Adds an element that registers in `pool`.
    pub fn add_element(&mut self, registrars: &[Node], pool: &str, policy: Policy) -> Node {
        let mut config = PoolElementConfig::new(self.profile);
        if self.is_stubborn {
            config.timers.registration_retry = Some(Duration::from_secs(5));
        }
        let node = self.add_empty();
        self.start_element(node, config, registrars, pool, policy);
        node
    }

    /// Starts an element on an empty node, which registers in `pool`. Says who it is.
    pub fn start_element(
        &mut self,
        node: Node,
        config: PoolElementConfig,
        registrars: &[Node],
        pool: &str,
        policy: Policy,
    ) -> PeId {
        self.trace.note_blow(self.now, || format!("{node:?} starts as an element of {pool}"));
        let mut machine = PoolElement::new(config, &mut self.random);
        for registrar in registrars {
            machine.add_registrar(&registrar.endpoint()).expect("room");
        }
        let service = Endpoint { port: SERVICE_PORT, ..node.endpoint() };
        let transport = UserTransport::sctp(service);
        let now = self.local_now(node);
        machine.register(now, handle(pool), &transport, policy).expect("a registration");
        let pe_id = machine.pe_id();
        let service = Service::new(handle(pool));
        self.start(
            node,
            Body::Element(Box::new(ElementBody { machine, events: Vec::new(), service })),
        );
        self.drain(node);
        pe_id
    }

    /// Adds a pool user.
    pub fn add_user(&mut self, registrars: &[Node]) -> Node {
        let node = self.add_empty();
        self.start_user(node, PoolUserConfig::new(self.profile), registrars, false);
        node
    }

    /// Starts a pool user on an empty node, with or without sessions of its own.
    pub fn start_user(
        &mut self,
        node: Node,
        config: PoolUserConfig,
        registrars: &[Node],
        has_sessions: bool,
    ) {
        self.trace.note_blow(self.now, || format!("{node:?} starts as a user"));
        let mut machine = PoolUser::new(config, &mut self.random);
        for registrar in registrars {
            machine.add_registrar(&registrar.endpoint()).expect("room");
        }
        let sessions = has_sessions.then(|| Sessions::new(self.random.next_u64()));
        self.start(node, Body::User(Box::new(UserBody { machine, events: Vec::new(), sessions })));
        self.drain(node);
    }

    /// A registrar to look at.
    #[must_use]
    pub fn registrar(&self, node: Node) -> &AnyRegistrar {
        match &self.places[node.0].body {
            Body::Registrar(registrar) => registrar,
            _ => panic!("{node:?} is no registrar"),
        }
    }

    /// An element to look at.
    #[must_use]
    pub fn element(&self, node: Node) -> &PoolElement {
        match &self.places[node.0].body {
            Body::Element(element) => &element.machine,
            _ => panic!("{node:?} is no element"),
        }
    }

    /// A user to look at.
    #[must_use]
    pub fn user(&self, node: Node) -> &PoolUser {
        match &self.places[node.0].body {
            Body::User(user) => &user.machine,
            _ => panic!("{node:?} is no user"),
        }
    }

    /// Whether a process runs there.
    #[must_use]
    pub fn is_running(&self, node: Node) -> bool {
        !matches!(self.places[node.0].body, Body::Dead)
    }

    /// Whether a service would answer at that address.
    #[must_use]
    pub fn is_alive(&self, address: IpAddr) -> bool {
        let node = Node::of(address).filter(|node| node.0 < self.places.len());
        node.is_some_and(|node| {
            matches!(self.places[node.0].body, Body::Element(_)) && !self.is_unplugged(node)
        })
    }

    /// Gives a registrar a command.
    pub fn with_registrar<R>(
        &mut self,
        node: Node,
        command: impl FnOnce(&mut AnyRegistrar) -> R,
    ) -> R {
        let Body::Registrar(registrar) = &mut self.places[node.0].body else {
            panic!("{node:?} is no registrar")
        };
        let result = command(registrar);
        self.drain(node);
        result
    }

    /// Gives an element a command.
    pub fn with_element<R>(
        &mut self,
        node: Node,
        command: impl FnOnce(&mut PoolElement) -> R,
    ) -> R {
        let Body::Element(element) = &mut self.places[node.0].body else {
            panic!("{node:?} is no element")
        };
        let result = command(&mut element.machine);
        self.drain(node);
        result
    }

    /// Gives a user a command.
    pub fn with_user<R>(&mut self, node: Node, command: impl FnOnce(&mut PoolUser) -> R) -> R {
        let Body::User(user) = &mut self.places[node.0].body else {
            panic!("{node:?} is no user")
        };
        let result = command(&mut user.machine);
        self.drain(node);
        result
    }

    /// What an element told since the last look.
    pub fn element_events(&mut self, node: Node) -> Vec<PoolElementEvent> {
        match &mut self.places[node.0].body {
            Body::Element(element) => std::mem::take(&mut element.events),
            _ => Vec::new(),
        }
    }

    /// What a user told since the last look.
    pub fn user_events(&mut self, node: Node) -> Vec<PoolUserEvent> {
        match &mut self.places[node.0].body {
            Body::User(user) => std::mem::take(&mut user.events),
            _ => Vec::new(),
        }
    }

    /// Lets a user begin a job of so many steps in a session with elements of `pool`.
    pub fn begin_job(&mut self, node: Node, pool: &str, steps: u32) {
        self.trace.note_blow(self.now, || format!("{node:?} begins a job of {steps} steps"));
        let now = self.local_now(node);
        let Body::User(user) = &mut self.places[node.0].body else {
            panic!("{node:?} is no user")
        };
        let sessions = user.sessions.as_mut().expect("a user with sessions");
        sessions.begin(now, handle(pool), steps, &mut user.machine);
        self.drain(node);
    }

    /// How a user's jobs stand, in the order in which they began; `None` for those that go on.
    #[must_use]
    pub fn jobs(&self, node: Node) -> Vec<Option<JobOutcome>> {
        match &self.places[node.0].body {
            Body::User(user) => user.sessions.as_ref().map(Sessions::outcomes).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// What has happened in the sessions of a user.
    #[must_use]
    pub fn job_counts(&self, node: Node) -> JobCounts {
        match &self.places[node.0].body {
            Body::User(user) => user.sessions.as_ref().map(Sessions::counts).unwrap_or_default(),
            _ => JobCounts::default(),
        }
    }

    /// What an element has done for users.
    #[must_use]
    pub fn service_counts(&self, node: Node) -> ServiceCounts {
        match &self.places[node.0].body {
            Body::Element(element) => element.service.counts(),
            _ => ServiceCounts::default(),
        }
    }

    /// Resolves a pool and waits for the answer: the addresses, the preferred one first.
    pub fn resolve(&mut self, user: Node, pool: &str, wait: Duration) -> Option<Vec<IpAddr>> {
        let now = self.local_now(user);
        self.with_user(user, |user| user.resolve(now, handle(pool), Some(3))).ok()?;
        let end = self.now + wait;
        while self.now < end {
            self.run_for(Duration::from_millis(10));
            for event in self.user_events(user) {
                match event {
                    PoolUserEvent::Resolved { .. } => {
                        let Body::User(user) = &self.places[user.0].body else { return None };
                        let elements = user.machine.elements(handle(pool)).iter();
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

    /// Looks whether a registrar's structures agree with each other.
    pub fn check_registrar(&mut self, node: Node) {
        if let Body::Registrar(registrar) = &mut self.places[node.0].body {
            registrar.check();
        }
    }

    /// How much a registrar uses of what it was lent.
    pub fn usage(&mut self, node: Node) -> Usage {
        match &mut self.places[node.0].body {
            Body::Registrar(registrar) => registrar.usage(),
            _ => panic!("{node:?} is no registrar"),
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
