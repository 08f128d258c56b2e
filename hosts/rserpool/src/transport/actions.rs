//! What machines want of the transport: attempts, messages, ends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::association::{AssociationId, ConnectId, Endpoint, Ppid, StreamId};
use rserpool_core::sctp::SendError;

use super::Action;
use super::driver::Driver;
use super::inbox::OwnedInput;
use super::tables::{Attempt, AttemptId, Link, Outgoing};

impl Driver {
    pub(super) fn act(&mut self, port: u16, action: Action) {
        match action {
            Action::Connect { connect, endpoint } => self.connect(port, connect, endpoint),
            Action::CancelConnect { connect } => {
                if let Some(attempt) = self.attempts.remove((port, connect)) {
                    self.abort_links(&attempt.links);
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
        let mut attempt = Attempt::new(endpoint, now);
        if self.userland.is_none() {
            attempt.next_index = attempt.endpoint.addresses.len();
        }
        // Who names a UDP port means the SCTP that is there.
        let is_for_kernel = attempt.endpoint.udp_port.is_none() || self.userland.is_none();
        if self.kernel.is_some() && is_for_kernel {
            attempt.plan_kernel();
        }
        self.attempts.insert(id, attempt);
        if self.try_kernel(id) {
            self.attempts.postpone(id, now + KERNEL_HEAD_START);
        } else {
            self.try_next_address(id);
        }
    }

    /// Lets the kernel try what is next; whether it does.
    fn try_kernel(&mut self, id: AttemptId) -> bool {
        let Some(kernel) = &mut self.kernel else { return false };
        while let Some(attempt) = self.attempts.get_mut(id) {
            let Some(addresses) = attempt.kernel_plan.pop_front() else { return false };
            if let Some(link) = kernel.connect(id.0, &addresses, attempt.endpoint.udp_port) {
                self.attempts.add_link(id, Link::Kernel(link));
                return true;
            }
        }
        false
    }

    /// Tries the next address that can be tried; without any left or running it has failed.
    pub(super) fn try_next_address(&mut self, id: AttemptId) {
        let (port, connect) = id;
        let now = self.clock.now();
        while let Some(attempt) = self.attempts.get_mut(id) {
            let Some(&address) = attempt.endpoint.addresses.get(attempt.next_index) else {
                if attempt.links.is_empty() {
                    self.attempts.remove(id);
                    self.tell(port, OwnedInput::ConnectFailed { connect });
                }
                return;
            };
            attempt.next_index += 1;
            attempt.next_at = now + ADDRESS_STAGGER;
            let remote = SocketAddr::new(address, attempt.endpoint.port);
            let pinned = attempt.endpoint.udp_port;
            let Some(userland) = &mut self.userland else { continue };
            if let Some(handle) = userland.connect(port, remote, pinned) {
                self.attempts.add_link(id, Link::Userland(handle));
                return;
            }
        }
    }

    pub(super) fn on_up(
        &mut self,
        link: Link,
        passive: bool,
        local_port: u16,
        (peer_addresses, peer_port): (Vec<IpAddr>, u16),
    ) {
        let attempt = self.attempts.id(link);
        if let Some(id) = attempt
            && let Some(attempt) = self.attempts.remove(id)
        {
            let others: Vec<_> =
                attempt.links.into_iter().filter(|&other| other != link).collect();
            self.abort_links(&others);
        }
        let has_room = self.associations.len() < self.association_count_max;
        let is_wanted = (passive && has_room) || attempt.is_some();
        if !is_wanted || !self.ports.contains_key(&local_port) {
            // The machine gave it up at the same moment, or there are too many already.
            self.abort_links(&[link]);
            return;
        }
        let association = self.associations.insert(link, local_port);
        tracing::debug!(id = ?association, ?link, ?peer_addresses, peer_port, passive, "up");
        let up = OwnedInput::Up {
            association,
            connect: attempt.map(|(_, connect)| connect),
            peer_addresses,
            peer_port,
        };
        self.tell(local_port, up);
    }

    /// A handshake came to nothing.
    pub(super) fn on_attempt_failed(&mut self, link: Link) {
        let Some(id) = self.attempts.remove_link(link) else { return };
        match link {
            Link::Kernel(_) => {
                self.try_kernel(id);
            }
            Link::Userland(_) => {
                if let (Some(attempt), Some(userland)) =
                    (self.attempts.get_mut(id), &mut self.userland)
                {
                    let port = attempt.endpoint.port;
                    for &address in &attempt.endpoint.addresses {
                        userland.forget(SocketAddr::new(address, port));
                    }
                }
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
        let link = association.link;
        while let Some(message) = association.outbox.front() {
            let sent = match (link, &mut self.userland, &mut self.kernel) {
                (Link::Userland(handle), Some(userland), _) => userland.send(handle, message),
                (Link::Kernel(link), _, Some(kernel)) => {
                    kernel.send(now, link, message).map_err(|error| send_error(&error))
                }
                _ => Err(SendError::Closed),
            };
            match sent {
                Ok(()) => {}
                Err(SendError::Full) => return,
                // The end of the association is on its way to the machine.
                Err(SendError::Closed) => {}
                Err(error) => {
                    tracing::warn!(?id, %error, len = message.data.len(), "message dropped");
                }
            }
            association.outbox_len -= message.data.len();
            association.outbox.pop_front();
        }
        if association.is_leaving {
            match (link, &mut self.userland, &self.kernel) {
                (Link::Userland(handle), Some(userland), _) => {
                    let _ = userland.shut_down(handle);
                }
                (Link::Kernel(link), _, Some(kernel)) => kernel.shut_down(link),
                _ => {}
            }
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
            let link = association.link;
            self.abort_links(&[link]);
        }
    }

    pub(super) fn abort_links(&mut self, links: &[Link]) {
        for &link in links {
            match (link, &mut self.userland, &self.kernel) {
                (Link::Userland(handle), Some(userland), _) => userland.abort(handle),
                (Link::Kernel(link), _, Some(kernel)) => kernel.abort(link),
                _ => {}
            }
        }
    }

    /// Gives up the attempts of a port, or of all, and shuts their associations down.
    pub(super) fn leave(&mut self, port: Option<u16>) {
        for id in self.attempts.ids_of(port) {
            if let Some(attempt) = self.attempts.remove(id) {
                self.abort_links(&attempt.links);
            }
        }
        let is_meant = |it: u16| port.is_none_or(|port| it == port);
        for id in self.associations.ids_where(|association| is_meant(association.port)) {
            self.shut_down(id);
        }
    }
}

/// What an error of the kernel means for a message.
fn send_error(error: &io::Error) -> SendError {
    match (error.kind(), error.raw_os_error().map(nix::errno::Errno::from_raw)) {
        (io::ErrorKind::WouldBlock, _) => SendError::Full,
        (_, Some(nix::errno::Errno::EMSGSIZE)) => SendError::TooLong,
        (_, Some(nix::errno::Errno::EINVAL)) => SendError::NoSuchStream,
        _ => SendError::Closed,
    }
}

/// How much sooner than our own SCTP the kernel's tries to reach a peer that may have either.
const KERNEL_HEAD_START: Duration = Duration::from_millis(50);

/// How much later than the address before it an address is tried.
const ADDRESS_STAGGER: Duration = Duration::from_millis(250);

/// Bytes that may wait for an association beyond what its send buffer holds.
const OUTBOX_LEN_MAX: usize = 16 << 20;
