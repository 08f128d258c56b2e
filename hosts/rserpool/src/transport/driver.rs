//! The task that owns the SCTP endpoint: packets, time and events.
//!
//! It never waits for a machine: what a machine has no room for stays in the endpoint's buffers
//! and closes the peer's window. What goes out waits in the association's outbox; a peer that
//! lets that grow beyond its limit does not read what it asked for, and is aborted.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rserpool_core::association::DownReason;
use rserpool_core::entropy::Entropy;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{self, Datagram, Event, Handle, Packet, UdpPorts, Unreachable};
use rserpool_core::time::Instant;
use tokio::sync::{Notify, mpsc, oneshot};

use super::inbox::{Inbox, OwnedInput};
use super::lanes::{Lanes, PortLane};
use super::race::{Race, RaceKey, Verdict, is_init, ports_of};
use super::socket::Batch;
use super::storage::{BufferLens, HeapStorage};
use super::tables::{Associations, Attempts};
use super::{Command, Opened, TransportConfig, TransportError};
use crate::clock::{Clock, OsEntropy};

pub(super) struct Driver {
    pub(super) clock: Clock,
    pub(super) endpoint: sctp::Endpoint<HeapStorage, OsEntropy>,
    lanes: Lanes,
    batches: mpsc::Receiver<Batch>,
    commands: mpsc::Receiver<Command>,
    room: Arc<Notify>,
    pub(super) ports: BTreeMap<u16, OpenPort>,
    pub(super) associations: Associations,
    pub(super) attempts: Attempts,
    pub(super) races: HashMap<RaceKey, Race>,
    pub(super) race_of: HashMap<Handle, RaceKey>,
    /// The UDP port by which an address and SCTP port were reached last.
    pub(super) remembered: HashMap<SocketAddr, u16>,
    closing: Option<Closing>,
    packet: Vec<u8>,
    message: Vec<u8>,
}

/// An SCTP port that a machine has.
pub(super) struct OpenPort {
    pub(super) lane: PortLane,
    pub(super) inbox: Inbox,
}

struct Closing {
    deadline: Instant,
    answers: Vec<oneshot::Sender<()>>,
}

impl Driver {
    pub(super) fn new(config: TransportConfig, commands: mpsc::Receiver<Command>) -> Self {
        let (batch_sender, batches) = mpsc::channel(BATCH_COUNT_MAX);
        let mut secret = [0; 32];
        OsEntropy.fill(&mut secret);
        let lens = BufferLens {
            send_len: config.send_buffer_len,
            receive_len: config.receive_buffer_len,
        };
        let mut storage = HeapStorage::new(lens, config.association_count_max);
        storage.reserve(0);
        let mut sctp_config = sctp::Config::default();
        sctp_config.heartbeat_interval = Some(HEARTBEAT_INTERVAL);
        Self {
            clock: Clock::start(),
            packet: vec![0; usize::from(sctp_config.mtu)],
            message: vec![0; config.receive_buffer_len],
            endpoint: sctp::Endpoint::new(sctp_config, OsEntropy, secret, storage),
            lanes: Lanes::new(config.addresses, batch_sender),
            batches,
            commands,
            room: Arc::default(),
            ports: BTreeMap::new(),
            associations: Associations::default(),
            attempts: Attempts::default(),
            races: HashMap::new(),
            race_of: HashMap::new(),
            remembered: HashMap::new(),
            closing: None,
        }
    }

