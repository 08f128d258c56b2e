//! A board's node, registrars and a scripted user on a simulated network, in virtual time.

mod peer;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rserpool_core::asap::PoolElementEvent;
use rserpool_core::compute;
use rserpool_core::sctp::Datagram;
use rserpool_core::time::Instant;
use rserpool_firmware::node::{Node, NodeMemory};
use rserpool_firmware::settings::Settings;
use rserpool_firmware::{Command, Event, MESSAGE_LEN_MAX};
use rserpool_tests::network::{Envelope, Network, Weather};

pub(crate) use peer::{Peer, RegistrarPlan, computed, work};

/// The board's address.
pub(crate) const BOARD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 5));

/// How long a slice of a kernel takes on the board.
const SLICE: Duration = Duration::from_millis(5);

pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) node: &'static mut Node<'static>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) events: Vec<(Instant, Event)>,
    /// What the board sent: to where, and by which UDP port.
    pub(crate) sent: Vec<(IpAddr, Option<u16>)>,
    is_linked: bool,
    next_slice: Option<Instant>,
    seed: u64,
}

impl World {
    /// A board with these settings, its link up.
    pub(crate) fn new(seed: u64, weather: Weather, settings: &str) -> Self {
        println!("seed {seed}");
        let mut parsed = Settings::DEFAULT;
        parsed.apply(settings).unwrap();
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let memory = Box::leak(Box::new(NodeMemory::new()));
        let mut world = Self {
            network: Network::new(seed, weather),
            node: Node::new(&parsed, bytes, memory),
            peers: Vec::new(),
            events: Vec::new(),
            sent: Vec::new(),
            is_linked: false,
            next_slice: None,
            seed,
        };
        world.set_link(true);
        world
    }

    pub(crate) fn now(&self) -> Instant {
        self.network.now()
    }

    /// Adds a registrar at 10.77.0.`last`; returns its place.
    pub(crate) fn add_registrar(&mut self, last: u8, plan: RegistrarPlan) -> usize {
        self.peers.push(Peer::registrar(address(last), self.seed, plan));
        self.peers.len() - 1
    }

    /// Adds a user at 10.77.0.`last`; returns its place.
    pub(crate) fn add_user(&mut self, last: u8) -> usize {
        self.peers.push(Peer::user(address(last), self.seed));
        self.peers.len() - 1
    }

    /// The link of the board comes or goes.
    pub(crate) fn set_link(&mut self, is_up: bool) {
        self.is_linked = is_up;
        let now = self.now();
        if is_up {
            self.node.link_up(now, BOARD);
        } else {
            self.node.link_down(now);
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        let now = self.now();
        self.node.command(now, command);
    }

    /// Lets time pass until `is_done`; panics if that takes longer than `limit`.
    #[track_caller]
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut is_done: impl FnMut(&mut Self) -> bool,
    ) {
        let end = self.now() + limit;
        loop {
            self.drain();
            if is_done(self) {
                return;
            }
            let Some(next) = self.next_at().filter(|&next| next <= end) else {
                panic!("seed {}: it does not happen; {:?}", self.seed, self.node.status());
            };
            self.step(next);
        }
    }

    /// Lets `span` pass.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now() + span;
        loop {
            self.drain();
            let next = self.next_at().filter(|&next| next <= end);
            let Some(next) = next else { break };
            self.step(next);
        }
        self.network.advance(end);
    }

    /// Whether the node told this event.
    pub(crate) fn told(&self, event: Event) -> bool {
        self.events.iter().any(|&(_, told)| told == event)
    }

    /// How often the node registered itself anew.
    pub(crate) fn registered_count(&self) -> usize {
        let is_it = |event: &Event| {
            matches!(event, Event::Membership(PoolElementEvent::Registered { .. }))
        };
        self.events.iter().filter(|(_, event)| is_it(event)).count()
    }

    pub(crate) fn work_events(&self) -> Vec<compute::Event> {
        let work = |&(_, event): &(Instant, Event)| match event {
            Event::Work(event) => Some(event),
            _ => None,
        };
        self.events.iter().filter_map(work).collect()
    }

    fn next_at(&self) -> Option<Instant> {
        let peers = self.peers.iter().filter_map(Peer::poll_timeout).min();
        let all = [self.network.next_arrival(), self.node.poll_timeout(), self.next_slice, peers];
        all.into_iter().flatten().min()
    }

    fn step(&mut self, at: Instant) {
        self.network.advance(at);
        let now = self.now();
        while let Some(envelope) = self.network.arrive() {
            self.deliver(&envelope);
            self.drain();
        }
        if self.node.poll_timeout().is_some_and(|at| at <= now) {
            self.node.handle_timeout(now);
        }
        if self.next_slice.is_some_and(|at| at <= now) {
            self.next_slice = None;
            self.node.work(1_024);
        }
        for peer in &mut self.peers {
            peer.handle_timeout(now);
        }
    }

    fn deliver(&mut self, envelope: &Envelope) {
        let now = self.now();
        if envelope.to == BOARD {
            if self.is_linked {
                let (local, remote) = (envelope.to, envelope.from);
                let (udp, payload) = (envelope.udp_of_receiver(), &envelope.bytes);
                self.node.handle_datagram(now, Datagram { local, remote, udp, payload });
            }
            return;
        }
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.address == envelope.to) {
            peer.handle_datagram(now, envelope);
        }
    }

    fn drain(&mut self) {
        let now = self.now();
        let mut buf = [0; MESSAGE_LEN_MAX];
        while let Some(packet) = self.node.poll_datagram(now, &mut buf) {
            self.sent.push((packet.remote, packet.udp.map(|udp| udp.remote)));
            if self.is_linked {
                let udp = packet.udp.map(|udp| (udp.local, udp.remote));
                let bytes = buf[..packet.len].to_vec();
                self.network.send(Envelope { from: BOARD, to: packet.remote, udp, bytes });
            }
        }
        while let Some(event) = self.node.poll_event() {
            self.events.push((now, event));
        }
        if self.node.wants_work() && self.next_slice.is_none() {
            self.next_slice = Some(now + SLICE);
        }
        for peer in &mut self.peers {
            peer.drain(now, &mut self.network);
        }
    }
}

pub(crate) fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
}
