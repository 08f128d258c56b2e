//! The others: a registrar of the core, or a user who does what the test says.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool::HeapTables;
use rserpool::heap_storage::{HeapLimits, HeapStorage};
use rserpool_core::association::{AssociationId, Input, Ppid, StreamId, Transmit};
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{
    Budget, JobNonce, KernelId, KernelSet, Output, PackageId, RunnerMessage, Step, WORK_STREAM,
    WorkId, WorkerMessage,
};
use rserpool_core::enrp::{self, Config, Registrar};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::sctp::{self, Connect, Datagram, Handle, Inline, UDP_PORT, UdpPorts};
use rserpool_core::time::Instant;
use rserpool_tests::network::{Envelope, Network};

use super::BOARD;

type Endpoint = sctp::Endpoint<Inline<6, 8_192, 8_192, 32>, SplitMix64>;
type AnyRegistrar = Registrar<HeapStorage, HeapTables, SplitMix64>;

/// How a registrar is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegistrarPlan {
    pub(crate) keep_alive: Duration,
    /// The UDP port that it has; `None` for SCTP right over IP.
    pub(crate) udp_port: Option<u16>,
}

impl Default for RegistrarPlan {
    fn default() -> Self {
        Self { keep_alive: Duration::from_secs(5), udp_port: Some(UDP_PORT) }
    }
}

pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    endpoint: Box<Endpoint>,
    associations: Vec<(Handle, AssociationId)>,
    last_id: u32,
    udp_port: Option<u16>,
    is_alive: bool,
    pub(crate) registrar: Option<Box<AnyRegistrar>>,
    pub(crate) registrar_events: Vec<enrp::Event>,
    /// Keep-alives sent to the element, and their acknowledgements.
    pub(crate) keep_alives: (u32, u32),
    /// What the user has received.
    pub(crate) inbox: Vec<(StreamId, Ppid, Vec<u8>)>,
    pub(crate) handle: Option<Handle>,
    pub(crate) is_up: bool,
    /// How often its association has ended.
    pub(crate) down_count: u32,
}

impl Peer {
    fn new(address: IpAddr, seed: u64, udp_port: Option<u16>) -> Self {
        let IpAddr::V4(v4) = address else { panic!("IPv4 only") };
        let seed = seed ^ u64::from(v4.to_bits());
        let config = sctp::Config::DEFAULT;
        let random = SplitMix64::new(seed);
        Self {
            address,
            endpoint: Box::new(Endpoint::new(config, random, [seed as u8; 32], Inline::new())),
            associations: Vec::new(),
            last_id: 0,
            udp_port,
            is_alive: true,
            registrar: None,
            registrar_events: Vec::new(),
            keep_alives: (0, 0),
            inbox: Vec::new(),
            handle: None,
            is_up: false,
            down_count: 0,
        }
    }

    pub(super) fn registrar(address: IpAddr, seed: u64, plan: RegistrarPlan) -> Self {
        let mut peer = Self::new(address, seed, plan.udp_port);
        peer.endpoint.listen(3_863).unwrap();
        let mut config = Config::new(Profile::Rsplib);
        config.keep_alive_interval = plan.keep_alive;
        let storage = HeapStorage::new(HeapLimits::for_elements(100));
        let random = SplitMix64::new(seed ^ 99);
        let registrar = Registrar::new(config, storage, HeapTables::new(16), random);
        peer.registrar = Some(Box::new(registrar));
        peer
    }

    pub(super) fn user(address: IpAddr, seed: u64) -> Self {
        Self::new(address, seed, Some(UDP_PORT))
    }

    /// Its machine is unplugged.
    pub(crate) fn kill(&mut self) {
        self.is_alive = false;
    }

    /// How many elements the registrar knows.
    pub(crate) fn element_count(&self) -> usize {
        self.registrar.as_ref().unwrap().handlespace().element_count()
    }

    /// The user opens an association to the board's service.
    pub(crate) fn call(&mut self, now: Instant, port: u16) {
        let remote = SocketAddr::new(BOARD, port);
        let udp = self.udp_port.map(|local| UdpPorts { local, remote: UDP_PORT });
        let connect = Connect { local_port: 0, remote, udp };
        self.handle = Some(self.endpoint.connect(now, connect).unwrap());
    }

