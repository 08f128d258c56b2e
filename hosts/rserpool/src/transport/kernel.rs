//! SCTP of the Linux kernel: one one-to-many socket for each open port.
//!
//! The socket of a port is read only while its machine has room, so that what waits fills the
//! kernel's buffer and closes the windows of the peers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use linux_sctp::{
    AddressChange, AssociationChange, AssociationId, AsyncSocket, Event, Family, Heartbeat,
    InitOptions, Notification, ReceiveInfo, Received, RtoOptions, SendInfo, Socket, Status,
};
use rserpool_core::association::{DownReason, Ppid, StreamId};
use rserpool_core::time::Instant;

use super::tables::Outgoing;
use super::{SctpParameters, TransportConfig, TransportError};

/// Names an association of a kernel socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KernelLink {
    pub(crate) socket: SocketId,
    association: AssociationId,
}

/// Names a socket, never two in the life of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketId(u32);

/// What the kernel tells of an association.
#[derive(Debug)]
pub(super) enum KernelEvent {
    Up { link: KernelLink, passive: bool, addresses: Vec<IpAddr>, port: u16 },
    Message { link: KernelLink, stream: StreamId, ppid: Ppid, data: Vec<u8> },
    Path { link: KernelLink, remote: IpAddr, is_reachable: bool },
    Restarted { link: KernelLink },
    Down { link: KernelLink, reason: DownReason },
}

/// What can be done with a socket now.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) readable: Vec<SocketId>,
    pub(super) writable: Vec<SocketId>,
}

/// The sockets of a process.
#[derive(Debug)]
pub(super) struct Kernel {
    addresses: Vec<IpAddr>,
    message_len_max: usize,
    parameters: SctpParameters,
    sockets: BTreeMap<SocketId, PortSocket>,
    last_id: u32,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct PortSocket {
    port: u16,
    io: AsyncSocket,
    has_ipv6: bool,
    /// Nobody wants it any more; it stays until its associations are gone.
    is_closing: bool,
    /// Since when the kernel has had no room for a message; all associations share it.
    full_since: Option<Instant>,
    /// The UDP port that associations to come are set up by; 0: right over IP.
    udp_port: u16,
    associations: HashMap<AssociationId, State>,
}

/// What is to be known of an association until it is gone.
#[derive(Debug, Default)]
struct State {
    /// Set up by us, and not up yet.
    is_pending: bool,
    /// Addresses of the peer that do not answer.
    unreachable: HashSet<IpAddr>,
    /// The beginning of a message whose end has not come yet.
    partial: Vec<u8>,
}

impl Kernel {
    pub(super) fn new(config: &TransportConfig) -> Self {
        Self {
            addresses: config.addresses.clone(),
            message_len_max: config.receive_buffer_len,
            parameters: config.parameters,
            sockets: BTreeMap::new(),
            last_id: 0,
            buffer: vec![0; config.receive_buffer_len.max(BUFFER_LEN_MIN)],
        }
    }

    /// Opens a socket for SCTP port `port` (0: any); the port. One that does not listen has a
    /// number of its own in the kernel, which nobody needs to know.
    pub(super) fn open(&mut self, port: u16, listen: bool) -> Result<u16, TransportError> {
        let local_port = if listen { port } else { 0 };
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => TransportError::KernelPortInUse { port },
            io::ErrorKind::AddrNotAvailable => {
                TransportError::NoSuchAddress { address: self.addresses[0] }
            }
            _ => TransportError::KernelSocket { port, source },
        };
        let (socket, has_ipv6) = bound(&self.addresses, local_port).map_err(refused)?;
        let opened = configure(&socket, self.message_len_max, &self.parameters)
            .and_then(|()| if listen { socket.listen(BACKLOG) } else { Ok(()) })
            .and_then(|()| socket.local_address());
        let local = opened.map_err(refused)?;
        let port = if port == 0 { local.port() } else { port };
        let io = AsyncSocket::new(socket).map_err(refused)?;
        self.last_id += 1;
        let socket = PortSocket {
            port,
            io,
            has_ipv6,
            is_closing: false,
            full_since: None,
            udp_port: usual_udp_port(),
            associations: HashMap::new(),
        };
        self.sockets.insert(SocketId(self.last_id), socket);
        Ok(port)
    }

    /// Accepts no more associations on a port.
    pub(super) fn unlisten(&self, port: u16) {
        if let Some((_, socket)) = self.of_port(port) {
            // One that never listened has nothing to end.
            let _ = socket.io.socket().listen(0);
        }
    }

    /// Gives a port up; its socket ends with its last association.
    pub(super) fn close(&mut self, port: u16) {
        self.unlisten(port);
        if let Some((id, _)) = self.of_port(port)
            && let Some(socket) = self.sockets.get_mut(&id)
        {
            socket.is_closing = true;
            self.reap(id);
        }
    }

