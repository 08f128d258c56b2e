//! Our SCTP endpoint against the C library usrsctp by UDP on loopback (RFC 6951): real sockets,
//! real time, and the library's own threads.
#![cfg(feature = "usrsctp")]

use std::io::ErrorKind::{TimedOut, UnexpectedEof, WouldBlock};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant as Clock};

use rserpool_core::association::{DownReason, Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, UdpPorts,
};
use rserpool_core::time::Instant;
use rserpool_usrsctp::{Library, Received, Socket};

/// Our end.
struct Host {
    endpoint: Box<Endpoint<Inline<1, 65_536, 65_536, 256>, SplitMix64>>,
    socket: UdpSocket,
    start: Clock,
    up: Option<Handle>,
    down: Option<DownReason>,
}

const OUR_PORT: u16 = 5_000;
const THEIR_PORT: u16 = 5_001;
/// Messages each way; every seventh takes dozens of packets.
const MESSAGES: u32 = 200;
/// For everything together.
const PATIENCE: Duration = Duration::from_secs(60);

impl Host {
    fn new() -> Self {
        let (entropy, secret) = (SplitMix64::new(1), [1; 32]);
        let mut endpoint = Endpoint::new(Config::DEFAULT, entropy, secret, Inline::new());
        endpoint.listen(OUR_PORT).expect("it is the first port");
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let endpoint = Box::new(endpoint);
        Self { endpoint, socket, start: Clock::now(), up: None, down: None }
    }

    fn udp_port(&self) -> u16 {
        self.socket.local_addr().expect("it is bound").port()
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// Sends what is owed, takes in a packet or lets time pass.
    fn turn(&mut self) {
        assert!(self.start.elapsed() < PATIENCE, "up {:?}, down {:?}", self.up, self.down);
        let mut buf = [0; 2_048];
        while let Some(packet) = self.endpoint.poll_transmit(self.now(), &mut buf) {
            let port = packet.udp.map_or(0, |udp| udp.remote);
            // A full socket is loss like any other.
            let _ = self.socket.send_to(&buf[..packet.len], (packet.remote, port));
        }
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Up { handle, .. } => self.up = Some(handle),
                Event::Down { reason, .. } => self.down = Some(reason),
                _ => {}
            }
        }
        self.socket.set_read_timeout(Some(Duration::from_millis(5))).expect("not zero");
        match self.socket.recv_from(&mut buf) {
            Ok((len, from)) => {
                let local = self.socket.local_addr().expect("it is bound");
                let datagram = Datagram::in_udp(local, from, &buf[..len]);
                let now = self.now();
                let _ = self.endpoint.handle_input(now, Input::Datagram(datagram));
            }
            Err(error) => assert!(matches!(error.kind(), WouldBlock | TimedOut), "{error}"),
        }
        self.endpoint.handle_timeout(self.now());
    }

    fn connect(&mut self, udp_port: u16) {
        let remote = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), THEIR_PORT);
        let udp = UdpPorts { local: self.udp_port(), remote: udp_port };
        let connect = Connect { local_port: OUR_PORT, remote, udp: Some(udp) };
        self.endpoint.connect(self.now(), connect).expect("there is room");
    }

    /// Sends all messages, and expects each of them back, in order of its stream.
    fn expect_echo(&mut self) {
        let (mut sent, mut next, mut buf) = (0, [0_u32, 1], vec![0; 65_536]);
        while (next[0], next[1]) != (MESSAGES, MESSAGES + 1) {
            self.turn();
            let (Some(handle), now) = (self.up, self.now()) else { continue };
            while sent < MESSAGES {
                let (stream, data) = (StreamId((sent % 2) as u16), message(sent));
                if self.endpoint.send(now, handle, stream, Ppid(sent), false, &data).is_err() {
                    break;
                }
                sent += 1;
            }
            while let Some(got) = self.endpoint.recv(now, handle, &mut buf) {
                let expected = &mut next[usize::from(got.stream.0)];
                assert_eq!(got.ppid.0, *expected);
                assert!(buf[..got.len] == message(*expected), "message {expected} is broken");
                *expected += 2;
            }
        }
    }

    fn expect_end(&mut self) {
        while self.down.is_none() {
            self.turn();
        }
        assert_eq!(self.down, Some(DownReason::Shutdown));
    }
}

fn message(number: u32) -> Vec<u8> {
    let len = if number.is_multiple_of(7) { 20_000 } else { 40 + number as usize };
    vec![number as u8; len]
}

/// Sends back what comes, until the peer shuts down.
fn echo(socket: &Socket) {
    let (mut buf, mut parts) = (vec![0; 65_536], Vec::new());
    loop {
        match socket.recv(&mut buf) {
            Ok(Received::Message { stream, ppid, unordered, len, is_end }) => {
                parts.extend_from_slice(&buf[..len]);
                if is_end {
                    socket.send(stream, ppid, unordered, &parts).expect("it is up");
                    parts.clear();
                }
            }
            Ok(Received::Lost { cause }) => panic!("lost: {cause}"),
            Ok(_) => {}
            Err(error) if error.kind() == UnexpectedEof => break,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The library has one UDP port in a process, so there is one test.
#[test]
fn messages_come_back_by_udp_whoever_connects() {
    let their_udp_port = {
        let free = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
        free.local_addr().expect("it is bound").port()
    };
    let (mut ours, mut other) = (Host::new(), Host::new());
    let ports = (ours.udp_port(), other.udp_port());
    let (listens, is_listening) = mpsc::channel();
    let theirs = thread::spawn(move || {
        let library = Library::on_udp(their_udp_port);
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, THEIR_PORT);
        let listener = library.udp_socket(address, ports.0).expect("a free port");
        listener.listen().expect("it is bound");
        listens.send(()).expect("we wait for it");
        echo(&listener.accept().expect("we connect"));
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, THEIR_PORT + 1);
        let socket = library.udp_socket(address, ports.1).expect("a free port");
        let remote = SocketAddrV4::new(Ipv4Addr::LOCALHOST, OUR_PORT);
        socket.connect_udp(remote).expect("we accept");
        echo(&socket);
    });
    is_listening.recv().expect("it listens");
    ours.connect(their_udp_port);
    for host in [&mut ours, &mut other] {
        host.expect_echo();
        let (now, handle) = (host.now(), host.up.expect("it was up"));
        host.endpoint.shutdown(now, handle).expect("it is up");
        host.expect_end();
    }
    theirs.join().expect("the other side is content");
}
