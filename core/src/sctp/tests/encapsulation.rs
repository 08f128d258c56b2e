//! SCTP in UDP (RFC 6951), right over IP, and over IPv6.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::craft::{Bench, PEER, PEER_TAG, chunk, data, init_value, packet};
use super::link::{Host, connected, run, run_for};
use crate::association::{Ppid, StreamId};
use crate::machine::Machine;
use crate::sctp::{Config, Connect, Datagram, Event, Input, UdpPorts};

const HEARTBEAT: &[u8] = &[0, 1, 0, 8, 1, 2, 3, 4];

fn give_by(bench: &mut Bench, udp: Option<UdpPorts>, payload: &[u8]) -> Option<UdpPorts> {
    let (now, local) = (bench.host.now, bench.host.address);
    let datagram = Datagram { local, remote: PEER, udp, payload };
    let _ = bench.host.endpoint.handle_input(now, Input::Datagram(datagram));
    let handle = bench.handle.unwrap();
    let _ = bench.host.drain();
    bench.host.endpoint.send(now, handle, StreamId(0), Ppid(1), true, b"where to?").unwrap();
    bench.host.drain().first().unwrap().packet.udp
}

#[test]
fn packets_follow_the_peers_udp_port_after_the_tag_check() {
    let mut bench = Bench::established();
    let heartbeat = [chunk(4, 0, HEARTBEAT)];
    let by = |remote| Some(UdpPorts { local: 9_899, remote });
    let right = packet(bench.host_tag, &heartbeat);
    assert_eq!(give_by(&mut bench, by(40_000), &right), by(40_000));
    assert_eq!(give_by(&mut bench, by(50_000), &right), by(50_000));
    let wrong = packet(bench.host_tag ^ 1, &heartbeat);
    assert_eq!(give_by(&mut bench, by(60_000), &wrong), by(50_000), "the tag is wrong");
}

#[test]
fn an_init_does_not_move_an_association() {
    let mut bench = Bench::established();
    let init = packet(0, &[chunk(1, 0, &init_value(PEER_TAG, &[]))]);
    let by = Some(UdpPorts { local: 9_899, remote: 40_000 });
    assert_eq!(give_by(&mut bench, by, &init), None);
}

#[test]
fn a_packet_without_udp_ends_encapsulation() {
    let mut bench = Bench::established();
    let heartbeat = packet(bench.host_tag, &[chunk(4, 0, HEARTBEAT)]);
    let by = Some(UdpPorts { local: 9_899, remote: 40_000 });
    assert_eq!(give_by(&mut bench, by, &heartbeat), by);
    assert_eq!(give_by(&mut bench, None, &heartbeat), None);
}

#[test]
fn another_address_of_the_peer_is_heard_but_not_written_to() {
    let mut bench = Bench::established();
    let other = "10.0.0.77".parse().unwrap();
    bench.give_from(other, packet(bench.host_tag, &[data(1_000, b"x")])).unwrap();
    let sent = bench.host.drain();
    assert_eq!(bench.host.messages[0].2, b"x");
    assert!(sent.iter().all(|sent| sent.packet.remote == PEER));
}

#[test]
fn packets_are_as_long_as_the_mtu_allows() {
    let (mut a, mut b, handle, _) = connected();
    a.endpoint.send(a.now, handle, StreamId(0), Ppid(1), false, &[1; 2_000]).unwrap();
    let len_max = a.drain().iter().map(|sent| sent.bytes.len()).max();
    // 1500 less 20 of IP and 8 of UDP.
    assert_eq!(len_max, Some(1_472));
    let _ = run(&mut a, &mut b);
}

#[test]
fn all_of_it_works_over_ipv6_without_udp() {
    let mut a = Host::new(1, Config::DEFAULT);
    let mut b = Host::new(2, Config::DEFAULT);
    let address = |last| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last));
    (a.address, b.address) = (address(1), address(2));
    b.endpoint.listen(9_901).unwrap();
    let remote = SocketAddr::new(b.address, 9_901);
    let connect = Connect { local_port: 0, remote, udp: None };
    let handle = a.endpoint.connect(a.now, connect).unwrap();
    run(&mut a, &mut b);
    assert!(matches!(b.events[..], [Event::Up { passive: true, .. }]));
    a.endpoint.send(a.now, handle, StreamId(0), Ppid::ENRP, false, &[3; 1_900]).unwrap();
    a.endpoint.shutdown(a.now, handle).unwrap();
    run_for(&mut a, &mut b, Duration::from_secs(1));
    assert_eq!(b.messages[0].2, [3; 1_900]);
    assert!(matches!(a.events.last(), Some(Event::Down { .. })));
    assert!(matches!(b.events.last(), Some(Event::Down { .. })));
}
