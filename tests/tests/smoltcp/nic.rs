//! A network interface of smoltcp with raw sockets for SCTP (protocol 132) and ICMP.

use std::collections::VecDeque;
use std::net::IpAddr;

use rserpool_core::sctp::{Datagram, Input, TooBig, Unreachable};
use rserpool_core::time::Instant;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::raw::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{
    HardwareAddress, Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv6Message,
    Icmpv6Packet, IpCidr, IpProtocol, IpRepr, IpVersion, Ipv4Packet, Ipv6Packet,
};

/// SCTP's number among the protocols over IP.
pub(crate) const SCTP: IpProtocol = IpProtocol::Unknown(132);
/// What the link at an interface takes.
pub(crate) const LINK_MTU: usize = 1_500;
/// What IP fragments to: every host takes that much.
const FRAGMENT_LEN: usize = 576;
const HOP_LIMIT: u8 = 64;
/// Room for a burst.
const PACKETS: usize = 64;

/// One address and its way to the network.
pub(crate) struct Nic {
    pub(crate) address: IpAddr,
    whole: Port,
    /// For packets that IP may fragment: smoltcp does so by the MTU of the link alone, and sends
    /// all else with Don't Fragment.
    cut: Port,
    sctp: SocketHandle,
    icmp: SocketHandle,
    cut_sctp: SocketHandle,
}

/// An interface with its sockets and its end of the wire.
struct Port {
    interface: Interface,
    sockets: SocketSet<'static>,
    wire: Wire,
}

impl Nic {
    /// An interface whose host speaks SCTP, or does not.
    pub(crate) fn new(address: IpAddr, speaks_sctp: bool) -> Self {
        let (mut whole, mut cut) =
            (Port::new(address, LINK_MTU), Port::new(address, FRAGMENT_LEN));
        let protocol = if speaks_sctp { SCTP } else { IpProtocol::Unknown(253) };
        let icmp = if address.is_ipv4() { IpProtocol::Icmp } else { IpProtocol::Icmpv6 };
        let sctp = whole.open(address, protocol);
        let icmp = whole.open(address, icmp);
        let cut_sctp = cut.open(address, SCTP);
        Self { address, whole, cut, sctp, icmp, cut_sctp }
    }

    /// Sends an SCTP packet.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        remote: IpAddr,
        may_fragment: bool,
        payload: &[u8],
    ) {
        let repr = IpRepr::new(self.address.into(), remote.into(), SCTP, payload.len(), HOP_LIMIT);
        let mut packet = vec![0; repr.buffer_len()];
        repr.emit(&mut packet[..], &ChecksumCapabilities::default());
        packet[repr.header_len()..].copy_from_slice(payload);
        let (port, socket) = match may_fragment && packet.len() > FRAGMENT_LEN {
            true => (&mut self.cut, self.cut_sctp),
            false => (&mut self.whole, self.sctp),
        };
        port.sockets.get_mut::<Socket<'_>>(socket).send_slice(&packet).unwrap();
        port.turn(now);
    }

    /// Takes in an IP packet.
    pub(crate) fn receive(&mut self, now: Instant, packet: Vec<u8>) {
        self.whole.wire.incoming.push_back(packet);
        self.whole.turn(now);
    }

    /// The next IP packet that goes out.
    pub(crate) fn next_outgoing(&mut self) -> Option<Vec<u8>> {
        let wire = |port: &mut Port| port.wire.outgoing.pop_front();
        wire(&mut self.whole).or_else(|| wire(&mut self.cut))
    }

    /// Hands what has come in by the sockets to `take`.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Input<'_>)) {
        while let Ok(packet) = self.whole.sockets.get_mut::<Socket<'_>>(self.sctp).recv() {
            let Some((remote, local, payload)) = parse(packet) else { continue };
            // The filter of raw sockets comes before the check of the address.
            if local == self.address {
                take(Input::Datagram(Datagram { local, remote, udp: None, payload }));
            }
        }
        while let Ok(packet) = self.whole.sockets.get_mut::<Socket<'_>>(self.icmp).recv() {
            let Some((_, local, payload)) = parse(packet) else { continue };
            if local == self.address
                && let Some(input) = icmp(payload)
            {
                take(input);
            }
        }
    }
}

