//! The switch between boards that are tests and a world that is a list.

use std::time::Duration;

use super::*;

const NOW: Instant = Instant::from_millis(1_000);
const MAC_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xa]);
const MAC_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 0xb]);
const A: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 10);
const B: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 11);
/// The port that IPv6's sockets get if they take any.
const ANY: u16 = 60_000;
const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Sockets that are only numbers.
#[derive(Default)]
struct Desk {
    /// Addresses that somebody else has.
    taken: Vec<SocketAddr>,
    bound: Vec<(SocketId, SocketAddr)>,
    count: u32,
    sent: Vec<(SocketId, SocketAddr, Vec<u8>)>,
    delivered: Vec<(BoardId, Vec<u8>)>,
}

impl Desk {
    fn socket_at(&self, address: impl Into<IpAddr>, port: u16) -> SocketId {
        let wanted = at(address, port);
        self.bound.iter().find(|(_, bound)| *bound == wanted).unwrap().0
    }
}

impl Outside for Desk {
    fn bind(&mut self, address: SocketAddr) -> Option<SocketId> {
        if self.taken.contains(&address) {
            return None;
        }
        let id = SocketId(self.count);
        self.count += 1;
        // IPv4's substitutes are asked for by their number.
        let port = if address.port() == 0 && address.is_ipv6() { ANY } else { address.port() };
        self.bound.push((id, SocketAddr::new(address.ip(), port)));
        Some(id)
    }

    fn port_of(&self, socket: SocketId) -> Option<u16> {
        let (_, address) = self.bound.iter().find(|(id, _)| *id == socket)?;
        Some(address.port())
    }

    fn unbind(&mut self, socket: SocketId) {
        self.bound.retain(|(id, _)| *id != socket);
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, data: &[u8]) {
        self.sent.push((socket, to, data.to_vec()));
    }

    fn deliver(&mut self, board: BoardId, frame: &[u8]) -> bool {
        self.delivered.push((board, frame.to_vec()));
        true
    }
}

fn switch() -> (Switch, Desk, BoardId, BoardId) {
    let (mut switch, mut desk) = (Switch::new(7), Desk::default());
    let a = switch.add(A, MAC_A, &mut desk);
    let b = switch.add(B, MAC_B, &mut desk);
    (switch, desk, a, b)
}

