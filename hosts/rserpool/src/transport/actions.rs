//! What machines want of the transport: attempts, messages, ends.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::association::{AssociationId, ConnectId, Endpoint, Ppid, StreamId};
use rserpool_core::sctp::{Connect, Handle, SendError, UdpPorts};

use super::Action;
use super::driver::Driver;
use super::inbox::OwnedInput;
use super::race::{Race, RaceKey, SCTP_UDP_PORT, fallback_udp_port};
use super::tables::{Attempt, AttemptId, Outgoing};

impl Driver {
    pub(super) fn act(&mut self, port: u16, action: Action) {
        match action {
            Action::Connect { connect, endpoint } => self.connect(port, connect, endpoint),
            Action::CancelConnect { connect } => {
                if let Some(attempt) = self.attempts.remove((port, connect)) {
                    self.abort_handles(&attempt.handles);
                }
            }
            Action::Message { association, stream, ppid, data } => {
                self.send_message(association, stream, ppid, data);
            }
            Action::Shutdown { association } => self.shut_down(association),
            Action::Abort { association } => self.abort(association),
        }
    }

    fn connect(&mut self, port: u16, connect: ConnectId, endpoint: Endpoint) {
        let now = self.clock.now();
        let id = (port, connect);
        let attempt = Attempt { endpoint, next_index: 0, next_at: now, handles: Vec::new() };
        self.attempts.insert(id, attempt);
        self.try_next_address(id);
    }

    /// Tries the next address that can be tried; without any left or running it has failed.
    pub(super) fn try_next_address(&mut self, id: AttemptId) {
        let (port, connect) = id;
        let now = self.clock.now();
        while let Some(attempt) = self.attempts.get_mut(id) {
            let Some(&address) = attempt.endpoint.addresses.get(attempt.next_index) else {
                if attempt.handles.is_empty() {
                    self.attempts.remove(id);
                    self.tell(port, OwnedInput::ConnectFailed { connect });
                }
                return;
            };
            attempt.next_index += 1;
            attempt.next_at = now + ADDRESS_STAGGER;
            let remote = SocketAddr::new(address, attempt.endpoint.port);
            let pinned = attempt.endpoint.udp_port;
            if let Some(handle) = self.start(port, remote, pinned) {
                self.attempts.add_handle(id, handle);
                return;
            }
        }
    }

    /// Begins a handshake with one address, on all lanes where the peer may be.
    fn start(&mut self, port: u16, remote: SocketAddr, pinned: Option<u16>) -> Option<Handle> {
        let now = self.clock.now();
        let local_udp_port = self.ports.get(&port)?.lane.udp_port;
        let lanes = self.lanes_to(remote, pinned);
        let first = *lanes.first()?;
        let udp = Some(UdpPorts { local: local_udp_port, remote: first });
        let connected = self.endpoint.connect(now, Connect { local_port: port, remote, udp });
        let handle = connected
            .inspect_err(|error| tracing::debug!(%remote, %error, "cannot connect"))
            .ok()?;
        let key = RaceKey { remote: remote.ip(), local_port: port, remote_port: remote.port() };
        self.races.insert(key, Race::new(now, &lanes));
        self.race_of.insert(handle, key);
        Some(handle)
    }

    /// The UDP ports where `remote` may be reached, the most likely one first.
    fn lanes_to(&self, remote: SocketAddr, pinned: Option<u16>) -> Vec<u16> {
        if let Some(pinned) = pinned {
            return vec![pinned];
        }
        let remembered = self.remembered.get(&remote).copied();
        let usual = [SCTP_UDP_PORT, fallback_udp_port(remote.port())];
        let others = usual.into_iter().filter(|&lane| Some(lane) != remembered);
        let mut lanes: Vec<u16> = remembered.into_iter().chain(others).collect();
        lanes.dedup();
        lanes
    }

