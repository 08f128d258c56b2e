//! The core's SCTP with one association, over whatever carries packets.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Instant as WallInstant;

use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, Packet, UdpPorts,
};
use rserpool_core::time::Instant;

pub(crate) const SCTP_PORT: u16 = 5_000;

type Storage = Inline<2, 8_192, 8_192, 64>;

/// One end.
pub(crate) struct Peer {
    endpoint: Box<Endpoint<Storage, SplitMix64>>,
    start: WallInstant,
    address: Ipv4Addr,
    port: u16,
    socket: Option<UdpSocket>,
    handle: Option<Handle>,
    to_send: VecDeque<Vec<u8>>,
    pub(crate) received: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (waiting, received) = (self.to_send.len(), self.received.len());
        write!(f, "{}: {:?}, {waiting} wait, {received} came", self.address, self.handle)
    }
}

impl Peer {
    pub(crate) fn new(address: Ipv4Addr, port: u16) -> Self {
        let seed = u64::from(u32::from(address));
        let random = SplitMix64::new(seed);
        let storage = Storage::new();
        let mut endpoint = Endpoint::new(Config::default(), random, [7; 32], storage);
        endpoint.listen(port).unwrap();
        Self {
            endpoint: Box::new(endpoint),
            start: WallInstant::now(),
            address,
            port,
            socket: None,
            handle: None,
            to_send: VecDeque::new(),
            received: Vec::new(),
        }
    }

    /// A process with a UDP port of its own, and an SCTP port of the same number.
    pub(crate) fn on_udp(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let port = socket.local_addr().unwrap().port();
        Self { socket: Some(socket), ..Self::new(address, port) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn udp_port(&self) -> u16 {
        self.socket.as_ref().unwrap().local_addr().unwrap().port()
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.start.elapsed().as_micros() as u64)
    }

    /// Connects over UDP, from our own UDP port.
    pub(crate) fn connect(&mut self, to: SocketAddrV4, udp_port: u16) {
        let ports = UdpPorts { local: self.udp_port(), remote: udp_port };
        self.connect_by(to, Some(ports));
    }

    pub(crate) fn connect_by(&mut self, to: SocketAddrV4, udp: Option<UdpPorts>) {
        let connect = Connect { local_port: self.port, remote: SocketAddr::V4(to), udp };
        let now = self.now();
        self.handle = Some(self.endpoint.connect(now, connect).unwrap());
    }

    /// Aborts what was begun.
    pub(crate) fn forget(&mut self) {
        let now = self.now();
        if let Some(handle) = self.handle.take() {
            self.endpoint.abort(now, handle).unwrap();
        }
    }

    pub(crate) fn send(&mut self, data: Vec<u8>) {
        self.to_send.push_back(data);
    }

    pub(crate) fn on_packet(&mut self, from: Ipv4Addr, udp: Option<UdpPorts>, payload: &[u8]) {
        let now = self.now();
        let datagram = Datagram { local: self.address.into(), remote: from.into(), udp, payload };
        // Packets come late and twice here.
        let _ = self.endpoint.handle_input(now, Input::Datagram(datagram));
    }

    /// Lets time pass, takes what came, sends what waits; `transmit` carries the packets.
    pub(crate) fn drive(&mut self, mut transmit: impl FnMut(Packet, &[u8])) {
        let now = self.now();
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Up { handle, .. } = event {
                self.handle = Some(handle);
            }
        }
        if let Some(handle) = self.handle {
            let (stream, ppid) = (StreamId(1), Ppid(7));
            while let Some(data) = self.to_send.front() {
                if self.endpoint.send(now, handle, stream, ppid, false, data).is_err() {
                    break;
                }
                self.to_send.pop_front();
            }
            let mut buf = [0; 2_000];
            while let Some(received) = self.endpoint.recv(now, handle, &mut buf) {
                self.received.push(buf[..received.len].to_vec());
            }
        }
        let mut buf = [0; 1_500];
        while let Some(packet) = self.endpoint.poll_transmit(now, &mut buf) {
            transmit(packet, &buf[..packet.len]);
        }
    }

    /// One turn of a process.
    pub(crate) fn turn(&mut self) {
        let socket = self.socket.take().unwrap();
        let local = socket.local_addr().unwrap().port();
        let mut buf = [0; 2_000];
        while let Ok((len, SocketAddr::V4(from))) = socket.recv_from(&mut buf) {
            let udp = UdpPorts { local, remote: from.port() };
            self.on_packet(*from.ip(), Some(udp), &buf[..len]);
        }
        self.drive(|packet, bytes| {
            let to = SocketAddr::new(packet.remote, packet.udp.unwrap().remote);
            let _ = socket.send_to(bytes, to);
        });
        self.socket = Some(socket);
    }
}
