//! How the packets of an association that a case holds travel.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant as Clock};

use anyhow::{Context, Result};
use rserpool_core::sctp::{Config, Datagram, Packet, UDP_PORT, UdpPorts};
use socket2::{Domain, Protocol, Socket, Type};

/// In UDP (RFC 6951), both sides at port 9899, or right over IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    Udp,
    Raw,
}

/// Where an endpoint of a case is, and how it behaves.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// Its addresses; of several the peer is told.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) carrier: Carrier,
    pub(crate) config: Config,
}

impl Home {
    /// One address, and parameters as the RFC has them.
    pub(crate) fn at(address: IpAddr, carrier: Carrier) -> Self {
        Self { addresses: vec![address], carrier, config: Config::DEFAULT }
    }
}

/// The sockets of an endpoint, one for each of its addresses.
pub(crate) struct Sockets {
    carrier: Carrier,
    sockets: Vec<(IpAddr, UdpSocket)>,
}

impl Sockets {
    /// Opens them.
    ///
    /// # Errors
    ///
    /// If an address is none of ours, or its UDP port in use.
    pub(crate) fn open(home: &Home) -> Result<Self> {
        let mut sockets = Vec::new();
        for &address in &home.addresses {
            let socket = match home.carrier {
                Carrier::Udp => UdpSocket::bind((address, UDP_PORT)),
                Carrier::Raw => raw_socket(address),
            };
            let what = || format!("cannot have a socket ({:?}) at {address}", home.carrier);
            let socket = socket.with_context(what)?;
            socket.set_nonblocking(true)?;
            sockets.push((address, socket));
        }
        Ok(Self { carrier: home.carrier, sockets })
    }

    /// The UDP ports of packets, if they go by UDP.
    pub(crate) fn udp_ports(&self) -> Option<UdpPorts> {
        let ports = UdpPorts { local: UDP_PORT, remote: UDP_PORT };
        (self.carrier == Carrier::Udp).then_some(ports)
    }

    /// Sends a packet. One that the network refuses is lost, as others are.
    pub(crate) fn send(&self, packet: &Packet, bytes: &[u8]) {
        let is_near = |address: &IpAddr| network_of(*address) == network_of(packet.remote);
        let is_it = |address: &IpAddr| packet.local.map_or(is_near(address), |it| it == *address);
        let of = self.sockets.iter().find(|(address, _)| is_it(address));
        let Some((_, socket)) = of.or(self.sockets.first()) else { return };
        let port = packet.udp.map_or(0, |ports| ports.remote);
        let _ = socket.send_to(bytes, (packet.remote, port));
    }

    /// The next packet, if one comes within `patience`.
    ///
    /// # Errors
    ///
    /// If a socket fails.
    pub(crate) fn receive<'a>(
        &self,
        buffer: &'a mut [u8],
        patience: Duration,
    ) -> Result<Option<Datagram<'a>>> {
        let deadline = Clock::now() + patience;
        loop {
            for (local, socket) in &self.sockets {
                match socket.recv_from(buffer) {
                    Ok((len, from)) => {
                        return Ok(Some(self.datagram(*local, from, &buffer[..len])));
                    }
                    Err(error) if is_nothing(error.kind()) => {}
                    Err(error) => return Err(error).context("cannot receive"),
                }
            }
            if Clock::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(TICK);
        }
    }

    fn datagram<'a>(&self, local: IpAddr, from: SocketAddr, bytes: &'a [u8]) -> Datagram<'a> {
        let udp = self.udp_ports().map(|ports| UdpPorts { remote: from.port(), ..ports });
        // Raw sockets of IPv4 give the IP header as well.
        let header_len = match (udp, bytes.first()) {
            (None, Some(first)) => usize::from(first & 0x0f) * 4,
            _ => 0,
        };
        let payload = bytes.get(header_len..).unwrap_or_default();
        Datagram { local, remote: from.ip(), udp, payload }
    }
}

fn raw_socket(address: IpAddr) -> std::io::Result<UdpSocket> {
    let place = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(place), Type::RAW, Some(Protocol::SCTP))?;
    socket.bind(&place.into())?;
    Ok(socket.into())
}

/// The first three bytes of an address: each bridge of a case is such a network.
fn network_of(address: IpAddr) -> Option<[u8; 3]> {
    match address {
        IpAddr::V4(address) => address.octets().first_chunk().copied(),
        IpAddr::V6(_) => None,
    }
}

/// Whether a socket has just nothing: that nobody is at the other end, or no way to it, shows in
/// no answer.
fn is_nothing(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::WouldBlock
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    )
}

const TICK: Duration = Duration::from_millis(1);
