//! Sockets that carry SCTP packets, in UDP or right over IP: packets in batches, and what ICMP
//! says of those that did not arrive.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::libc::{
    SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL, in_addr, in_pktinfo, in6_addr,
    in6_pktinfo,
};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// A socket and the task that reads it. The task ends with the socket.
#[derive(Debug)]
pub(crate) struct LaneSocket {
    /// The address that it is bound to; may be the wildcard.
    pub(crate) address: IpAddr,
    /// `None`: it is a raw socket, and packets go right over IP.
    pub(crate) udp_port: Option<u16>,
    /// Of either kind: what is sent and received are datagrams.
    socket: Arc<UdpSocket>,
    /// Whether IP may fragment what is sent.
    may_fragment: AtomicBool,
    reader: AbortHandle,
}

/// What came in on one socket at a time.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The UDP port that it came to; `None` if it came right over IP.
    pub(crate) udp_port: Option<u16>,
    data: Vec<u8>,
    datagrams: Vec<Arrived>,
    returned: Vec<Returned>,
}

/// A packet that did not arrive.
#[derive(Debug)]
struct Returned {
    remote: SocketAddr,
    why: Why,
    /// Its beginning; empty if the system refused it here, and does not say what it was.
    range: Range<usize>,
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nobody takes it.
    Unreachable,
    /// It does not fit a link of so many bytes, and may not be fragmented.
    TooBig(u32),
}

/// A packet that has come in.
#[derive(Debug)]
struct Arrived {
    local: IpAddr,
    remote: SocketAddr,
    range: Range<usize>,
}

impl Batch {
    /// The packets: which of our addresses each was sent to, and where it came from (port 0 if
    /// right over IP).
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (IpAddr, SocketAddr, &[u8])> {
        self.datagrams.iter().map(|it| (it.local, it.remote, &self.data[it.range.clone()]))
    }

    /// The beginnings of packets that did not arrive, where they should have gone, and why they
    /// did not.
    pub(crate) fn returned(&self) -> impl Iterator<Item = (SocketAddr, Why, &[u8])> {
        self.returned.iter().map(|it| (it.remote, it.why, &self.data[it.range.clone()]))
    }
}

impl LaneSocket {
    /// Binds UDP `address`; what arrives goes to `batches`. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address is in use, or is none of this machine's.
    pub(crate) fn udp(address: SocketAddr, batches: mpsc::Sender<Batch>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        let bound = socket.local_addr()?.as_socket();
        let udp_port = bound.map_or(address.port(), |bound| bound.port());
        Self::start(socket, address.ip(), Some(udp_port), batches)
    }

    /// Opens a raw socket for SCTP (protocol 132) at `address`; what arrives goes to `batches`,
    /// and the kernel answers none of it.
    ///
    /// # Errors
    ///
    /// If the process may not have raw sockets (it takes CAP_NET_RAW), or the address is none of
    /// this machine's.
    pub(crate) fn raw(address: IpAddr, batches: mpsc::Sender<Batch>) -> io::Result<Self> {
        let place = SocketAddr::new(address, 0);
        let socket = Socket::new(Domain::for_address(place), Type::RAW, Some(Protocol::SCTP))?;
        socket.bind(&place.into())?;
        Self::start(socket, address, None, batches)
    }

