//! The endpoint behind the system calls of a script.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rserpool_core::association::{DownReason, Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, SendError, State, Status,
};
use rserpool_core::time::Instant;

use crate::wire::{LOCAL_PORT, REMOTE_PORT};

/// The addresses of both sides, where a script does not name others.
pub(crate) const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// Descriptors are names that a script gives.
pub(crate) type Descriptor = u64;

/// What a system call returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(i64),
    Failed(&'static str),
}

const BUFFER_LEN: usize = 1 << 16;
type Host = Endpoint<Inline<4, BUFFER_LEN, BUFFER_LEN, 128>, SplitMix64>;

#[derive(Debug)]
enum Socket {
    Fresh,
    Listening,
    Connected(Connection),
}

#[derive(Debug)]
struct Connection {
    handle: Handle,
    is_up: bool,
    /// How it ended, if it did: whether gracefully.
    ended: Option<bool>,
    /// The error that a `getsockopt` reads next.
    error: Option<&'static str>,
    /// Lengths of messages, or of what is left of them, that were received and not read.
    inbox: VecDeque<usize>,
}

impl Connection {
    fn new(handle: Handle, is_up: bool) -> Self {
        Self { handle, is_up, ended: None, error: None, inbox: VecDeque::new() }
    }
}

/// A packet that the endpoint sent, and when.
#[derive(Debug)]
pub(crate) struct Emitted {
    pub(crate) at_us: u64,
    /// Where it comes from, if the endpoint cares.
    pub(crate) local: Option<IpAddr>,
    pub(crate) remote: IpAddr,
    pub(crate) bytes: Vec<u8>,
}

/// Sockets over one endpoint, and its clock.
pub(crate) struct Sockets {
    endpoint: Box<Host>,
    sockets: BTreeMap<Descriptor, Socket>,
    /// Associations that wait to be accepted.
    backlog: VecDeque<Connection>,
}

