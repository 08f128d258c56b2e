//! A board without a processor: smoltcp at the end of a link.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::unix::net::UnixDatagram;

use rserpool_core::sctp::UdpPorts;
use rserpool_qemu::Link;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{raw, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, IpProtocol, IpVersion, Ipv4Packet,
    Ipv4Repr,
};

use crate::peer::{Peer, SCTP_PORT};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Raw,
    Udp,
}

pub(crate) struct Board {
    pub(crate) peer: Peer,
    link: Link,
    cable: Cable,
    interface: Interface,
    sockets: SocketSet<'static>,
    raw: SocketHandle,
    udp: SocketHandle,
    transport: Transport,
}

impl Board {
    pub(crate) fn start(link: Link, transport: Transport) -> Self {
        let socket = UnixDatagram::bind(link.board_path()).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(link.switch_path()).unwrap();
        let mut cable = Cable(socket);
        let mac = HardwareAddress::Ethernet(EthernetAddress(link.mac()));
        let mut interface = Interface::new(Config::new(mac), &mut cable, Instant::now());
        let address = IpCidr::new(link.address().into(), 8);
        interface.update_ip_addrs(|addresses| addresses.push(address).unwrap());
        let mut sockets = SocketSet::new(Vec::new());
        let raw = sockets.add(raw::Socket::new(
            Some(IpVersion::Ipv4),
            Some(SCTP),
            raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 64], vec![0; 65_536]),
            raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY; 64], vec![0; 65_536]),
        ));
        let mut udp_socket = udp::Socket::new(
            udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]),
            udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65_536]),
        );
        udp_socket.bind(UDP_PORT).unwrap();
        let udp = sockets.add(udp_socket);
        let peer = Peer::new(link.address(), SCTP_PORT);
        Self { peer, link, cable, interface, sockets, raw, udp, transport }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn connect(&mut self, to: SocketAddrV4, udp_port: Option<u16>) {
        let udp = match self.transport {
            Transport::Raw => None,
            Transport::Udp => Some(UdpPorts { local: UDP_PORT, remote: udp_port.unwrap() }),
        };
        self.peer.connect_by(to, udp);
    }

    /// One turn of the board's processor.
    pub(crate) fn turn(&mut self) {
        self.interface.poll(Instant::now(), &mut self.cable, &mut self.sockets);
        let raw = self.sockets.get_mut::<raw::Socket<'_>>(self.raw);
        while let Ok(bytes) = raw.recv() {
            let packet = Ipv4Packet::new_checked(bytes).unwrap();
            if packet.dst_addr() == self.link.address() {
                self.peer.on_packet(packet.src_addr(), None, packet.payload());
            }
        }
        let udp = self.sockets.get_mut::<udp::Socket<'_>>(self.udp);
        while let Ok((bytes, from)) = udp.recv() {
            let ports = UdpPorts { local: UDP_PORT, remote: from.endpoint.port };
            let IpAddress::Ipv4(remote) = from.endpoint.addr else { continue };
            self.peer.on_packet(remote, Some(ports), bytes);
        }
        let (sockets, address) = (&mut self.sockets, self.link.address());
        self.peer.drive(|packet, bytes| {
            let IpAddr::V4(remote) = packet.remote else { return };
            match packet.udp {
                None => {
                    let raw = sockets.get_mut::<raw::Socket<'_>>(self.raw);
                    let _ = raw.send_slice(&ip_packet(address, remote, bytes));
                }
                Some(ports) => {
                    let udp = sockets.get_mut::<udp::Socket<'_>>(self.udp);
                    let _ = udp.send_slice(bytes, (remote, ports.remote));
                }
            }
        });
        self.interface.poll(Instant::now(), &mut self.cable, &mut self.sockets);
    }
}

fn ip_packet(from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: from,
        dst_addr: to,
        next_header: SCTP,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; repr.buffer_len() + payload.len()];
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
    repr.emit(&mut packet, &smoltcp::phy::ChecksumCapabilities::default());
    packet.payload_mut().copy_from_slice(payload);
    bytes
}

const SCTP: IpProtocol = IpProtocol::Unknown(132);
const UDP_PORT: u16 = 9_899;

/// The board's end of the link.
struct Cable(UnixDatagram);

struct Received(Vec<u8>);

struct ToSend<'a>(&'a UnixDatagram);

impl Device for Cable {
    type RxToken<'a> = Received;
    type TxToken<'a> = ToSend<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, ToSend<'_>)> {
        let mut buf = vec![0; 1_600];
        let len = self.0.recv(&mut buf).ok()?;
        buf.truncate(len);
        Some((Received(buf), ToSend(&self.0)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<ToSend<'_>> {
        Some(ToSend(&self.0))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for ToSend<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut frame = vec![0; len];
        let result = fill(&mut frame);
        let _ = self.0.send(&frame);
        result
    }
}
