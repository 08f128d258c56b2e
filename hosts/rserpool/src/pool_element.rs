//! A pool element that computes: registered by one task, working in a thread of its own, so that
//! keep-alives are answered however busy it is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::asap::{self, POOL_ELEMENT_MESSAGE_LEN_MAX, PoolElementEvent, UserTransport};
use rserpool_core::association::{Endpoint, Ppid};
use rserpool_core::compute::{self, KernelId, Stop};
use rserpool_core::identifier::{PeId, PoolHandleBuf};
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::wire::{Load, Policy};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::alternates::Alternates;
use crate::announces::{AnnounceConfig, Listener};
use crate::clock::OsEntropy;
use crate::csp::{self, ComponentId, CspConfig, Reporter, Status, Workload, report_due};
use crate::driven::Driven;
use crate::pool_user::StartError;
use crate::service_thread::{self, CardSource, ServiceConfig};
use crate::services::ServerEvent;
use crate::transport::Transport;
use crate::work::{Outlet, Slots, WorkerThread, Workplace};

/// How a pool element behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolElementConfig {
    /// Whose habits decide where RFC and RSPLIB differ.
    pub profile: Profile,
    /// The registrars to register at; at most [`REGISTRARS_MAX`](asap::REGISTRARS_MAX).
    pub registrars: Vec<Endpoint>,
    /// Where it hears of other registrars, to register at when these do not answer; `None`:
    /// nowhere.
    pub announces: Option<AnnounceConfig>,
    /// A registrar to try when none has announced itself for a moment: the one of this machine,
    /// by a loopback address, so that its users must be on this machine, too.
    pub last_resort: Option<Endpoint>,
    /// The pool to join.
    pub pool: PoolHandleBuf,
    /// The element's identifier; `None` takes a random one.
    pub identifier: Option<PeId>,
    /// The pool's policy and this element's values; a load in it follows the work.
    pub policy: Policy,
    /// The secret of the pool, which seals the state of half-done packages.
    pub key: CookieKey,
    /// How many packages are held at a time.
    pub slots: Slots,
    /// The kernels to compute with; `None`: all of the
    /// [`StandardKernels`](rserpool_core::compute::kernels::StandardKernels).
    pub kernels: Option<Vec<KernelId>>,
    /// The service of RSPLIB that it serves instead of computing work packages, which key, slots
    /// and kernels are for.
    pub service: Option<ServiceConfig>,
    /// Whether users of the service get business cards (RFC 5352 §3.9), by which they go on at
    /// another element without asking a registrar. RSPLIB's users cannot read any.
    pub gives_cards: bool,
    /// The SCTP port of the service; 0 takes a free one.
    pub port: u16,
    /// Pins its UDP port (RFC 6951); 0 takes a free one.
    pub udp_port: Option<u16>,
    /// The addresses to register; none: the one by which the first registrar sees us, and with
    /// announces all that it is bound to. A registrar keeps those by which it sees us, too.
    pub addresses: Vec<IpAddr>,
    /// How long a registration holds unless it is renewed; `None`: as the profile says.
    pub registration_life: Option<Duration>,
    /// The longest time between two registrations; `None`: as the profile says.
    pub reregistration_interval: Option<Duration>,
    /// Where it tells how it is; `None`: nowhere.
    pub csp: Option<CspConfig>,
}

impl PoolElementConfig {
    /// An element of `pool` with the policy Least Used and 4 slots.
    #[must_use]
    pub fn new(registrars: Vec<Endpoint>, pool: PoolHandleBuf, key: CookieKey) -> Self {
        Self {
            profile: Profile::default(),
            registrars,
            announces: None,
            last_resort: None,
            pool,
            identifier: None,
            policy: Policy::LeastUsed { load: Load(0) },
            key,
            slots: Slots::default(),
            kernels: None,
            service: None,
            gives_cards: false,
            port: 0,
            udp_port: None,
            addresses: Vec::new(),
            registration_life: None,
            reregistration_interval: None,
            csp: None,
        }
    }
}

/// What the user of a pool element should know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ElementEvent {
    /// Of its membership in the pool.
    Membership(PoolElementEvent),
    /// Of its work.
    Work(compute::Event),
    /// Of the service that it serves.
    Service(ServerEvent),
}

