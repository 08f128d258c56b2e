//! TCP for pool users (RFC 5352 §3.3): associations and messages as by SCTP.
//!
//! A task listens, and each connection has a task of its own (`connection.rs`). Whoever connects
//! becomes an association with the first whole message, so that those who connect and say
//! nothing cost a socket and a little memory, and no room in the registrar. Where connections
//! are too many, the oldest one that has said nothing makes room.
//!
//! Deliberately absent: streams and payload protocol identifiers, which TCP does not have. All
//! is ASAP on stream 0.

mod connection;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Ppid, StreamId, Transmit,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::TransportError;
use super::inbox::{Inbox, OwnedInput};
use connection::{Outgoing, Wire};

/// How pool users are served by TCP.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpConfig {
    /// The most connections at a time.
    pub connection_count_max: usize,
    /// The most connections of one address (with IPv6: one network of 64 bits) at a time.
    pub connections_per_address_max: usize,
    /// How long the first message, and the rest of any that has begun, may take.
    pub message_timeout: Duration,
    /// How long a connection may be silent in both directions.
    pub idle_timeout: Duration,
    /// The longest message that is taken.
    pub message_len_max: usize,
    /// Whether a registrar that cannot listen refuses to start; otherwise it does without.
    pub is_required: bool,
}

impl Default for TcpConfig {
    /// 256 connections, 64 of one address, 10 s for a message, 5 minutes of silence, 4 KiB.
    fn default() -> Self {
        Self {
            connection_count_max: 256,
            connections_per_address_max: 64,
            message_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            message_len_max: 4_096,
            is_required: false,
        }
    }
}

/// The lowest number of an association by TCP; those by SCTP are below.
pub(super) const FIRST_ID: u32 = 1 << 31;

/// What a port has of TCP. All connections end with it.
#[derive(Debug)]
pub(super) struct Tcp {
    shared: Arc<Shared>,
    listeners: Vec<AbortHandle>,
    /// Whether attempts are its business, or SCTP's.
    connects: bool,
}

#[derive(Debug)]
struct Shared {
    config: TcpConfig,
    inbox: Inbox,
    /// Tells a connection that the inbox has room again.
    room: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: HashMap<AssociationId, Connection>,
    attempts: HashMap<ConnectId, AbortHandle>,
    last_id: u32,
}

#[derive(Debug)]
struct Connection {
    address: IpAddr,
    /// The machine knows of it.
    is_up: bool,
    outbox: mpsc::UnboundedSender<Outgoing>,
    /// Bytes in the outbox.
    outbox_len: usize,
    task: AbortHandle,
}

impl Tcp {
    /// For those who only connect, to peers that they trust with long messages and silence.
    pub(super) fn to_connect() -> Self {
        let config = TcpConfig {
            message_len_max: RESPONSE_LEN_MAX,
            idle_timeout: Duration::MAX,
            ..TcpConfig::default()
        };
        Self::new(config, true)
    }

    /// Listens at each of `addresses` that this machine has the family of.
    pub(super) fn listen(
        config: TcpConfig,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<Self, TransportError> {
        let mut tcp = Self::new(config, false);
        for &address in addresses {
            let address = SocketAddr::new(address, port);
            let listener = match bind(address) {
                // A machine without IPv6 has no wildcard of it either.
                Err(error) if address.ip().is_unspecified() && is_no_family(&error) => continue,
                bound => bound.map_err(|source| TransportError::Tcp { address, source })?,
            };
            let task = tokio::spawn(accept(Arc::clone(&tcp.shared), listener));
            tcp.listeners.push(task.abort_handle());
        }
        Ok(tcp)
    }

    fn new(config: TcpConfig, connects: bool) -> Self {
        let room = Arc::new(Notify::new());
        let inbox = Inbox::new(Arc::clone(&room));
        let shared = Arc::new(Shared { config, inbox, room, state: Mutex::default() });
        Self { shared, listeners: Vec::new(), connects }
    }

    /// The next input. Cancelling it loses nothing.
    pub(super) async fn recv(&self) -> Option<OwnedInput> {
        self.shared.inbox.pop().await
    }

    /// Does what a machine wants, if that is a matter of TCP.
    pub(super) fn perform(&self, transmit: &Transmit, buf: &[u8]) -> bool {
        match transmit {
            Transmit::Connect { connect, endpoint } if self.connects => {
                self.shared.connect(*connect, endpoint.clone());
            }
            Transmit::CancelConnect { connect } if self.connects => {
                if let Some(task) = self.shared.lock().attempts.remove(connect) {
                    task.abort();
                }
            }
            Transmit::Message { association, len, .. } if association.0 >= FIRST_ID => {
                self.shared.send(*association, buf[..*len].to_vec());
            }
            Transmit::Shutdown { association } if association.0 >= FIRST_ID => {
                if let Some(connection) = self.shared.lock().connections.get(association) {
                    let _ = connection.outbox.send(Outgoing::End);
                }
            }
            Transmit::Abort { association } if association.0 >= FIRST_ID => {
                self.shared.abort(*association);
            }
            _ => return false,
        }
        true
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
        let mut state = self.shared.lock();
        for task in state.attempts.drain().map(|(_, task)| task) {
            task.abort();
        }
        // What waits to be sent still is; then the end of the outbox ends the connection.
        state.connections.clear();
        self.shared.room.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this lock")
    }

    /// Takes a connection that somebody has made to us, if there is room.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let mut state = self.lock();
        let is_same = |known: &Connection| origin(known.address) == origin(peer.ip());
        let of_address = state.connections.values().filter(|known| is_same(known)).count();
        let is_too_often = of_address >= self.config.connections_per_address_max;
        if is_too_often || state.connections.len() >= self.config.connection_count_max {
            let silent = state
                .connections
                .iter()
                .filter(|(_, known)| !known.is_up && (!is_too_often || is_same(known)));
            let Some(oldest) = silent.map(|(&id, _)| id).min() else {
                tracing::debug!(%peer, "too many TCP connections: one more refused");
                return;
            };
            if let Some(connection) = state.connections.remove(&oldest) {
                connection.task.abort();
            }
        }
        self.begin(&mut state, stream, peer, None);
    }

