//! SCTP packets in and out of embassy-net's sockets.
//!
//! One socket carries all SCTP, UDP or raw as the settings say; both work in the same buffers.
//! A raw socket of smoltcp sees whole IP packets, also such as are for others (its filter comes
//! before the check of the address), so addresses are checked here.

use core::future::Future;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::pin::pin;
use core::task::{Context, Poll};

#[cfg(feature = "raw")]
use embassy_net::raw::{self, IpProtocol, RawSocket};
use embassy_net::udp::{self, UdpSocket};
use embassy_net::{IpAddress, IpEndpoint, Stack, StackResources};
use rserpool_core::sctp::{Datagram, Packet, UdpPorts};

use crate::MESSAGE_LEN_MAX;
use crate::settings::{Address, Settings};

/// Sockets that the tasks open, DHCP's included.
pub const SOCKETS: usize = 2 + cfg!(feature = "dhcp") as usize;

/// What `embassy_net::new` needs; a board keeps it in a static.
pub type Resources = StackResources<SOCKETS>;

/// How embassy-net is to be configured.
#[must_use]
pub fn config(settings: &Settings) -> embassy_net::Config {
    let mut config = embassy_net::Config::default();
    match settings.address {
        Address::Static { address: IpAddr::V4(address), prefix_len } => {
            let gateway = match settings.gateway {
                Some(IpAddr::V4(gateway)) => Some(gateway),
                _ => None,
            };
            config.ipv4 = embassy_net::ConfigV4::Static(embassy_net::StaticConfigV4 {
                address: embassy_net::Ipv4Cidr::new(address, prefix_len),
                gateway,
                dns_servers: Default::default(),
            });
        }
        Address::Static { address: IpAddr::V6(address), prefix_len } => {
            #[cfg(feature = "ipv6")]
            {
                let gateway = match settings.gateway {
                    Some(IpAddr::V6(gateway)) => Some(gateway),
                    _ => None,
                };
                config.ipv6 = embassy_net::ConfigV6::Static(embassy_net::StaticConfigV6 {
                    address: embassy_net::Ipv6Cidr::new(address, prefix_len),
                    gateway,
                    dns_servers: Default::default(),
                });
            }
            let _ = (address, prefix_len);
        }
        Address::Automatic => {
            #[cfg(feature = "dhcp")]
            {
                config.ipv4 = embassy_net::ConfigV4::Dhcp(Default::default());
            }
            #[cfg(feature = "ipv6")]
            {
                config.ipv6 = embassy_net::ConfigV6::Slaac;
            }
        }
    }
    config
}

/// Our address, once there is a link and a configuration: of the first registrar's family, or
/// any if none is named.
pub(crate) fn address_of(stack: Stack<'_>, settings: &Settings) -> Option<IpAddr> {
    if !stack.is_link_up() {
        return None;
    }
    let v4 = stack.config_v4().map(|config| IpAddr::V4(config.address.address()));
    #[cfg(feature = "ipv6")]
    {
        let v6 = || stack.config_v6().map(|config| IpAddr::V6(config.address.address()));
        match settings.registrars.first() {
            Some(registrar) if registrar.address.is_ipv6() => v6(),
            Some(_) => v4,
            None => v4.or_else(v6),
        }
    }
    #[cfg(not(feature = "ipv6"))]
    {
        let _ = settings;
        v4
    }
}

/// Lets `cx` be woken when the link or the configuration changes.
pub(crate) fn watch(stack: Stack<'_>, cx: &mut Context<'_>) {
    // One of them is true, the other one waits.
    let _ = pin!(stack.wait_config_up()).poll(cx);
    let _ = pin!(stack.wait_config_down()).poll(cx);
}

/// The memory of the sockets; all zero bits.
#[derive(Debug)]
pub(crate) struct SocketMemory {
    rx: [u8; RX_LEN],
    tx: [u8; TX_LEN],
}

impl SocketMemory {
    pub(crate) const fn new() -> Self {
        Self { rx: [0; RX_LEN], tx: [0; TX_LEN] }
    }
}

/// What the sockets note about the packets in their memory. It is not zero at the beginning, so
/// it stands apart: together, all of it would come from flash.
#[derive(Debug)]
pub(crate) struct SocketNotes {
    udp_rx: [udp::PacketMetadata; RX_PACKETS],
    udp_tx: [udp::PacketMetadata; TX_PACKETS],
    #[cfg(feature = "raw")]
    raw_rx: [raw::PacketMetadata; RX_PACKETS],
    #[cfg(feature = "raw")]
    raw_tx: [raw::PacketMetadata; TX_PACKETS],
}