/// A pool element that computes work packages.
///
/// ```no_run
/// use rserpool::{ElementEvent, PoolElement, PoolElementConfig};
/// use rserpool::transport::{Transport, TransportConfig};
/// use rserpool_core::asap::PoolElementEvent;
/// use rserpool_core::asap::cookie::CookieKey;
/// use rserpool_core::association::Endpoint;
/// use rserpool_core::identifier::PoolHandle;
/// use std::time::Duration;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::start(TransportConfig::default());
/// let registrar = Endpoint::new("127.0.0.1:3863".parse()?);
/// let pool = PoolHandle::new(b"ComputePool")?.to_buf();
/// let config = PoolElementConfig::new(vec![registrar], pool, CookieKey::new([7; 32]));
/// let mut element = PoolElement::start(&transport, config).await?;
/// while let Some(event) = element.next_event().await {
///     if let ElementEvent::Membership(PoolElementEvent::Registered { .. }) = event {
///         println!("{} computes", element.identifier());
///     }
/// }
/// element.stop(Duration::from_secs(2)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PoolElement {
    identifier: PeId,
    port: u16,
    udp_ports: Vec<u16>,
    events: mpsc::Receiver<ElementEvent>,
    deregister: mpsc::Sender<oneshot::Sender<()>>,
    worker: WorkerThread,
}

impl PoolElement {
    /// Starts a pool element: it registers, and keeps itself registered.
    ///
    /// # Errors
    ///
    /// If there are too many registrars, no address, or the transport cannot open a port.
    pub async fn start(
        transport: &Transport,
        config: PoolElementConfig,
    ) -> Result<Self, StartError> {
        // A port of its own for ASAP tells registrars that take the element over from users.
        let service = transport.open(config.port, config.udp_port, true).await?;
        let asap = transport.open(0, Some(0), true).await?;
        let (port, udp_ports) = (service.number(), service.udp_ports().to_vec());
        let machine = asap::PoolElement::new(core_config(&config), &mut OsEntropy);
        let mut driven = Driven::new(Box::new(machine), asap, POOL_ELEMENT_MESSAGE_LEN_MAX);
        for registrar in &config.registrars {
            driven.machine.add_registrar(registrar)?;
        }
        let endpoint = service_endpoint(transport, &config, port)?;
        let now = driven.now();
        let user_transport = UserTransport::sctp(endpoint);
        driven.machine.register(now, config.pool.as_handle(), &user_transport, config.policy)?;
        let identifier = driven.machine.pe_id();
        let (event_sender, events) = mpsc::channel(EVENT_COUNT_MAX);
        let (load_sender, loads) = watch::channel(Load(0));
        let (session_sender, sessions) = watch::channel(0);
        let (alternates, cards) = match config.gives_cards && config.service.is_some() {
            true => {
                let (alternates, elements) = Alternates::prepare(transport, &config).await?;
                (Some(alternates), Some(CardSource { pool: config.pool, identifier, elements }))
            }
            false => (None, None),
        };
        let PoolElementConfig { pool, key, slots, kernels, .. } = config;
        let outlet =
            Outlet { loads: load_sender, sessions: session_sender, events: event_sender.clone() };
        let worker = match config.service {
            None => {
                let place = Workplace { pool, key, slots, kernels };
                WorkerThread::start(service, place, outlet)?
            }
            Some(config) => service_thread::start(service, config, cards, outlet)?,
        };
        let (deregister, deregistrations) = mpsc::channel(1);
        let policy = config.policy;
        let announces = config.announces.map(|config| config.bound_to(transport.addresses()));
        let listener = Listener::start(announces.as_ref());
        let (id, place) =
            (ComponentId::pool_element(identifier), csp::location(transport, Some(port)));
        let reporter = Reporter::start(config.csp, id, place);
        let task = Task {
            driven,
            alternates,
            listener,
            reporter,
            policy,
            loads,
            sessions,
            deregistrations,
            events: event_sender,
        };
        tokio::spawn(task.run(config.last_resort));
        Ok(Self { identifier, port, udp_ports, events, deregister, worker })
    }

    /// Its identifier.
    #[must_use]
    pub fn identifier(&self) -> PeId {
        self.identifier
    }