    /// The port of a socket that is not closing.
    pub(super) fn port(&self, id: SocketId) -> Option<u16> {
        let socket = self.sockets.get(&id)?;
        (!socket.is_closing).then_some(socket.port)
    }

    /// Begins an association with a peer that has all of `addresses`, by `udp_port` if one is
    /// named.
    pub(super) fn connect(
        &mut self,
        port: u16,
        addresses: &[SocketAddr],
        udp_port: Option<u16>,
    ) -> Option<KernelLink> {
        let (id, _) = self.of_port(port)?;
        let socket = self.sockets.get_mut(&id)?;
        let is_usable = |address: &&SocketAddr| address.is_ipv4() || socket.has_ipv6;
        let usable: Vec<_> = addresses.iter().filter(is_usable).copied().collect();
        if usable.is_empty() {
            return None;
        }
        let connected = socket
            .set_udp_port(udp_port.unwrap_or_else(usual_udp_port))
            .and_then(|()| socket.io.socket().connectx(&usable));
        let association = connected
            .inspect_err(|error| tracing::debug!(?usable, %error, "the kernel cannot connect"))
            .ok()?;
        let state = State { is_pending: true, ..State::default() };
        socket.associations.insert(association, state);
        Some(KernelLink { socket: id, association })
    }

    /// Sends a message; `WouldBlock` until the socket is writable again.
    pub(super) fn send(
        &mut self,
        now: Instant,
        link: KernelLink,
        message: &Outgoing,
    ) -> io::Result<()> {
        let socket = self.sockets.get_mut(&link.socket).ok_or(io::ErrorKind::NotConnected)?;
        let info = SendInfo {
            association: link.association,
            stream: message.stream.0,
            ppid: message.ppid.0,
            ..SendInfo::default()
        };
        let sent = socket.io.send(info, &message.data);
        if matches!(&sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            socket.full_since.get_or_insert(now);
        }
        sent
    }

    pub(super) fn shut_down(&self, link: KernelLink) {
        if let Some(socket) = self.sockets.get(&link.socket) {
            // One that is going down already needs no more.
            let _ = socket.io.socket().shut_down(link.association);
        }
    }

    pub(super) fn abort(&self, link: KernelLink) {
        if let Some(socket) = self.sockets.get(&link.socket) {
            let _ = socket.io.socket().abort(link.association, &[]);
        }
    }

    /// The smoothed round-trip time, once measured.
    pub(super) fn srtt(&self, link: KernelLink) -> Option<Duration> {
        let socket = self.sockets.get(&link.socket)?;
        socket.io.socket().status(link.association).ok()?.srtt
    }

