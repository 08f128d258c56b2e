//! One set of tests for all SCTPs, on the loopback interface.
//!
//! Those of the kernel's are skipped, with a printed reason, where it has none; where
//! `KERNEL_SCTP_REQUIRED` is set, they fail. Those right over IP have network namespaces of their
//! own, and are skipped where none can be made, unless `RAW_SCTP_REQUIRED` is set.

mod homes;
mod pool;
mod raw_only;
mod silence;
mod udp_only;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rserpool_core::association::{
    AssociationId, ConnectId, DownReason, Endpoint, Ppid, StreamId, Transmit,
};
use rserpool_core::entropy::{Entropy, SplitMix64};

use super::*;

/// Makes the tests of the list for each SCTP and each IP, from the functions of the same names.
macro_rules! for_each {
    (mod $module:ident, $choice:path, $address:ident, $($name:path as $test:ident),*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    if let Some(net) = Net::at($choice, $address) {
                        $name(net).await;
                    }
                }
            )*
        }
    };
    (raw mod $module:ident, $address:ident, $($name:path as $test:ident),*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $test() {
                    raw_only::in_own_network(Net::raw($address), $name);
                }
            )*
        }
    };
    ($($name:path as $test:ident),* $(,)?) => {
        for_each!(mod over_udp, TransportChoice::Udp, V4, $($name as $test),*);
        for_each!(mod over_udp_and_ipv6, TransportChoice::Udp, V6, $($name as $test),*);
        for_each!(mod by_kernel, TransportChoice::Kernel, V4, $($name as $test),*);
        for_each!(mod by_kernel_over_ipv6, TransportChoice::Kernel, V6, $($name as $test),*);
        for_each!(raw mod over_ipv4, V4, $($name as $test),*);
        for_each!(raw mod over_ipv6, V6, $($name as $test),*);
    };
}

for_each! {
    messages_go_both_ways as messages_go_both_ways_and_the_end_is_told,
    many_messages as many_messages_on_several_streams_come_in_their_order,
    big_messages as big_messages_come_whole,
    shutdown as what_was_sent_before_a_shutdown_arrives,
    abort as an_abort_is_told_to_both,
    peer_loss as a_peer_that_is_gone_is_told,
    silence::silence as a_peer_that_falls_silent_is_lost,
    nobody as an_attempt_at_nobody_fails_at_once,
    second_address as a_second_address_is_tried_when_the_first_is_nobody,
    cancelled as an_attempt_that_is_given_up_comes_to_nothing,
    slow_machine as a_machine_that_does_not_read_holds_back_the_sender_and_loses_nothing,
    deaf_peer as a_peer_that_does_not_read_does_not_hold_up_the_others,
    unread_at_the_end as a_transport_closes_although_nobody_reads,
    crowd as no_more_associations_are_taken_than_there_is_room_for,
    closing as closing_a_transport_tells_its_peers,
    port_again as a_port_can_be_opened_again_at_once,
    port_twice as a_port_that_somebody_listens_on_is_in_use,
    round_trip as the_round_trip_is_told,
    homes::all_told as all_addresses_of_a_peer_are_told,
    pool::failover as a_job_survives_the_loss_of_an_element,
}

/// One SCTP on the loopback interface, at one of its addresses.
#[derive(Clone, Copy)]
struct Net {
    choice: TransportChoice,
    address: IpAddr,
}

impl Net {
    /// `None`, with a printed reason, where the machine does not have it.
    fn of(choice: TransportChoice) -> Option<Self> {
        Self::at(choice, V4)
    }

    /// The same at an address.
    fn at(choice: TransportChoice, address: IpAddr) -> Option<Self> {
        let probed = std::net::UdpSocket::bind((address, 0)).and_then(|_| match choice {
            TransportChoice::Udp => Ok(()),
            _ => kernel::probe(),
        });
        match probed {
            Ok(()) => Some(Self { choice, address }),
            Err(error) => {
                assert!(std::env::var_os("KERNEL_SCTP_REQUIRED").is_none(), "{error}");
                println!("skipped: no {choice:?} SCTP at {address} here ({error})");
                None
            }
        }
    }