    /// The SCTP port of its service.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The UDP ports by which its service can be reached, the usual one first.
    #[must_use]
    pub fn udp_ports(&self) -> &[u16] {
        &self.udp_ports
    }

    /// What happens next to it; `None` when the transport is gone. Events that nobody takes are
    /// dropped.
    pub async fn next_event(&mut self) -> Option<ElementEvent> {
        self.events.recv().await
    }

    /// Leaves the pool: takes no more packages, goes on with those in work for `grace` at most,
    /// gives back the rest with their state, and deregisters.
    pub async fn stop(self, grace: Duration) {
        let (answer, deregistered) = oneshot::channel();
        let is_asked = self.deregister.send(answer).await.is_ok();
        if !self.worker.stop(Stop::Finish, grace).await {
            self.worker.stop(Stop::HandOn, HAND_ON_PATIENCE).await;
        }
        if is_asked {
            let _ = timeout(DEREGISTRATION_PATIENCE, deregistered).await;
        }
    }
}

fn core_config(config: &PoolElementConfig) -> asap::PoolElementConfig {
    let mut core = asap::PoolElementConfig::new(config.profile);
    core.pe_id = config.identifier;
    if let Some(life) = config.registration_life {
        core.timers.registration_life = life;
    }
    if let Some(interval) = config.reregistration_interval {
        core.timers.t4_reregistration_max = interval;
    }
    core
}

/// Where users are to find the service.
fn service_endpoint(
    transport: &Transport,
    config: &PoolElementConfig,
    port: u16,
) -> Result<Endpoint, StartError> {
    let addresses = match config.addresses.as_slice() {
        [] => own_addresses(transport, config),
        named => named.to_vec(),
    };
    let mut endpoint = Endpoint { port, ..Endpoint::default() };
    for address in addresses {
        // More than can be registered: the first ones do.
        if !endpoint.addresses.contains(&address) {
            let _ = endpoint.addresses.push(address);
        }
    }
    match endpoint.addresses.is_empty() {
        true => Err(StartError::NoAddress),
        false => Ok(endpoint),
    }
}

/// The address by which the first registrar that can be reached sees us. One that announces
/// itself may see any of those that we are bound to. Peers that are told of several addresses may
/// use them all.
fn own_addresses(transport: &Transport, config: &PoolElementConfig) -> Vec<IpAddr> {
    let registrars = config.registrars.iter().filter_map(|registrar| registrar.addresses.first());
    let towards = registrars.filter_map(|&registrar| transport.address_towards(registrar)).next();
    let mut addresses = Vec::from_iter(towards);
    addresses.extend(transport.told_addresses());
    if config.announces.is_some() {
        addresses.extend(transport.local_addresses());
    }
    addresses
}

/// Owns the machine that keeps the element registered.
struct Task {
    driven: Driven<asap::PoolElement>,
    alternates: Option<Alternates>,
    listener: Listener,
    reporter: Option<Reporter>,
    policy: Policy,
    loads: watch::Receiver<Load>,
    /// How many users the worker has.
    sessions: watch::Receiver<usize>,
    deregistrations: mpsc::Receiver<oneshot::Sender<()>>,
    events: mpsc::Sender<ElementEvent>,
}

