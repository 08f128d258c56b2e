//! A registrar: the directory of a scope.

mod peers;

use std::time::Duration;

use rserpool_core::association::{Endpoint, Ppid};
use rserpool_core::enrp::{self, Event};
use rserpool_core::identifier::RegistrarId;
use rserpool_core::machine::Machine;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::announces::{
    AnnounceConfig, Announcer, Interface, InterfaceWatch, Listener, next_change,
};
use crate::clock::OsEntropy;
use crate::csp::{self, ComponentId, CspConfig, Reporter, Status, report_due};
use crate::driven::Driven;
use crate::heap_storage::{HeapLimits, HeapStorage};
use crate::heap_tables::HeapTables;
use crate::transport::{TcpConfig, Transport, TransportError};
use peers::{Peers, next_of};

/// How a registrar behaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistrarConfig {
    /// Its profile, identifier, timers and limits.
    pub registrar: enrp::Config,
    /// The SCTP port to listen on; 0 takes a free one.
    pub port: u16,
    /// Pins its UDP port (RFC 6951); 0 takes a free one.
    pub udp_port: Option<u16>,
    /// Whether and how pool users may come by TCP (RFC 5352 §3.3), at the port of that number.
    pub tcp: Option<TcpConfig>,
    /// Where it announces itself, and hears of others; `None`: nowhere.
    pub announces: Option<AnnounceConfig>,
    /// Where other registrars reach it; `None`: it is alone in its scope.
    pub peering: Option<PeeringConfig>,
    /// Where it tells how it is; `None`: nowhere.
    pub csp: Option<CspConfig>,
    /// The most pool elements.
    pub element_count_max: usize,
    /// The most associations at a time.
    pub association_count_max: usize,
}

impl Default for RegistrarConfig {
    /// RSPLIB's habits on port 3863, 10,000 elements, 1024 associations, no TCP, no announces.
    fn default() -> Self {
        Self {
            registrar: enrp::Config::default(),
            port: rserpool_core::asap::ASAP_PORT,
            udp_port: None,
            tcp: None,
            announces: None,
            peering: None,
            csp: None,
            element_count_max: 10_000,
            association_count_max: 1_024,
        }
    }
}

/// How a registrar meets its peers (RFC 5353).
#[derive(Clone, Debug)]
pub struct PeeringConfig {
    /// The SCTP port for ENRP; 0 takes a free one.
    pub port: u16,
    /// Pins its UDP port (RFC 6951); 0 takes a free one.
    pub udp_port: Option<u16>,
    /// Peers to begin with; more come by themselves, or are told of by these.
    pub peers: Vec<Endpoint>,
    /// Where presences are multicast and heard; `None`: nowhere.
    pub announces: Option<AnnounceConfig>,
}

impl Default for PeeringConfig {
    /// Port 9901, no peer yet, and no multicast.
    fn default() -> Self {
        Self { port: ENRP_PORT, udp_port: None, peers: Vec::new(), announces: None }
    }
}

/// The port of ENRP (RFC 5354 §8.2).
pub const ENRP_PORT: u16 = 9901;

/// A registrar (RFC 5352, RFC 5353), alone in its scope or one of several.
///
/// ```no_run
/// use rserpool::transport::{Transport, TransportConfig};
/// use rserpool::{Registrar, RegistrarConfig};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = Transport::start(TransportConfig::default());
/// let mut registrar = Registrar::start(&transport, RegistrarConfig::default()).await?;
/// println!("registrar {} listens on SCTP port {}", registrar.identifier(), registrar.port());
/// while let Some(event) = registrar.next_event().await {
///     println!("{event:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Registrar {
    identifier: RegistrarId,
    port: u16,
    udp_ports: Vec<u16>,
    by_kernel: bool,
    serves_tcp: bool,
    enrp_port: Option<(u16, Vec<u16>)>,
    events: mpsc::Receiver<Event>,
    stop: mpsc::Sender<oneshot::Sender<()>>,
}

impl Registrar {
    /// Starts a registrar.
    ///
    /// # Errors
    ///
    /// If its port cannot be opened.
    pub async fn start(
        transport: &Transport,
        config: RegistrarConfig,
    ) -> Result<Self, TransportError> {
        let mut port = transport.open(config.port, config.udp_port, true).await?;
        let mut serves_tcp = false;
        if let Some(tcp) = config.tcp {
            let is_required = tcp.is_required;
            match port.listen_by_tcp(tcp, transport.addresses()) {
                Err(error) if is_required => return Err(error),
                Err(error) => tracing::warn!(%error, "pool users are served by SCTP alone"),
                Ok(()) => serves_tcp = true,
            }
        }
        let (number, udp_ports) = (port.number(), port.udp_ports().to_vec());
        let by_kernel = port.by_kernel();
        let storage = HeapStorage::new(HeapLimits::for_elements(config.element_count_max));
        let tables = HeapTables::new(config.association_count_max);
        let machine = enrp::Registrar::new(config.registrar, storage, tables, OsEntropy);
        let identifier = machine.identifier();
        let mut driven = Driven::new(Box::new(machine), port, TRANSMIT_LEN_MAX);
        let peers = match config.peering {
            Some(peering) => Some(Peers::meet(transport, &mut driven, peering).await?),
            None => None,
        };
        let enrp_port = peers.as_ref().map(Peers::port);
        let bound = transport.addresses();
        let announces = config.announces.map(|config| config.bound_to(bound));
        let listener = Listener::start(announces.as_ref());
        let watch =
            announces.as_ref().map(|config| InterfaceWatch::new(config.interfaces.clone()));
        driven.announcer = announces.map(|config| Announcer::new(config, bound.to_vec(), number));
        let place = csp::location(transport, Some(number));
        let reporter = Reporter::start(config.csp, ComponentId::registrar(identifier), place);
        let (event_sender, events) = mpsc::channel(EVENT_COUNT_MAX);
        let (stop, stops) = mpsc::channel(1);
        tokio::spawn(run(driven, peers, (listener, watch), reporter, event_sender, stops));
        let port = number;
        Ok(Self { identifier, port, udp_ports, by_kernel, serves_tcp, enrp_port, events, stop })
    }

