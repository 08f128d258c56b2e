//! The switch: frames of boards on one side, UDP datagrams of real processes on the other.
//!
//! It owns no socket and looks at no clock: sockets are an [`Outside`] that the caller lends, and
//! time is what the caller says. Boards keep their addresses on both sides, so nothing is
//! translated but the way in which SCTP travels.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use rserpool_core::entropy::SplitMix64;
use rserpool_core::time::Instant;
use smoltcp::wire::EthernetAddress;

use crate::dhcp::{self, Lease, Outcome};
use crate::frame::{self, Frame, IPV4_PAYLOAD_LEN_MAX, Payload};
use crate::impairment::Impairment;
use crate::lanes::{Flow, FlowKey, Lanes, SCTP_UDP_PORT, fallback_udp_port, ports_of};

/// A board, numbered by the switch; no number is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardId(pub(crate) u32);

/// A UDP socket of a board, numbered by the [`Outside`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SocketId(pub(crate) u32);

/// What the switch needs of the world.
pub(crate) trait Outside {
    /// Binds a UDP socket; `None` if somebody has the address. Port 0 takes a free one.
    fn bind(&mut self, address: SocketAddrV4) -> Option<SocketId>;
    /// Closes a socket.
    fn unbind(&mut self, socket: SocketId);
    /// Sends a datagram.
    fn send(&mut self, socket: SocketId, to: SocketAddrV4, data: &[u8]);
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
    address: Ipv4Addr,
    mac: EthernetAddress,
    lease: Lease,
    impairment: Impairment,
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
            address,
            mac,
            lease: Lease::new(mac, address),
            impairment: Impairment::NONE,
            counters: Counters::default(),
            is_raw: false,
            sctp_udp_port: SCTP_UDP_PORT,
            lanes: Lanes::new(),
            sockets: Vec::new(),
        };
        board.socket(SCTP_UDP_PORT, true, out);
        self.boards.insert(id, board);
        id
    }

    /// Removes a board; whoever talks to it finds its ports closed.
    pub(crate) fn remove(&mut self, board: BoardId, out: &mut impl Outside) {
        for socket in self.boards.remove(&board).into_iter().flat_map(|board| board.sockets) {
            out.unbind(socket.id);
        }
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
        from: SocketAddrV4,
        data: &[u8],
        out: &mut impl Outside,
    ) {
        let owner = self.boards.iter_mut().find_map(|(&id, board)| {
            let socket = *board.sockets.iter().find(|known| known.id == socket)?;
            Some((id, board, socket))
        });
        let Some((id, board, socket)) = owner else { return };
        if let Some(frame) = board.frame_of(socket, from, data) {
            self.travel(now, Hop { board: id, is_up: false, frame }, out);
        }
    }

    /// A datagram came to a multicast group that boards may listen to.
    pub(crate) fn handle_multicast(
        &mut self,
        now: Instant,
        from: SocketAddrV4,
        group: SocketAddrV4,
        data: &[u8],
        out: &mut impl Outside,
    ) {
        // What a board says, the others have heard from the switch itself.
        let is_echo = self.boards.values().any(|board| board.address == *from.ip());
        if is_echo || data.len() + UDP_LEN > IPV4_PAYLOAD_LEN_MAX {
            return;
        }
        let frame = frame::udp((GATEWAY, frame::multicast_mac(*group.ip())), from, group, data);
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
        let arrivals: Vec<Instant> = board.impairment.arrivals(now, &mut self.random).collect();
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
            let is_for_it = self.boards.get(&id).is_some_and(|board| board.mac == to);
            if id != from && (is_for_it || !to.is_unicast()) {
                self.travel(now, Hop { board: id, is_up: false, frame: bytes.to_vec() }, out);
            }
        }
        if to.is_unicast() && to != GATEWAY {
            return;
        }
        if let Payload::ArpRequest { sender, target } = frame.payload {
            self.answer_arp(now, from, (frame.source, sender), target, out);
            return;
        }
        if let Payload::Udp { from: source, to, data } = frame.payload
            && dhcp::is_for_server(source, to)
        {
            self.answer_dhcp(now, from, data, out);
            return;
        }
        let Some(board) = self.boards.get_mut(&from) else { return };
        match frame.payload {
            Payload::Udp { from, to, data } if *from.ip() == board.address => {
                board.send_udp(from.port(), to, data, out);
            }
            Payload::Sctp { from, to, data } if from == board.address => {
                board.send_sctp(to, data, out);
            }
            _ => {}
        }
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
        let is_for_all = answer.to.ip().is_broadcast();
        let mac = if is_for_all { EthernetAddress::BROADCAST } else { board.mac };
        let frame = frame::udp((GATEWAY, mac), dhcp::SOURCE, answer.to, &answer.message);
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
        let is_board = self.boards.values().any(|board| board.address == target);
        if !is_board && target != asker.1 {
            let frame = frame::arp_reply((GATEWAY, target), asker);
            self.travel(now, Hop { board, is_up: false, frame }, out);
        }
    }
}