impl Task {
    async fn run(mut self, mut last_resort: Option<Endpoint>) {
        let patience = tokio::time::sleep(ANNOUNCE_PATIENCE);
        // Opens for the next load.
        let gate = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(patience, gate);
        let mut is_open = true;
        let mut leaving: Option<oneshot::Sender<()>> = None;
        loop {
            self.driven.flush().await;
            while let Some(event) = self.driven.machine.poll_event() {
                let _ = self.events.try_send(ElementEvent::Membership(event));
                if let (PoolElementEvent::Registered { .. }, Some(others)) =
                    (event, &mut self.alternates)
                {
                    others.on_registered();
                }
                let is_out = matches!(
                    event,
                    PoolElementEvent::Deregistered { .. } | PoolElementEvent::DeregistrationFailed
                );
                if is_out && let Some(answer) = leaving.take() {
                    self.driven.flush().await;
                    self.reporter = None;
                    let _ = answer.send(());
                    return;
                }
            }
            tokio::select! {
                is_on = self.driven.step() => if !is_on { return },
                () = &mut patience, if last_resort.is_some() => {
                    let endpoint = last_resort.take().unwrap_or_default();
                    if let Err(error) = self.driven.machine.add_last_resort(&endpoint) {
                        tracing::debug!(%error, "no last resort");
                    }
                }
                (source, announce) = self.listener.recv() => self.on_announce(source, &announce),
                () = report_due(&mut self.reporter) => self.report(),
                () = &mut gate, if !is_open => is_open = true,
                Ok(()) = self.loads.changed(), if is_open => {
                    self.on_load();
                    is_open = false;
                    gate.as_mut().reset(tokio::time::Instant::now() + LOAD_INTERVAL);
                }
                answer = self.deregistrations.recv() => {
                    // The handle is gone, with or without a good-bye.
                    let Some(answer) = answer else {
                        self.driven.machine.stop();
                        self.driven.flush().await;
                        return;
                    };
                    let now = self.driven.now();
                    if let Err(error) = self.driven.machine.deregister(now) {
                        tracing::debug!(%error, "not deregistered");
                        let _ = answer.send(());
                        return;
                    }
                    leaving = Some(answer);
                }
            }
        }
    }

    fn on_announce(&mut self, source: SocketAddr, announce: &[u8]) {
        let now = self.driven.now();
        if let Err(error) = self.driven.machine.handle_announce(now, source, announce) {
            tracing::debug!(%error, %source, "announce refused");
        }
    }

    fn report(&mut self) {
        let Some(reporter) = &mut self.reporter else { return };
        let machine = &self.driven.machine;
        let mut associations = Vec::new();
        if let (Some(home), Some(association)) = (machine.home(), machine.home_association()) {
            let since = self.driven.up_since(association);
            associations.push(csp::association(ComponentId::registrar(home), Ppid::ASAP, since));
        }
        let text = match associations.is_empty() {
            true => csp::LOOKING.to_owned(),
            false => csp::counted(*self.sessions.borrow(), "Session"),
        };
        let load = f64::from(self.loads.borrow().0) / f64::from(u32::MAX);
        reporter.report(Status { text, workload: Some(Workload::of(load)), associations });
    }

    fn on_load(&mut self) {
        let load = *self.loads.borrow_and_update();
        let policy = with_load(self.policy, load);
        if policy != self.policy {
            self.policy = policy;
            let now = self.driven.now();
            // Refused while it is on its way out of the pool, where load means nothing.
            let _ = self.driven.machine.update_policy(now, policy);
        }
    }
}

/// `policy` with another load, if it has any.
fn with_load(mut policy: Policy, now: Load) -> Policy {
    match &mut policy {
        Policy::LeastUsed { load }
        | Policy::RandomizedLeastUsed { load }
        | Policy::LeastUsedDegradation { load, .. }
        | Policy::PriorityLeastUsed { load, .. }
        | Policy::RandomizedPriorityLeastUsed { load, .. }
        | Policy::RandomizedLeastUsedDegradation { load, .. }
        | Policy::PriorityLeastUsedDegradation { load, .. }
        | Policy::RandomizedPriorityLeastUsedDegradation { load, .. }
        | Policy::LeastUsedDpf { load, .. }
        | Policy::LeastUsedDegradationDpf { load, .. } => *load = now,
        _ => {}
    }
    policy
}

/// Between two registrations for another load: half as often as registrars allow.
const LOAD_INTERVAL: Duration = Duration::from_millis(100);

/// How long announces are waited for: registrars announce themselves once a second.
const ANNOUNCE_PATIENCE: Duration = Duration::from_millis(1_500);

/// Events that may wait for the user.
const EVENT_COUNT_MAX: usize = 1_024;

/// How long packages may take to be given back.
const HAND_ON_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait for the registrar's goodbye.
const DEREGISTRATION_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policies_of_load_have_a_load() {
        let half = Load(u32::MAX / 2);
        assert_eq!(with_load(Policy::RoundRobin, half), Policy::RoundRobin);
        assert_eq!(
            with_load(Policy::LeastUsed { load: Load(0) }, half),
            Policy::LeastUsed { load: half }
        );
    }
}