    fn start(
        socket: Socket,
        address: IpAddr,
        udp_port: Option<u16>,
        batches: mpsc::Sender<Batch>,
    ) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // The kernel caps these silently; what it gives is enough to work with.
        let _ = socket.set_recv_buffer_size(BUFFER_LEN);
        let _ = socket.set_send_buffer_size(BUFFER_LEN);
        let is_wildcard = address.is_unspecified();
        match address {
            IpAddr::V4(_) => {
                setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &is_wildcard)?;
            }
            IpAddr::V6(_) => {
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &is_wildcard)?;
            }
        }
        set_fragmentation(&socket, address, false)?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let reader = Reader { socket: Arc::clone(&socket), address, udp_port, batches };
        let reader = tokio::spawn(reader.run()).abort_handle();
        Ok(Self { address, udp_port, socket, may_fragment: AtomicBool::new(false), reader })
    }

    /// Lets IP fragment what is sent from now on, or not. One task sends.
    pub(crate) fn let_fragment(&self, may_fragment: bool) {
        if self.may_fragment.swap(may_fragment, Ordering::Relaxed) != may_fragment
            && let Err(error) = set_fragmentation(&self.socket, self.address, may_fragment)
        {
            tracing::debug!(%error, "fragmentation stays as it is");
        }
    }

    /// Sends a packet, from `local` if that is one of the addresses that it is bound to. One that
    /// the network refuses is lost, as any other may be; false if that is for its size.
    pub(crate) async fn send(
        &self,
        local: Option<IpAddr>,
        remote: SocketAddr,
        payload: &[u8],
    ) -> bool {
        let source = local.filter(|local| {
            self.address.is_unspecified()
                && !local.is_unspecified()
                && local.is_ipv4() == remote.is_ipv4()
        });
        let send = || send_from(&self.socket, source, remote, payload);
        // A pending ICMP error of an earlier packet is reported here, too, and cleared: once
        // more sends what was meant to be sent.
        let mut fits = true;
        for _ in 0..2 {
            match self.socket.async_io(Interest::WRITABLE, send).await {
                Ok(()) => return true,
                Err(error) => {
                    fits = error.raw_os_error() != Some(Errno::EMSGSIZE as i32);
                    tracing::trace!(%remote, %error, "packet not sent");
                }
            }
        }
        fits
    }
}

impl Drop for LaneSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Sends a packet; a socket of all addresses sends it from `source`.
fn send_from(
    socket: &UdpSocket,
    source: Option<IpAddr>,
    remote: SocketAddr,
    payload: &[u8],
) -> io::Result<()> {
    let (fd, parts) = (socket.as_raw_fd(), [io::IoSlice::new(payload)]);
    let (remote, flags) = (SockaddrStorage::from(remote), MsgFlags::empty());
    match source {
        None => sendmsg(fd, &parts, &[], flags, Some(&remote))?,
        Some(IpAddr::V4(source)) => {
            let address = in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
            let any = in_addr { s_addr: 0 };
            let info = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: address, ipi_addr: any };
            sendmsg(fd, &parts, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&remote))?
        }
        Some(IpAddr::V6(source)) => {
            let address = in6_addr { s6_addr: source.octets() };
            let info = in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            sendmsg(fd, &parts, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&remote))?
        }
    };
    Ok(())
}

/// Lets IP fragment what a socket of `address` sends, or refuse what does not fit. The system
/// does not look at what it believes of the way: SCTP finds that out by itself.
fn set_fragmentation(socket: impl AsFd, address: IpAddr, may_fragment: bool) -> io::Result<()> {
    match (address, may_fragment) {
        (IpAddr::V4(_), true) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DONT)?,
        (IpAddr::V4(_), false) => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE)?,
        (IpAddr::V6(_), true) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DONT)?,
        (IpAddr::V6(_), false) => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE)?,
    }
    Ok(())
}

/// What reads a socket.
struct Reader {
    socket: Arc<UdpSocket>,
    address: IpAddr,
    udp_port: Option<u16>,
    batches: mpsc::Sender<Batch>,
}

