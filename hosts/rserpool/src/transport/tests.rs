//! Two transports on the loopback interface.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Ppid, StreamId, Transmit,
};

use rserpool_core::machine::Machine;
use rserpool_core::sctp::{self, Connect, UdpPorts};

use super::storage::{BufferLens, HeapStorage};
use super::*;
use crate::clock::{Clock, OsEntropy};

fn start() -> Transport {
    Transport::start(TransportConfig::at(Ipv4Addr::LOCALHOST.into()))
}

fn endpoint(port: &Port) -> Endpoint {
    let mut endpoint = Endpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.number()));
    endpoint.udp_port = port.udp_ports().first().copied();
    endpoint
}

async fn connect(from: &Port, to: Endpoint) -> OwnedInput {
    let connect = ConnectId(7);
    from.perform(Transmit::Connect { connect, endpoint: to }, &[]).await;
    from.recv().await.unwrap()
}

fn association_of(input: OwnedInput) -> AssociationId {
    match input {
        OwnedInput::Up { association, .. } => association,
        other => panic!("{other:?}"),
    }
}

async fn send(port: &Port, association: AssociationId, data: &[u8]) {
    let message = Transmit::Message {
        association,
        stream: StreamId(1),
        ppid: Ppid::COMPUTE,
        len: data.len(),
    };
    port.perform(message, data).await;
}

/// What comes next, but for measurements.
async fn next(port: &Port) -> OwnedInput {
    loop {
        match port.recv().await.unwrap() {
            OwnedInput::RoundTrip { .. } => {}
            input => return input,
        }
    }
}

async fn data_of(port: &Port) -> Vec<u8> {
    match next(port).await {
        OwnedInput::Message { stream, ppid, data, .. } => {
            assert_eq!((stream, ppid), (StreamId(1), Ppid::COMPUTE));
            data
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn messages_go_both_ways_and_the_end_is_told() {
    let (server, client) = (start(), start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let ours = association_of(connect(&port, endpoint(&listening)).await);
    let theirs = association_of(listening.recv().await.unwrap());
    send(&port, ours, b"ping").await;
    assert_eq!(data_of(&listening).await, b"ping");
    send(&listening, theirs, b"pong").await;
    assert_eq!(data_of(&port).await, b"pong");
    port.perform(Transmit::Shutdown { association: ours }, &[]).await;
    for port in [&port, &listening] {
        match next(port).await {
            OwnedInput::Down { reason, .. } => assert_eq!(reason, DownReason::Shutdown),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_measured_round_trip_is_told_before_a_message() {
    let (server, client) = (start(), start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let ours = association_of(connect(&port, endpoint(&listening)).await);
    let theirs = association_of(listening.recv().await.unwrap());
    // The answer acknowledges the message, which measures the round trip.
    loop {
        send(&port, ours, b"ping").await;
        data_of(&listening).await;
        send(&listening, theirs, b"pong").await;
        if let OwnedInput::RoundTrip { association, micros } = port.recv().await.unwrap() {
            assert_eq!(association, ours);
            assert!(micros > 0);
            return;
        }
    }
}

#[tokio::test]
async fn a_peer_on_the_fallback_lane_is_found() {
    let (server, client) = (start(), start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    // Nothing said about UDP: 9899 is tried, and the port of the same number.
    let to = Endpoint { udp_port: None, ..endpoint(&listening) };
    let ours = association_of(connect(&port, to).await);
    send(&port, ours, b"found").await;
    assert!(matches!(listening.recv().await, Some(OwnedInput::Up { .. })));
    assert_eq!(data_of(&listening).await, b"found");
}

#[tokio::test]
async fn an_attempt_at_nobody_fails_at_once() {
    let client = start();
    let port = client.open(0, None, false).await.unwrap();
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut nobody = Endpoint::new(closed);
    nobody.udp_port = Some(closed.port());
    let input = connect(&port, nobody).await;
    assert!(matches!(input, OwnedInput::ConnectFailed { connect: ConnectId(7) }), "{input:?}");
}

#[tokio::test]
async fn a_second_address_is_tried_when_the_first_is_nobody() {
    let (server, client) = (start(), start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let mut to = endpoint(&listening);
    to.addresses.insert(0, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77))).unwrap();
    association_of(connect(&port, to).await);
}

#[tokio::test]
async fn a_machine_that_does_not_read_holds_back_the_sender_and_loses_nothing() {
    const MESSAGE_LEN: usize = 100_000;
    const MESSAGE_COUNT: usize = 60;
    let (server, client) = (start(), start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let ours = association_of(connect(&port, endpoint(&listening)).await);
    for number in 0..MESSAGE_COUNT {
        send(&port, ours, &vec![number as u8; MESSAGE_LEN]).await;
    }
    assert!(matches!(listening.recv().await, Some(OwnedInput::Up { .. })));
    for number in 0..MESSAGE_COUNT {
        assert_eq!(data_of(&listening).await, vec![number as u8; MESSAGE_LEN]);
    }
}

#[tokio::test]
async fn closing_a_transport_tells_its_peers() {
    let (server, client) = (start(), start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    association_of(connect(&port, endpoint(&listening)).await);
    client.close(Duration::from_secs(5)).await;
    assert!(matches!(listening.recv().await, Some(OwnedInput::Up { .. })));
    assert!(matches!(listening.recv().await, Some(OwnedInput::Down { .. })));
    while port.recv().await.is_some() {}
}

/// The INITs of that many associations, each from an SCTP port of its own.
fn inits(count: u16, remote: SocketAddr, udp_port: u16) -> Vec<Vec<u8>> {
    let (clock, lens) = (Clock::start(), BufferLens { send_len: 1_024, receive_len: 1_024 });
    let mut storage = HeapStorage::new(lens, usize::from(count));
    storage.reserve(usize::from(count));
    let mut endpoint = sctp::Endpoint::new(sctp::Config::default(), OsEntropy, [7; 32], storage);
    let udp = Some(UdpPorts { local: 1, remote: udp_port });
    let mut buf = [0; 1_500];
    (0..count)
        .map(|number| {
            let now = clock.now();
            let connect = Connect { local_port: 5_000 + number, remote, udp };
            endpoint.connect(now, connect).unwrap();
            let packet = endpoint.poll_transmit(now, &mut buf).unwrap();
            buf[..packet.len].to_vec()
        })
        .collect()
}

#[tokio::test]
async fn every_init_of_a_burst_is_answered() {
    let server = start();
    let listening = server.open(0, Some(0), true).await.unwrap();
    let udp_port = listening.udp_ports()[0];
    let remote = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listening.number());
    let stranger = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let inits = inits(24, remote, udp_port);
    // Nobody else runs meanwhile, so that they are read in one go.
    for init in &inits {
        stranger.send_to(init, (Ipv4Addr::LOCALHOST, udp_port)).unwrap();
    }
    let stranger = tokio::net::UdpSocket::from_std(stranger).unwrap();
    let mut answer = [0; 1_500];
    for _ in &inits {
        let len = stranger.recv(&mut answer).await.unwrap();
        assert_eq!(answer[..len].get(12), Some(&2), "an INIT ACK");
    }
}
