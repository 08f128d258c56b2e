//! A pool element as one machine: SCTP endpoint, registration and worker, in lent memory.
//!
//! Driven like every machine of the core (`rserpool_core::machine`), with whole SCTP packets on
//! its lower side, and with two additions: the link comes and goes
//! ([`Node::link_up`], [`Node::link_down`]), and between inputs the driver lets it compute
//! ([`Node::work`]) as long as it wants to ([`Node::wants_work`]). After every call drain
//! [`Node::poll_datagram`], then [`Node::poll_event`].
//!
//! - this file: the surface, membership and link;
//! - `links.rs`: associations, attempts, and how they travel;
//! - `pump.rs`: what the machines inside have for each other.
//!
//! Inside are three associations: the home registrar, one that is to become it, and one user. A
//! port of its own for ASAP tells registrars that take the element over from users. The buffer
//! of `poll_datagram` is also where messages stand on their way between the machines.

mod links;
mod pump;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use heapless::{Deque, Vec};
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::asap::{CANDIDATES_MAX, PoolElement, PoolElementConfig, UserTransport};
use rserpool_core::association::Endpoint;
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{KernelSet, Stop, Worker, WorkerConfig};
use rserpool_core::entropy::Entropy;
use rserpool_core::identifier::PoolHandleBuf;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{self, Datagram, Inline, Packet};
use rserpool_core::time::Instant;
use rserpool_core::wire::Load;

use crate::place::Place;
use crate::random::HashRandom;
use crate::settings::{PolicySetting, Settings, Transport};
use crate::{Command, Event, MESSAGE_LEN_MAX, Status};
use links::{Attempt, Link};

/// Associations at a time: home, new home, one user.
pub const ASSOCIATIONS: usize = 3;
/// Packages that are held at a time: one in work, and one so that it never waits for the next.
pub const SLOTS: usize = 2;
/// Bytes of output in a message, and kept of each package.
pub const CHUNK_LEN: usize = 480;

/// Bytes to send of an association: two of the longest messages.
const TX_LEN: usize = 1_040;
/// Bytes received of an association: the window that it offers.
const RX_LEN: usize = MESSAGE_LEN_MAX;
/// DATA chunks of an association in each direction.
const DESCRIPTORS: usize = 6;

type Storage = Inline<ASSOCIATIONS, TX_LEN, RX_LEN, DESCRIPTORS>;
type NodeEndpoint<'m> = sctp::Endpoint<&'m mut Storage, HashRandom>;
type NodeWorker = Worker<StandardKernels, SLOTS, 1, CHUNK_LEN>;

/// The memory of a node's associations and of its larger parts; all zero bits, so that a static of
/// it takes no flash.
#[derive(Debug)]
pub struct NodeMemory<'m> {
    storage: Storage,
    endpoint: Place<NodeEndpoint<'m>>,
    element: Place<PoolElement>,
    worker: Place<NodeWorker>,
    node: Place<Node<'m>>,
}

impl NodeMemory<'_> {
    /// Memory without associations.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            storage: Storage::new(),
            endpoint: Place::Empty,
            element: Place::Empty,
            worker: Place::Empty,
            node: Place::Empty,
        }
    }
}

impl Default for NodeMemory<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A pool element that computes.
#[derive(Debug)]
pub struct Node<'m> {
    endpoint: &'m mut NodeEndpoint<'m>,
    element: &'m mut PoolElement,
    worker: &'m mut NodeWorker,
    links: Vec<Link, ASSOCIATIONS>,
    attempts: Vec<Attempt, CANDIDATES_MAX>,
    last_association: u32,
    events: Deque<Event, EVENTS_MAX>,
    pool: PoolHandleBuf,
    policy: PolicySetting,
    ports: Ports,
    grace: Duration,
    link: LinkState,
    intent: Intent,
    /// The load that was last told to the element, and when the next may be.
    load: Load,
    load_at: Instant,
    wants_work: bool,
}

/// Our ports.
#[derive(Clone, Copy, Debug)]
struct Ports {
    service: u16,
    asap: u16,
    /// The UDP port; `None` if SCTP travels right over IP.
    udp: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Down,
    Up(IpAddr),
    /// Gone, but perhaps for a moment only: until then associations are kept.
    Missed {
        address: IpAddr,
        until: Instant,
    },
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    Join,
    /// Out of the pool: what is in work may go on until `hand_on`, and all is over at `end`.
    Leave {
        hand_on: Option<Instant>,
        end: Instant,
    },
    StayOut,
}

