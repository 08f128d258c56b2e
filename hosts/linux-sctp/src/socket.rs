//! One-to-many sockets (RFC 6458 §3).

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::time::{ClockId, clock_getres};
use socket2::{Domain, MsgHdr, Protocol, SockAddr, Type};

use crate::control::RECEIVE_CONTROL_LEN;
use crate::layout::Fields;
use crate::notification::Notification;
use crate::options::{self, Event, Heartbeat, InitOptions, RtoOptions, SackOptions, Status};
use crate::{AssociationId, ReceiveInfo, SendFlags, SendInfo, address, sys};

/// A non-blocking one-to-many SCTP socket.
///
/// Calls that would have to wait fail with [`WouldBlock`](io::ErrorKind::WouldBlock).
#[derive(Debug)]
pub struct Socket(socket2::Socket);

/// What addresses a socket can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 and IPv4 addresses.
    Ipv6,
}

/// What [`Socket::recv`] has got.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A message, or a part of one.
    Message {
        /// Where it came from.
        info: ReceiveInfo,
        /// How many bytes of the buffer it takes.
        len: usize,
        /// Whether the message ends here. If not, the rest comes next from this association.
        is_end: bool,
    },
    /// A notification.
    Notification(Notification),
}

impl Socket {
    /// Opens a socket that sends small messages at once.
    ///
    /// # Errors
    ///
    /// If the kernel has no SCTP, or no such family of addresses.
    pub fn new(family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::Ipv4 => Domain::IPV4,
            Family::Ipv6 => Domain::IPV6,
        };
        let socket = socket2::Socket::new(domain, Type::SEQPACKET, Some(Protocol::SCTP))?;
        socket.set_nonblocking(true)?;
        if family == Family::Ipv6 {
            socket.set_only_v6(false)?;
        }
        let socket = Self(socket);
        socket.set_flag(libc::SCTP_RECVRCVINFO, true)?;
        socket.set_flag(libc::SCTP_NODELAY, true)?;
        Ok(socket)
    }

    /// Binds an address; the wildcard stands for all of its family, in an IPv6 socket for all.
    ///
    /// # Errors
    ///
    /// If it is in use, or none of this machine's.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.0.bind(&SockAddr::from(address))
    }

    /// Binds further addresses, with the port of the first (`sctp_bindx`).
    ///
    /// # Errors
    ///
    /// If one is in use, or none of this machine's.
    pub fn bind_more(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        sys::set_option(self.as_fd(), options::SCTP_BINDX_ADD, &address::packed(addresses))
    }

    /// Gives bound addresses up; one must remain.
    ///
    /// # Errors
    ///
    /// If one is not bound, or the last.
    pub fn unbind(&self, addresses: &[SocketAddr]) -> io::Result<()> {
        sys::set_option(self.as_fd(), options::SCTP_BINDX_REMOVE, &address::packed(addresses))
    }

    /// Whether a port may be bound that associations of a closed socket still have.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_reuse_address(&self, is_on: bool) -> io::Result<()> {
        self.0.set_reuse_address(is_on)
    }

    /// Accepts associations that peers open; `backlog` of 0: no more of them.
    ///
    /// # Errors
    ///
    /// If the port is in use.
    pub fn listen(&self, backlog: u16) -> io::Result<()> {
        self.0.listen(backlog.into())
    }

    /// The address that is bound, with its port.
    ///
    /// # Errors
    ///
    /// If none is.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// Begins an association with the peer that has all of these addresses (`sctp_connectx`). What
    /// comes of it is told by an [`AssociationChange`](crate::Notification::AssociationChange).
    ///
    /// # Errors
    ///
    /// If an address cannot be reached, or there is an association already.
    pub fn connectx(&self, addresses: &[SocketAddr]) -> io::Result<AssociationId> {
        sys::connect(self.as_fd(), &address::packed(addresses)).map(AssociationId)
    }

    /// Sends a message: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room now; otherwise if there is no such association or stream.
    pub fn send(&self, info: SendInfo, data: &[u8]) -> io::Result<()> {
        let (buffers, control) = ([IoSlice::new(data)], info.to_control());
        let message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
        // The length that it tells is that of the whole message, or 0 for the reason of an abort.
        self.0.sendmsg(&message, libc::MSG_NOSIGNAL).map(drop)
    }

    /// Ends an association at once; the peer is told `reason`.
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn abort(&self, association: AssociationId, reason: &[u8]) -> io::Result<()> {
        let flags = SendFlags::ABORT;
        self.send(SendInfo { association, flags, ..SendInfo::default() }, reason)
    }

    /// Ends an association when all that was sent is delivered.
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn shut_down(&self, association: AssociationId) -> io::Result<()> {
        let flags = SendFlags::EOF;
        self.send(SendInfo { association, flags, ..SendInfo::default() }, &[])
    }

    /// Receives the next message, part of one, or notification, into `buffer`. Notifications are
    /// taken apart there, so it needs room for those, too: 4 KiB at least.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is nothing; `InvalidData` if what came cannot be understood.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut control = [0; RECEIVE_CONTROL_LEN];
        let arrived = sys::receive(self.as_fd(), buffer, &mut control)?;
        let received = if arrived.flags & libc::MSG_NOTIFICATION == 0 {
            ReceiveInfo::from_control(&control[..arrived.control_len]).map(|info| {
                let is_end = arrived.flags & libc::MSG_EOR != 0;
                Received::Message { info, len: arrived.len, is_end }
            })
        } else {
            Notification::parse(&buffer[..arrived.len]).map(Received::Notification)
        };
        received.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Asks for a kind of notifications, or for no more of them.
    ///
    /// # Errors
    ///
    /// If the kernel does not know it (before Linux 5.0).
    pub fn subscribe(&self, event: Event, is_on: bool) -> io::Result<()> {
        sys::set_option(self.as_fd(), options::SCTP_EVENT, &event.option(is_on))
    }

    /// How associations to come are set up.
    ///
    /// # Errors
    ///
    /// If a value is out of range.
    pub fn set_init(&self, options: InitOptions) -> io::Result<()> {
        sys::set_option(self.as_fd(), libc::SCTP_INITMSG, &options.option())
    }

    /// The timeouts of an association, or of those to come.
    ///
    /// # Errors
    ///
    /// If they are not in order, or there is no such association.
    pub fn set_rto(&self, association: AssociationId, options: RtoOptions) -> io::Result<()> {
        sys::set_option(self.as_fd(), libc::SCTP_RTOINFO, &options.option(association))
    }

    /// The timeouts of an association, or of those to come.
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn rto(&self, association: AssociationId) -> io::Result<RtoOptions> {
        let mut bytes = RtoOptions::default().option(association);
        let len = sys::option(self.as_fd(), libc::SCTP_RTOINFO, &mut bytes)?;
        RtoOptions::parse(&bytes[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// How the paths of an association are watched, or of those to come.
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn set_heartbeat(&self, association: AssociationId, options: Heartbeat) -> io::Result<()> {
        sys::set_option(self.as_fd(), libc::SCTP_PEER_ADDR_PARAMS, &options.option(association))
    }

    /// When an association acknowledges, or those to come.
    ///
    /// # Errors
    ///
    /// If the delay is longer than 500 ms, or there is no such association.
    pub fn set_sack(&self, association: AssociationId, options: SackOptions) -> io::Result<()> {
        sys::set_option(self.as_fd(), libc::SCTP_DELAYED_SACK, &options.option(association))
    }

    /// After how many unanswered sendings a peer is lost (Association.Max.Retrans).
    ///
    /// # Errors
    ///
    /// If it is more than all paths together allow, or there is no such association.
    pub fn set_retransmissions_max(
        &self,
        association: AssociationId,
        count_max: u16,
    ) -> io::Result<()> {
        let option = options::retransmissions(association, count_max);
        sys::set_option(self.as_fd(), libc::SCTP_ASSOCINFO, &option)
    }

    /// By which UDP port the peer of an association is reached, or those to come (RFC 6951); 0:
    /// without UDP. It has an effect only where [`kernel_udp_port`] is not 0.
    ///
    /// # Errors
    ///
    /// If the kernel does not know it (before Linux 5.11), or there is no such association.
    pub fn set_remote_udp_port(&self, association: AssociationId, port: u16) -> io::Result<()> {
        let option = options::remote_udp_port(association, port);
        sys::set_option(self.as_fd(), options::SCTP_REMOTE_UDP_ENCAPS_PORT, &option)
    }

    /// Whether small messages are sent at once, as they are by default here.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_nodelay(&self, is_on: bool) -> io::Result<()> {
        self.set_flag(libc::SCTP_NODELAY, is_on)
    }

    /// Bytes that may wait in each direction, of all associations together. The kernel caps them
    /// silently.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn set_buffer_lens(&self, send_len: usize, receive_len: usize) -> io::Result<()> {
        self.0.set_send_buffer_size(send_len)?;
        self.0.set_recv_buffer_size(receive_len)
    }

    /// How an association is.
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn status(&self, association: AssociationId) -> io::Result<Status> {
        let mut bytes = Status::option(association);
        let len = sys::option(self.as_fd(), libc::SCTP_STATUS, &mut bytes)?;
        Status::parse(&bytes[..len], tick()?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The addresses of the peer (`sctp_getpaddrs`).
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn peer_addresses(&self, association: AssociationId) -> io::Result<Vec<SocketAddr>> {
        self.addresses(options::SCTP_GET_PEER_ADDRS, association)
    }

    /// Our addresses in an association, or those that are bound (`sctp_getladdrs`).
    ///
    /// # Errors
    ///
    /// If there is no such association.
    pub fn local_addresses(&self, association: AssociationId) -> io::Result<Vec<SocketAddr>> {
        self.addresses(options::SCTP_GET_LOCAL_ADDRS, association)
    }

    fn addresses(&self, name: i32, association: AssociationId) -> io::Result<Vec<SocketAddr>> {
        let mut bytes = [0; ADDRESSES_LEN_MAX];
        bytes[..4].copy_from_slice(&association.0.to_ne_bytes());
        let len = sys::option(self.as_fd(), name, &mut bytes)?;
        Ok(address::unpacked(Fields(&bytes[..len]).rest(8)))
    }

    fn set_flag(&self, name: i32, is_on: bool) -> io::Result<()> {
        sys::set_option(self.as_fd(), name, &i32::from(is_on).to_ne_bytes())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Whether this machine's kernel has SCTP. Asking may load its module.
#[must_use]
pub fn is_available() -> bool {
    Socket::new(Family::Ipv4).is_ok()
}

/// The UDP port by which the kernel's SCTP can be reached (sysctl `net.sctp.udp_port`), `None` if
/// it cannot.
#[must_use]
pub fn kernel_udp_port() -> Option<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/sctp/udp_port").ok()?;
    text.trim().parse().ok().filter(|&port| port != 0)
}

/// The kernel's tick, which nothing else tells: coarse clocks advance once a tick.
fn tick() -> io::Result<Duration> {
    Ok(clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?.into())
}

/// Room for what tells the addresses of one side: number, count, and more than a hundred of them.
const ADDRESSES_LEN_MAX: usize = 4_096;

#[cfg(test)]
mod tests;
