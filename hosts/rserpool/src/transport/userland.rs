//! Our own SCTP over UDP or raw sockets: packets and time.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::entropy::Entropy;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::lanes::{Race, Verdict, is_init, ports_of, usual_udp_ports};
use rserpool_core::sctp::{
    self, Closed, Connect, Datagram, Event, Handle, LOCAL_ADDRESSES_MAX, Packet, Received,
    SendError, TooBig, UdpPorts, Unreachable,
};
use rserpool_core::time::Instant;
use tokio::sync::mpsc;

use super::lanes::{Lanes, PortLane};
use super::socket::{Batch, Why};
use super::storage::{BufferLens, HeapStorage};
use super::tables::Outgoing;
use super::{TransportChoice, TransportConfig, TransportError};
use crate::clock::{Clock, OsEntropy};

/// Which handshake a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RaceKey {
    remote: IpAddr,
    local_port: u16,
    remote_port: u16,
}

/// The SCTP endpoint of a process, and the ways to reach others.
pub(super) struct Userland {
    clock: Clock,
    /// Our addresses, if peers are told of them.
    addresses: Vec<IpAddr>,
    endpoint: sctp::Endpoint<HeapStorage, OsEntropy>,
    lanes: Lanes,
    /// How the SCTP ports that are open travel.
    lane_of: BTreeMap<u16, PortLane>,
    batches: mpsc::Receiver<Batch>,
    races: HashMap<RaceKey, Race>,
    race_of: HashMap<Handle, RaceKey>,
    /// The UDP port by which an address and SCTP port were reached last.
    remembered: HashMap<SocketAddr, u16>,
    /// The beginning of the last packet to an address that the system refused for its size.
    refused: HashMap<IpAddr, Vec<u8>>,
    packet: Vec<u8>,
    message: Vec<u8>,
}

impl Userland {
    pub(super) fn new(config: &TransportConfig, clock: Clock) -> Self {
        let (batch_sender, batches) = mpsc::channel(BATCH_COUNT_MAX);
        let mut secret = [0; 32];
        OsEntropy.fill(&mut secret);
        let lens = BufferLens {
            send_len: config.send_buffer_len,
            receive_len: config.receive_buffer_len,
        };
        let mut storage = HeapStorage::new(lens, config.association_count_max);
        storage.reserve(0);
        let sctp_config = config.parameters.config();
        let addresses = super::told_addresses(&config.addresses);
        let mut endpoint = sctp::Endpoint::new(sctp_config, OsEntropy, secret, storage);
        // Ports cannot be opened if there are too many of them.
        let _ = endpoint.set_addresses(&addresses);
        let lanes = match config.choice {
            TransportChoice::Raw => Lanes::raw(config.addresses.clone(), batch_sender),
            _ => Lanes::udp(config.addresses.clone(), batch_sender),
        };
        Self {
            clock,
            addresses,
            packet: vec![0; usize::from(sctp_config.mtu)],
            message: vec![0; config.receive_buffer_len],
            endpoint,
            lanes,
            lane_of: BTreeMap::new(),
            batches,
            races: HashMap::new(),
            race_of: HashMap::new(),
            remembered: HashMap::new(),
            refused: HashMap::new(),
        }
    }

    /// Opens SCTP port `port` (0: any); its number.
    pub(super) fn open(
        &mut self,
        port: u16,
        udp_port: Option<u16>,
        listen: bool,
    ) -> Result<u16, TransportError> {
        let (count, max) = (self.addresses.len(), LOCAL_ADDRESSES_MAX);
        if count > max {
            return Err(TransportError::TooManyAddresses { count, max });
        }
        let lane = self.lanes.open(port, udp_port, listen)?;
        if listen && self.endpoint.listen(lane.port).is_err() {
            return Err(TransportError::TooManyPorts { port: lane.port });
        }
        self.lane_of.insert(lane.port, lane);
        Ok(lane.port)
    }

    pub(super) fn unlisten(&mut self, port: u16) {
        self.endpoint.unlisten(port);
    }

    pub(super) fn close(&mut self, port: u16) {
        self.unlisten(port);
        self.lanes.close(port);
        self.lane_of.remove(&port);
    }

    /// The UDP ports by which the outside may reach us, the usual one first.
    pub(super) fn udp_ports(&self) -> Vec<u16> {
        self.lanes.udp_ports()
    }

    /// Makes room for more associations than the `count` that there are.
    pub(super) fn reserve(&mut self, count: usize) {
        self.endpoint.storage_mut().reserve(count);
    }