    /// Our SCTP right over IP, for which there must be a network namespace.
    fn raw(address: IpAddr) -> Self {
        Self { choice: TransportChoice::Raw, address }
    }

    fn is_udp(self) -> bool {
        self.choice == TransportChoice::Udp
    }

    fn config(self) -> TransportConfig {
        let mut config = TransportConfig::at(self.address);
        config.choice = self.choice;
        config
    }

    fn start(self) -> Transport {
        Transport::start(self.config())
    }

    /// Where a port is, with its UDP port if it has one.
    fn endpoint(self, port: &Port) -> Endpoint {
        let mut endpoint = Endpoint::new(SocketAddr::new(self.address, port.number()));
        if self.is_udp() {
            endpoint.udp_port = port.udp_ports().first().copied();
        }
        endpoint
    }

    /// Two ports with an association, as each of them calls it.
    async fn pair(self) -> (Side, Side) {
        let (server, client) = (self.start(), self.start());
        let listening = server.open(0, Some(0), true).await.unwrap();
        let port = client.open(0, None, false).await.unwrap();
        let ours = association_of(connect(&port, self.endpoint(&listening)).await);
        let theirs = association_of(next(&listening).await);
        (Side { port: listening, id: theirs }, Side { port, id: ours })
    }
}

/// One side of an association.
struct Side {
    port: Port,
    id: AssociationId,
}

impl Side {
    async fn send(&self, data: &[u8]) {
        send(&self.port, self.id, data).await;
    }

    async fn send_on(&self, stream: u16, data: &[u8]) {
        let (association, stream) = (self.id, StreamId(stream));
        let message =
            Transmit::Message { association, stream, ppid: Ppid::COMPUTE, len: data.len() };
        self.port.perform(message, data).await;
    }

    async fn data(&self) -> Vec<u8> {
        data_of(&self.port).await
    }

    async fn end(&self) -> DownReason {
        end_of(&self.port).await
    }
}

/// The next input but for round trips, which come when they are measured.
async fn next(port: &Port) -> OwnedInput {
    loop {
        let input = tokio::time::timeout(PATIENCE, port.recv()).await.expect("something comes");
        match input.expect("the transport is there") {
            OwnedInput::RoundTrip { .. } => {}
            input => return input,
        }
    }
}

async fn connect(from: &Port, to: Endpoint) -> OwnedInput {
    let connect = ConnectId(7);
    from.perform(Transmit::Connect { connect, endpoint: to }, &[]).await;
    next(from).await
}

