//! The switch: frames of boards on one side, UDP datagrams of real processes on the other.
//!
//! It owns no socket and looks at no clock: sockets are an [`Outside`] that the caller lends, and
//! time is what the caller says. Boards keep their addresses on both sides, so nothing is
//! translated but the way in which SCTP travels.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rserpool_core::entropy::SplitMix64;
use rserpool_core::sctp::UDP_PORT as SCTP_UDP_PORT;
use rserpool_core::sctp::lanes::{fallback_udp_port, ports_of};
use rserpool_core::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::addresses::{self, Addresses};
use crate::dhcp::{self, Lease, Outcome};
use crate::frame::{self, Frame, Payload, ip_payload_len_max};
use crate::impairment::Impairment;
use crate::lanes::{Flow, FlowKey, Lanes};
use crate::neighbours;

/// A board, numbered by the switch; no number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardId(pub(crate) u32);

/// A UDP socket of a board, numbered by the [`Outside`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketId(pub(crate) u32);

/// What the switch needs of the world.
pub(crate) trait Outside {
    /// Binds a UDP socket; `None` if somebody has the address. Port 0 takes a free one.
    fn bind(&mut self, address: SocketAddr) -> Option<SocketId>;
    /// The port that a socket has.
    fn port_of(&self, socket: SocketId) -> Option<u16>;
    /// Closes a socket.
    fn unbind(&mut self, socket: SocketId);
    /// Sends a datagram.
    fn send(&mut self, socket: SocketId, to: SocketAddr, data: &[u8]);
    /// Puts a frame on a board's link; `false` if the link has no room.
    fn deliver(&mut self, board: BoardId, frame: &[u8]) -> bool;
}

/// What a link has seen so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames that the board sent.
    pub sent: u64,
    /// Frames that were put on the link to the board.
    pub delivered: u64,
    /// Frames that an [`Impairment`] took away, in either direction.
    pub dropped: u64,
    /// Frames that the link had no room for.
    pub overrun: u64,
    /// Datagrams that are too long for a frame.
    pub oversize: u64,
    /// Addresses that the board's processes should have, but others hold.
    pub refused_binds: u64,
    /// Leases that the board was given by DHCP.
    pub leases: u64,
    /// How often it renewed one.
    pub lease_renewals: u64,
    /// How often it was told that it must not use an address.
    pub lease_refusals: u64,
}

/// The switch and what it knows of its boards.
#[derive(Debug)]
pub(crate) struct Switch {
    boards: BTreeMap<BoardId, Board>,
    next_board: u32,
    random: SplitMix64,
    /// Frames under way, by arrival and then by sending.
    under_way: BTreeMap<(Instant, u64), Hop>,
    next_hop: u64,
    lease_duration: Duration,
}

#[derive(Debug)]
struct Board {
    addresses: Addresses,
    lease: Lease,
    impairment: Impairment,
    /// Frames that vanished in a row: to the board, and from it.
    drops_in_a_row: [u16; 2],
    counters: Counters,
    /// Whether its SCTP travels right above IP, as far as was seen.
    is_raw: bool,
    /// The UDP port on which it speaks SCTP.
    sctp_udp_port: u16,
    lanes: Lanes<SocketId>,
    sockets: Vec<Socket>,
}

/// A UDP socket on a board's address.
#[derive(Clone, Copy, Debug)]
struct Socket {
    id: SocketId,
    /// The board's, as processes see it.
    address: IpAddr,
    /// The number that was asked for; where it was taken, the socket has another one.
    port: u16,
    /// Whether it carries SCTP.
    is_sctp: bool,
}

/// A frame on its way.
#[derive(Debug)]
struct Hop {
    board: BoardId,
    /// From the board, or to it.
    is_up: bool,
    frame: Vec<u8>,
}