    /// Drives the endpoint until all is closed.
    pub(super) async fn run(mut self) {
        loop {
            self.drain().await;
            if self.is_closed() {
                break;
            }
            self.endpoint.storage_mut().reserve(self.associations.len());
            let deadline = self.poll_timeout();
            tokio::select! {
                Some(batch) = self.batches.recv() => {
                    self.on_batch(&batch).await;
                    // What came at the same time is acknowledged at the same time.
                    for _ in 0..BATCH_COUNT_MAX {
                        let Ok(batch) = self.batches.try_recv() else { break };
                        self.on_batch(&batch).await;
                    }
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
        for port in self.ports.values() {
            port.inbox.close();
        }
        for answer in self.closing.into_iter().flat_map(|closing| closing.answers) {
            let _ = answer.send(());
        }
    }

    /// Sends and tells all that there is, as the contract of machines demands.
    async fn drain(&mut self) {
        loop {
            self.transmit().await;
            let Some(event) = self.endpoint.poll_event() else { return };
            self.on_event(event);
        }
    }

    async fn transmit(&mut self) {
        let now = self.clock.now();
        while let Some(packet) = self.endpoint.poll_transmit(now, &mut self.packet) {
            self.send(now, packet).await;
        }
    }

    /// Sends the packet in `self.packet`; an INIT goes to every lane of its race.
    async fn send(&mut self, now: Instant, packet: Packet) {
        let Some(ports) = packet.udp else { return };
        let bytes = &self.packet[..packet.len];
        let Some(socket) = self.lanes.socket(ports.local, packet.remote) else { return };
        if is_init(bytes)
            && let Some((local_port, remote_port)) = ports_of(bytes)
            && let Some(race) =
                self.races.get_mut(&RaceKey { remote: packet.remote, local_port, remote_port })
        {
            for udp_port in race.on_init(now, bytes) {
                socket.send(SocketAddr::new(packet.remote, udp_port), bytes).await;
            }
            return;
        }
        socket.send(SocketAddr::new(packet.remote, ports.remote), bytes).await;
    }

    async fn on_batch(&mut self, batch: &Batch) {
        let now = self.clock.now();
        for (remote, payload) in batch.datagrams() {
            let udp = UdpPorts { local: batch.udp_port, remote: remote.port() };
            // Towards us, the peer's port is the source.
            if let Some((remote_port, local_port)) = ports_of(payload)
                && let Some(race) =
                    self.races.get_mut(&RaceKey { remote: remote.ip(), local_port, remote_port })
            {
                match race.on_packet(now, remote.port(), payload) {
                    Verdict::Swallow => continue,
                    Verdict::Won => self.remember(remote.ip(), remote_port, remote.port()),
                    Verdict::Pass => {}
                }
            }
            let datagram =
                Datagram { local: batch.local, remote: remote.ip(), udp: Some(udp), payload };
            self.input(now, sctp::Input::Datagram(datagram)).await;
        }
        for (remote, quoted) in batch.unreachable() {
            if is_init(quoted)
                && let Some((local_port, remote_port)) = ports_of(quoted)
                && let Some(race) =
                    self.races.get_mut(&RaceKey { remote: remote.ip(), local_port, remote_port })
                && race.on_unreachable(now, remote.port()) == Verdict::Swallow
            {
                continue;
            }
            let unreachable = Unreachable { remote: remote.ip(), quoted };
            self.input(now, sctp::Input::Unreachable(unreachable)).await;
        }
    }

    async fn input(&mut self, now: Instant, input: sctp::Input<'_>) {
        if let Err(error) = self.endpoint.handle_input(now, input) {
            tracing::trace!(%error, ?input, "packet dropped");
        }
        // Few replies have room: those of a whole batch of INITs would not.
        if self.endpoint.has_replies() {
            self.transmit().await;
        }
    }

    fn remember(&mut self, remote: IpAddr, port: u16, udp_port: u16) {
        if self.remembered.len() >= REMEMBERED_COUNT_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(SocketAddr::new(remote, port), udp_port);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Up { handle, passive, local_port, remote, .. } => {
                self.on_up(handle, passive, local_port, remote);
            }
            Event::Readable { handle } => {
                if let Some(id) = self.associations.id(handle) {
                    self.read(id);
                }
            }
            Event::Writable { handle } => {
                if let Some(id) = self.associations.id(handle) {
                    self.flush(id);
                }
            }
            Event::Restarted { handle } => {
                let Some(id) = self.associations.id(handle) else { return };
                if let Some(association) = self.associations.get_mut(id) {
                    let port = association.port;
                    self.tell(port, OwnedInput::Restarted { association: id });
                }
            }
            Event::Down { handle, reason, .. } => self.on_down(handle, reason),
            other => tracing::debug!(?other, "unknown event of the SCTP endpoint"),
        }
    }

    fn on_down(&mut self, handle: Handle, reason: DownReason) {
        if let Some(key) = self.race_of.remove(&handle) {
            self.races.remove(&key);
        }
        if let Some((id, association)) = self.associations.remove(handle) {
            tracing::debug!(?id, ?reason, "association down");
            self.tell(association.port, OwnedInput::Down { association: id, reason });
        } else {
            self.on_attempt_failed(handle);
        }
    }

    /// Hands the machine what has come in, as long as it has room.
    pub(super) fn read(&mut self, id: rserpool_core::association::AssociationId) {
        let now = self.clock.now();
        let Some(association) = self.associations.get_mut(id) else { return };
        let Some(port) = self.ports.get(&association.port) else { return };
        association.is_unread = true;
        if port.inbox.has_room()
            && let Some(srtt) = self.endpoint.srtt(association.handle)
            && let Some(micros) = association.round_trip.on_measured(srtt)
        {
            port.inbox.push(OwnedInput::RoundTrip { association: id, micros });
        }
        while port.inbox.has_room() {
            let received = self.endpoint.recv(now, association.handle, &mut self.message);
            let Some(received) = received else {
                association.is_unread = false;
                return;
            };
            let Some(data) = self.message.get(..received.len) else {
                tracing::warn!(len = received.len, "message too long, dropped");
                continue;
            };
            port.inbox.push(OwnedInput::Message {
                association: id,
                stream: received.stream,
                ppid: received.ppid,
                data: data.into(),
            });
        }
    }

    fn on_room(&mut self) {
        for id in self.associations.ids_where(|association| association.is_unread) {
            self.read(id);
        }
    }

    /// Puts `input` into the inbox of the machine that has `port`.
    pub(super) fn tell(&self, port: u16, input: OwnedInput) {
        if let Some(port) = self.ports.get(&port) {
            port.inbox.push(input);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let races = self.races.values().filter_map(Race::poll_timeout).min();
        let ours = Instant::earliest(races, self.attempts.poll_timeout());
        let closing = self.closing.as_ref().map(|closing| closing.deadline);
        let ours = Instant::earliest(ours, closing);
        Instant::earliest(ours, self.endpoint.poll_timeout())
    }

    async fn on_timeout(&mut self) {
        let now = self.clock.now();
        self.endpoint.handle_timeout(now);
        for (key, race) in &mut self.races {
            let Some(port) = self.ports.get(&key.local_port) else { continue };
            for udp_port in race.on_timeout(now) {
                if let Some(socket) = self.lanes.socket(port.lane.udp_port, key.remote) {
                    socket.send(SocketAddr::new(key.remote, udp_port), race.init()).await;
                }
            }
        }
        for id in self.attempts.due(now) {
            self.try_next_address(id);
        }
        if self.closing.as_ref().is_some_and(|closing| closing.deadline <= now) {
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
                self.endpoint.unlisten(port);
                self.leave(Some(port));
                self.ports.remove(&port);
            }
            Command::CloseAll { patience, answer } => {
                let ports: Vec<u16> = self.ports.keys().copied().collect();
                for port in ports {
                    self.endpoint.unlisten(port);
                }
                self.leave(None);
                let deadline = self.clock.now() + patience;
                self.closing = Some(Closing { deadline, answers: vec![answer] });
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
        let lane = self.lanes.open(port, udp_port, listen)?;
        if listen && self.endpoint.listen(lane.port).is_err() {
            return Err(TransportError::TooManyPorts { port: lane.port });
        }
        let opened = Opened::new(lane.port, self.lanes.udp_ports(), &self.room);
        self.ports.insert(lane.port, OpenPort { lane, inbox: opened.inbox.clone() });
        Ok(opened)
    }

    /// Whether all is said and done after [`Command::CloseAll`].
    fn is_closed(&self) -> bool {
        self.closing.is_some() && self.associations.len() == 0
    }
}

/// Batches that may wait for the transport's task.
const BATCH_COUNT_MAX: usize = 64;

/// How many addresses are remembered with their lane.
const REMEMBERED_COUNT_MAX: usize = 4_096;

/// How long an association is idle before it is probed. The RFC's 30 s would be how long an
/// element does not notice that its registrar was restarted at the same address.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);

/// How long associations may take to shut down after the last handle was dropped.
const PATIENCE_OF_ORPHANS: Duration = Duration::from_secs(2);
