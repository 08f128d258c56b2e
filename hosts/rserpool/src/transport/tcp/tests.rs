//! A port with TCP, without any machine.

use std::net::Ipv4Addr;

use rserpool_core::association::Input;

use super::*;

const CONNECT: ConnectId = ConnectId(3);

/// One that listens, at a port that the system has chosen, and one that connects to it.
async fn pair(config: TcpConfig) -> (Tcp, Tcp, Endpoint) {
    let free = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap().local_addr().unwrap();
    let listening = Tcp::listen(config, &[Ipv4Addr::LOCALHOST.into()], free.port()).unwrap();
    (listening, Tcp::to_connect(), Endpoint::new(free))
}

fn connect(tcp: &Tcp, endpoint: Endpoint) {
    assert!(tcp.perform(&Transmit::Connect { connect: CONNECT, endpoint }, &[]));
}

fn send(tcp: &Tcp, association: AssociationId, data: &[u8]) {
    let (stream, ppid, len) = (StreamId(0), Ppid::ASAP, data.len());
    assert!(tcp.perform(&Transmit::Message { association, stream, ppid, len }, data));
}

async fn up(tcp: &Tcp) -> AssociationId {
    match tcp.recv().await.unwrap().as_input() {
        Input::Up { association, connect: Some(CONNECT), .. }
        | Input::UserUp { association, .. } => association,
        other => panic!("{other:?}"),
    }
}

async fn end(tcp: &Tcp) -> (AssociationId, DownReason) {
    match tcp.recv().await.unwrap() {
        OwnedInput::Down { association, reason } => (association, reason),
        other => panic!("{other:?}"),
    }
}

const REQUEST: [u8; 12] = [5, 0, 0, 12, 0, 9, 0, 8, b'P', b'o', b'o', b'l'];

#[tokio::test]
async fn an_association_begins_with_a_message_and_ends_on_both_sides() {
    let (listening, tcp, endpoint) = pair(TcpConfig::default()).await;
    connect(&tcp, endpoint);
    let ours = up(&tcp).await;
    send(&tcp, ours, &REQUEST);
    let theirs = up(&listening).await;
    match listening.recv().await.unwrap().as_input() {
        Input::Message { association, stream: StreamId(0), ppid: Ppid::ASAP, data } => {
            assert_eq!((association, data), (theirs, &REQUEST[..]));
        }
        other => panic!("{other:?}"),
    }
    assert!(ours.0 >= FIRST_ID && theirs.0 >= FIRST_ID);
    assert!(tcp.perform(&Transmit::Shutdown { association: ours }, &[]));
    assert_eq!(end(&listening).await, (theirs, DownReason::Shutdown));
    assert_eq!(end(&tcp).await, (ours, DownReason::Shutdown));
}

#[tokio::test]
async fn who_is_called_may_be_silent() {
    let config = TcpConfig { message_timeout: Duration::ZERO, ..TcpConfig::default() };
    let tcp = Tcp::new(config, true);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    connect(&tcp, Endpoint::new(listener.local_addr().unwrap()));
    let ours = up(&tcp).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    tokio::task::yield_now().await;
    tokio::io::AsyncWriteExt::write_all(&mut peer, &REQUEST).await.unwrap();
    assert!(matches!(tcp.recv().await, Some(OwnedInput::Message { .. })));
    assert!(tcp.perform(&Transmit::Abort { association: ours }, &[]));
    assert_eq!(end(&tcp).await, (ours, DownReason::Aborted));
}

#[tokio::test]
async fn an_attempt_at_nobody_fails() {
    let (listening, tcp, endpoint) = pair(TcpConfig::default()).await;
    drop(listening);
    connect(&tcp, endpoint);
    assert!(matches!(tcp.recv().await, Some(OwnedInput::ConnectFailed { connect: CONNECT })));
}

#[tokio::test]
async fn who_does_not_read_is_aborted() {
    let (listening, tcp, endpoint) = pair(TcpConfig::default()).await;
    let peer = TcpStream::connect((endpoint.addresses[0], endpoint.port)).await.unwrap();
    peer.writable().await.unwrap();
    peer.try_write(&REQUEST).unwrap();
    let theirs = up(&listening).await;
    assert!(matches!(listening.recv().await, Some(OwnedInput::Message { .. })));
    // What the kernel takes off the outbox is bounded, too.
    for _ in 0..1_000 {
        send(&listening, theirs, &[0; 1 << 16]);
    }
    assert_eq!(end(&listening).await, (theirs, DownReason::Aborted));
    drop((peer, tcp));
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_of() {
    let (_listening, _, endpoint) = pair(TcpConfig::default()).await;
    let second = Tcp::listen(TcpConfig::default(), &[Ipv4Addr::LOCALHOST.into()], endpoint.port);
    assert!(matches!(second, Err(TransportError::Tcp { .. })));
}

#[test]
fn an_ipv6_network_counts_as_one_address() {
    let same = |a: &str, b: &str| origin(a.parse().unwrap()) == origin(b.parse().unwrap());
    assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::2"));
    assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    assert!(same("::ffff:10.0.0.1", "10.0.0.1"));
    assert!(!same("10.0.0.1", "10.0.0.2"));
}
