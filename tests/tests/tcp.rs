//! Pool users by TCP (RFC 5352 §3.3), over loopback: what they get, and what limits them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool::transport::{TcpConfig, Transport, TransportConfig};
use rserpool::{
    ElementEvent, PoolElement, PoolElementConfig, PoolUser, PoolUserConfig, Registrar,
    RegistrarConfig, ResolveError,
};
use rserpool_core::asap::PoolElementEvent;
use rserpool_core::asap::cookie::CookieKey;
use rserpool_core::association::Endpoint;
use rserpool_core::enrp::{Event, RemovalReason};
use rserpool_core::identifier::{PeId, PoolHandle, PoolHandleBuf};
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::{Cause, Framer, Policy};
use rserpool_tests::registrar::{element, register, resolve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long anything may take before the test has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// A registrar with an element of "Pool", both on a transport of their own.
struct Scope {
    registrar: Registrar,
    element: PoolElement,
    _transports: [Transport; 2],
}

async fn scope(set: impl FnOnce(&mut RegistrarConfig, &mut TcpConfig)) -> Scope {
    let transports =
        [0; 2].map(|_| Transport::start(TransportConfig::at(Ipv4Addr::LOCALHOST.into())));
    let (mut config, mut tcp) = (RegistrarConfig::default(), TcpConfig::default());
    tcp.is_required = true;
    config.registrar.max_bad_pe_reports = 0;
    set(&mut config, &mut tcp);
    (config.udp_port, config.tcp) = (Some(0), Some(tcp));
    let registrar = loop {
        // The free SCTP port may be taken by another program's TCP.
        config.port = 0;
        match Registrar::start(&transports[0], config.clone()).await {
            Ok(registrar) => break registrar,
            Err(error) => println!("{error}"),
        }
    };
    assert!(registrar.serves_tcp());
    let mut home = Endpoint::new(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), registrar.port()));
    home.udp_port = registrar.udp_ports().first().copied();
    let mut config = PoolElementConfig::new(vec![home], pool(), CookieKey::new([7; 32]));
    config.policy = Policy::RoundRobin;
    config.identifier = Some(PeId(77));
    let mut element = PoolElement::start(&transports[1], config).await.expect("an element");
    let registered = async {
        while let Some(event) = element.next_event().await {
            if let ElementEvent::Membership(PoolElementEvent::Registered { .. }) = event {
                return;
            }
        }
        panic!("the element has ended");
    };
    timeout(DEADLINE, registered).await.expect("registered");
    Scope { registrar, element, _transports: transports }
}

impl Scope {
    fn address(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.registrar.port())
    }

    async fn user(&self) -> PoolUser {
        let mut config = PoolUserConfig::new(vec![Endpoint::new(self.address())]);
        config.by_tcp = true;
        let transport = Transport::start(TransportConfig::at(Ipv4Addr::LOCALHOST.into()));
        PoolUser::start(&transport, config).await.expect("a pool user")
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("it listens")
    }

    /// The registrar serves others.
    async fn assert_serves(&self) {
        // From another address: what is wrong with this one does not concern it.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(self.address()).await.expect("it listens");
        stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
        assert_eq!(listed(&read_one(&mut stream).await), [77]);
    }
}

fn pool() -> PoolHandleBuf {
    PoolHandle::new(b"Pool").expect("a handle").to_buf()
}

async fn read_one(stream: &mut TcpStream) -> Vec<u8> {
    let mut framer = Framer::new(vec![0; 1 << 16]);
    let reading = async {
        loop {
            let byte = [stream.read_u8().await.expect("an answer")];
            if let Some(message) = framer.next_message(&mut &byte[..]).expect("well-formed") {
                return message.to_vec();
            }
        }
    };
    timeout(DEADLINE, reading).await.expect("an answer in time")
}

/// The connection ends without another byte.
async fn assert_ends(stream: &mut TcpStream) {
    let end = timeout(DEADLINE, stream.read_u8()).await.expect("it ends in time");
    assert!(end.is_err(), "{end:?}");
}