impl SocketNotes {
    pub(crate) const fn new() -> Self {
        Self {
            udp_rx: [udp::PacketMetadata::EMPTY; RX_PACKETS],
            udp_tx: [udp::PacketMetadata::EMPTY; TX_PACKETS],
            #[cfg(feature = "raw")]
            raw_rx: [raw::PacketMetadata::EMPTY; RX_PACKETS],
            #[cfg(feature = "raw")]
            raw_tx: [raw::PacketMetadata::EMPTY; TX_PACKETS],
        }
    }
}

/// The socket that carries SCTP.
pub(crate) enum SctpSocket<'a> {
    Udp(UdpSocket<'a>),
    #[cfg(feature = "raw")]
    Raw(RawSocket<'a>),
}

impl<'a> SctpSocket<'a> {
    pub(crate) fn open(
        stack: Stack<'a>,
        settings: &Settings,
        notes: &'a mut SocketNotes,
        memory: &'a mut SocketMemory,
    ) -> Self {
        let SocketMemory { rx, tx } = memory;
        match settings.transport {
            #[cfg(feature = "raw")]
            crate::settings::Transport::Raw => Self::Raw(RawSocket::new(
                stack,
                None,
                Some(IpProtocol::from(SCTP_PROTOCOL)),
                &mut notes.raw_rx,
                rx,
                &mut notes.raw_tx,
                tx,
            )),
            _ => {
                let (rx_meta, tx_meta) = (&mut notes.udp_rx, &mut notes.udp_tx);
                let mut socket = UdpSocket::new(stack, rx_meta, rx, tx_meta, tx);
                // Only port 0 is refused, and a socket that is bound: neither is so.
                let _ = socket.bind(settings.udp_port);
                Self::Udp(socket)
            }
        }
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Udp(socket) => socket.poll_recv_ready(cx),
            #[cfg(feature = "raw")]
            Self::Raw(socket) => socket.poll_recv_ready(cx),
        }
    }

    /// The next SCTP packet, if one is there: it is handed to `take` from `buf`.
    pub(crate) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        local: IpAddr,
        buf: &mut [u8],
        take: impl FnOnce(Datagram<'_>),
    ) -> Poll<()> {
        match self {
            Self::Udp(socket) => match socket.poll_recv_from(buf, cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok((len, meta))) => {
                    let remote = IpAddr::from(meta.endpoint.addr);
                    let ports =
                        UdpPorts { local: socket.endpoint().port, remote: meta.endpoint.port };
                    if let Some(payload) = buf.get(..len) {
                        take(Datagram { local, remote, udp: Some(ports), payload });
                    }
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) => Poll::Ready(()),
            },
            #[cfg(feature = "raw")]
            Self::Raw(socket) => match socket.poll_recv(buf, cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(len) => {
                    let packet = len.ok().and_then(|len| buf.get(..len));
                    if let Some((source, destination, payload)) = packet.and_then(parse_ip)
                        && destination == local
                    {
                        take(Datagram { local, remote: source, udp: None, payload });
                    }
                    Poll::Ready(())
                }
            },
        }
    }

    /// Sends the packet that stands in `buf` from [`HEADROOM`] on.
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        local: IpAddr,
        packet: &Packet,
        buf: &mut [u8],
    ) -> Poll<()> {
        let end = HEADROOM + packet.len;
        match (self, packet.udp) {
            (Self::Udp(socket), Some(ports)) => {
                let (Some(remote), Some(payload)) =
                    (ip_address(packet.remote), buf.get(HEADROOM..end))
                else {
                    return Poll::Ready(());
                };
                let remote = IpEndpoint::new(remote, ports.remote);
                // Without a route it is lost, as on any network.
                socket.poll_send_to(payload, remote, cx).map(|_| ())
            }
            #[cfg(feature = "raw")]
            (Self::Raw(socket), None) => match emit_ip(local, packet.remote, packet.len, buf) {
                Some(start) => match buf.get(start..end) {
                    Some(bytes) => socket.poll_send(bytes, cx),
                    None => Poll::Ready(()),
                },
                None => Poll::Ready(()),
            },
            // The node does not mix transports.
            _ => {
                let _ = local;
                Poll::Ready(())
            }
        }
    }

    /// Whether all that was sent is on the wire.
    pub(crate) fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Udp(socket) => core::pin::pin!(socket.flush()).poll(cx),
            #[cfg(feature = "raw")]
            Self::Raw(socket) => core::pin::pin!(socket.flush()).poll(cx),
        }
    }
}

fn ip_address(address: IpAddr) -> Option<IpAddress> {
    match address {
        IpAddr::V4(address) => Some(IpAddress::Ipv4(address)),
        #[cfg(feature = "ipv6")]
        IpAddr::V6(address) => Some(IpAddress::Ipv6(address)),
        #[cfg(not(feature = "ipv6"))]
        IpAddr::V6(_) => None,
    }
}

/// Room for an IP header before the SCTP packet.
pub(crate) const HEADROOM: usize = if cfg!(feature = "ipv6") { IPV6_LEN } else { IPV4_LEN };