    /// Begins a handshake with one address, on all lanes where the peer may be.
    pub(super) fn connect(
        &mut self,
        port: u16,
        remote: SocketAddr,
        pinned: Option<u16>,
    ) -> Option<Handle> {
        let now = self.clock.now();
        let lanes = match (self.lane_of.get(&port)?.udp_port, pinned) {
            (Some(local), _) => Some((local, self.lanes_to(remote, pinned))),
            // A peer that is at a UDP port is not right over IP.
            (None, Some(_)) => return None,
            (None, None) => None,
        };
        let first = |(local, lanes): &(u16, Vec<u16>)| {
            lanes.first().map(|&remote| UdpPorts { local: *local, remote })
        };
        let udp = lanes.as_ref().and_then(first);
        let connected = self.endpoint.connect(now, Connect { local_port: port, remote, udp });
        let handle = connected
            .inspect_err(|error| tracing::debug!(%remote, %error, "cannot connect"))
            .ok()?;
        if let Some((_, lanes)) = lanes {
            let key =
                RaceKey { remote: remote.ip(), local_port: port, remote_port: remote.port() };
            self.races.insert(key, Race::new(now, &lanes));
            self.race_of.insert(handle, key);
        }
        Some(handle)
    }

    /// The UDP ports where `remote` may be reached, the most likely one first.
    fn lanes_to(&self, remote: SocketAddr, pinned: Option<u16>) -> Vec<u16> {
        if let Some(pinned) = pinned {
            return vec![pinned];
        }
        let remembered = self.remembered.get(&remote).copied();
        let usual = usual_udp_ports(remote.port());
        let others = usual.into_iter().filter(|&lane| Some(lane) != remembered);
        let mut lanes: Vec<u16> = remembered.into_iter().chain(others).collect();
        lanes.dedup();
        lanes
    }

    /// A lane that worked once may not be the peer's any more.
    pub(super) fn forget(&mut self, remote: SocketAddr) {
        self.remembered.remove(&remote);
    }

    pub(super) fn send(&mut self, handle: Handle, message: &Outgoing) -> Result<(), SendError> {
        let now = self.clock.now();
        let Outgoing { stream, ppid, data } = message;
        self.endpoint.send(now, handle, *stream, *ppid, false, data)
    }

    /// The next whole message of an association.
    pub(super) fn recv(&mut self, handle: Handle) -> Option<(Received, &[u8])> {
        let now = self.clock.now();
        loop {
            let received = self.endpoint.recv(now, handle, &mut self.message)?;
            if received.len <= self.message.len() {
                return Some((received, &self.message[..received.len]));
            }
            tracing::warn!(len = received.len, "message too long, dropped");
        }
    }

    pub(super) fn shut_down(&mut self, handle: Handle) -> Result<(), Closed> {
        self.endpoint.shutdown(self.clock.now(), handle)
    }

    pub(super) fn abort(&mut self, handle: Handle) {
        // One that is gone is gone.
        let _ = self.endpoint.abort(self.clock.now(), handle);
    }

    /// The addresses of a peer, the primary one first.
    pub(super) fn peer_addresses(&self, handle: Handle) -> Vec<IpAddr> {
        let paths = (0..).map_while(|index| self.endpoint.path(handle, index));
        let mut paths: Vec<_> = paths.collect();
        paths.sort_by_key(|path| !path.is_primary);
        paths.into_iter().map(|path| path.remote).collect()
    }

    /// The smoothed round-trip time, once measured.
    pub(super) fn srtt(&self, handle: Handle) -> Option<Duration> {
        self.endpoint.srtt(handle)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let races = self.races.values().filter_map(Race::poll_timeout).min();
        Instant::earliest(races, self.endpoint.poll_timeout())
    }

    pub(super) async fn on_timeout(&mut self) {
        let now = self.clock.now();
        self.endpoint.handle_timeout(now);
        for (key, race) in &mut self.races {
            let Some(lane) = self.lane_of.get(&key.local_port) else { continue };
            race.handle_timeout(now);
            let Some(socket) = self.lanes.socket(lane.udp_port, None, key.remote) else {
                continue;
            };
            while let Some((udp_port, init)) = race.next_owed() {
                socket.send(None, SocketAddr::new(key.remote, udp_port), init).await;
            }
        }
    }

    /// The next event; before it, all that is to be sent is sent.
    pub(super) async fn next_event(&mut self) -> Option<Event> {
        self.transmit().await;
        let event = self.endpoint.poll_event()?;
        if let Event::Down { handle, .. } = event
            && let Some(key) = self.race_of.remove(&handle)
        {
            self.races.remove(&key);
        }
        Some(event)
    }

