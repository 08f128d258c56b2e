//! The three machines of a pool element, and what goes between them.

use core::net::{IpAddr, SocketAddr};

use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::asap::{
    CommandError, POOL_ELEMENT_MESSAGE_LEN_MAX, PoolElement, PoolElementConfig, UserTransport,
};
use rserpool_core::association::{
    AssociationId, ConnectId, Endpoint, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::compute::kernels::StandardKernels;
use rserpool_core::compute::{Event as WorkEvent, Worker, WorkerConfig};
use rserpool_core::entropy::Entropy;
use rserpool_core::identifier::PoolHandle;
use rserpool_core::machine::Machine;
use rserpool_core::profile::Profile;
use rserpool_core::sctp::{self, Config, Connect, Datagram, Event, Handle, SendError};
use rserpool_core::time::Instant;
use rserpool_core::wire::{Load, Policy};

/// The largest packet: an Ethernet frame's.
pub(crate) const PACKET_LEN: usize = 1_500;
/// Associations: the home registrar, a new home, one job runner.
const ASSOCIATIONS: usize = 3;
const SEND_LEN: usize = 1_024;
const RECEIVE_LEN: usize = 1_536;
const DESCRIPTORS: usize = 8;
/// Users find the worker here; registrars have a port of their own, which tells them apart.
const SERVICE_PORT: u16 = 7_001;
const REGISTRAR_PORT: u16 = 7_002;
const POOL: PoolHandle<'static> = match PoolHandle::new(b"ComputePool") {
    Ok(pool) => pool,
    Err(_) => panic!("a handle has 1 to 32 bytes"),
};

type Associations = sctp::Inline<ASSOCIATIONS, SEND_LEN, RECEIVE_LEN, DESCRIPTORS>;
type Work = Worker<StandardKernels, 1, 1, 512>;

/// What lies in `.bss`.
pub(crate) struct Memory {
    associations: Associations,
    message: [u8; RECEIVE_LEN],
    work: [u8; Work::TRANSMIT_LEN_MAX],
}

impl Memory {
    pub(crate) const fn new() -> Self {
        Self {
            associations: Associations::new(),
            message: [0; RECEIVE_LEN],
            work: [0; Work::TRANSMIT_LEN_MAX],
        }
    }
}

/// An association, as SCTP and the machines above name it.
struct Link {
    handle: Handle,
    id: AssociationId,
    connect: Option<ConnectId>,
    is_registrar: bool,
}

/// A pool element on one SCTP endpoint.
pub(crate) struct Node<E> {
    pub(crate) sctp: sctp::Endpoint<&'static mut Associations, E>,
    pub(crate) element: PoolElement,
    pub(crate) worker: Work,
    links: [Option<Link>; ASSOCIATIONS],
    last_id: u32,
    here: IpAddr,
    message: &'static mut [u8; RECEIVE_LEN],
    work: &'static mut [u8; Work::TRANSMIT_LEN_MAX],
    /// What of `work` found no room yet.
    unsent: Option<(Handle, StreamId, Ppid, usize)>,
}

impl<E: Entropy> Node<E> {
    pub(crate) fn new(
        memory: &'static mut Memory,
        here: IpAddr,
        mut entropy: E,
        key: CookieKey,
    ) -> Self {
        let Memory { associations, message, work } = memory;
        let mut secret = [0; 32];
        entropy.fill(&mut secret);
        let element = PoolElement::new(PoolElementConfig::new(Profile::Rsplib), &mut entropy);
        let mut sctp = sctp::Endpoint::new(Config::DEFAULT, entropy, secret, associations);
        // Both ports are constants other than 0, and there is room for eight.
        let _ = sctp.listen(SERVICE_PORT).and(sctp.listen(REGISTRAR_PORT));
        let worker = Work::new(WorkerConfig::new(POOL.to_buf()), key);
        let links = [const { None }; ASSOCIATIONS];
        Self { sctp, element, worker, links, last_id: 0, here, message, work, unsent: None }
    }

    pub(crate) fn register(&mut self, now: Instant) -> Result<(), CommandError> {
        let service = Endpoint::new(SocketAddr::new(self.here, SERVICE_PORT));
        let policy = Policy::LeastUsed { load: Load(0) };
        self.element.register(now, POOL, &UserTransport::sctp(service), policy)
    }

    pub(crate) fn on_packet(&mut self, now: Instant, remote: IpAddr, payload: &[u8]) {
        let datagram = Datagram { local: self.here, remote, udp: None, payload };
        // What SCTP refuses it answers by itself.
        let _ = self.sctp.handle_input(now, sctp::Input::Datagram(datagram));
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.sctp.handle_timeout(now);
        self.element.handle_timeout(now);
        self.worker.handle_timeout(now);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let above = Instant::earliest(self.element.poll_timeout(), self.worker.poll_timeout());
        Instant::earliest(self.sctp.poll_timeout(), above)
    }