    pub(super) fn on_up(
        &mut self,
        handle: Handle,
        passive: bool,
        local_port: u16,
        remote: SocketAddr,
    ) {
        let attempt = self.attempts.id(handle);
        if let Some(id) = attempt
            && let Some(attempt) = self.attempts.remove(id)
        {
            let others: Vec<_> =
                attempt.handles.into_iter().filter(|&other| other != handle).collect();
            self.abort_handles(&others);
        }
        let is_wanted = passive || attempt.is_some();
        if !is_wanted || !self.ports.contains_key(&local_port) {
            // The machine gave it up at the same moment.
            self.abort_handles(&[handle]);
            return;
        }
        let association = self.associations.insert(handle, local_port);
        tracing::debug!(id = ?association, %remote, passive, "association up");
        let up = OwnedInput::Up {
            association,
            connect: attempt.map(|(_, connect)| connect),
            peer_addresses: vec![remote.ip()],
            peer_port: remote.port(),
        };
        self.tell(local_port, up);
    }

    /// A handshake came to nothing.
    pub(super) fn on_attempt_failed(&mut self, handle: Handle) {
        let Some(id) = self.attempts.remove_handle(handle) else { return };
        if let Some(attempt) = self.attempts.get_mut(id) {
            // A lane that worked once may not be the peer's any more.
            let port = attempt.endpoint.port;
            for &address in &attempt.endpoint.addresses {
                self.remembered.remove(&SocketAddr::new(address, port));
            }
        }
        self.try_next_address(id);
    }

    fn send_message(&mut self, id: AssociationId, stream: StreamId, ppid: Ppid, data: Vec<u8>) {
        let Some(association) = self.associations.get_mut(id) else { return };
        association.outbox_len += data.len();
        association.outbox.push_back(Outgoing { stream, ppid, data });
        if association.outbox_len > OUTBOX_LEN_MAX {
            tracing::warn!(?id, "the peer does not read what it is sent: association aborted");
            self.abort(id);
            return;
        }
        self.flush(id);
    }

    /// Sends what waits in the outbox, as long as there is room.
    pub(super) fn flush(&mut self, id: AssociationId) {
        let now = self.clock.now();
        let Some(association) = self.associations.get_mut(id) else { return };
        let handle = association.handle;
        while let Some(Outgoing { stream, ppid, data }) = association.outbox.front() {
            match self.endpoint.send(now, handle, *stream, *ppid, false, data) {
                Ok(()) => {}
                Err(SendError::Full) => return,
                // The end of the association is on its way to the machine.
                Err(SendError::Closed) => {}
                Err(error) => {
                    tracing::warn!(?id, %error, len = data.len(), "message dropped");
                }
            }
            association.outbox_len -= data.len();
            association.outbox.pop_front();
        }
        if association.is_leaving {
            let _ = self.endpoint.shutdown(now, handle);
        }
    }

    fn shut_down(&mut self, id: AssociationId) {
        if let Some(association) = self.associations.get_mut(id) {
            association.is_leaving = true;
            self.flush(id);
        }
    }

    pub(super) fn abort(&mut self, id: AssociationId) {
        if let Some(association) = self.associations.get_mut(id) {
            let handle = association.handle;
            self.abort_handles(&[handle]);
        }
    }

    fn abort_handles(&mut self, handles: &[Handle]) {
        let now = self.clock.now();
        for &handle in handles {
            let _ = self.endpoint.abort(now, handle);
        }
    }

    /// Gives up the attempts of a port, or of all, and shuts their associations down.
    pub(super) fn leave(&mut self, port: Option<u16>) {
        for id in self.attempts.ids_of(port) {
            if let Some(attempt) = self.attempts.remove(id) {
                self.abort_handles(&attempt.handles);
            }
        }
        let is_meant = |it: u16| port.is_none_or(|port| it == port);
        for id in self.associations.ids_where(|association| is_meant(association.port)) {
            self.shut_down(id);
        }
    }
}

/// How much later than the address before it an address is tried.
const ADDRESS_STAGGER: Duration = Duration::from_millis(250);

/// Bytes that may wait for an association beyond what its send buffer holds.
const OUTBOX_LEN_MAX: usize = 16 << 20;