impl Board {
    /// The socket that stands for a UDP port of the board.
    fn socket(&mut self, port: u16, is_sctp: bool, out: &mut impl Outside) -> Option<SocketId> {
        if let Some(socket) = self.sockets.iter().find(|socket| socket.port == port) {
            return Some(socket.id);
        }
        let bound = out.bind(SocketAddrV4::new(self.address, port));
        let id = bound.or_else(|| {
            self.counters.refused_binds += 1;
            out.bind(SocketAddrV4::new(self.address, 0))
        })?;
        if self.sockets.len() >= SOCKET_COUNT_MAX {
            // The oldest but that of SCTP: what a board uses now matters more.
            out.unbind(self.sockets.remove(1).id);
        }
        self.sockets.push(Socket { id, port, is_sctp });
        Some(id)
    }

    /// The socket by which an SCTP packet leaves: where the peer sends to, or that of `port`.
    fn sctp_socket(
        &mut self,
        key: FlowKey,
        port: u16,
        out: &mut impl Outside,
    ) -> Option<SocketId> {
        // Peers look for the board's SCTP port at the UDP port of the same number.
        self.socket(fallback_udp_port(key.port), true, out);
        let known = self.lanes.flow(key).map(|flow| flow.socket);
        let is_open = |id: &SocketId| self.sockets.iter().any(|socket| socket.id == *id);
        match known.filter(is_open) {
            Some(id) => Some(id),
            None => self.socket(port, true, out),
        }
    }

    /// Sends a datagram of the board's.
    fn send_udp(&mut self, port: u16, to: SocketAddrV4, data: &[u8], out: &mut impl Outside) {
        let sctp_port = ports_of(data).filter(|&(source, _)| {
            [port, to.port()].contains(&SCTP_UDP_PORT) || port == fallback_udp_port(source)
        });
        let socket = match sctp_port {
            Some((own_port, peer_port)) if !to.ip().is_multicast() => {
                (self.is_raw, self.sctp_udp_port) = (false, port);
                let key = FlowKey { peer: *to.ip(), peer_port, port: own_port };
                self.sctp_socket(key, port, out)
            }
            _ => self.socket(port, false, out),
        };
        if let Some(socket) = socket {
            out.send(socket, to, data);
        }
    }

    /// Sends an SCTP packet that the board put right above IP.
    fn send_sctp(&mut self, peer: Ipv4Addr, packet: &[u8], out: &mut impl Outside) {
        let Some((port, peer_port)) = ports_of(packet) else { return };
        self.is_raw = true;
        let key = FlowKey { peer, peer_port, port };
        let Some(socket) = self.sctp_socket(key, SCTP_UDP_PORT, out) else { return };
        for udp_port in self.lanes.on_outgoing(key, packet) {
            out.send(socket, SocketAddrV4::new(peer, udp_port), packet);
        }
    }

    /// The frame that brings the board what came to one of its sockets.
    fn frame_of(&mut self, socket: Socket, from: SocketAddrV4, data: &[u8]) -> Option<Vec<u8>> {
        let macs = (GATEWAY, self.mac);
        let ports = ports_of(data).filter(|_| socket.is_sctp);
        let header_len = if ports.is_some() && self.is_raw { 0 } else { UDP_LEN };
        if header_len + data.len() > IPV4_PAYLOAD_LEN_MAX {
            self.counters.oversize += 1;
            return None;
        }
        let Some((peer_port, port)) = ports else {
            let port = if socket.is_sctp { self.sctp_udp_port } else { socket.port };
            return Some(frame::udp(macs, from, SocketAddrV4::new(self.address, port), data));
        };
        let key = FlowKey { peer: *from.ip(), peer_port, port };
        let flow = Flow { socket: socket.id, udp_port: from.port() };
        if !self.lanes.on_incoming(key, flow, data) {
            return None;
        }
        Some(match self.is_raw {
            true => frame::sctp(macs, (*from.ip(), self.address), data),
            false => {
                let to = SocketAddrV4::new(self.address, self.sctp_udp_port);
                frame::udp(macs, from, to, data)
            }
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