fn at(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

/// An SCTP packet of no more than ports, tag and the type of a chunk.
fn packet(source: u16, destination: u16, chunk: u8) -> Vec<u8> {
    let mut packet = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    packet.resize(32, 0);
    packet[12] = chunk;
    packet
}

fn arp_request(mac: EthernetAddress, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    // A reply is turned into a request by its operation and destination.
    let mut frame = frame::arp_reply((mac, sender), (EthernetAddress::BROADCAST, target));
    frame[21] = 1;
    frame
}

#[test]
fn arp_is_answered_for_whoever_is_no_board() {
    let (mut switch, mut desk, a, b) = switch();
    switch.handle_frame(NOW, a, &arp_request(MAC_A, A, HOST), &mut desk);
    // The other board hears the question, the asker the answer.
    let [(heard, _), (answered, reply)] = desk.delivered.as_slice() else {
        panic!("{:?}", desk.delivered)
    };
    assert_eq!((*heard, *answered), (b, a));
    assert_eq!(Frame::parse(reply).unwrap().source, GATEWAY);
    desk.delivered.clear();
    // Boards answer for themselves; and a board may ask whether its own address is free.
    switch.handle_frame(NOW, a, &arp_request(MAC_A, A, B), &mut desk);
    switch.handle_frame(NOW, a, &arp_request(MAC_A, A, A), &mut desk);
    assert!(desk.delivered.iter().all(|(board, _)| *board == b), "{:?}", desk.delivered);
}

#[test]
fn boards_reach_each_other_without_sockets() {
    let (mut switch, mut desk, a, b) = switch();
    let bytes = frame::udp((MAC_A, MAC_B), at(A, 7), at(B, 9), b"hello");
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    assert_eq!(desk.delivered, [(b, bytes)]);
    assert!(desk.sent.is_empty());
}

#[test]
fn datagrams_leave_by_the_boards_own_address_and_come_back() {
    let (mut switch, mut desk, a, _) = switch();
    let bytes = frame::udp((MAC_A, GATEWAY), at(A, 7), at(HOST, 9), b"ping");
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    let socket = desk.socket_at(A, 7);
    assert_eq!(desk.sent, [(socket, at(HOST, 9), b"ping".to_vec())]);
    switch.handle_datagram(NOW, socket, at(HOST, 9), b"pong", &mut desk);
    let expected = frame::udp((GATEWAY, MAC_A), at(HOST, 9), at(A, 7), b"pong");
    assert_eq!(desk.delivered, [(a, expected)]);
    // A frame that carries another's address goes nowhere.
    let forged = frame::udp((MAC_A, GATEWAY), at(B, 7), at(HOST, 9), b"ping");
    switch.handle_frame(NOW, a, &forged, &mut desk);
    assert_eq!(desk.sent.len(), 1);
}

#[test]
fn raw_sctp_becomes_udp_and_back() {
    let (mut switch, mut desk, a, _) = switch();
    let init = packet(5_000, 3863, 1);
    switch.handle_frame(
        NOW,
        a,
        &frame::sctp((MAC_A, GATEWAY), (A.into(), HOST.into()), &init),
        &mut desk,
    );
    let usual = desk.socket_at(A, SCTP_UDP_PORT);
    let to: Vec<_> = desk.sent.iter().map(|(socket, to, _)| (*socket, *to)).collect();
    assert_eq!(to, [(usual, at(HOST, 9899)), (usual, at(HOST, 13_863))]);
    // The peer opens an association of its own, to the UDP port of the board's SCTP port.
    let lane = desk.socket_at(A, 5_000);
    let init = packet(6_000, 5_000, 1);
    switch.handle_datagram(NOW, lane, at(HOST, 6_001), &init, &mut desk);
    let expected = frame::sctp((GATEWAY, MAC_A), (HOST.into(), A.into()), &init);
    assert_eq!(desk.delivered, [(a, expected)]);
    // The answer goes back the same way.
    desk.sent.clear();
    let answer = packet(5_000, 6_000, 2);
    switch.handle_frame(
        NOW,
        a,
        &frame::sctp((MAC_A, GATEWAY), (A.into(), HOST.into()), &answer),
        &mut desk,
    );
    assert_eq!(desk.sent, [(lane, at(HOST, 6_001), answer)]);
}

#[test]
fn sctp_over_udp_reaches_the_board_at_its_port_by_every_lane() {
    let (mut switch, mut desk, a, _) = switch();
    let init = packet(5_000, 4_000, 1);
    let bytes = frame::udp((MAC_A, GATEWAY), at(A, 9899), at(HOST, 4_001), &init);
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    let usual = desk.socket_at(A, SCTP_UDP_PORT);
    assert_eq!(desk.sent, [(usual, at(HOST, 4_001), init)]);
    let lane = desk.socket_at(A, 5_000);
    let init = packet(6_000, 5_000, 1);
    switch.handle_datagram(NOW, lane, at(HOST, 6_001), &init, &mut desk);
    let expected = frame::udp((GATEWAY, MAC_A), at(HOST, 6_001), at(A, 9899), &init);
    assert_eq!(desk.delivered, [(a, expected)]);
    desk.sent.clear();
    let answer = packet(5_000, 6_000, 2);
    let bytes = frame::udp((MAC_A, GATEWAY), at(A, 9899), at(HOST, 6_001), &answer);
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    assert_eq!(desk.sent, [(lane, at(HOST, 6_001), answer)]);
}

#[test]
fn where_9899_is_taken_another_port_does() {
    let mut desk = Desk { taken: vec![at(A, 9899)], ..Desk::default() };
    let mut switch = Switch::new(7);
    let a = switch.add(A, MAC_A, &mut desk);
    assert_eq!(switch.counters(a).refused_binds, 1);
    let bytes =
        frame::udp((MAC_A, GATEWAY), at(A, 9899), at(HOST, 4_000), &packet(5_000, 4_000, 1));
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    let substitute = desk.socket_at(A, 0);
    assert_eq!(desk.sent[0].0, substitute);
    // What comes back to it is for the board's 9899.
    let answer = packet(4_000, 5_000, 2);
    switch.handle_datagram(NOW, substitute, at(HOST, 4_000), &answer, &mut desk);
    let expected = frame::udp((GATEWAY, MAC_A), at(HOST, 4_000), at(A, 9899), &answer);
    assert_eq!(desk.delivered, [(a, expected)]);
}

#[test]
fn announcements_reach_every_board_but_not_as_an_echo() {
    let (mut switch, mut desk, a, b) = switch();
    let group = at(Ipv4Addr::new(239, 0, 0, 50), 3863);
    switch.handle_multicast(NOW, at(HOST, 4_000), group, b"here I am", &mut desk);
    let boards: Vec<_> = desk.delivered.iter().map(|(board, _)| *board).collect();
    assert_eq!(boards, [a, b]);
    let parsed = Frame::parse(&desk.delivered[0].1).unwrap();
    assert_eq!(parsed.destination, frame::multicast_mac(group.ip()));
    switch.handle_multicast(NOW, at(A, 4_000), group, b"an echo", &mut desk);
    assert_eq!(desk.delivered.len(), 2);
    // A board's own goes to the other boards and to this machine.
    desk.delivered.clear();
    let macs = (MAC_A, frame::multicast_mac(group.ip()));
    let bytes = frame::udp(macs, at(A, 4_000), group, b"from a board");
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    assert_eq!(desk.delivered, [(b, bytes)]);
    assert_eq!(desk.sent, [(desk.socket_at(A, 4_000), group, b"from a board".to_vec())]);
}

#[test]
fn an_impaired_link_drops_delays_and_reorders_by_the_clock_of_the_caller() {
    let (mut switch, mut desk, a, _) = switch();
    let delay = Duration::from_millis(10);
    switch.impair(a, Impairment::drop(200).reorder(200).delay(delay));
    let socket = desk.socket_at(A, SCTP_UDP_PORT);
    for number in 0..200_u8 {
        switch.handle_datagram(NOW, socket, at(HOST, 1), &[number], &mut desk);
    }
    assert!(desk.delivered.is_empty());
    assert_eq!(switch.poll_timeout(), Some(NOW + delay));
    while let Some(due) = switch.poll_timeout() {
        switch.handle_timeout(due, &mut desk);
    }
    let order: Vec<u8> = desk.delivered.iter().map(|(_, frame)| *frame.last().unwrap()).collect();
    let counters = switch.counters(a);
    assert_eq!(counters.delivered, order.len() as u64);
    assert_eq!(counters.delivered + counters.dropped, 200);
    assert!((20..70).contains(&counters.dropped), "{counters:?}");
    assert!(!order.is_sorted());
}

#[test]
fn a_link_that_keeps_order_keeps_it_when_its_delay_ends() {
    let (mut switch, mut desk, a, _) = switch();
    let socket = desk.socket_at(A, SCTP_UDP_PORT);
    switch.impair(a, Impairment::NONE.delay(Duration::from_millis(10)));
    switch.handle_datagram(NOW, socket, at(HOST, 1), b"1", &mut desk);
    switch.impair(a, Impairment::NONE);
    let later = NOW + Duration::from_millis(10);
    switch.handle_datagram(later, socket, at(HOST, 1), b"2", &mut desk);
    switch.handle_timeout(later, &mut desk);
    let order: Vec<_> = desk.delivered.iter().map(|(_, frame)| *frame.last().unwrap()).collect();
    assert_eq!(order, *b"12");
}

#[test]
fn a_removed_board_has_no_sockets_and_gets_nothing() {
    let (mut switch, mut desk, a, _) = switch();
    let socket = desk.socket_at(A, SCTP_UDP_PORT);
    switch.remove(a, &mut desk);
    assert!(desk.bound.iter().all(|(_, address)| address.ip() != A));
    switch.handle_datagram(NOW, socket, at(HOST, 1), b"late", &mut desk);
    assert!(desk.delivered.is_empty());
}

#[test]
fn a_board_gets_its_address_by_dhcp() {
    use smoltcp::wire::{DhcpMessageType, DhcpRepr};

    use crate::dhcp::tests::{bytes, request};

    let (mut switch, mut desk, a, b) = switch();
    let macs = (MAC_A, EthernetAddress::BROADCAST);
    let all = at(Ipv4Addr::BROADCAST, 67);
    let unspecified = at(Ipv4Addr::UNSPECIFIED, 68);
    let discover = bytes(&request(DhcpMessageType::Discover, MAC_A));
    let frame = frame::udp(macs, unspecified, all, &discover);
    switch.handle_frame(NOW, a, &frame, &mut desk);
    // The other board hears the question, the asker the answer; nothing leaves.
    let [(heard, question), (answered, offer)] = desk.delivered.as_slice() else {
        panic!("{:?}", desk.delivered)
    };
    assert_eq!((*heard, *answered, question), (b, a, &frame));
    let Frame { source, destination, payload } = Frame::parse(offer).unwrap();
    assert_eq!((source, destination), (GATEWAY, MAC_A));
    let Payload::Udp { from, to, .. } = payload else { panic!("{payload:?}") };
    assert_eq!((from, to), (dhcp::SOURCE.into(), at(A, 68)));
    assert!(desk.sent.is_empty());
    let mut select = request(DhcpMessageType::Request, MAC_A);
    (select.requested_ip, select.server_identifier) = (Some(A), Some(dhcp::SERVER));
    let frame = frame::udp(macs, unspecified, all, &bytes(&select));
    switch.handle_frame(NOW, a, &frame, &mut desk);
    let renew = DhcpRepr { client_ip: A, ..request(DhcpMessageType::Request, MAC_A) };
    let renew = frame::udp((MAC_A, GATEWAY), at(A, 68), dhcp::SOURCE.into(), &bytes(&renew));
    switch.handle_frame(NOW, a, &renew, &mut desk);
    switch.handle_frame(NOW + dhcp::LEASE_DURATION, a, &renew, &mut desk);
    let counters = switch.counters(a);
    assert_eq!((counters.leases, counters.lease_renewals, counters.lease_refusals), (1, 1, 1));
    // Nobody asks in another's name.
    desk.delivered.clear();
    let frame = frame::udp((MAC_B, GATEWAY), unspecified, all, &discover);
    switch.handle_frame(NOW, b, &frame, &mut desk);
    assert!(desk.delivered.is_empty(), "{:?}", desk.delivered);
}

#[test]
fn neighbours_and_routers_are_told() {
    use smoltcp::wire::{Icmpv6Message, Icmpv6Packet, Ipv6Packet, NdiscRepr};

    let (mut switch, mut desk, a, b) = switch();
    let own = addresses::v6_of(MAC_A);
    let unspecified = Ipv6Addr::UNSPECIFIED;
    let to_all = (MAC_A, EthernetAddress([0x33, 0x33, 0, 0, 0, 2]));
    let group = "ff02::1:ff00:1".parse().unwrap();
    let who_has = |target_addr| NdiscRepr::NeighborSolicit { target_addr, lladdr: None };
    let routers = NdiscRepr::RouterSolicit { lladdr: None };
    for (sender, question, answer) in [
        (own, who_has(addresses::HOST_V6), Some(Icmpv6Message::NeighborAdvert)),
        (own, routers, Some(Icmpv6Message::RouterAdvert)),
        (unspecified, routers, Some(Icmpv6Message::RouterAdvert)),
        // Whether the address is free; and others answer for themselves.
        (unspecified, who_has(own), None),
        (own, who_has(addresses::v6_of(MAC_B)), None),
        (own, who_has("fd77::2".parse().unwrap()), None),
    ] {
        desk.delivered.clear();
        switch.handle_frame(NOW, a, &frame::ndisc(to_all, (sender, group), question), &mut desk);
        let of = |board| desk.delivered.iter().filter(move |(to, _)| *to == board);
        assert_eq!(of(b).count(), 1, "{question:?}");
        let told = of(a).map(|(_, bytes)| {
            let packet = Ipv6Packet::new_checked(&bytes[14..]).unwrap();
            Icmpv6Packet::new_checked(packet.payload()).unwrap().msg_type()
        });
        assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(answer), "{question:?}");
    }
}