impl<'m> Node<'m> {
    /// A node that wants to join its pool as soon as there is a link. `seed` must be random.
    #[must_use]
    pub fn new(
        settings: &Settings,
        seed: [u8; 32],
        memory: &'m mut NodeMemory<'m>,
    ) -> &'m mut Self {
        let mut random = HashRandom::new(seed);
        let element =
            memory.element.put(|| PoolElement::new(element_config(settings), &mut random));
        for registrar in &settings.registrars {
            // The core has room for more of them than the settings.
            let _ = element.add_registrar(&registrar.endpoint());
        }
        let worker = memory
            .worker
            .put(|| NodeWorker::new(worker_config(settings), CookieKey::new(settings.key)));
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let endpoint = memory.endpoint.put(|| {
            let config = sctp_config(settings);
            sctp::Endpoint::new(config, random, secret, &mut memory.storage)
        });
        let udp = match settings.transport {
            Transport::Udp => Some(settings.udp_port),
            Transport::Raw => None,
        };
        memory.node.put(|| Self {
            endpoint,
            element,
            worker,
            links: Vec::new(),
            attempts: Vec::new(),
            last_association: 0,
            events: Deque::new(),
            pool: settings.pool(),
            policy: settings.policy,
            ports: Ports { service: settings.port, asap: settings.asap_port, udp },
            grace: settings.grace(),
            link: LinkState::Down,
            intent: Intent::Join,
            load: Load::MIN,
            load_at: Instant::ZERO,
            wants_work: false,
        })
    }

    /// Does what the board's user wants.
    pub fn command(&mut self, now: Instant, command: Command) {
        match (command, self.intent) {
            (Command::Start, Intent::StayOut) => {
                self.intent = Intent::Join;
                self.worker.reopen();
                self.join(now);
            }
            (Command::Stop, Intent::Join) => {
                let hand_on = now + self.grace;
                self.intent =
                    Intent::Leave { hand_on: Some(hand_on), end: hand_on + HAND_ON_PATIENCE };
                self.worker.stop(Stop::Finish);
                // Refused if it is in no pool, which is what is wanted.
                let _ = self.element.deregister(now);
                self.leave_if_done();
            }
            _ => {}
        }
    }

    /// The network can be used, and `address` is ours. With another address than before, all
    /// associations begin anew; with the same, after a short interruption, they go on.
    pub fn link_up(&mut self, now: Instant, address: IpAddr) {
        for port in [self.ports.service, self.ports.asap] {
            // There is room for eight, and 0 is refused as a setting.
            let _ = self.endpoint.listen(port);
        }
        match self.link {
            LinkState::Up(before) | LinkState::Missed { address: before, .. }
                if before == address =>
            {
                self.link = LinkState::Up(address);
                return;
            }
            LinkState::Up(_) | LinkState::Missed { .. } => self.give_up_links(now),
            LinkState::Down => {}
        }
        self.link = LinkState::Up(address);
        if self.intent == Intent::Join {
            self.join(now);
        }
    }

    /// The network cannot be used.
    pub fn link_down(&mut self, now: Instant) {
        if let LinkState::Up(address) = self.link {
            self.link = LinkState::Missed { address, until: now + LINK_PATIENCE };
        }
    }

    /// Takes an SCTP packet.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        if self.is_from_a_loser(now, &datagram) {
            return;
        }
        // What is refused was counted; what it is owed comes out of `poll_datagram`.
        let _ = self.endpoint.handle_input(now, sctp::Input::Datagram(datagram));
    }

    /// Takes a Server Announce of a registrar (RFC 5352 §3.6), which came by multicast.
    pub fn handle_announce(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) {
        // Rubbish and strangers are to be expected there.
        let _ = self.element.handle_announce(now, source, bytes);
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
        self.element.handle_timeout(now);
        self.worker.handle_timeout(now);
        for attempt in &mut self.attempts {
            attempt.race.handle_timeout(now);
        }
        self.tell_load(now);
        if let LinkState::Missed { until, .. } = self.link
            && until <= now
        {
            self.give_up_links(now);
            self.link = LinkState::Down;
            self.tell(Event::LinkLost);
        }
        if let Intent::Leave { hand_on, end } = self.intent {
            if hand_on.is_some_and(|at| at <= now) {
                self.intent = Intent::Leave { hand_on: None, end };
                self.worker.stop(Stop::HandOn);
            }
            if end <= now {
                self.element.stop();
                self.abort_all(now);
                self.is_out();
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let races = self.attempts.iter().filter_map(|attempt| attempt.race.poll_timeout()).min();
        let link = match self.link {
            LinkState::Missed { until, .. } => Some(until),
            _ => None,
        };
        let leave = match self.intent {
            Intent::Leave { hand_on, end } => Some(hand_on.unwrap_or(end)),
            _ => None,
        };
        let load = self.is_load_news().then_some(self.load_at);
        let mut timeout = Instant::earliest(self.endpoint.poll_timeout(), load);
        for other in [self.element.poll_timeout(), self.worker.poll_timeout(), races, link, leave]
        {
            timeout = Instant::earliest(timeout, other);
        }
        timeout
    }

    /// The next SCTP packet to send. `buf` must have [`MESSAGE_LEN_MAX`] bytes; between calls
    /// nothing is kept there.
    #[must_use]
    pub fn poll_datagram(&mut self, now: Instant, buf: &mut [u8]) -> Option<Packet> {
        self.pump(now, buf);
        self.next_datagram(now, buf)
    }

    /// What happened.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Computes one slice of about `units` turns of an innermost loop.
    pub fn work(&mut self, units: u32) {
        self.wants_work = self.worker.run(units);
    }

    /// Whether there is more to compute now.
    #[must_use]
    pub const fn wants_work(&self) -> bool {
        self.wants_work
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            is_link_up: matches!(self.link, LinkState::Up(_)),
            membership: self.element.status(),
            pe_id: self.element.pe_id(),
            home: self.element.home(),
            association_count: self.links.len(),
            package_count: self.worker.held_count(),
            load: Load(self.worker.load().0),
        }
    }

    /// What was counted of SCTP packets.
    #[must_use]
    pub const fn statistics(&self) -> &sctp::Statistics {
        self.endpoint.statistics()
    }

    /// Registers, or renews what is registered.
    fn join(&mut self, now: Instant) {
        let LinkState::Up(address) = self.link else { return };
        let service = Endpoint::new(SocketAddr::new(address, self.ports.service));
        let transport = UserTransport::sctp(service);
        let policy = self.policy.with_load(self.load);
        // Not in another pool, and neither port nor address is unusable.
        let _ = self.element.register(now, self.pool.as_handle(), &transport, policy);
    }

    /// Forgets all associations, and with them the registration.
    fn give_up_links(&mut self, now: Instant) {
        self.element.stop();
        self.abort_all(now);
    }

    fn is_load_news(&self) -> bool {
        self.load.0 != self.worker.load().0
    }

    /// Hands the load on, not too often.
    fn tell_load(&mut self, now: Instant) {
        if self.is_load_news() && self.load_at <= now {
            self.load = Load(self.worker.load().0);
            self.load_at = now + LOAD_INTERVAL;
            // Refused out of the pool, where load means nothing.
            let _ = self.element.update_policy(now, self.policy.with_load(self.load));
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.is_full() {
            // Nobody has drained for a long time: the latest news count.
            let _ = self.events.pop_front();
        }
        let _ = self.events.push_back(event);
    }

    /// After a command to leave: whether that is done.
    fn leave_if_done(&mut self) {
        let is_leaving = matches!(self.intent, Intent::Leave { .. });
        let is_registered = self.element.status() != rserpool_core::asap::PoolElementStatus::Idle;
        if is_leaving && !is_registered && self.worker.held_count() == 0 && self.links.is_empty() {
            self.is_out();
        }
    }

    fn is_out(&mut self) {
        self.intent = Intent::StayOut;
        self.tell(Event::Stopped);
    }
}

fn element_config(settings: &Settings) -> PoolElementConfig {
    let mut config = PoolElementConfig::new(settings.profile());
    config.pe_id = settings.pe_id.map(rserpool_core::identifier::PeId);
    if let Some(life) = settings.registration_life_ms {
        config.timers.registration_life = Duration::from_millis(life.into());
    }
    if let Some(interval) = settings.reregistration_ms {
        config.timers.t4_reregistration_max = Duration::from_millis(interval.into());
    }
    config
}

fn worker_config(settings: &Settings) -> WorkerConfig {
    let mut config = WorkerConfig::new(settings.pool());
    config.chunk_len = CHUNK_LEN;
    config.cookie_interval = Duration::from_millis(settings.cookie_ms.into());
    config.kernels = 0;
    for (place, id) in StandardKernels::IDS.iter().enumerate() {
        let is_offered =
            1_u32.checked_shl(id.0.into()).is_some_and(|it| settings.kernels & it != 0);
        config.kernels |= u32::from(is_offered) << place;
    }
    config
}

/// A board has few associations, and a dead user keeps others out: it is given up after half a
/// minute, not after the minutes of the RFC's defaults. A fifth of all packets may be lost.
fn sctp_config(settings: &Settings) -> sctp::Config {
    let mut config = sctp::Config::DEFAULT;
    config.rto_max = Duration::from_secs(4);
    config.association_retransmissions_max = 8;
    config.heartbeat_interval = Some(Duration::from_millis(settings.heartbeat_ms.into()));
    config.outbound_streams = 2;
    config.inbound_streams_max = 2;
    config.stranger_replies_per_second = 100;
    config
}

/// How long the link may be gone without harm to the associations: the time after which a job
/// gives up an element that says nothing.
const LINK_PATIENCE: Duration = Duration::from_secs(3);
/// The least time between two registrations for the load's sake.
const LOAD_INTERVAL: Duration = Duration::from_millis(500);
/// How long packages may take to be given back, and the registrar to say goodbye.
const HAND_ON_PATIENCE: Duration = Duration::from_secs(3);
/// Events that are kept for a driver that does not pull.
const EVENTS_MAX: usize = 8;