impl Reader {
    /// Reads until the transport is gone.
    async fn run(self) {
        let mut scratch = vec![0; DATAGRAM_LEN_MAX];
        let mut control = nix::cmsg_space!(in6_pktinfo);
        let interest = Interest::READABLE | Interest::ERROR;
        loop {
            let Ok(ready) = self.socket.ready(interest).await else { return };
            let mut batch = Batch {
                udp_port: self.udp_port,
                data: Vec::new(),
                datagrams: Vec::new(),
                returned: Vec::new(),
            };
            if ready.is_error() {
                let read = || read_errors(&self.socket, &mut batch);
                let _ = self.socket.try_io(Interest::ERROR, read);
            }
            while batch.datagrams.len() < BATCH_COUNT_MAX {
                let read = || self.read_one(&mut scratch, &mut control, &mut batch);
                match self.socket.try_io(Interest::READABLE, read) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // A pending ICMP error; its details are in the error queue.
                    Err(_) => {
                        let _ = read_errors(&self.socket, &mut batch);
                        break;
                    }
                }
            }
            let is_empty = batch.datagrams.is_empty() && batch.returned.is_empty();
            if !is_empty && self.batches.send(batch).await.is_err() {
                return;
            }
        }
    }

    fn read_one(
        &self,
        scratch: &mut [u8],
        control: &mut [u8],
        batch: &mut Batch,
    ) -> io::Result<()> {
        let mut parts = [io::IoSliceMut::new(scratch)];
        let control = self.address.is_unspecified().then_some(control);
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrStorage>(fd, &mut parts, control, MsgFlags::MSG_DONTWAIT)?;
        let remote = message.address.as_ref().and_then(socket_address);
        let local = match self.address.is_unspecified() {
            true => message.cmsgs()?.find_map(|control| destination(&control)),
            false => Some(self.address),
        };
        let len = message.bytes;
        // One that was sent to several of us is none of SCTP's.
        let (Some(remote), Some(local)) = (remote, local) else { return Ok(()) };
        let packet = scratch.get(..len).unwrap_or_default();
        // Raw sockets of IPv4, and only those, give the IP header as well.
        let header_len = match (self.udp_port, self.address, packet.first()) {
            (None, IpAddr::V4(_), Some(first)) => usize::from(first & 0x0f) * 4,
            _ => 0,
        };
        let start = batch.data.len();
        batch.data.extend_from_slice(packet.get(header_len..).unwrap_or_default());
        batch.datagrams.push(Arrived { local, remote, range: start..batch.data.len() });
        Ok(())
    }
}

/// The address that a packet was sent to, if it is one of ours and of nobody else.
fn destination(control: &ControlMessageOwned) -> Option<IpAddr> {
    let v4 = |address: in_addr| IpAddr::from(address.s_addr.to_ne_bytes());
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let is_unicast = info.ipi_spec_dst.s_addr == info.ipi_addr.s_addr;
            is_unicast.then(|| v4(info.ipi_addr))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    }
}

/// Moves the socket's error queue into `batch`, then says that it is empty (`WouldBlock`).
fn read_errors(socket: &UdpSocket, batch: &mut Batch) -> io::Result<()> {
    let mut control = nix::cmsg_space!([u8; CONTROL_LEN]);
    for _ in 0..BATCH_COUNT_MAX {
        let mut payload = [0; ERROR_PAYLOAD_LEN];
        let mut parts = [io::IoSliceMut::new(&mut payload)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
        let remote = message.address.as_ref().and_then(socket_address);
        let why = message.cmsgs()?.find_map(|control| why(&control));
        let len = message.bytes;
        if let (Some(remote), Some(why)) = (remote, why) {
            let start = batch.data.len();
            batch.data.extend_from_slice(&payload[..len]);
            batch.returned.push(Returned { remote, why, range: start..start + len });
        }
    }
    Ok(())
}

/// Why a packet did not arrive, as ICMP says, or this system: the machine is there, but nobody
/// listens at the port, or nobody speaks SCTP; or the packet is too big.
///
/// Anything else (no route, say) may pass, and is left to SCTP's own timers.
fn why(control: &ControlMessageOwned) -> Option<Why> {
    let error = match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) => error,
        ControlMessageOwned::Ipv6RecvErr(error, _) => error,
        _ => return None,
    };
    match (error.ee_origin, error.ee_type, error.ee_code) {
        (SO_EE_ORIGIN_LOCAL, ..) if error.ee_errno == Errno::EMSGSIZE as u32 => {
            Some(Why::TooBig(error.ee_info))
        }
        (SO_EE_ORIGIN_ICMP, 3, 2 | 3)
        | (SO_EE_ORIGIN_ICMP6, 1, 4)
        | (SO_EE_ORIGIN_ICMP6, 4, 1) => Some(Why::Unreachable),
        (SO_EE_ORIGIN_ICMP, 3, 4) | (SO_EE_ORIGIN_ICMP6, 2, _) => Some(Why::TooBig(error.ee_info)),
        _ => None,
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|&address| SocketAddr::V4(address.into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|&address| SocketAddr::V6(address.into())))
}

