//! The task behind the ports: what machines want, what becomes of it, and the two SCTPs below.
//!
//! It never waits for a machine: what a machine has no room for stays in the buffers of the
//! association and closes the peer's window. What goes out waits in the association's outbox; a
//! peer that lets that grow beyond its limit does not read what it asked for, and is aborted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rserpool_core::association::{AssociationId, DownReason, Ppid, StreamId};
use rserpool_core::sctp::Event;
use rserpool_core::time::Instant;
use tokio::sync::{Notify, mpsc, oneshot};

use super::inbox::{Inbox, OwnedInput};
use super::kernel::{self, Kernel, KernelEvent, KernelLink, Ready};
use super::socket::Batch;
use super::tables::{Associations, Attempts, Link};
use super::userland::Userland;
use super::{Command, Opened, TransportChoice, TransportConfig, TransportError};
use crate::clock::Clock;

pub(super) struct Driver {
    pub(super) clock: Clock,
    /// Our own SCTP goes right over IP.
    is_raw: bool,
    pub(super) userland: Option<Userland>,
    pub(super) kernel: Option<Kernel>,
    commands: mpsc::Receiver<Command>,
    room: Arc<Notify>,
    pub(super) ports: BTreeMap<u16, Inbox>,
    pub(super) associations: Associations,
    pub(super) association_count_max: usize,
    pub(super) attempts: Attempts,
    closing: Option<Closing>,
}

struct Closing {
    /// When associations are aborted that are not down by then.
    deadline: Instant,
    /// They are, and have a moment to go.
    is_aborting: bool,
    /// That is over, too.
    is_given_up: bool,
    answers: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub(super) fn new(config: &TransportConfig, commands: mpsc::Receiver<Command>) -> Self {
        let clock = Clock::start();
        let wants_kernel =
            matches!(config.choice, TransportChoice::Auto | TransportChoice::Kernel);
        let wants_userland = config.choice != TransportChoice::Kernel;
        Self {
            userland: wants_userland.then(|| Userland::new(config, clock)),
            kernel: (wants_kernel && kernel::probe().is_ok()).then(|| Kernel::new(config)),
            clock,
            is_raw: config.choice == TransportChoice::Raw,
            commands,
            room: Arc::default(),
            ports: BTreeMap::new(),
            associations: Associations::default(),
            association_count_max: config.association_count_max,
            attempts: Attempts::default(),
            closing: None,
        }
    }

    /// Drives both SCTPs until all is closed.
    pub(super) async fn run(mut self) {
        loop {
            self.drain().await;
            if self.is_closed() {
                break;
            }
            if let Some(userland) = &mut self.userland {
                userland.reserve(self.associations.len());
            }
            let deadline = self.poll_timeout();
            tokio::select! {
                Some(batch) = next_batch(&mut self.userland) => {
                    if let Some(userland) = &mut self.userland {
                        userland.on_batches(&batch).await;
                    }
                }
                ready = next_ready(&self.kernel, &self.ports, self.closing.is_some()) => {
                    self.on_ready(ready);
                }
                command = self.commands.recv(), if self.closing.is_none() => {
                    // Without handles there is nobody left who could wait.
                    let close_all = || {
                        let (answer, _) = oneshot::channel();
                        Command::CloseAll { patience: PATIENCE_OF_ORPHANS, answer }
                    };
                    self.on_command(command.unwrap_or_else(close_all));
                }
                () = self.room.notified() => self.on_room(),
                () = self.clock.sleep_until(deadline) => self.on_timeout().await,
            }
        }
        for inbox in self.ports.values() {
            inbox.close();
        }
        for answer in self.closing.into_iter().flat_map(|closing| closing.answers) {
            let _ = answer.send(());
        }
    }