impl Port {
    fn new(address: IpAddr, mtu: usize) -> Self {
        let mut wire = Wire { mtu, incoming: VecDeque::new(), outgoing: VecDeque::new() };
        let config = Config::new(HardwareAddress::Ip);
        let start = smoltcp::time::Instant::ZERO;
        let mut interface = Interface::new(config, &mut wire, start);
        interface.update_ip_addrs(|addresses| {
            let prefix_len = if address.is_ipv4() { 24 } else { 64 };
            addresses.push(IpCidr::new(address.into(), prefix_len)).unwrap();
        });
        Self { interface, sockets: SocketSet::new(vec![]), wire }
    }

    fn open(&mut self, address: IpAddr, protocol: IpProtocol) -> SocketHandle {
        let version = if address.is_ipv4() { IpVersion::Ipv4 } else { IpVersion::Ipv6 };
        let buffer = || {
            PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; PACKETS * LINK_MTU])
        };
        self.sockets.add(Socket::new(Some(version), Some(protocol), buffer(), buffer()))
    }

    /// Lets smoltcp do all that it has to do.
    fn turn(&mut self, now: Instant) {
        let now = smoltcp::time::Instant::from_micros(now.as_micros() as i64);
        loop {
            let before = self.wire.outgoing.len();
            let polled = self.interface.poll(now, &mut self.wire, &mut self.sockets);
            // Fragments are no change of a socket's state.
            if polled == PollResult::None && self.wire.outgoing.len() == before {
                return;
            }
        }
    }
}

/// Source, destination and payload of an IP packet.
pub(crate) fn parse(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    match IpVersion::of_packet(packet).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            Some((packet.src_addr().into(), packet.dst_addr().into(), packet.payload()))
        }
        IpVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            Some((packet.src_addr().into(), packet.dst_addr().into(), packet.payload()))
        }
    }
}

/// What an ICMP message says to SCTP. RFC 9260 §10.
fn icmp(message: &[u8]) -> Option<Input<'_>> {
    let mtu = u32::from_be_bytes(*message.get(4..)?.first_chunk()?);
    let (_, quoted) = message.split_at_checked(8)?;
    // What is quoted is cut, so its lengths are not looked at.
    let (remote, quoted): (IpAddr, &[u8]) = match IpVersion::of_packet(quoted).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_unchecked(quoted);
            (packet.dst_addr().into(), quoted.get(usize::from(packet.header_len())..)?)
        }
        IpVersion::Ipv6 => {
            (Ipv6Packet::new_unchecked(quoted).dst_addr().into(), quoted.get(40..)?)
        }
    };
    let unreachable = Input::Unreachable(Unreachable { remote, quoted });
    if remote.is_ipv4() {
        let message = Icmpv4Packet::new_checked(message).ok()?;
        let code = Icmpv4DstUnreachable::from(message.msg_code());
        return match (message.msg_type(), code) {
            (Icmpv4Message::DstUnreachable, Icmpv4DstUnreachable::FragRequired) => {
                Some(Input::TooBig(TooBig { remote, mtu: mtu & 0xffff, quoted }))
            }
            (Icmpv4Message::DstUnreachable, Icmpv4DstUnreachable::ProtoUnreachable) => {
                Some(unreachable)
            }
            _ => None,
        };
    }
    let message = Icmpv6Packet::new_checked(message).ok()?;
    match (message.msg_type(), message.msg_code()) {
        (Icmpv6Message::PktTooBig, _) => Some(Input::TooBig(TooBig { remote, mtu, quoted })),
        // Unrecognized next header.
        (Icmpv6Message::ParamProblem, 1) => Some(unreachable),
        _ => None,
    }
}

/// An interface's end of the wire: IP packets as they are.
struct Wire {
    mtu: usize,
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);

struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.mtu;
        capabilities.medium = Medium::Ip;
        capabilities
    }

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.incoming.pop_front()?;
        Some((Received(packet), Sending(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outgoing))
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}