    async fn transmit(&mut self) {
        let now = self.clock.now();
        while let Some(packet) = self.endpoint.poll_transmit(now, &mut self.packet) {
            self.send_packet(now, packet).await;
        }
    }

    /// Sends the packet in `self.packet`; an INIT goes to every lane of its race.
    async fn send_packet(&mut self, now: Instant, packet: Packet) {
        let Packet { local, remote, udp, len, may_fragment } = packet;
        let bytes = &self.packet[..len];
        let Some(socket) = self.lanes.socket(udp.map(|ports| ports.local), local, remote) else {
            return;
        };
        socket.let_fragment(may_fragment);
        if is_init(bytes)
            && let Some((local_port, remote_port)) = ports_of(bytes)
            && let Some(race) = self.races.get_mut(&RaceKey { remote, local_port, remote_port })
            && race.on_init(now, bytes)
        {
            while let Some((udp_port, init)) = race.next_owed() {
                socket.send(local, SocketAddr::new(remote, udp_port), init).await;
            }
            return;
        }
        let udp_port = udp.map_or(0, |ports| ports.remote);
        if !socket.send(local, SocketAddr::new(remote, udp_port), bytes).await {
            // By how much it is too big the socket's error queue says.
            let quoted = bytes.get(..bytes.len().min(QUOTED_LEN)).unwrap_or_default();
            if self.refused.len() >= REFUSED_COUNT_MAX {
                self.refused.clear();
            }
            self.refused.insert(remote, quoted.to_vec());
        }
    }

    /// What has come in on one socket. Cancelling it loses nothing.
    pub(super) async fn next_batch(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }

    /// Takes a batch, and those that came at the same time, which are acknowledged together.
    pub(super) async fn on_batches(&mut self, batch: &Batch) {
        self.on_batch(batch).await;
        for _ in 0..BATCH_COUNT_MAX {
            let Ok(batch) = self.batches.try_recv() else { break };
            self.on_batch(&batch).await;
        }
    }

    async fn on_batch(&mut self, batch: &Batch) {
        let now = self.clock.now();
        for (local, remote, payload) in batch.datagrams() {
            if batch.udp_port.is_none() && self.is_others(now, local, payload) {
                continue;
            }
            let udp = batch.udp_port.map(|local| UdpPorts { local, remote: remote.port() });
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
            let datagram = Datagram { local, remote: remote.ip(), udp, payload };
            self.input(now, sctp::Input::Datagram(datagram)).await;
        }
        for (remote, why, quoted) in batch.returned() {
            match why {
                Why::Unreachable => self.on_unreachable(now, remote, quoted).await,
                Why::TooBig(mtu) => self.on_too_big(now, remote.ip(), mtu, quoted).await,
            }
        }
    }

    async fn on_unreachable(&mut self, now: Instant, remote: SocketAddr, quoted: &[u8]) {
        if is_init(quoted)
            && let Some((local_port, remote_port)) = ports_of(quoted)
            && let Some(race) =
                self.races.get_mut(&RaceKey { remote: remote.ip(), local_port, remote_port })
            && race.on_unreachable(now, remote.port()) == Verdict::Swallow
        {
            return;
        }
        let unreachable = Unreachable { remote: remote.ip(), quoted };
        self.input(now, sctp::Input::Unreachable(unreachable)).await;
    }

    /// A packet did not fit a link; one that was refused here is not quoted.
    async fn on_too_big(&mut self, now: Instant, remote: IpAddr, mtu: u32, quoted: &[u8]) {
        let refused = match quoted {
            [] => self.refused.remove(&remote).unwrap_or_default(),
            _ => Vec::new(),
        };
        let quoted = if quoted.is_empty() { &refused } else { quoted };
        if !quoted.is_empty() {
            tracing::debug!(%remote, mtu, "a packet is too big for the path");
            self.input(now, sctp::Input::TooBig(TooBig { remote, mtu, quoted })).await;
        }
    }

    /// Whether a packet that came right over IP is for another process.
    fn is_others(&mut self, now: Instant, local: IpAddr, packet: &[u8]) -> bool {
        let port = ports_of(packet).map(|(_, port)| port);
        port.is_some_and(|port| {
            !self.lane_of.contains_key(&port) && self.lanes.is_others(now, local, port)
        })
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
}

/// Batches that may wait for the transport's task.
const BATCH_COUNT_MAX: usize = 64;

/// What is kept of a packet that was refused: ports, tag, and the first chunk of an INIT.
const QUOTED_LEN: usize = 64;

/// How many addresses such packets are kept for.
const REFUSED_COUNT_MAX: usize = 256;

/// How many addresses are remembered with their lane.
const REMEMBERED_COUNT_MAX: usize = 4_096;