/// A packet with its headroom.
pub(crate) const PACKET_LEN: usize = HEADROOM + MESSAGE_LEN_MAX;

/// Takes an IP packet apart: source, destination, payload. Fragments are nobody's.
#[cfg_attr(not(feature = "raw"), expect(dead_code, reason = "tested without raw sockets, too"))]
pub(crate) fn parse_ip(packet: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
    match packet.first()? >> 4 {
        4 => {
            let header = packet.first_chunk::<IPV4_LEN>()?;
            let header_len = usize::from(header[0] & 0xf) * 4;
            let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
            if header_len < IPV4_LEN || header[9] != SCTP_PROTOCOL || fragment != 0 {
                return None;
            }
            let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
            let destination = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
            let payload = packet.get(header_len..total_len)?;
            Some((source.into(), destination.into(), payload))
        }
        6 => {
            let (header, rest) = packet.split_first_chunk::<IPV6_LEN>()?;
            let payload_len = usize::from(u16::from_be_bytes([header[4], header[5]]));
            if header[6] != SCTP_PROTOCOL {
                return None;
            }
            let (source, destination) = header[8..].split_first_chunk::<16>()?;
            let destination = destination.first_chunk::<16>()?;
            let payload = rest.get(..payload_len)?;
            Some((Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), payload))
        }
        _ => None,
    }
}

/// Writes an IP header right before the payload that stands at [`HEADROOM`]; returns where the
/// packet begins. Smoltcp computes the checksum of the header.
#[cfg_attr(not(feature = "raw"), expect(dead_code, reason = "tested without raw sockets, too"))]
pub(crate) fn emit_ip(
    local: IpAddr,
    remote: IpAddr,
    payload_len: usize,
    buf: &mut [u8],
) -> Option<usize> {
    match (local, remote) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let start = HEADROOM - IPV4_LEN;
            let header = buf.get_mut(start..)?.first_chunk_mut::<IPV4_LEN>()?;
            let total_len = u16::try_from(IPV4_LEN + payload_len).ok()?;
            *header = [0; IPV4_LEN];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&total_len.to_be_bytes());
            header[6] = 0x40;
            header[8] = HOP_LIMIT;
            header[9] = SCTP_PROTOCOL;
            header[12..16].copy_from_slice(&local.octets());
            header[16..20].copy_from_slice(&remote.octets());
            Some(start)
        }
        #[cfg(feature = "ipv6")]
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let start = HEADROOM - IPV6_LEN;
            let header = buf.get_mut(start..)?.first_chunk_mut::<IPV6_LEN>()?;
            *header = [0; IPV6_LEN];
            header[0] = 0x60;
            header[4..6].copy_from_slice(&u16::try_from(payload_len).ok()?.to_be_bytes());
            header[6] = SCTP_PROTOCOL;
            header[7] = HOP_LIMIT;
            header[8..24].copy_from_slice(&local.octets());
            header[24..40].copy_from_slice(&remote.octets());
            Some(start)
        }
        _ => None,
    }
}

/// SCTP's number among the protocols over IP.
const SCTP_PROTOCOL: u8 = 132;
const HOP_LIMIT: u8 = 64;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// Packets that may wait: embassy-net empties the network chip before the node is asked.
const RX_PACKETS: usize = 8;
const TX_PACKETS: usize = 4;
/// Two full packets, or a burst of small ones.
const RX_LEN: usize = 3_072;
/// One full packet, IP header included; smoltcp hands it to the network chip at its next turn.
const TX_LEN: usize = 1_500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_emitted_is_parsed() {
        let (local, remote) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut buf = [0; HEADROOM + 12];
        buf[HEADROOM..].copy_from_slice(b"SCTP, really");
        let start = emit_ip(local, remote, 12, &mut buf).unwrap();
        let packet = &buf[start..];
        assert_eq!(parse_ip(packet), Some((local, remote, &b"SCTP, really"[..])));
        for len in 0..packet.len() {
            assert_eq!(parse_ip(&packet[..len]), None, "{len}");
        }
    }

    #[test]
    fn options_are_skipped_and_padding_is_cut() {
        let mut packet = [0; 40];
        packet[..4].copy_from_slice(&[0x46, 0, 0, 26]);
        packet[9] = 132;
        packet[24..26].copy_from_slice(b"ab");
        let (_, _, payload) = parse_ip(&packet).unwrap();
        assert_eq!(payload, b"ab");
    }

    #[test]
    fn fragments_other_protocols_and_rubbish_are_nobodys() {
        let mut buf = [0; HEADROOM + 4];
        let start = emit_ip([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), 4, &mut buf).unwrap();
        for (place, value) in [(6, 0x20), (7, 1), (9, 17), (0, 0x44), (0, 0x55)] {
            let mut packet = buf;
            packet[start + place] = value;
            assert_eq!(parse_ip(&packet[start..]), None, "byte {place}");
        }
    }
}