fn listed(response: &[u8]) -> Vec<u32> {
    match AsapMessage::parse(response).expect("well-formed") {
        AsapMessage::HandleResolutionResponse(response) => {
            response.elements.iter().map(|element| element.id.0).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_user_resolves_and_hears_of_unknown_pools() {
    let scope = scope(|_, _| {}).await;
    let user = scope.user().await;
    let found = timeout(DEADLINE, user.resolve(pool(), None)).await.unwrap().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, PeId(77));
    let other = PoolHandle::new(b"Other").unwrap().to_buf();
    let result = timeout(DEADLINE, user.resolve(other, None)).await.unwrap();
    assert_eq!(result, Err(ResolveError::UnknownPool(other)));
}

#[tokio::test]
async fn a_user_reports_an_unreachable_element() {
    let mut scope = scope(|_, _| {}).await;
    let user = scope.user().await;
    user.report_unreachable(pool(), PeId(77)).await;
    let removed = async {
        loop {
            let event = scope.registrar.next_event().await.expect("it runs");
            if let Event::ElementRemoved { element, reason, .. } = event {
                return (element, reason);
            }
        }
    };
    let removed = timeout(DEADLINE, removed).await.unwrap();
    assert_eq!(removed, (PeId(77), RemovalReason::BadReports));
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte_and_several_at_once() {
    let scope = scope(|_, _| {}).await;
    let mut stream = scope.connect().await;
    stream.set_nodelay(true).unwrap();
    for byte in resolve("Pool", Some(1)) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(listed(&read_one(&mut stream).await), [77]);
    stream.write_all(&resolve("Pool", Some(1)).repeat(3)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(listed(&read_one(&mut stream).await), [77]);
    }
}

#[tokio::test]
async fn what_cannot_be_parsed_is_answered_by_an_error() {
    let scope = scope(|_, _| {}).await;
    let mut stream = scope.connect().await;
    // A handle of 33 bytes.
    let mut message = vec![5, 0, 0, 44, 0, 9, 0, 37];
    message.extend([b'x'; 36]);
    stream.write_all(&message).await.unwrap();
    match AsapMessage::parse(&read_one(&mut stream).await).unwrap() {
        AsapMessage::Error(message) => assert_eq!(message.error.cause(), Cause::INVALID_VALUES),
        other => panic!("{other:?}"),
    }
    // The connection stays.
    stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
    assert_eq!(listed(&read_one(&mut stream).await), [77]);
}

#[tokio::test]
async fn elements_do_not_register_by_tcp() {
    let scope = scope(|_, _| {}).await;
    let mut stream = scope.connect().await;
    stream.write_all(&register(&element("Pool", 1))).await.unwrap();
    match AsapMessage::parse(&read_one(&mut stream).await).unwrap() {
        AsapMessage::RegistrationResponse(response) => {
            assert!(response.rejected);
            assert_eq!(response.error.unwrap().cause(), Cause::SECURITY);
        }
        other => panic!("{other:?}"),
    }
    scope.assert_serves().await;
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let scope = scope(|_, tcp| tcp.message_len_max = 512).await;
    // A length below the header's, one above the limit, and both behind a sound request.
    for garbage in [[5, 0, 0, 3], [5, 0, 2, 1], [0xff; 4]] {
        let mut stream = scope.connect().await;
        stream.write_all(&garbage).await.unwrap();
        assert_ends(&mut stream).await;
        let mut stream = scope.connect().await;
        stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
        assert_eq!(listed(&read_one(&mut stream).await), [77]);
        stream.write_all(&garbage).await.unwrap();
        assert_ends(&mut stream).await;
    }
    scope.assert_serves().await;
}

#[tokio::test]
async fn half_a_message_is_waited_for_so_long_and_silence_so_long() {
    let scope = scope(|_, tcp| {
        tcp.message_timeout = Duration::from_millis(50);
        tcp.idle_timeout = Duration::from_millis(300);
    })
    .await;
    let request = resolve("Pool", Some(1));
    // Nothing, a part of the header, and all but a byte.
    for len in [0, 3, request.len() - 1] {
        let mut stream = scope.connect().await;
        stream.write_all(&request[..len]).await.unwrap();
        assert_ends(&mut stream).await;
    }
    let mut stream = scope.connect().await;
    stream.write_all(&request).await.unwrap();
    assert_eq!(listed(&read_one(&mut stream).await), [77]);
    assert_ends(&mut stream).await;
}

#[tokio::test]
async fn a_flood_of_half_open_connections_keeps_nobody_out() {
    let scope = scope(|config, tcp| {
        config.association_count_max = 4;
        tcp.connection_count_max = 40;
        tcp.connections_per_address_max = 20;
    })
    .await;
    let mut flood = Vec::new();
    for count in 0..100 {
        let mut stream = scope.connect().await;
        // Every other one begins a message.
        let _ = stream.write_all(&[5, 0, 0][..count % 2 * 3]).await;
        flood.push(stream);
    }
    // Also from the address of the flood.
    let mut stream = scope.connect().await;
    stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
    assert_eq!(listed(&read_one(&mut stream).await), [77]);
    scope.assert_serves().await;
    // The oldest had to make room.
    assert_ends(&mut flood[0]).await;
}

#[tokio::test]
async fn who_has_spoken_is_not_displaced() {
    let scope = scope(|_, tcp| tcp.connections_per_address_max = 2).await;
    let mut spoken = [scope.connect().await, scope.connect().await];
    for stream in &mut spoken {
        stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
        assert_eq!(listed(&read_one(stream).await), [77]);
    }
    assert_ends(&mut scope.connect().await).await;
    for stream in &mut spoken {
        stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
        assert_eq!(listed(&read_one(stream).await), [77]);
    }
}

#[tokio::test]
async fn a_registrar_that_stops_ends_connections() {
    let scope = scope(|_, _| {}).await;
    let mut stream = scope.connect().await;
    stream.write_all(&resolve("Pool", Some(1))).await.unwrap();
    assert_eq!(listed(&read_one(&mut stream).await), [77]);
    drop(scope.element);
    scope.registrar.stop(DEADLINE).await;
    assert_ends(&mut stream).await;
}