    /// The user gives a package.
    pub(crate) fn give(
        &mut self,
        now: Instant,
        package: u32,
        kernel: KernelId,
        parameters: &[u8],
    ) {
        let work = work(package);
        self.say(now, &RunnerMessage::Package { work, kernel, deadline_ms: None, parameters });
    }

    pub(crate) fn say(&mut self, now: Instant, message: &RunnerMessage<'_>) {
        let mut buf = [0; 512];
        let len = message.encode(&mut buf).unwrap();
        self.send(now, WORK_STREAM, Ppid::COMPUTE, &buf[..len]);
    }

    pub(crate) fn send(&mut self, now: Instant, stream: StreamId, ppid: Ppid, data: &[u8]) {
        let handle = self.handle.expect("an association");
        self.endpoint.send(now, handle, stream, ppid, false, data).unwrap();
    }

    /// What the worker said on the work stream.
    pub(crate) fn said(&self) -> Vec<WorkerMessage<'_>> {
        let on_work = self.inbox.iter().filter(|(_, ppid, _)| *ppid == Ppid::COMPUTE);
        on_work.map(|(_, _, data)| WorkerMessage::decode(data).unwrap()).collect()
    }

    /// The cookie messages that came on the control stream.
    pub(crate) fn cookies(&self) -> Vec<&[u8]> {
        let control = |(stream, ppid, _): &&(StreamId, Ppid, Vec<u8>)| {
            *ppid == Ppid::ASAP && *stream == StreamId(0)
        };
        self.inbox.iter().filter(control).map(|(_, _, data)| data.as_slice()).collect()
    }

    /// Whether the package is done.
    pub(crate) fn is_done(&self, package: u32) -> bool {
        let done = |message: &WorkerMessage<'_>| match message {
            WorkerMessage::Done { work: it, .. } => *it == work(package),
            _ => false,
        };
        self.said().iter().any(done)
    }

    /// The output of a package, put together from its chunks; they come in order.
    pub(crate) fn output(&self, package: u32, from: u64) -> Vec<u8> {
        let mut output = Vec::new();
        for message in self.said() {
            if let WorkerMessage::Chunk { work: it, offset, bytes, .. } = message
                && it == work(package)
            {
                assert_eq!(offset, from + output.len() as u64, "chunks come in order");
                output.extend_from_slice(bytes);
            }
        }
        output
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if !self.is_alive {
            return None;
        }
        let registrar = self.registrar.as_ref().and_then(|registrar| registrar.poll_timeout());
        Instant::earliest(self.endpoint.poll_timeout(), registrar)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_alive && self.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
            if let Some(registrar) = &mut self.registrar {
                registrar.handle_timeout(now);
            }
        }
    }

    pub(super) fn handle_datagram(&mut self, now: Instant, envelope: &Envelope) {
        // What comes to another UDP port is nobody's.
        if !self.is_alive || envelope.udp.map(|(_, to)| to) != self.udp_port {
            return;
        }
        let datagram = Datagram {
            local: envelope.to,
            remote: envelope.from,
            udp: envelope.udp_of_receiver(),
            payload: &envelope.bytes,
        };
        let _ = self.endpoint.handle_input(now, sctp::Input::Datagram(datagram));
    }

    pub(super) fn drain(&mut self, now: Instant, network: &mut Network) {
        if !self.is_alive {
            return;
        }
        let mut buf = vec![0; 8_192];
        loop {
            let mut is_quiet = true;
            while let Some(event) = self.endpoint.poll_event() {
                self.on_event(now, event, &mut buf);
                is_quiet = false;
            }
            while let Some(registrar) = &mut self.registrar
                && let Some(transmit) = registrar.poll_transmit(now, &mut buf)
            {
                self.perform(now, transmit, &buf);
                is_quiet = false;
            }
            if let Some(registrar) = &mut self.registrar {
                self.registrar_events.extend(std::iter::from_fn(|| registrar.poll_event()));
            }
            while let Some(packet) = self.endpoint.poll_transmit(now, &mut buf) {
                let udp = packet.udp.map(|udp| (udp.local, udp.remote));
                let bytes = buf[..packet.len].to_vec();
                network.send(Envelope { from: self.address, to: packet.remote, udp, bytes });
                is_quiet = false;
            }
            if is_quiet {
                return;
            }
        }
    }

    fn on_event(&mut self, now: Instant, event: sctp::Event, buf: &mut [u8]) {
        match event {
            sctp::Event::Up { handle, remote, .. } => {
                self.last_id += 1;
                let id = AssociationId(self.last_id);
                self.associations.push((handle, id));
                self.is_up |= self.handle == Some(handle);
                let peer_addresses = &[remote.ip()];
                let peer_port = remote.port();
                let up = Input::Up { association: id, connect: None, peer_addresses, peer_port };
                self.inform(now, up);
            }
            sctp::Event::Readable { handle } => {
                while let Some(received) = self.endpoint.recv(now, handle, buf) {
                    let data = &buf[..received.len];
                    let (stream, ppid) = (received.stream, received.ppid);
                    self.keep_alives.1 += u32::from(data[0] == KEEP_ALIVE_ACK);
                    if self.registrar.is_none() {
                        self.inbox.push((stream, ppid, data.to_vec()));
                    }
                    let Some(association) = self.id(handle) else { continue };
                    self.inform(now, Input::Message { association, stream, ppid, data });
                }
            }
            sctp::Event::Restarted { handle } => {
                if let Some(association) = self.id(handle) {
                    self.inform(now, Input::Restarted { association });
                }
            }
            sctp::Event::Down { handle, reason, .. } => {
                if self.handle == Some(handle) {
                    self.is_up = false;
                    self.down_count += 1;
                    self.handle = None;
                }
                if let Some(association) = self.id(handle) {
                    self.associations.retain(|&(other, _)| other != handle);
                    self.inform(now, Input::Down { association, reason });
                }
            }
            _ => {}
        }
    }

    fn id(&self, handle: Handle) -> Option<AssociationId> {
        self.associations.iter().find(|&&(it, _)| it == handle).map(|&(_, id)| id)
    }

    fn inform(&mut self, now: Instant, input: Input<'_>) {
        if let Some(registrar) = &mut self.registrar {
            let _ = registrar.handle_input(now, input);
        }
    }

    fn perform(&mut self, now: Instant, transmit: Transmit, buf: &[u8]) {
        let handle_of = |id: AssociationId| {
            self.associations.iter().find(|&&(_, it)| it == id).map(|&(handle, _)| handle)
        };
        match transmit {
            Transmit::Message { association, stream, ppid, len } => {
                let Some(handle) = handle_of(association) else { return };
                self.keep_alives.0 += u32::from(buf[0] == KEEP_ALIVE);
                self.endpoint.send(now, handle, stream, ppid, false, &buf[..len]).unwrap();
            }
            Transmit::Shutdown { association } => {
                if let Some(handle) = handle_of(association) {
                    let _ = self.endpoint.shutdown(now, handle);
                }
            }
            Transmit::Abort { association } => {
                if let Some(handle) = handle_of(association) {
                    let _ = self.endpoint.abort(now, handle);
                }
            }
            _ => {}
        }
    }
}

pub(super) const KEEP_ALIVE: u8 = 7;
pub(super) const KEEP_ALIVE_ACK: u8 = 8;

/// The name of a package.
pub(crate) fn work(package: u32) -> WorkId {
    WorkId { job: JobNonce(0x1122_3344), package: PackageId(package) }
}

/// What a kernel makes of its parameters, computed here in one go.
pub(crate) fn computed(kernel: KernelId, parameters: &[u8]) -> Vec<u8> {
    let mut kernel = StandardKernels::start(kernel, parameters).unwrap();
    let mut bytes = vec![0; usize::try_from(kernel.output_len()).unwrap()];
    let mut output = Output::new(&mut bytes);
    while kernel.step(&mut Budget::new(u32::MAX), &mut output) != Step::Done {}
    bytes
}