impl Switch {
    /// A switch whose impairments follow `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            boards: BTreeMap::new(),
            next_board: 0,
            random: SplitMix64::new(seed),
            under_way: BTreeMap::new(),
            next_hop: 0,
            lease_duration: dhcp::LEASE_DURATION,
        }
    }

    /// From now on leases are given for that long.
    pub(crate) fn set_lease_duration(&mut self, duration: Duration) {
        self.lease_duration = duration;
    }

    /// Adds a board, and binds the sockets of its address.
    pub(crate) fn add(
        &mut self,
        address: Ipv4Addr,
        mac: EthernetAddress,
        out: &mut impl Outside,
    ) -> BoardId {
        let id = BoardId(self.next_board);
        self.next_board += 1;
        let mut board = Board {
            addresses: Addresses { mac, v4: address },
            lease: Lease::new(mac, address),
            impairment: Impairment::NONE,
            drops_in_a_row: [0; 2],
            counters: Counters::default(),
            is_raw: false,
            sctp_udp_port: SCTP_UDP_PORT,
            lanes: Lanes::new(),
            sockets: Vec::new(),
        };
        board.socket(address.into(), SCTP_UDP_PORT, true, out);
        self.boards.insert(id, board);
        id
    }

    /// Removes a board; whoever talks to it finds its ports closed.
    pub(crate) fn remove(&mut self, board: BoardId, out: &mut impl Outside) {
        for socket in self.boards.remove(&board).into_iter().flat_map(|board| board.sockets) {
            out.unbind(socket.id);
        }
    }

    /// Finds a port at `::1` at which processes reach the board's SCTP port of the same number.
    pub(crate) fn open_lane(&mut self, board: BoardId, out: &mut impl Outside) -> Option<u16> {
        let board = self.boards.get_mut(&board)?;
        let address = Ipv6Addr::LOCALHOST.into();
        let id = out.bind(SocketAddr::new(address, 0))?;
        let port = out.port_of(id)?;
        board.keep(Socket { id, address, port, is_sctp: true }, out);
        Some(port)
    }

    /// Makes a board's link worse, or better.
    pub(crate) fn impair(&mut self, board: BoardId, impairment: Impairment) {
        if let Some(board) = self.boards.get_mut(&board) {
            board.impairment = impairment;
        }
    }

    /// What a board's link has seen.
    pub(crate) fn counters(&self, board: BoardId) -> Counters {
        self.boards.get(&board).map_or_else(Counters::default, |board| board.counters)
    }

    /// Puts a frame on a board's link as it is, whatever the link's impairment.
    pub(crate) fn inject(&mut self, board: BoardId, frame: &[u8], out: &mut impl Outside) -> bool {
        let Some(known) = self.boards.get_mut(&board) else { return false };
        let is_taken = out.deliver(board, frame);
        known.counters.delivered += u64::from(is_taken);
        is_taken
    }

    /// A board sent a frame.
    pub(crate) fn handle_frame(
        &mut self,
        now: Instant,
        board: BoardId,
        frame: &[u8],
        out: &mut impl Outside,
    ) {
        let Some(known) = self.boards.get_mut(&board) else { return };
        known.counters.sent += 1;
        self.travel(now, Hop { board, is_up: true, frame: frame.to_vec() }, out);
    }

    /// A datagram came to a board's socket.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        socket: SocketId,
        from: SocketAddr,
        data: &[u8],
        out: &mut impl Outside,
    ) {
        let owner = self.boards.iter_mut().find_map(|(&id, board)| {
            let socket = *board.sockets.iter().find(|known| known.id == socket)?;
            Some((id, board, socket))
        });
        let Some((id, board, socket)) = owner else { return };
        let from = SocketAddr::new(addresses::inside(from.ip()), from.port());
        if let Some(frame) = board.frame_of(socket, from, data) {
            self.travel(now, Hop { board: id, is_up: false, frame }, out);
        }
    }

    /// A datagram came to a multicast group that boards may listen to.
    pub(crate) fn handle_multicast(
        &mut self,
        now: Instant,
        from: SocketAddr,
        group: SocketAddr,
        data: &[u8],
        out: &mut impl Outside,
    ) {
        // What a board says, the others have heard from the switch itself.
        let is_echo = self.is_boards(from.ip());
        if is_echo || data.len() + UDP_LEN > ip_payload_len_max(group.ip()) {
            return;
        }
        let from = SocketAddr::new(addresses::inside(from.ip()), from.port());
        let frame = frame::udp((GATEWAY, frame::multicast_mac(group.ip())), from, group, data);
        for board in self.ids() {
            self.travel(now, Hop { board, is_up: false, frame: frame.clone() }, out);
        }
    }

    /// When the next frame arrives.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|&(at, _)| at)
    }

    /// Lets the frames arrive that are due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, out: &mut impl Outside) {
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let hop = entry.remove();
            self.arrive(now, &hop, out);
        }
    }

    fn ids(&self) -> Vec<BoardId> {
        self.boards.keys().copied().collect()
    }

    /// Lets a frame travel a board's link.
    fn travel(&mut self, now: Instant, hop: Hop, out: &mut impl Outside) {
        let Some(board) = self.boards.get_mut(&hop.board) else { return };
        let drops_in_a_row = &mut board.drops_in_a_row[usize::from(hop.is_up)];
        let arrivals = board.impairment.arrivals(now, drops_in_a_row, &mut self.random);
        let arrivals: Vec<Instant> = arrivals.collect();
        board.counters.dropped += u64::from(arrivals.is_empty());
        for at in arrivals {
            // What is late must not be overtaken by accident.
            if at <= now && !self.is_any_due_before(at) {
                self.arrive(now, &hop, out);
            } else {
                let copy = Hop { frame: hop.frame.clone(), ..hop };
                self.under_way.insert((at, self.next_hop), copy);
                self.next_hop += 1;
            }
        }
    }

    fn is_any_due_before(&self, at: Instant) -> bool {
        self.poll_timeout().is_some_and(|due| due <= at)
    }

    fn arrive(&mut self, now: Instant, hop: &Hop, out: &mut impl Outside) {
        if hop.is_up {
            self.forward(now, hop.board, &hop.frame, out);
            return;
        }
        let Some(board) = self.boards.get_mut(&hop.board) else { return };
        match out.deliver(hop.board, &hop.frame) {
            true => board.counters.delivered += 1,
            false => board.counters.overrun += 1,
        }
    }

    /// A board's frame has reached the switch.
    fn forward(&mut self, now: Instant, from: BoardId, bytes: &[u8], out: &mut impl Outside) {
        let Some(frame) = Frame::parse(bytes) else { return };
        let to = frame.destination;
        for id in self.ids() {
            let is_for_it = self.boards.get(&id).is_some_and(|board| board.addresses.mac == to);
            if id != from && (is_for_it || !to.is_unicast()) {
                self.travel(now, Hop { board: id, is_up: false, frame: bytes.to_vec() }, out);
            }
        }
        if to.is_unicast() && to != GATEWAY {
            return;
        }
        match frame.payload {
            Payload::ArpRequest { sender, target } => {
                self.answer_arp(now, from, (frame.source, sender), target, out);
            }
            Payload::NeighborSolicit { sender, target } => {
                self.answer_solicit(now, from, (frame.source, sender), target, out);
            }
            Payload::RouterSolicit { sender } => {
                let frame = neighbours::router((frame.source, sender));
                self.travel(now, Hop { board: from, is_up: false, frame }, out);
            }
            Payload::Udp { from: source, to, data } if dhcp::is_for_server(source, to) => {
                self.answer_dhcp(now, from, data, out);
            }
            Payload::Udp { from: source, to, data } => {
                if let Some(board) = self.owner(from, source.ip()) {
                    board.send_udp(source.port(), to, data, out);
                }
            }
            Payload::Sctp { from: source, to, data } => {
                if let Some(board) = self.owner(from, source) {
                    board.send_sctp(to, data, out);
                }
            }
            Payload::Other => {}
        }
    }

    /// A board, if it has the address under which it speaks.
    fn owner(&mut self, board: BoardId, source: IpAddr) -> Option<&mut Board> {
        self.boards.get_mut(&board).filter(|board| board.addresses.has(source))
    }

    /// A board wants an address, or to keep it.
    fn answer_dhcp(&mut self, now: Instant, id: BoardId, message: &[u8], out: &mut impl Outside) {
        let Some(board) = self.boards.get_mut(&id) else { return };
        let answer = board.lease.handle_message(now, self.lease_duration, message);
        let Some(answer) = answer else { return };
        match answer.outcome {
            Outcome::Offered => {}
            Outcome::Leased => board.counters.leases += 1,
            Outcome::Renewed => board.counters.lease_renewals += 1,
            Outcome::Refused => board.counters.lease_refusals += 1,
        }
        let is_for_all = *answer.to.ip() == Ipv4Addr::BROADCAST;
        let mac = if is_for_all { EthernetAddress::BROADCAST } else { board.addresses.mac };
        let macs = (GATEWAY, mac);
        let frame = frame::udp(macs, dhcp::SOURCE.into(), answer.to.into(), &answer.message);
        self.travel(now, Hop { board: id, is_up: false, frame }, out);
    }

    /// Whoever is no board is reached by us.
    fn answer_arp(
        &mut self,
        now: Instant,
        board: BoardId,
        asker: (EthernetAddress, Ipv4Addr),
        target: Ipv4Addr,
        out: &mut impl Outside,
    ) {
        if !self.is_boards(target.into()) && target != asker.1 {
            let frame = frame::arp_reply((GATEWAY, target), asker);
            self.travel(now, Hop { board, is_up: false, frame }, out);
        }
    }

    /// The same with IPv6.
    fn answer_solicit(
        &mut self,
        now: Instant,
        board: BoardId,
        asker: (EthernetAddress, Ipv6Addr),
        target: Ipv6Addr,
        out: &mut impl Outside,
    ) {
        // Whether its own address is free is asked from none (RFC 4862 §5.4.2).
        if neighbours::is_here(target) && !asker.1.is_unspecified() {
            let frame = neighbours::neighbour(target, asker);
            self.travel(now, Hop { board, is_up: false, frame }, out);
        }
    }

    fn is_boards(&self, address: IpAddr) -> bool {
        self.boards.values().any(|board| board.addresses.has(address))
    }
}