    /// Begins to serve a connection.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        stream: TcpStream,
        peer: SocketAddr,
        connect: Option<ConnectId>,
    ) {
        let id = loop {
            state.last_id = state.last_id.wrapping_add(1) | FIRST_ID;
            if !state.connections.contains_key(&AssociationId(state.last_id)) {
                break AssociationId(state.last_id);
            }
        };
        let (outbox, outgoing) = mpsc::unbounded_channel();
        let is_up = connect.is_some();
        let wire = Wire::new(Arc::clone(self), id, peer, is_up, outgoing);
        let task = tokio::spawn(wire.run(stream)).abort_handle();
        let address = peer.ip().to_canonical();
        let connection = Connection { address, is_up, outbox, outbox_len: 0, task };
        state.connections.insert(id, connection);
        if is_up {
            self.inbox.push(OwnedInput::Up {
                association: id,
                connect,
                peer_addresses: vec![address],
                peer_port: peer.port(),
            });
        }
    }

    /// Tries the addresses of `endpoint` one after the other.
    fn connect(self: &Arc<Self>, connect: ConnectId, endpoint: Endpoint) {
        let shared = Arc::clone(self);
        // The attempt is known before it can end.
        let mut state = self.lock();
        let task = tokio::spawn(async move {
            for &address in &endpoint.addresses {
                let peer = SocketAddr::new(address, endpoint.port);
                let attempt = timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await;
                if let Ok(Ok(stream)) = attempt {
                    let mut state = shared.lock();
                    if state.attempts.remove(&connect).is_some() {
                        shared.begin(&mut state, stream, peer, Some(connect));
                    }
                    return;
                }
            }
            if shared.lock().attempts.remove(&connect).is_some() {
                shared.inbox.push(OwnedInput::ConnectFailed { connect });
            }
        });
        state.attempts.insert(connect, task.abort_handle());
    }

    /// Hands a message to the machine, as soon as there is room; false if the connection is gone.
    async fn deliver(&self, id: AssociationId, peer: SocketAddr, message: &[u8]) -> bool {
        while !self.inbox.has_room() && self.lock().connections.contains_key(&id) {
            self.room.notified().await;
        }
        // Others may wait, too.
        self.room.notify_one();
        let mut state = self.lock();
        let Some(connection) = state.connections.get_mut(&id) else { return false };
        if !std::mem::replace(&mut connection.is_up, true) {
            self.inbox.push(OwnedInput::UserUp {
                association: id,
                peer_addresses: vec![connection.address],
                peer_port: peer.port(),
            });
        }
        self.inbox.push(OwnedInput::Message {
            association: id,
            stream: StreamId(0),
            ppid: Ppid::ASAP,
            data: message.into(),
        });
        true
    }

    fn send(&self, id: AssociationId, data: Vec<u8>) {
        let mut state = self.lock();
        let Some(connection) = state.connections.get_mut(&id) else { return };
        connection.outbox_len += data.len();
        if connection.outbox_len <= OUTBOX_LEN_MAX {
            let _ = connection.outbox.send(Outgoing::Message(data));
            return;
        }
        drop(state);
        tracing::debug!(?id, "the peer does not read what it is sent: connection aborted");
        self.abort(id);
    }

    fn sent(&self, id: AssociationId, len: usize) {
        if let Some(connection) = self.lock().connections.get_mut(&id) {
            connection.outbox_len -= len;
        }
    }

    fn abort(&self, id: AssociationId) {
        if let Some(connection) = self.lock().connections.remove(&id) {
            connection.task.abort();
            self.tell_end(id, &connection, DownReason::Aborted);
        }
    }

    /// A connection has ended by itself.
    fn on_end(&self, id: AssociationId, reason: DownReason) {
        if let Some(connection) = self.lock().connections.remove(&id) {
            self.tell_end(id, &connection, reason);
        }
    }

    fn tell_end(&self, id: AssociationId, connection: &Connection, reason: DownReason) {
        tracing::debug!(?id, ?reason, "TCP connection ended");
        if connection.is_up {
            self.inbox.push(OwnedInput::Down { association: id, reason });
        }
    }
}

/// Takes connections until the port is closed.
async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => shared.admit(stream, peer),
            Err(error) => {
                // Too many open files, for one: that passes.
                tracing::warn!(%error, "cannot accept a TCP connection");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections of an earlier process that are not forgotten yet do not matter.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What counts as one address: whoever has an IPv6 address has all of its network.
fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn is_no_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT)
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// The longest message that ASAP knows, with its padding.
const RESPONSE_LEN_MAX: usize = 1 << 16;

/// Bytes that may wait for a peer that reads slowly.
const OUTBOX_LEN_MAX: usize = 256 << 10;

/// How long one address of a registrar may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

const BACKLOG: i32 = 128;