#[test]
fn with_ipv6_boards_and_processes_see_each_other_at_other_addresses() {
    let (mut switch, mut desk, a, _) = switch();
    let (own, host, loopback) = (addresses::v6_of(MAC_A), addresses::HOST_V6, Ipv6Addr::LOCALHOST);
    let init = packet(5_000, 3863, 1);
    let bytes = frame::udp((MAC_A, GATEWAY), at(own, 9899), at(host, 4_001), &init);
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    // The lane of the SCTP port, and any port for 9899: that is for processes.
    let (lane, any) = (desk.socket_at(loopback, 5_000), desk.socket_at(loopback, ANY));
    assert_eq!(desk.sent, [(any, at(loopback, 4_001), init.clone())]);
    for (socket, packet) in [(any, packet(3863, 5_000, 2)), (lane, packet(6_000, 5_000, 1))] {
        desk.delivered.clear();
        switch.handle_datagram(NOW, socket, at(loopback, 4_001), &packet, &mut desk);
        let expected = frame::udp((GATEWAY, MAC_A), at(host, 4_001), at(own, 9899), &packet);
        assert_eq!(desk.delivered, [(a, expected)]);
    }
    // It serves another port, too, at which nothing has left.
    let port = switch.open_lane(a, &mut desk).unwrap();
    assert_eq!(port, ANY);
    desk.delivered.clear();
    let (lane, init_of_user) = (desk.bound.last().unwrap().0, packet(7_000, ANY, 1));
    switch.handle_datagram(NOW, lane, at(loopback, 7_001), &init_of_user, &mut desk);
    let expected = frame::udp((GATEWAY, MAC_A), at(host, 7_001), at(own, 9899), &init_of_user);
    assert_eq!(desk.delivered, [(a, expected)]);
    // Right above IP it is the same.
    (desk.sent, desk.delivered) = (Vec::new(), Vec::new());
    let bytes = frame::sctp((MAC_A, GATEWAY), (own.into(), host.into()), &init);
    switch.handle_frame(NOW, a, &bytes, &mut desk);
    let to: Vec<_> = desk.sent.iter().map(|(socket, to, _)| (*socket, *to)).collect();
    let at_port = |port| (any, at(loopback, port));
    assert_eq!(to, [at_port(4_001), at_port(9899), at_port(13_863)]);
    switch.handle_datagram(NOW, any, at(loopback, 4_001), &packet(3863, 5_000, 2), &mut desk);
    let expected =
        frame::sctp((GATEWAY, MAC_A), (host.into(), own.into()), &packet(3863, 5_000, 2));
    assert_eq!(desk.delivered, [(a, expected)]);
    // Nobody else is there, and nobody speaks in another's name.
    desk.sent.clear();
    for (from, to) in [(own, "fd77::2".parse().unwrap()), (addresses::v6_of(MAC_B), host)] {
        let bytes = frame::sctp((MAC_A, GATEWAY), (from.into(), to.into()), &init);
        switch.handle_frame(NOW, a, &bytes, &mut desk);
    }
    assert!(desk.sent.is_empty(), "{:?}", desk.sent);
}