    /// Sends and tells all that there is, as the contract of machines demands.
    async fn drain(&mut self) {
        while let Some(userland) = &mut self.userland
            && let Some(event) = userland.next_event().await
        {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Up { handle, passive, local_port, remote, .. } => {
                let userland = self.userland.as_ref();
                let addresses = userland.map_or_else(Vec::new, |it| it.peer_addresses(handle));
                let link = Link::Userland(handle);
                self.on_up(link, passive, local_port, (addresses, remote.port()));
            }
            Event::Readable { handle } => {
                if let Some(id) = self.associations.id(Link::Userland(handle)) {
                    self.read(id);
                }
            }
            Event::Writable { handle } => {
                if let Some(id) = self.associations.id(Link::Userland(handle)) {
                    self.flush(id);
                }
            }
            Event::Restarted { handle } => self.on_restarted(Link::Userland(handle)),
            Event::Down { handle, reason, .. } => self.on_down(Link::Userland(handle), reason),
            Event::Path { handle, remote, is_reachable } => {
                self.on_path(Link::Userland(handle), remote, is_reachable);
            }
            other => tracing::debug!(?other, "unknown event of the SCTP endpoint"),
        }
    }

    fn on_ready(&mut self, ready: Ready) {
        for id in ready.writable {
            if let Some(kernel) = &mut self.kernel {
                kernel.on_writable(id);
            }
            let waits = |link, is_waiting| {
                is_waiting && matches!(link, Link::Kernel(link) if link.socket == id)
            };
            for id in self.associations.ids_where(|it| waits(it.link, !it.outbox.is_empty())) {
                self.flush(id);
            }
        }
        for id in ready.readable {
            for _ in 0..EVENT_COUNT_MAX {
                let Some(kernel) = &mut self.kernel else { break };
                let inbox = kernel.port(id).and_then(|port| self.ports.get(&port));
                let waits = self.closing.is_none() && inbox.is_some_and(|it| !it.has_room());
                if waits {
                    break;
                }
                let Some(event) = kernel.recv(id) else { break };
                let port = kernel.port(id);
                self.on_kernel_event(port, event);
            }
        }
    }

    fn on_kernel_event(&mut self, port: Option<u16>, event: KernelEvent) {
        match event {
            KernelEvent::Up { link, passive, addresses, port: peer_port } => match port {
                Some(port) => {
                    self.on_up(Link::Kernel(link), passive, port, (addresses, peer_port));
                }
                None => self.abort_links(&[Link::Kernel(link)]),
            },
            KernelEvent::Message { link, stream, ppid, data } => {
                self.on_kernel_message(link, stream, ppid, data);
            }
            KernelEvent::Path { link, remote, is_reachable } => {
                self.on_path(Link::Kernel(link), remote, is_reachable);
            }
            KernelEvent::Restarted { link } => self.on_restarted(Link::Kernel(link)),
            KernelEvent::Down { link, reason } => self.on_down(Link::Kernel(link), reason),
        }
    }

    fn on_kernel_message(
        &mut self,
        link: KernelLink,
        stream: StreamId,
        ppid: Ppid,
        data: Vec<u8>,
    ) {
        let Some(id) = self.associations.id(Link::Kernel(link)) else { return };
        self.tell_round_trip(id);
        if let Some(association) = self.associations.get_mut(id) {
            let port = association.port;
            self.tell(port, OwnedInput::Message { association: id, stream, ppid, data });
        }
    }

    fn on_restarted(&mut self, link: Link) {
        let Some(id) = self.associations.id(link) else { return };
        if let Some(association) = self.associations.get_mut(id) {
            let port = association.port;
            self.tell(port, OwnedInput::Restarted { association: id });
        }
    }

    /// An address of a peer with several works, or does not any more. Machines need not know.
    fn on_path(&self, link: Link, remote: IpAddr, is_reachable: bool) {
        let Some(id) = self.associations.id(link) else { return };
        match is_reachable {
            true => tracing::info!(?id, %remote, "the path works"),
            false => tracing::warn!(?id, %remote, "the path does not work any more"),
        }
    }

    fn on_down(&mut self, link: Link, reason: DownReason) {
        if let Some((id, association)) = self.associations.remove(link) {
            tracing::debug!(?id, ?reason, "association down");
            self.tell(association.port, OwnedInput::Down { association: id, reason });
        } else {
            self.on_attempt_failed(link);
        }
    }

