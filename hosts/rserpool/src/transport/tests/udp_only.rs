//! What only our own SCTP over UDP has: lanes, and packets that can be made by hand.

use std::net::{Ipv4Addr, SocketAddr};

use rserpool_core::association::Endpoint;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{self, Connect, UdpPorts};

use super::{Net, association_of, connect, data_of, next, send};
use crate::clock::{Clock, OsEntropy};
use crate::transport::storage::{BufferLens, HeapStorage};
use crate::transport::{OwnedInput, TransportChoice};

#[tokio::test]
async fn a_peer_on_the_fallback_lane_is_found() {
    let net = Net::of(TransportChoice::Udp).unwrap();
    let (server, client) = (net.start(), net.start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    // Nothing said about UDP: 9899 is tried, and the port of the same number.
    let to = Endpoint { udp_port: None, ..net.endpoint(&listening) };
    let ours = association_of(connect(&port, to).await);
    send(&port, ours, b"found").await;
    assert!(matches!(next(&listening).await, OwnedInput::Up { .. }));
    assert_eq!(data_of(&listening).await, b"found");
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
    let server = Net::of(TransportChoice::Udp).unwrap().start();
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
