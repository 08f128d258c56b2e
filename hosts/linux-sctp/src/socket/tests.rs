//! Real sockets on the loopback interface, where the kernel has SCTP.

use std::time::Instant;

use super::*;
use crate::{AssociationChange, Family};

/// Two sockets, or a printed reason why there are none.
fn pair() -> Option<(Socket, Socket)> {
    match (open(Family::Ipv4), open(Family::Ipv4)) {
        (Ok(server), Ok(client)) => {
            server.listen(8).unwrap();
            Some((server, client))
        }
        (Err(error), _) | (_, Err(error)) => {
            // Where SCTP must be there, its lack is a failure.
            assert!(std::env::var_os("KERNEL_SCTP_REQUIRED").is_none(), "{error}");
            println!("skipped: this kernel has no SCTP sockets ({error})");
            None
        }
    }
}

fn open(family: Family) -> io::Result<Socket> {
    let socket = Socket::new(family)?;
    for event in [
        Event::AssociationChange,
        Event::AddressChange,
        Event::RemoteError,
        Event::Shutdown,
        Event::PartialDelivery,
        Event::SenderDry,
        Event::SendFailed,
    ] {
        socket.subscribe(event, true)?;
    }
    socket.bind("127.0.0.1:0".parse().unwrap())?;
    Ok(socket)
}

/// Repeats `call` until it does not have to wait.
fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(Instant::now() < deadline, "nothing happens");
                std::thread::yield_now();
            }
            result => return result.unwrap(),
        }
    }
}

fn change_of(socket: &Socket) -> (AssociationId, AssociationChange, u16) {
    let mut buffer = [0; 8_192];
    loop {
        let received = patiently(|| socket.recv(&mut buffer));
        if let Received::Notification(Notification::AssociationChange {
            association,
            change,
            cause,
            ..
        }) = received
        {
            return (association, change, cause);
        }
    }
}

/// The next whole message of a socket.
fn message_of(socket: &Socket) -> (ReceiveInfo, Vec<u8>) {
    let mut buffer = vec![0; 16_384];
    let mut message = Vec::new();
    loop {
        match patiently(|| socket.recv(&mut buffer)) {
            Received::Message { info, len, is_end } => {
                message.extend_from_slice(&buffer[..len]);
                if is_end {
                    return (info, message);
                }
            }
            Received::Notification(_) => {}
        }
    }
}

/// Brings an association up; how both sides call it.
fn connect(server: &Socket, client: &Socket) -> (AssociationId, AssociationId) {
    let ours = client.connectx(&[server.local_address().unwrap()]).unwrap();
    assert_eq!(change_of(client), (ours, AssociationChange::Up, 0));
    let (theirs, change, _) = change_of(server);
    assert_eq!(change, AssociationChange::Up);
    (theirs, ours)
}

#[test]
fn messages_go_both_ways_with_stream_and_ppid() {
    let Some((server, client)) = pair() else { return };
    let (theirs, ours) = connect(&server, &client);
    let info = SendInfo { association: ours, stream: 3, ppid: 11, ..SendInfo::default() };
    client.send(info, b"ping").unwrap();
    let (received, data) = message_of(&server);
    assert_eq!((received.association, received.stream, received.ppid), (theirs, 3, 11));
    assert_eq!(data, b"ping");
    // Far more than fits a packet.
    let large: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    server.send(SendInfo { association: theirs, ..info }, &large).unwrap();
    assert_eq!(message_of(&client).1, large);
}

#[test]
fn a_shutdown_is_told_to_both() {
    let Some((server, client)) = pair() else { return };
    let (theirs, ours) = connect(&server, &client);
    client.shut_down(ours).unwrap();
    assert_eq!(change_of(&client), (ours, AssociationChange::ShutDown, 0));
    assert_eq!(change_of(&server), (theirs, AssociationChange::ShutDown, 0));
}

