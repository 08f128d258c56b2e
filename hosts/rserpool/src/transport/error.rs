//! What can go wrong with a transport, and what to do about it.

use std::io;
use std::net::{IpAddr, SocketAddr};

/// Why a transport cannot do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The parameters of SCTP make no sense.
    #[error(transparent)]
    Parameters(#[from] super::ParametersError),
    /// Another program has the UDP port.
    #[error(
        "cannot listen on SCTP port {port}: UDP {address} belongs to another program; \
         stop that program, or choose another port"
    )]
    AddressInUse {
        /// The SCTP port that was wanted.
        port: u16,
        /// The UDP address that is taken.
        address: SocketAddr,
    },
    /// The address belongs to another machine.
    #[error("cannot listen on {address}: this machine has no such address; choose one of its own")]
    NoSuchAddress {
        /// The address that was wanted.
        address: IpAddr,
    },
    /// The operating system refuses a socket.
    #[error("cannot open a UDP socket at {address}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The operating system refuses to listen by TCP.
    #[error(
        "cannot serve pool users by TCP at {address}: {source}; \
         choose another port, or do without TCP"
    )]
    Tcp {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another program has the SCTP port in the kernel.
    #[error(
        "cannot listen on SCTP port {port}: another program has it in the kernel; \
         stop that program, or choose another port"
    )]
    KernelPortInUse {
        /// The SCTP port that was wanted.
        port: u16,
    },
    /// The kernel refuses a socket.
    #[error("cannot open a kernel socket for SCTP port {port}: {source}")]
    KernelSocket {
        /// For which port.
        port: u16,
        /// What the operating system says.
        source: io::Error,
    },
    /// The kernel has no SCTP.
    #[error("cannot open SCTP port {port}: this machine's kernel has no SCTP")]
    NoKernelSctp {
        /// The SCTP port that was wanted.
        port: u16,
    },
    /// The process may not send and receive SCTP right over IP.
    #[error(
        "cannot speak SCTP right over IP at {address}: raw sockets take the capability \
         CAP_NET_RAW; run this as root, or give the program the capability \
         (`setcap cap_net_raw+ep PROGRAM`)"
    )]
    NoRawSockets {
        /// The address that was wanted.
        address: IpAddr,
    },
    /// The operating system refuses a raw socket.
    #[error("cannot open a raw socket for SCTP at {address}: {source}")]
    RawSocket {
        /// Where.
        address: IpAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The kernel has SCTP, too, and would abort what our own sets up.
    #[error(
        "cannot speak SCTP right over IP: the kernel has its own SCTP loaded, which would abort \
         our associations; use the kernel's, or unload it (`modprobe -r sctp`)"
    )]
    KernelSctpLoaded,
    /// Another program has the SCTP port right over IP.
    #[error(
        "cannot use SCTP port {port} right over IP: another program has it; \
         stop that program, or choose another port"
    )]
    RawPortInUse {
        /// The SCTP port that was wanted.
        port: u16,
    },
    /// The operating system does not let an SCTP port be claimed.
    #[error("cannot claim SCTP port {port} right over IP: {source}")]
    Claim {
        /// The SCTP port that was wanted.
        port: u16,
        /// What the operating system says.
        source: io::Error,
    },
    /// More addresses than peers can be told of.
    #[error("cannot use {count} addresses: peers are told of {max} at most; choose fewer")]
    TooManyAddresses {
        /// How many were wanted.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The SCTP port is open in this process already.
    #[error("SCTP port {port} is open already; choose another port")]
    PortOpen {
        /// Which port.
        port: u16,
    },
    /// The endpoint listens on as many ports as it can.
    #[error("cannot listen on SCTP port {port}: too many ports listen already")]
    TooManyPorts {
        /// Which port.
        port: u16,
    },
    /// The transport has been closed.
    #[error("the transport is closed")]
    Closed,
}

impl TransportError {
    /// The error of binding `address` for SCTP port `port`.
    pub(crate) fn of_bind(port: u16, address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { port, address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address: address.ip() },
            _ => Self::Socket { address, source },
        }
    }

    /// The error of opening a raw socket at `address`.
    pub(crate) fn of_raw(address: IpAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NoRawSockets { address },
            io::ErrorKind::AddrNotAvailable => Self::NoSuchAddress { address },
            _ => Self::RawSocket { address, source },
        }
    }
}
