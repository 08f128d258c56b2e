//! UDP sockets: datagrams in batches, and what ICMP says of those that did not arrive.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// A UDP socket and the task that reads it. The task ends with the socket.
#[derive(Debug)]
pub(crate) struct LaneSocket {
    /// The address that it is bound to; may be the wildcard.
    pub(crate) address: IpAddr,
    pub(crate) udp_port: u16,
    socket: Arc<UdpSocket>,
    reader: AbortHandle,
}

/// What came in on one socket at a time.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The address that the socket is bound to.
    pub(crate) local: IpAddr,
    pub(crate) udp_port: u16,
    data: Vec<u8>,
    datagrams: Vec<(SocketAddr, Range<usize>)>,
    unreachable: Vec<(SocketAddr, Range<usize>)>,
}

impl Batch {
    /// The datagrams and where they came from.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter().map(|(remote, range)| (*remote, &self.data[range.clone()]))
    }

    /// The beginnings of datagrams that nobody listens for, and where they should have gone.
    pub(crate) fn unreachable(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        self.unreachable.iter().map(|(remote, range)| (*remote, &self.data[range.clone()]))
    }
}

impl LaneSocket {
    /// Binds `address`; what arrives goes to `batches`. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address is in use, or is none of this machine's.
    pub(crate) fn bind(address: SocketAddr, batches: mpsc::Sender<Batch>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // The kernel caps these silently; what it gives is enough to work with.
        let _ = socket.set_recv_buffer_size(BUFFER_LEN);
        let _ = socket.set_send_buffer_size(BUFFER_LEN);
        match address {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
            SocketAddr::V6(_) => {
                socket.set_only_v6(true)?;
                setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
            }
        }
        socket.bind(&address.into())?;
        let socket = Arc::new(UdpSocket::from_std(socket.into())?);
        let udp_port = socket.local_addr()?.port();
        let reader = tokio::spawn(read(Arc::clone(&socket), address.ip(), udp_port, batches));
        Ok(Self { address: address.ip(), udp_port, socket, reader: reader.abort_handle() })
    }

    /// Sends a datagram. One that the network refuses is lost, as any other may be.
    pub(crate) async fn send(&self, remote: SocketAddr, payload: &[u8]) {
        // A pending ICMP error of an earlier datagram is reported here, too, and cleared: once
        // more sends what was meant to be sent.
        for _ in 0..2 {
            match self.socket.send_to(payload, remote).await {
                Ok(_) => return,
                Err(error) => tracing::trace!(%remote, %error, "datagram not sent"),
            }
        }
    }
}

impl Drop for LaneSocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads `socket` until the transport is gone.
async fn read(socket: Arc<UdpSocket>, local: IpAddr, udp_port: u16, batches: mpsc::Sender<Batch>) {
    let mut scratch = vec![0; DATAGRAM_LEN_MAX];
    loop {
        let Ok(ready) = socket.ready(Interest::READABLE | Interest::ERROR).await else { return };
        let mut batch = Batch {
            local,
            udp_port,
            data: Vec::new(),
            datagrams: Vec::new(),
            unreachable: Vec::new(),
        };
        if ready.is_error() {
            let _ = socket.try_io(Interest::ERROR, || read_errors(&socket, &mut batch));
        }
        while batch.datagrams.len() < BATCH_COUNT_MAX {
            match socket.try_recv_from(&mut scratch) {
                Ok((len, remote)) => {
                    let start = batch.data.len();
                    batch.data.extend_from_slice(&scratch[..len]);
                    batch.datagrams.push((remote, start..start + len));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A pending ICMP error; its details are in the error queue.
                Err(_) => {
                    let _ = read_errors(&socket, &mut batch);
                    break;
                }
            }
        }
        let is_empty = batch.datagrams.is_empty() && batch.unreachable.is_empty();
        if !is_empty && batches.send(batch).await.is_err() {
            return;
        }
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
        let is_unreachable = message.cmsgs()?.any(|control| is_port_unreachable(&control));
        let len = message.bytes;
        if let (Some(remote), true) = (remote, is_unreachable) {
            let start = batch.data.len();
            batch.data.extend_from_slice(&payload[..len]);
            batch.unreachable.push((remote, start..start + len));
        }
    }
    Ok(())
}

/// Whether ICMP says that the machine is there, but nobody listens at the port.
///
/// Anything else (no route, say) may pass, and is left to SCTP's own timers.
fn is_port_unreachable(control: &ControlMessageOwned) -> bool {
    match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) => {
            (error.ee_origin, error.ee_type, error.ee_code) == (2, 3, 3)
        }
        ControlMessageOwned::Ipv6RecvErr(error, _) => {
            (error.ee_origin, error.ee_type, error.ee_code) == (3, 1, 4)
        }
        _ => false,
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

    #[tokio::test]
    async fn datagrams_arrive_with_their_sender() {
        let (batches, mut arrivals) = mpsc::channel(4);
        let receiver = LaneSocket::bind(LOOPBACK, batches).unwrap();
        let (batches, _unused) = mpsc::channel(4);
        let sender = LaneSocket::bind(LOOPBACK, batches).unwrap();
        let to = SocketAddr::new(LOOPBACK.ip(), receiver.udp_port);
        sender.send(to, b"hello").await;
        let batch = arrivals.recv().await.unwrap();
        let datagrams: Vec<_> = batch.datagrams().collect();
        let from = SocketAddr::new(LOOPBACK.ip(), sender.udp_port);
        assert_eq!(datagrams, [(from, &b"hello"[..])]);
    }

    #[tokio::test]
    async fn a_closed_port_is_reported_with_the_datagram() {
        let (batches, mut arrivals) = mpsc::channel(4);
        let sender = LaneSocket::bind(LOOPBACK, batches.clone()).unwrap();
        let closed = LaneSocket::bind(LOOPBACK, batches).unwrap();
        let to = SocketAddr::new(LOOPBACK.ip(), closed.udp_port);
        let reader = closed.reader.clone();
        drop(closed);
        while !reader.is_finished() {
            tokio::task::yield_now().await;
        }
        sender.send(to, b"anybody there?").await;
        let batch = arrivals.recv().await.unwrap();
        let unreachable: Vec<_> = batch.unreachable().collect();
        assert_eq!(unreachable, [(to, &b"anybody there?"[..])]);
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error() {
        let (batches, _arrivals) = mpsc::channel(4);
        let first = LaneSocket::bind(LOOPBACK, batches.clone()).unwrap();
        let same = SocketAddr::new(LOOPBACK.ip(), first.udp_port);
        let error = LaneSocket::bind(same, batches).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
