//! An SCTP endpoint (RFC 9260) over raw IP or UDP (RFC 6951).
//!
//! Deliberately absent: path MTU discovery, Nagle's algorithm, ECN, partial reliability (RFC
//! 3758), address reconfiguration (RFC 5061), authentication (RFC 4895). Peers that offer them
//! fall back, because they are not announced.

mod association;
mod config;

mod cookie;
mod endpoint;
pub(crate) mod packet;
pub(crate) mod serial;
mod statistics;
mod storage;
pub(crate) mod transfer;
mod types;

pub use config::Config;
pub use endpoint::{Endpoint, LISTEN_PORTS_MAX};
pub use statistics::Statistics;
pub use storage::{Inline, Lent, Slot, Storage};
pub use transfer::{RxDescriptor, TxDescriptor};
pub use types::{
    Closed, Connect, ConnectError, Datagram, Event, Handle, Input, InputError, ListenError,
    Packet, Received, SendError, UDP_PORT, UdpPorts, Unreachable,
};

#[cfg(test)]
mod tests;