    /// Waits until a socket is readable, of those that `may_read` allows, or one that was full is
    /// writable. Cancelling it loses nothing.
    pub(super) async fn ready(&self, may_read: impl Fn(u16) -> bool) -> Ready {
        let reads = |socket: &PortSocket| socket.is_closing || may_read(socket.port);
        let readers: Vec<_> = self.sockets.iter().filter(|(_, socket)| reads(socket)).collect();
        let writers: Vec<_> =
            self.sockets.iter().filter(|(_, socket)| socket.full_since.is_some()).collect();
        poll_fn(|context| {
            let mut ready = Ready::default();
            for &(id, socket) in &readers {
                if socket.io.poll_recv_ready(context).is_ready() {
                    ready.readable.push(*id);
                }
            }
            for &(id, socket) in &writers {
                if socket.io.poll_send_ready(context).is_ready() {
                    ready.writable.push(*id);
                }
            }
            match ready.readable.is_empty() && ready.writable.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(ready),
            }
        })
        .await
    }

    /// A full socket is writable again.
    pub(super) fn on_writable(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.full_since = None;
        }
    }

    /// When the next full socket counts as stalled.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.sockets.values().filter_map(|socket| socket.full_since).min().map(|at| at + STALL)
    }

    /// Aborts the associations that hold up all others of their socket: the kernel's send buffer
    /// belongs to the socket, so peers that do not read what they are sent could fill it for ever.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        for socket in self.sockets.values_mut() {
            if socket.full_since.is_none_or(|since| now < since + STALL) {
                continue;
            }
            // If that was not enough, there is a next time.
            socket.full_since = Some(now);
            for association in socket.culprits() {
                tracing::warn!(?association, "the peer holds up all others: aborted");
                let _ = socket.io.socket().abort(association, &[]);
            }
        }
    }

    /// The next event of a readable socket; `None` if there is none now.
    pub(super) fn recv(&mut self, id: SocketId) -> Option<KernelEvent> {
        loop {
            let socket = self.sockets.get_mut(&id)?;
            let event = match socket.io.recv(&mut self.buffer) {
                Ok(Received::Message { info, len, is_end }) => {
                    socket.on_message(id, info, &self.buffer[..len], is_end, self.message_len_max)
                }
                Ok(Received::Notification(notification)) => {
                    let event = socket.on_notification(id, notification);
                    self.reap(id);
                    event
                }
                Ok(_) => None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
                Err(error) => {
                    tracing::warn!(%error, "a kernel socket cannot be read");
                    return None;
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn of_port(&self, port: u16) -> Option<(SocketId, &PortSocket)> {
        let mut open = self.sockets.iter().filter(|(_, socket)| !socket.is_closing);
        open.find(|(_, socket)| socket.port == port).map(|(&id, socket)| (id, socket))
    }

    /// Ends a socket that nobody needs any more.
    fn reap(&mut self, id: SocketId) {
        let is_over = |socket: &PortSocket| socket.is_closing && socket.associations.is_empty();
        if self.sockets.get(&id).is_some_and(is_over) {
            self.sockets.remove(&id);
        }
    }
}

impl PortSocket {
    /// Who has not taken anything while nobody else could: the peers that have no room, or if all
    /// have, those that acknowledge nothing.
    fn culprits(&self) -> Vec<AssociationId> {
        let status_of = |&id: &AssociationId| Some((id, self.io.socket().status(id).ok()?));
        let statuses: Vec<_> = self.associations.keys().filter_map(status_of).collect();
        let of = |is_meant: fn(&Status) -> bool| -> Vec<_> {
            let meant = statuses.iter().filter(|(_, status)| is_meant(status));
            meant.map(|&(id, _)| id).collect()
        };
        match of(|status| status.peer_window_len < status.mtu) {
            none if none.is_empty() => of(|status| status.unacknowledged_count > 0),
            full => full,
        }
    }

    fn set_udp_port(&mut self, udp_port: u16) -> io::Result<()> {
        if self.udp_port != udp_port {
            self.io.socket().set_remote_udp_port(AssociationId::default(), udp_port)?;
            self.udp_port = udp_port;
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        id: SocketId,
        info: ReceiveInfo,
        data: &[u8],
        is_end: bool,
        len_max: usize,
    ) -> Option<KernelEvent> {
        let state = self.associations.get_mut(&info.association)?;
        // Of a message that is too long, one byte too many is kept.
        let room = (len_max + 1).saturating_sub(state.partial.len());
        state.partial.extend_from_slice(&data[..data.len().min(room)]);
        if !is_end {
            return None;
        }
        let data = std::mem::take(&mut state.partial);
        if data.len() > len_max {
            tracing::warn!(len_max, "message too long, dropped");
            return None;
        }
        Some(KernelEvent::Message {
            link: KernelLink { socket: id, association: info.association },
            stream: StreamId(info.stream),
            ppid: Ppid(info.ppid),
            data,
        })
    }

    fn on_notification(&mut self, id: SocketId, told: Notification) -> Option<KernelEvent> {
        match told {
            Notification::AssociationChange { association, change, cause, info, .. } => {
                let link = KernelLink { socket: id, association };
                self.on_change(link, change, cause != 0 || !info.is_empty())
            }
            Notification::AddressChange { association, address, change } => {
                let state = self.associations.get_mut(&association)?;
                let remote = address.ip();
                let is_reachable = match change {
                    AddressChange::Unreachable => false,
                    AddressChange::Available | AddressChange::Confirmed => true,
                    _ => return None,
                };
                match is_reachable {
                    true => state.unreachable.remove(&remote),
                    false => state.unreachable.insert(remote),
                };
                let link = KernelLink { socket: id, association };
                Some(KernelEvent::Path { link, remote, is_reachable })
            }
            Notification::PartialDeliveryAborted { association, .. } => {
                self.associations.get_mut(&association)?.partial.clear();
                None
            }
            other => {
                tracing::debug!(?other, "notification of the kernel");
                None
            }
        }
    }

    fn on_change(
        &mut self,
        link: KernelLink,
        change: AssociationChange,
        has_cause: bool,
    ) -> Option<KernelEvent> {
        let association = link.association;
        match change {
            AssociationChange::Up => {
                let before = self.associations.insert(association, State::default());
                let passive = !before.is_some_and(|state| state.is_pending);
                // One that is gone again has none, and its end is told next.
                let addresses = self.io.socket().peer_addresses(association).ok()?;
                let port = addresses.first()?.port();
                let addresses = addresses.iter().map(SocketAddr::ip).collect();
                Some(KernelEvent::Up { link, passive, addresses, port })
            }
            AssociationChange::Restarted => {
                self.associations.entry(association).or_default().partial.clear();
                Some(KernelEvent::Restarted { link })
            }
            AssociationChange::ShutDown => {
                self.associations.remove(&association);
                Some(KernelEvent::Down { link, reason: DownReason::Shutdown })
            }
            AssociationChange::Lost | AssociationChange::CannotStart => {
                let state = self.associations.remove(&association).unwrap_or_default();
                // An abort may be without a cause, too, but then its paths were good.
                let reason = match has_cause || state.unreachable.is_empty() {
                    true => DownReason::Aborted,
                    false => DownReason::Lost,
                };
                Some(KernelEvent::Down { link, reason })
            }
            other => {
                tracing::debug!(?other, "an association of the kernel has changed");
                None
            }
        }
    }
}

/// Whether the kernel has SCTP.
///
/// # Errors
///
/// Why not.
pub(super) fn probe() -> io::Result<()> {
    Socket::new(Family::Ipv4).map(drop)
}

/// A socket with `addresses` and `port`, and whether it has IPv6 addresses.
fn bound(addresses: &[IpAddr], port: u16) -> io::Result<(Socket, bool)> {
    let wants_ipv6 = addresses.iter().any(IpAddr::is_ipv6);
    let has_ipv4 = addresses.iter().any(IpAddr::is_ipv4);
    let family = if wants_ipv6 { Family::Ipv6 } else { Family::Ipv4 };
    match bound_as(family, addresses, port) {
        Ok(socket) => Ok((socket, wants_ipv6)),
        // A machine without IPv6 does without it.
        Err(error) if wants_ipv6 && has_ipv4 && error.kind() != io::ErrorKind::AddrInUse => {
            bound_as(Family::Ipv4, addresses, port).map(|socket| (socket, false))
        }
        Err(error) => Err(error),
    }
}

fn bound_as(family: Family, addresses: &[IpAddr], port: u16) -> io::Result<Socket> {
    let socket = Socket::new(family)?;
    // Associations of a process that has ended may still be going down.
    socket.set_reuse_address(true)?;
    let usable = |address: &&IpAddr| family == Family::Ipv6 || address.is_ipv4();
    let mut usable: Vec<_> = addresses.iter().filter(usable).copied().collect();
    // The wildcard of IPv6 stands for all addresses, and is alone.
    usable.sort_by_key(|address| (!address.is_unspecified(), address.is_ipv4()));
    let (first, more) = usable.split_first().ok_or(io::ErrorKind::AddrNotAvailable)?;
    socket.bind(SocketAddr::new(*first, port))?;
    if !first.is_unspecified() && !more.is_empty() {
        let port = socket.local_address()?.port();
        let more: Vec<_> = more.iter().map(|&address| SocketAddr::new(address, port)).collect();
        socket.bind_more(&more)?;
    }
    Ok(socket)
}

/// The same parameters as our own SCTP has.
fn configure(
    socket: &Socket,
    message_len_max: usize,
    parameters: &SctpParameters,
) -> io::Result<()> {
    for event in [
        Event::AssociationChange,
        Event::AddressChange,
        Event::RemoteError,
        Event::PartialDelivery,
        Event::SendFailed,
    ] {
        socket.subscribe(event, true)?;
    }
    let config = parameters.config();
    socket.set_init(InitOptions {
        outbound_streams: config.outbound_streams,
        inbound_streams_max: config.inbound_streams_max,
        attempts_max: config.init_retransmissions_max.into(),
        timeout_ms_max: 0,
    })?;
    let all = AssociationId::default();
    let rto = RtoOptions { initial: config.rto_initial, min: config.rto_min, max: config.rto_max };
    socket.set_rto(all, rto)?;
    socket.set_retransmissions_max(all, config.association_retransmissions_max.into())?;
    let heartbeat = Heartbeat {
        interval: config.heartbeat_interval,
        path_retransmissions_max: Some(config.path_retransmissions_max.into()),
    };
    socket.set_heartbeat(all, heartbeat)?;
    let len = message_len_max.saturating_mul(2).max(SOCKET_BUFFER_LEN_MIN);
    socket.set_buffer_lens(len, len)
}

/// How long a send buffer may be full without any progress.
const STALL: Duration = Duration::from_secs(5);

/// The UDP port that the administrator has set for associations (sysctl `net.sctp.encap_port`).
fn usual_udp_port() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/sctp/encap_port").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Associations that may wait to be accepted; the kernel caps it.
const BACKLOG: u16 = 1_024;

/// What is received in one piece, at least: no notification is longer.
const BUFFER_LEN_MIN: usize = 68 << 10;

/// What all associations of a socket share; the kernel caps it.
const SOCKET_BUFFER_LEN_MIN: usize = 4 << 20;