    /// Its identifier.
    #[must_use]
    pub fn identifier(&self) -> RegistrarId {
        self.identifier
    }

    /// Its SCTP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The UDP ports by which it can be reached, the usual one first.
    #[must_use]
    pub fn udp_ports(&self) -> &[u16] {
        &self.udp_ports
    }

    /// Whether it serves by the kernel's SCTP.
    #[must_use]
    pub fn by_kernel(&self) -> bool {
        self.by_kernel
    }

    /// Whether it serves pool users by TCP, at the port of the same number.
    #[must_use]
    pub fn serves_tcp(&self) -> bool {
        self.serves_tcp
    }

    /// Its SCTP port for ENRP and the UDP ports by which that can be reached, the usual one first,
    /// if it meets peers.
    #[must_use]
    pub fn enrp_port(&self) -> Option<(u16, &[u16])> {
        self.enrp_port.as_ref().map(|(port, udp_ports)| (*port, udp_ports.as_slice()))
    }

    /// What happens next; `None` when the transport is gone. Events that nobody takes are
    /// dropped.
    pub async fn next_event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Shuts all associations down; waits no longer than `patience`.
    pub async fn stop(self, patience: Duration) {
        let (answer, stopped) = oneshot::channel();
        if self.stop.send(answer).await.is_ok() {
            let _ = timeout(patience, stopped).await;
        }
    }
}

type LargeRegistrar = enrp::Registrar<HeapStorage, HeapTables, OsEntropy>;

/// Owns the machine.
async fn run(
    mut driven: Driven<LargeRegistrar>,
    mut peers: Option<Peers>,
    (mut listener, mut watch): (Listener, Option<InterfaceWatch>),
    mut reporter: Option<Reporter>,
    events: mpsc::Sender<Event>,
    mut stops: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let mut stopping = None;
    loop {
        driven.flush().await;
        if let Some(peers) = &mut peers {
            peers.tell(&mut driven).await;
        }
        while let Some(event) = driven.machine.poll_event() {
            let _ = events.try_send(event);
        }
        if driven.machine.is_stopped() {
            drop(reporter);
            // Dropping the answer says so, too.
            return;
        }
        tokio::select! {
            is_on = driven.step() => if !is_on { return },
            heard = next_of(&mut peers) => {
                let peers = peers.as_mut();
                if !peers.is_some_and(|peers| peers.on_heard(&mut driven, heard)) {
                    return;
                }
            }
            (source, announce) = listener.recv() => {
                let now = driven.now();
                if let Err(error) = driven.machine.handle_announce(now, source, &announce) {
                    tracing::debug!(%error, %source, "announce refused");
                }
            }
            () = report_due(&mut reporter) => {
                if let Some(reporter) = &mut reporter {
                    reporter.report(status(&mut driven.machine));
                }
            }
            interfaces = next_change(&mut watch) => announce(&mut driven, &interfaces),
            answer = stops.recv(), if stopping.is_none() => {
                // Without a handle there is nobody to serve for.
                driven.machine.stop();
                stopping = Some(answer);
            }
        }
    }
}

/// How the registrar is: what RSPLIB's tells, in its words.
fn status(machine: &mut LargeRegistrar) -> Status {
    let (mut peer_count, mut associations) = (0, Vec::new());
    machine.for_each_peer(|peer| {
        peer_count += usize::from(peer.is_alive);
        if peer.is_connected {
            let receiver = ComponentId::registrar(peer.identifier);
            associations.push(csp::association(receiver, Ppid::ENRP, None));
        }
    });
    let handlespace = machine.handlespace();
    let text = format!(
        "{}[{}] PEs in {}, {}",
        handlespace.element_count(),
        handlespace.count_of(machine.identifier()),
        csp::counted(handlespace.pool_count(), "Pool"),
        csp::counted(peer_count, "Peer"),
    );
    Status { text, workload: None, associations }
}

/// Announces the registrar by these interfaces.
fn announce(driven: &mut Driven<LargeRegistrar>, interfaces: &[Interface]) {
    let now = driven.now();
    let announcer = driven.announcer.as_mut();
    let endpoint = announcer.and_then(|announcer| announcer.set_interfaces(interfaces));
    let started = endpoint.map(|endpoint| driven.machine.start_announcing(now, &endpoint));
    if !matches!(started, Some(Ok(()))) {
        driven.machine.stop_announcing();
    }
}

/// Events that may wait for the user.
const EVENT_COUNT_MAX: usize = 1_024;

/// Room for an answer with all the elements that it may list.
const TRANSMIT_LEN_MAX: usize = 64 << 10;