impl Sockets {
    pub(crate) fn new(seed: u64) -> Self {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&seed.to_be_bytes());
        let entropy = SplitMix64::new(seed);
        Self {
            endpoint: Box::new(Host::new(Config::DEFAULT, entropy, secret, Inline::new())),
            sockets: BTreeMap::new(),
            backlog: VecDeque::new(),
        }
    }

    /// Changes how the endpoint behaves.
    pub(crate) fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        let mut config = *self.endpoint.config();
        change(&mut config);
        self.endpoint.configure(config);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout()
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) {
        self.endpoint.handle_timeout(now);
    }

    /// A packet from `remote` to `local`. Whether it is refused is the endpoint's business.
    pub(crate) fn inject(
        &mut self,
        now: Instant,
        (remote, local): (Ipv4Addr, Ipv4Addr),
        payload: &[u8],
    ) {
        let (local, remote) = (IpAddr::V4(local), IpAddr::V4(remote));
        let datagram = Datagram { local, remote, udp: None, payload };
        let _ = self.endpoint.handle_input(now, Input::Datagram(datagram));
    }

    /// The next packet that the endpoint sends.
    pub(crate) fn next_packet(&mut self, now: Instant) -> Option<Emitted> {
        let mut bytes = vec![0; 1_500];
        let packet = self.endpoint.poll_transmit(now, &mut bytes)?;
        bytes.truncate(packet.len);
        let (local, remote) = (packet.local, packet.remote);
        Some(Emitted { at_us: now.as_micros(), local, remote, bytes })
    }

    /// Takes all events.
    pub(crate) fn take_events(&mut self, now: Instant) {
        loop {
            // What an ended association has received can be read until its end is told.
            self.save_messages(now);
            let Some(event) = self.endpoint.poll_event() else { return };
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Up { handle, passive: true, .. } => {
                self.backlog.push_back(Connection::new(handle, true));
            }
            Event::Up { handle, .. } => {
                self.with_handle(handle, |connection| connection.is_up = true);
            }
            Event::Down { handle, was_up, reason, .. } => {
                let error = match reason {
                    DownReason::Shutdown => None,
                    DownReason::Lost => Some("ETIMEDOUT"),
                    _ if was_up => Some("ECONNRESET"),
                    _ => Some("ECONNREFUSED"),
                };
                self.with_handle(handle, |connection| {
                    (connection.ended, connection.error) = (Some(error.is_none()), error);
                });
            }
            _ => {}
        }
    }

    fn save_messages(&mut self, now: Instant) {
        let Self { endpoint, sockets, backlog } = self;
        let connected = sockets.values_mut().filter_map(|socket| match socket {
            Socket::Connected(connection) => Some(connection),
            _ => None,
        });
        let mut buf = vec![0; BUFFER_LEN];
        for connection in connected.chain(backlog) {
            let status = endpoint.status(connection.handle);
            if status.is_some_and(|status| status.state == State::Closed) {
                while let Some(message) = endpoint.recv(now, connection.handle, &mut buf) {
                    connection.inbox.push_back(message.len);
                }
            }
        }
    }

    fn with_handle(&mut self, handle: Handle, change: impl FnOnce(&mut Connection)) {
        let connected = self.sockets.values_mut().filter_map(|socket| match socket {
            Socket::Connected(connection) => Some(connection),
            _ => None,
        });
        let mut all = connected.chain(&mut self.backlog);
        if let Some(connection) = all.find(|connection| connection.handle == handle) {
            change(connection);
        }
    }

    pub(crate) fn socket(&mut self, descriptor: Descriptor) -> Outcome {
        self.sockets.insert(descriptor, Socket::Fresh);
        Outcome::Done(descriptor as i64)
    }

    pub(crate) fn listen(&mut self, descriptor: Descriptor) -> Outcome {
        match self.sockets.get_mut(&descriptor) {
            Some(socket @ Socket::Fresh) if self.endpoint.listen(LOCAL_PORT).is_ok() => {
                *socket = Socket::Listening;
                Outcome::Done(0)
            }
            _ => Outcome::Failed("EINVAL"),
        }
    }

    pub(crate) fn connect(&mut self, now: Instant, descriptor: Descriptor) -> Outcome {
        let Some(socket @ Socket::Fresh) = self.sockets.get_mut(&descriptor) else {
            return Outcome::Failed("EINVAL");
        };
        let remote = SocketAddr::new(REMOTE.into(), REMOTE_PORT);
        let connect = Connect { local_port: LOCAL_PORT, remote, udp: None };
        match self.endpoint.connect(now, connect) {
            Ok(handle) => {
                *socket = Socket::Connected(Connection::new(handle, false));
                Outcome::Failed("EINPROGRESS")
            }
            Err(_) => Outcome::Failed("EADDRNOTAVAIL"),
        }
    }

    /// The next association becomes `descriptor`.
    pub(crate) fn accept(&mut self, listener: Descriptor, descriptor: Descriptor) -> Outcome {
        if !matches!(self.sockets.get(&listener), Some(Socket::Listening)) {
            return Outcome::Failed("EINVAL");
        }
        match self.backlog.pop_front() {
            Some(connection) => {
                self.sockets.insert(descriptor, Socket::Connected(connection));
                Outcome::Done(descriptor as i64)
            }
            None => Outcome::Failed("EAGAIN"),
        }
    }

    /// Reads one message, or the part of it that `len` has room for.
    pub(crate) fn read(&mut self, now: Instant, descriptor: Descriptor, len: usize) -> Outcome {
        let Self { endpoint, sockets, .. } = self;
        let Some(Socket::Connected(connection)) = sockets.get_mut(&descriptor) else {
            return Outcome::Failed("ENOTCONN");
        };
        if connection.inbox.is_empty() {
            let mut buf = vec![0; BUFFER_LEN];
            let message = endpoint.recv(now, connection.handle, &mut buf);
            connection.inbox.extend(message.map(|message| message.len));
        }
        if let Some(left) = connection.inbox.front_mut() {
            let taken = len.min(*left);
            *left -= taken;
            if *left == 0 {
                connection.inbox.pop_front();
            }
            return Outcome::Done(taken as i64);
        }
        let state = endpoint.status(connection.handle).map(|status| status.state);
        match connection.ended {
            Some(true) => Outcome::Done(0),
            Some(false) => Outcome::Failed(connection.error.take().unwrap_or("ENOTCONN")),
            // The peer has said that it will send no more.
            None if matches!(state, Some(State::ShutdownReceived | State::ShutdownAckSent)) => {
                Outcome::Done(0)
            }
            None => Outcome::Failed("EAGAIN"),
        }
    }

    pub(crate) fn write(&mut self, now: Instant, descriptor: Descriptor, len: usize) -> Outcome {
        let Some(Socket::Connected(connection)) = self.sockets.get(&descriptor) else {
            return Outcome::Failed("ENOTCONN");
        };
        let message = vec![0; len];
        match self.endpoint.send(now, connection.handle, StreamId(0), Ppid(0), false, &message) {
            Ok(()) => Outcome::Done(len as i64),
            Err(SendError::Full) => Outcome::Failed("EAGAIN"),
            Err(SendError::TooLong) => Outcome::Failed("EMSGSIZE"),
            Err(SendError::Closed) => Outcome::Failed("EPIPE"),
            Err(_) => Outcome::Failed("EINVAL"),
        }
    }

    pub(crate) fn shutdown(&mut self, now: Instant, descriptor: Descriptor) -> Outcome {
        match self.sockets.get(&descriptor) {
            Some(Socket::Connected(connection)) => {
                match self.endpoint.shutdown(now, connection.handle) {
                    Ok(()) => Outcome::Done(0),
                    Err(_) => Outcome::Failed("ENOTCONN"),
                }
            }
            _ => Outcome::Failed("ENOTCONN"),
        }
    }

    pub(crate) fn abort(&mut self, now: Instant, descriptor: Descriptor) -> Outcome {
        match self.sockets.get(&descriptor) {
            Some(Socket::Connected(connection)) => {
                match self.endpoint.abort(now, connection.handle) {
                    Ok(()) => Outcome::Done(0),
                    Err(_) => Outcome::Failed("ENOTCONN"),
                }
            }
            _ => Outcome::Failed("ENOTCONN"),
        }
    }

    /// Ends an association gracefully; one that is not up yet is dropped.
    pub(crate) fn close(&mut self, now: Instant, descriptor: Descriptor) -> Outcome {
        match self.sockets.remove(&descriptor) {
            None => return Outcome::Failed("EBADF"),
            Some(Socket::Fresh) => {}
            Some(Socket::Listening) => self.endpoint.unlisten(LOCAL_PORT),
            Some(Socket::Connected(connection)) => {
                let _ = match connection.is_up {
                    true => self.endpoint.shutdown(now, connection.handle),
                    false => self.endpoint.abort(now, connection.handle),
                };
            }
        }
        Outcome::Done(0)
    }

    /// The pending error, which is then no longer pending.
    pub(crate) fn take_error(&mut self, descriptor: Descriptor) -> Option<&'static str> {
        match self.sockets.get_mut(&descriptor) {
            Some(Socket::Connected(connection)) => connection.error.take(),
            _ => None,
        }
    }

    pub(crate) fn status(&self, descriptor: Descriptor) -> Option<Status> {
        match self.sockets.get(&descriptor) {
            Some(Socket::Connected(connection)) => self.endpoint.status(connection.handle),
            _ => None,
        }
    }

    pub(crate) fn is_open(&self, descriptor: Descriptor) -> bool {
        self.sockets.contains_key(&descriptor)
    }
}