#[test]
fn an_abort_is_told_with_its_cause() {
    let Some((server, client)) = pair() else { return };
    let (theirs, ours) = connect(&server, &client);
    client.abort(ours, b"enough").unwrap();
    assert_eq!(change_of(&client).1, AssociationChange::Lost);
    // User-Initiated Abort (RFC 9260 §3.3.10.12).
    assert_eq!(change_of(&server), (theirs, AssociationChange::Lost, 12));
}

#[test]
fn nobody_at_the_other_end_is_told() {
    let Some((server, client)) = pair() else { return };
    let address = server.local_address().unwrap();
    drop(server);
    let ours = client.connectx(&[address]).unwrap();
    let (association, change, _) = change_of(&client);
    assert_eq!((association, change), (ours, AssociationChange::CannotStart));
}

#[test]
fn several_addresses_are_bound_and_told_to_the_peer() {
    let Some((server, client)) = pair() else { return };
    let port = server.local_address().unwrap().port();
    let more = SocketAddr::new("127.0.0.2".parse().unwrap(), port);
    server.bind_more(&[more]).unwrap();
    let ours = client.connectx(&[SocketAddr::new("127.0.0.1".parse().unwrap(), port), more]);
    let ours = ours.unwrap();
    assert_eq!(change_of(&client), (ours, AssociationChange::Up, 0));
    let mut addresses = client.peer_addresses(ours).unwrap();
    addresses.sort_unstable();
    assert_eq!(addresses, [SocketAddr::new("127.0.0.1".parse().unwrap(), port), more]);
    assert_eq!(server.local_addresses(AssociationId::default()).unwrap().len(), 2);
}

#[test]
fn an_ipv6_socket_has_ipv4_peers() {
    let Some((server, _)) = pair() else { return };
    let client = Socket::new(Family::Ipv6).unwrap();
    client.subscribe(Event::AssociationChange, true).unwrap();
    client.bind("[::]:0".parse().unwrap()).unwrap();
    let (_, ours) = connect(&server, &client);
    let address = server.local_address().unwrap();
    assert_eq!(client.peer_addresses(ours).unwrap(), [address]);
}

#[test]
fn options_come_back_and_the_status_has_the_streams() {
    let Some((server, client)) = pair() else { return };
    client
        .set_init(InitOptions {
            outbound_streams: 5,
            inbound_streams_max: 7,
            ..Default::default()
        })
        .unwrap();
    let rto = RtoOptions {
        initial: Duration::from_millis(900),
        min: Duration::from_millis(300),
        max: Duration::from_secs(50),
    };
    client.set_rto(AssociationId::default(), rto).unwrap();
    assert_eq!(client.rto(AssociationId::default()).unwrap(), rto);
    let interval = Some(Duration::from_secs(3));
    let heartbeat = Heartbeat { interval, path_retransmissions_max: Some(4) };
    client.set_heartbeat(AssociationId::default(), heartbeat).unwrap();
    client.set_retransmissions_max(AssociationId::default(), 4).unwrap();
    let delay = Duration::from_millis(100);
    let sack = SackOptions { delay, packet_count_max: 2 };
    client.set_sack(AssociationId::default(), sack).unwrap();
    client.set_remote_udp_port(AssociationId::default(), 0).unwrap();
    client.set_buffer_lens(100_000, 100_000).unwrap();
    let (_, ours) = connect(&server, &client);
    let status = client.status(ours).unwrap();
    assert_eq!((status.outbound_streams, status.inbound_streams), (5, 7));
    assert_eq!(status.primary, Some(server.local_address().unwrap()));
    assert!(status.rto >= rto.min && status.rto <= rto.max, "{status:?}");
}

#[test]
fn nothing_to_receive_would_block() {
    let Some((server, _)) = pair() else { return };
    let error = server.recv(&mut [0; 100]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn the_tick_is_between_one_and_ten_milliseconds() {
    let tick = tick().unwrap();
    assert!(tick >= Duration::from_millis(1) && tick <= Duration::from_millis(10), "{tick:?}");
}