impl Board {
    /// The socket that stands for a UDP port of the board, towards peers of that family.
    fn socket(
        &mut self,
        peer: IpAddr,
        port: u16,
        is_sctp: bool,
        out: &mut impl Outside,
    ) -> Option<SocketId> {
        let address = self.addresses.outside(peer);
        let is_it = |socket: &&Socket| (socket.address, socket.port) == (address, port);
        if let Some(socket) = self.sockets.iter().find(is_it) {
            return Some(socket.id);
        }
        // All boards share one IPv6 address with all processes: SCTP's UDP port is for those.
        let wanted = if address.is_ipv6() && port == SCTP_UDP_PORT { 0 } else { port };
        let id = out.bind(SocketAddr::new(address, wanted)).or_else(|| {
            self.counters.refused_binds += 1;
            out.bind(SocketAddr::new(address, 0))
        })?;
        self.keep(Socket { id, address, port, is_sctp }, out);
        Some(id)
    }

    fn keep(&mut self, socket: Socket, out: &mut impl Outside) {
        if self.sockets.len() >= SOCKET_COUNT_MAX {
            // The oldest, if it can be one without SCTP: what a board uses now matters more.
            let oldest = self.sockets.iter().position(|socket| !socket.is_sctp);
            out.unbind(self.sockets.remove(oldest.unwrap_or(1)).id);
        }
        self.sockets.push(socket);
    }