    /// Moves messages and news between the machines until none has more to say.
    pub(crate) fn exchange(&mut self, now: Instant) {
        while let Some(event) = self.sctp.poll_event() {
            self.on_event(now, event);
        }
        while let Some(event) = self.worker.poll_event() {
            if let WorkEvent::LoadChanged { load } = event {
                let policy = Policy::LeastUsed { load: Load(load.0) };
                let _ = self.element.update_policy(now, policy);
            }
        }
        while self.element.poll_event().is_some() {}
        let mut buf = [0; POOL_ELEMENT_MESSAGE_LEN_MAX];
        while let Some(transmit) = self.element.poll_transmit(now, &mut buf) {
            self.transmit_of_element(now, transmit, &buf);
        }
        self.transmit_of_worker(now);
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match event {
            Event::Up { handle, passive, local_port, remote, .. } => {
                let link = if passive {
                    self.insert(handle, None, local_port == REGISTRAR_PORT)
                } else {
                    self.link(handle)
                };
                let Some(&Link { id, connect, is_registrar, .. }) = link else { return };
                let peer_addresses = &[remote.ip()];
                let peer_port = remote.port();
                let up = Input::Up { association: id, connect, peer_addresses, peer_port };
                self.tell(now, is_registrar, up);
            }
            Event::Readable { handle } => self.read(now, handle),
            Event::Restarted { handle } => {
                let Some(&Link { id, is_registrar, .. }) = self.link(handle) else { return };
                self.tell(now, is_registrar, Input::Restarted { association: id });
            }
            Event::Down { handle, was_up, reason, .. } => {
                let place = self.links.iter_mut().find(|link| is_of(link, handle));
                let Some(link) = place.and_then(Option::take) else { return };
                let down = match link.connect {
                    Some(connect) if !was_up => Input::ConnectFailed { connect },
                    _ => Input::Down { association: link.id, reason },
                };
                self.tell(now, link.is_registrar, down);
            }
            _ => {}
        }
    }

    fn read(&mut self, now: Instant, handle: Handle) {
        let Some(&Link { id, is_registrar, .. }) = self.link(handle) else { return };
        while let Some(message) = self.sctp.recv(now, handle, &mut self.message[..]) {
            let data = self.message.get(..message.len).unwrap_or_default();
            let (stream, ppid) = (message.stream, message.ppid);
            let input = Input::Message { association: id, stream, ppid, data };
            if is_registrar {
                let _ = self.element.handle_input(now, input);
            } else {
                let _ = self.worker.handle_input(now, input);
            }
        }
    }

    /// What a machine refuses is no concern of ours: it answers or drops it by itself.
    fn tell(&mut self, now: Instant, is_registrar: bool, input: Input<'_>) {
        if is_registrar {
            let _ = self.element.handle_input(now, input);
        } else {
            let _ = self.worker.handle_input(now, input);
        }
    }

    fn transmit_of_element(&mut self, now: Instant, transmit: Transmit, buf: &[u8]) {
        match transmit {
            Transmit::Connect { connect, endpoint } => {
                let address = endpoint.addresses.first().copied().unwrap_or(self.here);
                let remote = SocketAddr::new(address, endpoint.port);
                let to = Connect { local_port: REGISTRAR_PORT, remote, udp: None };
                match self.sctp.connect(now, to) {
                    Ok(handle) => {
                        self.insert(handle, Some(connect), true);
                    }
                    Err(_) => self.tell(now, true, Input::ConnectFailed { connect }),
                }
            }
            Transmit::CancelConnect { connect } => {
                let wanted = |link: &&Link| link.connect == Some(connect);
                let handle = self.links.iter().flatten().find(wanted).map(|link| link.handle);
                let _ = handle.map(|handle| self.sctp.abort(now, handle));
            }
            Transmit::Message { association, stream, ppid, len } => {
                let Some(handle) = self.handle(association) else { return };
                let data = buf.get(..len).unwrap_or_default();
                // Without room it is lost, and the element's timers send it again.
                let _ = self.sctp.send(now, handle, stream, ppid, false, data);
            }
            other => self.close(now, &other),
        }
    }

    /// Pulls from the worker as long as SCTP has room; the worker stops computing otherwise.
    fn transmit_of_worker(&mut self, now: Instant) {
        loop {
            if let Some((handle, stream, ppid, len)) = self.unsent {
                let data = self.work.get(..len).unwrap_or_default();
                let sent = self.sctp.send(now, handle, stream, ppid, false, data);
                if sent == Err(SendError::Full) {
                    return;
                }
                self.unsent = None;
            }
            let Some(transmit) = self.worker.poll_transmit(now, &mut self.work[..]) else {
                return;
            };
            if let Transmit::Message { association, stream, ppid, len } = transmit {
                self.unsent = self.handle(association).map(|handle| (handle, stream, ppid, len));
            } else {
                self.close(now, &transmit);
            }
        }
    }

    fn close(&mut self, now: Instant, transmit: &Transmit) {
        let _ = match *transmit {
            Transmit::Shutdown { association } => {
                self.handle(association).map(|handle| self.sctp.shutdown(now, handle))
            }
            Transmit::Abort { association } => {
                self.handle(association).map(|handle| self.sctp.abort(now, handle))
            }
            _ => None,
        };
    }

    fn insert(&mut self, handle: Handle, connect: Option<ConnectId>, reg: bool) -> Option<&Link> {
        self.last_id = self.last_id.wrapping_add(1);
        let id = AssociationId(self.last_id);
        // SCTP has as many associations as there are places.
        let place = self.links.iter_mut().find(|place| place.is_none())?;
        Some(place.insert(Link { handle, id, connect, is_registrar: reg }))
    }

    fn link(&self, handle: Handle) -> Option<&Link> {
        self.links.iter().find(|link| is_of(link, handle))?.as_ref()
    }

    fn handle(&self, id: AssociationId) -> Option<Handle> {
        self.links.iter().flatten().find(|link| link.id == id).map(|link| link.handle)
    }
}

fn is_of(link: &Option<Link>, handle: Handle) -> bool {
    link.as_ref().is_some_and(|link| link.handle == handle)
}
