//! Associations and attempts of a node, and the way that their packets take.

use core::net::{IpAddr, SocketAddr};

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Input, Transmit,
};
use rserpool_core::machine::Machine;
use rserpool_core::sctp::lanes::{
    Race, Verdict, ends_handshake, is_init, ports_of, usual_udp_ports,
};
use rserpool_core::sctp::{Connect, ConnectError, Datagram, Handle, Packet, UdpPorts};
use rserpool_core::time::Instant;

use super::{ASSOCIATIONS, LinkState, Node};

/// An association that is up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) handle: Handle,
    pub(super) id: AssociationId,
    pub(super) role: Role,
    remote: SocketAddr,
    /// The UDP lane that won the race for it, if there was one.
    lane: Option<u16>,
}

/// Whose an association is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The pool element's: a registrar.
    Registrar,
    /// The worker's: a job runner.
    User,
}

/// An attempt to reach a registrar.
#[derive(Debug)]
pub(super) struct Attempt {
    connect: ConnectId,
    remote: SocketAddr,
    /// None as long as there is no room for another association.
    handle: Option<Handle>,
    pub(super) race: Race,
}

/// Associations with registrars: the home and one that is to become it.
const REGISTRARS_MAX: usize = ASSOCIATIONS - 1;

impl Node<'_> {
    /// Does what the pool element wants.
    pub(super) fn perform(&mut self, now: Instant, transmit: Transmit, buf: &[u8]) {
        match transmit {
            Transmit::Connect { connect, endpoint } => self.connect(now, connect, &endpoint),
            Transmit::CancelConnect { connect } => {
                let is_meant = |attempt: &Attempt| attempt.connect == connect;
                if let Some(place) = self.attempts.iter().position(is_meant) {
                    self.drop_attempt(now, place);
                }
            }
            Transmit::Message { association, stream, ppid, len } => {
                if let (Some(handle), Some(data)) = (self.handle(association), buf.get(..len)) {
                    // Who has no room for so little does not listen; ASAP says it again.
                    let _ = self.endpoint.send(now, handle, stream, ppid, false, data);
                }
            }
            Transmit::Shutdown { association } => {
                if let Some(handle) = self.handle(association) {
                    let _ = self.endpoint.shutdown(now, handle);
                }
            }
            Transmit::Abort { association } => {
                if let Some(handle) = self.handle(association) {
                    let _ = self.endpoint.abort(now, handle);
                }
            }
            // Multicast is for registrars.
            _ => {}
        }
    }

    fn handle(&self, association: AssociationId) -> Option<Handle> {
        self.links.iter().find(|link| link.id == association).map(|link| link.handle)
    }

    /// Notes an attempt. A registrar with several addresses is tried at another one each time.
    fn connect(&mut self, now: Instant, connect: ConnectId, endpoint: &Endpoint) {
        let is_ours = match self.link {
            LinkState::Up(own) | LinkState::Missed { address: own, .. } => {
                move |address: &&IpAddr| address.is_ipv4() == own.is_ipv4()
            }
            LinkState::Down => return self.fail(now, connect),
        };
        let usable_count = endpoint.addresses.iter().filter(is_ours).count().max(1);
        let turn = connect.0 as usize % usable_count;
        let Some(&address) = endpoint.addresses.iter().filter(is_ours).nth(turn) else {
            return self.fail(now, connect);
        };
        let remote = SocketAddr::new(address, endpoint.port);
        let usual = usual_udp_ports(endpoint.port);
        let ports = endpoint.udp_port.as_ref().map_or(&usual[..], core::slice::from_ref);
        let race = Race::new(now, ports);
        let attempt = Attempt { connect, remote, handle: None, race };
        if self.attempts.push(attempt).is_err() {
            self.fail(now, connect);
        }
    }

    fn fail(&mut self, now: Instant, connect: ConnectId) {
        let _ = self.element.handle_input(now, Input::ConnectFailed { connect });
    }

    /// Begins handshakes, as far as there is room; true if anything changed.
    pub(super) fn start_attempts(&mut self, now: Instant) -> bool {
        let mut has_changed = false;
        let mut place = 0;
        while place < self.attempts.len() {
            let registrars = |link: &&super::Link| link.role == Role::Registrar;
            let under_way = self.attempts.iter().filter(|attempt| attempt.handle.is_some());
            let used = self.links.iter().filter(registrars).count() + under_way.count();
            let attempt = &mut self.attempts[place];
            place += 1;
            if attempt.handle.is_some() || used >= REGISTRARS_MAX {
                continue;
            }
            let lane = attempt.race.first();
            let udp = self.ports.udp.map(|local| UdpPorts { local, remote: lane });
            let connect = Connect { local_port: self.ports.asap, remote: attempt.remote, udp };
            match self.endpoint.connect(now, connect) {
                Ok(handle) => attempt.handle = Some(handle),
                // A user has the room for now.
                Err(ConnectError::Full) => continue,
                Err(_) => {
                    place -= 1;
                    let connect = self.attempts.swap_remove(place).connect;
                    self.fail(now, connect);
                }
            }
            has_changed = true;
        }
        has_changed
    }

    fn drop_attempt(&mut self, now: Instant, place: usize) {
        if let Some(handle) = self.attempts.swap_remove(place).handle {
            let _ = self.endpoint.abort(now, handle);
        }
    }

    /// Ends all associations and attempts at once.
    pub(super) fn abort_all(&mut self, now: Instant) {
        for _ in 0..self.attempts.len() {
            self.drop_attempt(now, 0);
        }
        for link in &self.links {
            let _ = self.endpoint.abort(now, link.handle);
        }
    }

    /// An association is up: whose is it?
    pub(super) fn on_up(
        &mut self,
        now: Instant,
        handle: Handle,
        local_port: u16,
        remote: SocketAddr,
        passive: bool,
    ) {
        let is_meant = |attempt: &Attempt| attempt.handle == Some(handle);
        let attempt = self.attempts.iter().position(is_meant);
        let attempt = attempt.map(|place| self.attempts.swap_remove(place));
        let role = if local_port == self.ports.service { Role::User } else { Role::Registrar };
        self.last_association = self.last_association.wrapping_add(1);
        let id = AssociationId(self.last_association);
        let lane = attempt.as_ref().and_then(|attempt| attempt.race.winner());
        let link = Link { handle, id, role, remote, lane };
        if (!passive && attempt.is_none()) || self.links.push(link).is_err() {
            // Given up at the same moment.
            let _ = self.endpoint.abort(now, handle);
            return;
        }
        let up = Input::Up {
            association: id,
            connect: attempt.map(|attempt| attempt.connect),
            peer_addresses: &[remote.ip()],
            peer_port: remote.port(),
        };
        self.inform(now, role, up);
    }

    /// An association is gone, or an attempt came to nothing.
    pub(super) fn on_down(&mut self, now: Instant, handle: Handle, reason: DownReason) {
        if let Some(place) = self.links.iter().position(|link| link.handle == handle) {
            let Link { id, role, .. } = self.links.swap_remove(place);
            self.inform(now, role, Input::Down { association: id, reason });
        }
        let is_meant = |attempt: &Attempt| attempt.handle == Some(handle);
        if let Some(place) = self.attempts.iter().position(is_meant) {
            let connect = self.attempts.swap_remove(place).connect;
            self.fail(now, connect);
        }
    }

    /// Tells the machine whose association it is.
    pub(super) fn inform(&mut self, now: Instant, role: Role, input: Input<'_>) {
        match role {
            // What they refuse they answer themselves.
            Role::Registrar => {
                let _ = self.element.handle_input(now, input);
            }
            Role::User => {
                let _ = self.worker.handle_input(now, input);
                self.wants_work = true;
            }
        }
    }

    /// Whether a packet comes by a lane that has lost, or only ends its lane.
    pub(super) fn is_from_a_loser(&mut self, now: Instant, datagram: &Datagram<'_>) -> bool {
        let (Some(udp), Some((remote_port, local_port))) =
            (datagram.udp, ports_of(datagram.payload))
        else {
            return false;
        };
        if local_port != self.ports.asap {
            return false;
        }
        let remote = SocketAddr::new(datagram.remote, remote_port);
        let is_meant = |attempt: &&mut Attempt| attempt.remote == remote;
        if let Some(attempt) = self.attempts.iter_mut().find(is_meant) {
            return attempt.race.on_packet(now, udp.remote, datagram.payload) == Verdict::Swallow;
        }
        let link = self.links.iter().find(|link| link.remote == remote);
        let lane = link.and_then(|link| link.lane);
        lane.is_some_and(|lane| lane != udp.remote) && ends_handshake(datagram.payload)
    }

    /// The next packet: an INIT that is owed to another lane, or what the endpoint has.
    pub(super) fn next_datagram(&mut self, now: Instant, buf: &mut [u8]) -> Option<Packet> {
        if let Some(packet) = self.next_init(buf) {
            return Some(packet);
        }
        let packet = self.endpoint.poll_transmit(now, buf)?;
        let bytes = buf.get(..packet.len)?;
        if packet.udp.is_some()
            && is_init(bytes)
            && let Some((local_port, remote_port)) = ports_of(bytes)
            && local_port == self.ports.asap
            && let remote = SocketAddr::new(packet.remote, remote_port)
            && let Some(attempt) = self.attempts.iter_mut().find(|it| it.remote == remote)
            && attempt.race.on_init(now, bytes)
        {
            return self.next_init(buf);
        }
        Some(packet)
    }

    fn next_init(&mut self, buf: &mut [u8]) -> Option<Packet> {
        let local = self.ports.udp?;
        for attempt in &mut self.attempts {
            let Some((remote, init)) = attempt.race.next_owed() else { continue };
            buf.get_mut(..init.len())?.copy_from_slice(init);
            let (len, udp) = (init.len(), Some(UdpPorts { local, remote }));
            let remote = attempt.remote.ip();
            return Some(Packet { local: None, remote, udp, len, may_fragment: true });
        }
        None
    }
}