    /// The socket by which an SCTP packet leaves: where the peer sends to, or that of `port`.
    fn sctp_socket(
        &mut self,
        key: FlowKey,
        port: u16,
        out: &mut impl Outside,
    ) -> Option<SocketId> {
        // Peers look for the board's SCTP port at the UDP port of the same number.
        self.socket(key.peer, fallback_udp_port(key.port), true, out);
        let known = self.lanes.flow(key).map(|flow| flow.socket);
        let is_open = |id: &SocketId| self.sockets.iter().any(|socket| socket.id == *id);
        match known.filter(is_open) {
            Some(id) => Some(id),
            None => self.socket(key.peer, port, true, out),
        }
    }

    /// Sends a datagram of the board's.
    fn send_udp(&mut self, port: u16, to: SocketAddr, data: &[u8], out: &mut impl Outside) {
        let sctp_port = ports_of(data).filter(|&(source, _)| {
            [port, to.port()].contains(&SCTP_UDP_PORT) || port == fallback_udp_port(source)
        });
        let Some(peer) = addresses::process_at(to.ip()) else { return };
        let socket = match sctp_port {
            Some((own_port, peer_port)) if !to.ip().is_multicast() => {
                (self.is_raw, self.sctp_udp_port) = (false, port);
                let key = FlowKey { peer: to.ip(), peer_port, port: own_port };
                self.sctp_socket(key, port, out)
            }
            _ => self.socket(peer, port, false, out),
        };
        if let Some(socket) = socket {
            out.send(socket, SocketAddr::new(peer, to.port()), data);
        }
    }