    /// Hands the machine what has come in by our own SCTP, as long as it has room. What comes in
    /// by the kernel's is handed over as it is read.
    pub(super) fn read(&mut self, id: AssociationId) {
        let Some(association) = self.associations.get_mut(id) else { return };
        let Link::Userland(handle) = association.link else { return };
        let Some(inbox) = self.ports.get(&association.port).cloned() else { return };
        association.is_unread = true;
        if inbox.has_room() {
            self.tell_round_trip(id);
        }
        let Some(userland) = &mut self.userland else { return };
        while inbox.has_room() {
            let Some((received, data)) = userland.recv(handle) else {
                if let Some(association) = self.associations.get_mut(id) {
                    association.is_unread = false;
                }
                return;
            };
            inbox.push(OwnedInput::Message {
                association: id,
                stream: received.stream,
                ppid: received.ppid,
                data: data.into(),
            });
        }
    }

    /// Tells the machine of an association's round trip, if that has changed.
    fn tell_round_trip(&mut self, id: AssociationId) {
        let now = self.clock.now();
        let Some(association) = self.associations.get_mut(id) else { return };
        let srtt = match (association.link, &self.userland, &self.kernel) {
            (Link::Userland(handle), Some(userland), _) => userland.srtt(handle),
            (Link::Kernel(link), _, Some(kernel)) if association.asks_at <= now => {
                // It costs a system call, which not every message should.
                association.asks_at = now + SRTT_INTERVAL;
                kernel.srtt(link)
            }
            _ => None,
        };
        let port = association.port;
        if let Some(micros) = srtt.and_then(|srtt| association.round_trip.on_measured(srtt)) {
            self.tell(port, OwnedInput::RoundTrip { association: id, micros });
        }
    }

    fn on_room(&mut self) {
        for id in self.associations.ids_where(|association| association.is_unread) {
            self.read(id);
        }
    }