fn association_of(input: OwnedInput) -> AssociationId {
    match input {
        OwnedInput::Up { association, peer_addresses, .. } => {
            assert!(peer_addresses.iter().any(IpAddr::is_loopback), "{peer_addresses:?}");
            association
        }
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

async fn data_of(port: &Port) -> Vec<u8> {
    match next(port).await {
        OwnedInput::Message { stream, ppid, data, .. } => {
            assert_eq!((stream, ppid), (StreamId(1), Ppid::COMPUTE));
            data
        }
        other => panic!("{other:?}"),
    }
}

/// How the association ends, whatever comes before.
async fn end_of(port: &Port) -> DownReason {
    loop {
        if let OwnedInput::Down { reason, .. } = next(port).await {
            return reason;
        }
    }
}

async fn messages_go_both_ways(net: Net) {
    let (server, client) = net.pair().await;
    client.send(b"ping").await;
    assert_eq!(server.data().await, b"ping");
    server.send(b"pong").await;
    assert_eq!(client.data().await, b"pong");
    client.port.perform(Transmit::Shutdown { association: client.id }, &[]).await;
    assert_eq!(client.end().await, DownReason::Shutdown);
    assert_eq!(server.end().await, DownReason::Shutdown);
}

async fn many_messages(net: Net) {
    const MESSAGE_COUNT: usize = 1_200;
    let mut entropy = SplitMix64::new(SEED);
    let messages: Vec<(u16, Vec<u8>)> = (0..MESSAGE_COUNT)
        .map(|number| {
            let mut data = vec![0; 1 + entropy.below(3_000) as usize];
            entropy.fill(&mut data);
            (u16::try_from(number % 4).unwrap(), data)
        })
        .collect();
    println!("seed {SEED}");
    let (server, client) = net.pair().await;
    let send = async {
        for (stream, data) in &messages {
            client.send_on(*stream, data).await;
        }
    };
    let echo = async {
        for _ in 0..MESSAGE_COUNT {
            match next(&server.port).await {
                OwnedInput::Message { stream, data, .. } => {
                    server.send_on(stream.0, &data).await;
                }
                other => panic!("{other:?}"),
            }
        }
    };
    let compare = async {
        let of_stream = |wanted: u16| {
            let own = messages.iter().filter(move |(stream, _)| *stream == wanted);
            own.map(|(_, data)| data)
        };
        let mut expected: Vec<_> = (0..4).map(of_stream).collect();
        for _ in 0..MESSAGE_COUNT {
            match next(&client.port).await {
                OwnedInput::Message { stream, ppid, data, .. } => {
                    assert_eq!(ppid, Ppid::COMPUTE);
                    let expected = expected[usize::from(stream.0)].next();
                    assert_eq!(Some(&data), expected, "stream {}", stream.0);
                }
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(send, echo, compare);
}

async fn big_messages(net: Net) {
    let (server, client) = net.pair().await;
    for len in [1, 1_452, 65_536, 65_537, 200_000] {
        let data: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        client.send(&data).await;
        assert!(server.data().await == data, "{len} bytes there");
        server.send(&data).await;
        assert!(client.data().await == data, "{len} bytes back");
    }
}

async fn shutdown(net: Net) {
    const MESSAGE_LEN: usize = 100_000;
    let (server, client) = net.pair().await;
    for number in 0..20 {
        client.send(&vec![number; MESSAGE_LEN]).await;
    }
    client.port.perform(Transmit::Shutdown { association: client.id }, &[]).await;
    for number in 0..20 {
        assert!(server.data().await == vec![number; MESSAGE_LEN], "message {number}");
    }
    assert_eq!(server.end().await, DownReason::Shutdown);
    assert_eq!(client.end().await, DownReason::Shutdown);
}

async fn abort(net: Net) {
    let (server, client) = net.pair().await;
    client.port.perform(Transmit::Abort { association: client.id }, &[]).await;
    assert_eq!(client.end().await, DownReason::Aborted);
    assert_eq!(server.end().await, DownReason::Aborted);
}

async fn peer_loss(net: Net) {
    // A runtime of its own, so that all sockets of the peer go at once, as those of a process.
    let runtime = own_runtime();
    let opened = runtime.spawn(async move {
        let server = net.start();
        server.open(0, Some(0), true).await.unwrap()
    });
    let listening = opened.await.unwrap();
    let client = net.start().open(0, None, false).await.unwrap();
    let id = association_of(connect(&client, net.endpoint(&listening)).await);
    runtime.shutdown_background();
    send(&client, id, b"anybody there?").await;
    end_of(&client).await;
}

async fn nobody(net: Net) {
    let port = net.start().open(0, None, false).await.unwrap();
    let closed = std::net::UdpSocket::bind((net.address, 0)).unwrap().local_addr().unwrap();
    let mut nobody = Endpoint::new(SocketAddr::new(net.address, closed.port()));
    nobody.udp_port = net.is_udp().then_some(closed.port());
    let input = connect(&port, nobody).await;
    assert!(matches!(input, OwnedInput::ConnectFailed { connect: ConnectId(7) }), "{input:?}");
}

async fn second_address(net: Net) {
    let (server, client) = (net.start(), net.start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let mut to = net.endpoint(&listening);
    let nobody = match net.address {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 77]),
        IpAddr::V6(_) => IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 77]),
    };
    to.addresses.insert(0, nobody).unwrap();
    association_of(connect(&port, to).await);
}

async fn cancelled(net: Net) {
    let (server, client) = (net.start(), net.start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let (given_up, endpoint) = (ConnectId(1), net.endpoint(&listening));
    let transmit = Transmit::Connect { connect: given_up, endpoint: endpoint.clone() };
    port.perform(transmit, &[]).await;
    port.perform(Transmit::CancelConnect { connect: given_up }, &[]).await;
    // Another one, so that there is something to wait for.
    loop {
        match connect(&port, endpoint.clone()).await {
            OwnedInput::Up { connect, .. } => return assert_eq!(connect, Some(ConnectId(7))),
            // What was given up is not gone from the SCTP below yet.
            OwnedInput::ConnectFailed { connect } => assert_eq!(connect, ConnectId(7)),
            other => panic!("{other:?}"),
        }
    }
}

async fn slow_machine(net: Net) {
    const MESSAGE_LEN: usize = 100_000;
    let (server, client) = net.pair().await;
    for number in 0..60 {
        client.send(&vec![number; MESSAGE_LEN]).await;
    }
    for number in 0..60 {
        assert!(server.data().await == vec![number; MESSAGE_LEN], "message {number}");
    }
}

async fn deaf_peer(net: Net) {
    let server = net.start();
    let listening = server.open(0, Some(0), true).await.unwrap();
    let mut sides = Vec::new();
    for _ in 0..2 {
        let port = net.start().open(0, None, false).await.unwrap();
        association_of(connect(&port, net.endpoint(&listening)).await);
        sides.push((port, association_of(next(&listening).await)));
    }
    let (_deaf, to_deaf) = &sides[0];
    let (other, to_other) = &sides[1];
    // More than all buffers on the way hold, but less than it takes to be aborted for it.
    for _ in 0..120 {
        send(&listening, *to_deaf, &[1; 100_000]).await;
    }
    send(&listening, *to_other, b"still served").await;
    assert_eq!(data_of(other).await, b"still served");
}

async fn unread_at_the_end(net: Net) {
    let (server, client) = (net.start(), net.start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    let ours = association_of(connect(&port, net.endpoint(&listening)).await);
    for _ in 0..60 {
        send(&port, ours, &[1; 100_000]).await;
    }
    // It has come, and nobody takes it.
    assert!(matches!(next(&listening).await, OwnedInput::Up { .. }));
    assert_eq!(data_of(&listening).await, [1; 100_000]);
    let closed = server.close(Duration::from_millis(100));
    tokio::time::timeout(PATIENCE, closed).await.expect("it closes");
}

async fn crowd(net: Net) {
    let mut config = net.config();
    config.association_count_max = 2;
    let listening = Transport::start(config).open(0, Some(0), true).await.unwrap();
    let mut ports = Vec::new();
    for _ in 0..2 {
        let port = net.start().open(0, None, false).await.unwrap();
        association_of(connect(&port, net.endpoint(&listening)).await);
        assert!(matches!(next(&listening).await, OwnedInput::Up { .. }));
        ports.push(port);
    }
    let late = net.start().open(0, None, false).await.unwrap();
    match connect(&late, net.endpoint(&listening)).await {
        // Refused at once, or let in and put out again.
        OwnedInput::ConnectFailed { .. } => {}
        OwnedInput::Up { .. } => assert_eq!(end_of(&late).await, DownReason::Aborted),
        other => panic!("{other:?}"),
    }
    drop(ports.pop());
    end_of(&listening).await;
    association_of(connect(&late, net.endpoint(&listening)).await);
}

async fn closing(net: Net) {
    let (server, client) = (net.start(), net.start());
    let listening = server.open(0, Some(0), true).await.unwrap();
    let port = client.open(0, None, false).await.unwrap();
    association_of(connect(&port, net.endpoint(&listening)).await);
    client.close(Duration::from_secs(5)).await;
    assert!(matches!(next(&listening).await, OwnedInput::Up { .. }));
    assert!(matches!(next(&listening).await, OwnedInput::Down { .. }));
    while port.recv().await.is_some() {}
}

async fn port_again(net: Net) {
    let server = net.start();
    let listening = server.open(0, Some(0), true).await.unwrap();
    let (number, udp_port) = (listening.number(), listening.udp_ports().first().copied());
    let client = net.start().open(0, None, false).await.unwrap();
    association_of(connect(&client, net.endpoint(&listening)).await);
    server.close(Duration::from_secs(5)).await;
    drop(listening);
    end_of(&client).await;
    let again = net.start().open(number, udp_port, true).await.unwrap();
    association_of(connect(&client, net.endpoint(&again)).await);
}

async fn port_twice(net: Net) {
    let (ours, theirs) = (net.start(), net.start());
    let listening = ours.open(0, Some(0), true).await.unwrap();
    match theirs.open(listening.number(), None, true).await {
        Err(TransportError::AddressInUse { port, .. }) if net.is_udp() => {
            assert_eq!(port, listening.number());
        }
        Err(TransportError::KernelPortInUse { port } | TransportError::RawPortInUse { port }) => {
            assert_eq!(port, listening.number())
        }
        other => panic!("{other:?}"),
    }
    match ours.open(listening.number(), None, true).await {
        Err(TransportError::PortOpen { port }) => assert_eq!(port, listening.number()),
        other => panic!("{other:?}"),
    }
}

async fn round_trip(net: Net) {
    let delay_ms = std::env::var("LOOPBACK_DELAY_MS").ok().map(|text| text.parse().unwrap());
    if net.choice == TransportChoice::Kernel && delay_ms.is_none() {
        println!("skipped: the kernel measures no round trips as short as those of loopback");
        return;
    }
    let (server, client) = net.pair().await;
    let told = async {
        loop {
            client.send(b"ping").await;
            match client.port.recv().await.expect("the transport is there") {
                OwnedInput::RoundTrip { micros, .. } => return micros,
                OwnedInput::Message { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let echo = async {
        loop {
            let data = server.data().await;
            server.send(&data).await;
        }
    };
    let micros = tokio::select! {
        micros = told => micros,
        () = echo => unreachable!(),
    };
    println!("a round trip takes {micros} microseconds");
    let least = delay_ms.map_or(1, |delay_ms: u32| 2 * delay_ms * 1_000);
    // A tick less, since the kernel counts whole ones; not more than a delayed acknowledgement
    // and what a busy machine adds.
    assert!(micros + 10_000 >= least && micros < least + 2_000_000, "{micros} of {least}");
}

#[tokio::test]
async fn one_port_serves_peers_of_both() {
    let Some(both) = Net::of(TransportChoice::Auto) else { return };
    let server = both.start();
    let listening = server.open(0, Some(0), true).await.unwrap();
    for choice in [TransportChoice::Kernel, TransportChoice::Udp, TransportChoice::Auto] {
        let net = Net { choice, ..both };
        let port = net.start().open(0, None, false).await.unwrap();
        let id = association_of(connect(&port, net.endpoint(&listening)).await);
        let theirs = association_of(next(&listening).await);
        send(&port, id, b"from one of them").await;
        assert_eq!(data_of(&listening).await, b"from one of them");
        send(&listening, theirs, b"to that one").await;
        assert_eq!(data_of(&port).await, b"to that one");
        port.perform(Transmit::Shutdown { association: id }, &[]).await;
        assert_eq!(end_of(&port).await, DownReason::Shutdown);
        assert_eq!(end_of(&listening).await, DownReason::Shutdown);
    }
}

#[tokio::test]
async fn who_may_have_either_finds_a_peer_of_ours_alone() {
    let server = Net::of(TransportChoice::Udp).unwrap().start();
    let listening = server.open(0, None, true).await.unwrap();
    let auto = Net { choice: TransportChoice::Auto, address: Ipv4Addr::LOCALHOST.into() };
    let port = auto.start().open(0, None, false).await.unwrap();
    // Nothing said about UDP, so the kernel's SCTP is tried first, where there is one.
    let to = auto.endpoint(&listening);
    let id = association_of(connect(&port, to).await);
    association_of(next(&listening).await);
    send(&port, id, b"found").await;
    assert_eq!(data_of(&listening).await, b"found");
}

#[tokio::test]
async fn the_kernel_cannot_be_chosen_where_it_has_no_sctp() {
    if kernel::probe().is_ok() {
        println!("skipped: this kernel has SCTP");
        return;
    }
    let net = Net { choice: TransportChoice::Kernel, address: Ipv4Addr::LOCALHOST.into() };
    let error = net.start().open(4_711, None, true).await.unwrap_err();
    assert!(matches!(error, TransportError::NoKernelSctp { port: 4_711 }), "{error}");
}

/// A runtime that can end without the others.
fn own_runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const SEED: u64 = 20_261_127;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