    /// Sends an SCTP packet that the board put right above IP.
    fn send_sctp(&mut self, to: IpAddr, packet: &[u8], out: &mut impl Outside) {
        let Some((port, peer_port)) = ports_of(packet) else { return };
        let Some(peer) = addresses::process_at(to) else { return };
        self.is_raw = true;
        let key = FlowKey { peer: to, peer_port, port };
        let Some(socket) = self.sctp_socket(key, SCTP_UDP_PORT, out) else { return };
        for udp_port in self.lanes.on_outgoing(key, packet) {
            out.send(socket, SocketAddr::new(peer, udp_port), packet);
        }
    }

    /// The frame that brings the board what came to one of its sockets.
    fn frame_of(&mut self, socket: Socket, from: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
        let macs = (GATEWAY, self.addresses.mac);
        let own = self.addresses.facing(from.ip());
        let ports = ports_of(data).filter(|_| socket.is_sctp);
        let header_len = if ports.is_some() && self.is_raw { 0 } else { UDP_LEN };
        if header_len + data.len() > ip_payload_len_max(own) {
            self.counters.oversize += 1;
            return None;
        }
        let Some((peer_port, port)) = ports else {
            let port = if socket.is_sctp { self.sctp_udp_port } else { socket.port };
            return Some(frame::udp(macs, from, SocketAddr::new(own, port), data));
        };
        let key = FlowKey { peer: from.ip(), peer_port, port };
        let flow = Flow { socket: socket.id, udp_port: from.port() };
        if !self.lanes.on_incoming(key, flow, data) {
            return None;
        }
        Some(match self.is_raw {
            true => frame::sctp(macs, (from.ip(), own), data),
            false => frame::udp(macs, from, SocketAddr::new(own, self.sctp_udp_port), data),
        })
    }
}

/// The address on the wire of everybody who is no board.
pub(crate) const GATEWAY: EthernetAddress = EthernetAddress([0x02, 0x77, 0, 0, 0, 0xfe]);

/// Sockets that a board may have.
const SOCKET_COUNT_MAX: usize = 24;

/// The header of UDP.
const UDP_LEN: usize = 8;

#[cfg(test)]
mod tests;