    /// Puts `input` into the inbox of the machine that has `port`.
    pub(super) fn tell(&self, port: u16, input: OwnedInput) {
        if let Some(inbox) = self.ports.get(&port) {
            inbox.push(input);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let userland = self.userland.as_ref().and_then(Userland::poll_timeout);
        let kernel = self.kernel.as_ref().and_then(Kernel::poll_timeout);
        let closing = self.closing.as_ref().map(|closing| closing.deadline);
        let ours = Instant::earliest(closing, self.attempts.poll_timeout());
        Instant::earliest(ours, Instant::earliest(userland, kernel))
    }

    async fn on_timeout(&mut self) {
        if let Some(userland) = &mut self.userland {
            userland.on_timeout().await;
        }
        let now = self.clock.now();
        if let Some(kernel) = &mut self.kernel {
            kernel.on_timeout(now);
        }
        for id in self.attempts.due(now) {
            self.try_next_address(id);
        }
        if let Some(closing) = &mut self.closing
            && closing.deadline <= now
        {
            closing.is_given_up = closing.is_aborting;
            closing.is_aborting = true;
            // The end of an association comes by its socket, so there must be time to wait for it.
            closing.deadline = now + ABORT_PATIENCE;
            for id in self.associations.ids_where(|_| true) {
                self.abort(id);
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Open { port, udp_port, listen, answer } => {
                let _ = answer.send(self.open(port, udp_port, listen));
            }
            Command::Act { port, action } => self.act(port, action),
            Command::Close { port } => {
                self.leave(Some(port));
                self.ports.remove(&port);
                if let Some(userland) = &mut self.userland {
                    userland.close(port);
                }
                if let Some(kernel) = &mut self.kernel {
                    kernel.close(port);
                }
            }
            Command::CloseAll { patience, answer } => {
                for &port in self.ports.keys() {
                    if let Some(userland) = &mut self.userland {
                        userland.unlisten(port);
                    }
                    if let Some(kernel) = &self.kernel {
                        kernel.unlisten(port);
                    }
                }
                self.leave(None);
                let deadline = self.clock.now() + patience;
                let answers = vec![answer];
                self.closing =
                    Some(Closing { deadline, is_aborting: false, is_given_up: false, answers });
            }
        }
    }

    fn open(
        &mut self,
        port: u16,
        udp_port: Option<u16>,
        listen: bool,
    ) -> Result<Opened, TransportError> {
        if self.ports.contains_key(&port) {
            return Err(TransportError::PortOpen { port });
        }
        if self.is_raw && Path::new(KERNEL_SCTP).exists() {
            return Err(TransportError::KernelSctpLoaded);
        }
        let mut tries_left = OPEN_TRY_COUNT;
        let (number, by_kernel) = loop {
            match self.open_both(port, udp_port, listen) {
                // The number is free for one SCTP, but not for the other.
                Err(TransportError::KernelPortInUse { .. }) if port == 0 && tries_left > 0 => {
                    tries_left -= 1;
                }
                opened => break opened?,
            }
        };
        let inbox = Inbox::new(Arc::clone(&self.room));
        self.ports.insert(number, inbox.clone());
        Ok(Opened { port: number, udp_ports: self.udp_ports(), by_kernel, inbox })
    }

    /// Opens the same SCTP port in both SCTPs; its number, and whether the kernel has it, too.
    fn open_both(
        &mut self,
        port: u16,
        udp_port: Option<u16>,
        listen: bool,
    ) -> Result<(u16, bool), TransportError> {
        let Some(userland) = &mut self.userland else {
            let missing = || TransportError::NoKernelSctp { port };
            let number = self.kernel.as_mut().ok_or_else(missing)?.open(port, listen)?;
            return Ok((number, true));
        };
        let number = userland.open(port, udp_port, listen)?;
        let Some(kernel) = &mut self.kernel else { return Ok((number, false)) };
        match kernel.open(number, listen) {
            Ok(_) => Ok((number, true)),
            Err(error @ TransportError::KernelSocket { .. }) => {
                // What the other SCTP offers is offered all the same.
                tracing::warn!(%error, "SCTP port {number} is open over UDP alone");
                Ok((number, false))
            }
            Err(error) => {
                userland.close(number);
                Err(error)
            }
        }
    }

    /// The UDP ports by which the outside may reach us, the usual one first.
    fn udp_ports(&self) -> Vec<u16> {
        let of_kernel = self.kernel.as_ref().and_then(|_| linux_sctp::kernel_udp_port());
        let of_userland = self.userland.as_ref().map(Userland::udp_ports).unwrap_or_default();
        of_kernel.into_iter().chain(of_userland).collect()
    }

    /// Whether all is said and done after [`Command::CloseAll`].
    fn is_closed(&self) -> bool {
        let is_empty = self.associations.len() == 0;
        self.closing.as_ref().is_some_and(|closing| is_empty || closing.is_given_up)
    }
}

/// What comes next from UDP sockets; never anything without them.
async fn next_batch(userland: &mut Option<Userland>) -> Option<Batch> {
    match userland {
        Some(userland) => userland.next_batch().await,
        None => std::future::pending().await,
    }
}

/// The kernel sockets that can go on; never any without kernel SCTP. One whose machine has no room
/// is not read, unless the end is near, which has to be read to be known.
async fn next_ready(
    kernel: &Option<Kernel>,
    ports: &BTreeMap<u16, Inbox>,
    is_closing: bool,
) -> Ready {
    let may_read = |port| is_closing || ports.get(&port).is_none_or(Inbox::has_room);
    match kernel {
        Some(kernel) => kernel.ready(may_read).await,
        None => std::future::pending().await,
    }
}

/// Events of one kernel socket that are handled before others have their turn.
const EVENT_COUNT_MAX: usize = 256;

/// It exists in each network namespace of a kernel that has SCTP loaded.
pub(super) const KERNEL_SCTP: &str = "/proc/thread-self/net/sctp";

/// How often a free port is looked for that both SCTPs have free.
const OPEN_TRY_COUNT: usize = 16;

/// How often the kernel is asked for an association's round trip, at most.
const SRTT_INTERVAL: Duration = Duration::from_secs(1);

/// How long an aborted association may take to go, at the end.
const ABORT_PATIENCE: Duration = Duration::from_secs(1);

/// How long associations may take to shut down after the last handle was dropped.
const PATIENCE_OF_ORPHANS: Duration = Duration::from_secs(2);