/// Datagrams that are read before others have their turn.
const BATCH_COUNT_MAX: usize = 64;

/// The longest UDP payload.
const DATAGRAM_LEN_MAX: usize = 65_536;

/// What is kept of a datagram that ICMP returns: enough for ports, tag and first chunk.
const ERROR_PAYLOAD_LEN: usize = 64;

/// Room for the control messages of an ICMP error.
const CONTROL_LEN: usize = 512;

/// Socket buffers: some milliseconds of a fast network.
const BUFFER_LEN: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    fn at(socket: &LaneSocket) -> SocketAddr {
        SocketAddr::new(socket.address, socket.udp_port.unwrap())
    }

    #[tokio::test]
    async fn datagrams_arrive_with_their_sender() {
        let (batches, mut arrivals) = mpsc::channel(4);
        let receiver = LaneSocket::udp(LOOPBACK, batches).unwrap();
        let (batches, _unused) = mpsc::channel(4);
        let sender = LaneSocket::udp(LOOPBACK, batches).unwrap();
        let to = at(&receiver);
        sender.send(None, to, b"hello").await;
        let batch = arrivals.recv().await.unwrap();
        let datagrams: Vec<_> = batch.datagrams().collect();
        let from = at(&sender);
        assert_eq!(datagrams, [(LOOPBACK.ip(), from, &b"hello"[..])]);
    }

    #[tokio::test]
    async fn a_socket_of_all_addresses_tells_and_chooses_which() {
        let [all, one] = ["0.0.0.0:0", "127.0.0.9:0"].map(|address| address.parse().unwrap());
        let (batches, mut arrivals) = mpsc::channel(4);
        let all = LaneSocket::udp(all, batches.clone()).unwrap();
        let one = LaneSocket::udp(one, batches).unwrap();
        let [there, back] = [&all, &one].map(|socket| socket.udp_port.unwrap());
        let own = IpAddr::from([127, 0, 0, 77]);
        one.send(None, SocketAddr::new(own, there), b"to one of them").await;
        let batch = arrivals.recv().await.unwrap();
        assert_eq!(batch.datagrams().map(|it| it.0).collect::<Vec<_>>(), [own]);
        all.send(Some(own), SocketAddr::new(one.address, back), b"from it").await;
        let batch = arrivals.recv().await.unwrap();
        let remotes: Vec<_> = batch.datagrams().map(|it| it.1).collect();
        assert_eq!(remotes, [SocketAddr::new(own, there)]);
    }

    #[tokio::test]
    async fn a_closed_port_is_reported_with_the_datagram() {
        let (batches, mut arrivals) = mpsc::channel(4);
        let sender = LaneSocket::udp(LOOPBACK, batches.clone()).unwrap();
        let closed = LaneSocket::udp(LOOPBACK, batches).unwrap();
        let to = at(&closed);
        let reader = closed.reader.clone();
        drop(closed);
        while !reader.is_finished() {
            tokio::task::yield_now().await;
        }
        sender.send(None, to, b"anybody there?").await;
        let batch = arrivals.recv().await.unwrap();
        let returned: Vec<_> = batch.returned().collect();
        assert_eq!(returned, [(to, Why::Unreachable, &b"anybody there?"[..])]);
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error() {
        let (batches, _arrivals) = mpsc::channel(4);
        let first = LaneSocket::udp(LOOPBACK, batches.clone()).unwrap();
        let same = at(&first);
        let error = LaneSocket::udp(same, batches).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
