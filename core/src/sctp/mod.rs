//! An SCTP endpoint (RFC 9260) over raw IP or UDP (RFC 6951).
//!
//! Deliberately absent: Nagle's algorithm, ECN, partial reliability (RFC
//! 3758), address reconfiguration (RFC 5061), authentication (RFC 4895). Peers that offer them
//! fall back, because they are not announced.
//!
//! Two endpoints, and a network that is a pair of loops:
//!
//! ```
//! use core::net::{IpAddr, Ipv4Addr, SocketAddr};
//! use rserpool_core::association::{Ppid, StreamId};
//! use rserpool_core::entropy::SplitMix64;
//! use rserpool_core::machine::Machine;
//! use rserpool_core::sctp::{Config, Connect, Datagram, Endpoint, Event, Inline, Input};
//! use rserpool_core::time::Instant;
//!
//! type Host = Endpoint<Inline<1, 2_048, 2_048, 8>, SplitMix64>;
//! let [a_at, b_at]: [IpAddr; 2] = [1, 2].map(|last| Ipv4Addr::new(10, 0, 0, last).into());
//! let now = Instant::ZERO;
//! // Outside of examples randomness and secret come from the system.
//! let mut a = Host::new(Config::DEFAULT, SplitMix64::new(1), [1; 32], Inline::new());
//! let mut b = Host::new(Config::DEFAULT, SplitMix64::new(2), [2; 32], Inline::new());
//! b.listen(3_863)?;
//! let remote = SocketAddr::new(b_at, 3_863);
//! let handle = a.connect(now, Connect { local_port: 0, remote, udp: None })?;
//!
//! let mut carry = |a: &mut Host, b: &mut Host| {
//!     let mut buf = [0; 1_500];
//!     for _ in 0..4 {
//!         while let Some(packet) = a.poll_transmit(now, &mut buf) {
//!             let payload = &buf[..packet.len];
//!             let datagram = Datagram { local: b_at, remote: a_at, udp: None, payload };
//!             let _ = b.handle_input(now, Input::Datagram(datagram));
//!         }
//!         while let Some(packet) = b.poll_transmit(now, &mut buf) {
//!             let payload = &buf[..packet.len];
//!             let datagram = Datagram { local: a_at, remote: b_at, udp: None, payload };
//!             let _ = a.handle_input(now, Input::Datagram(datagram));
//!         }
//!     }
//! };
//! carry(&mut a, &mut b);
//! assert!(matches!(a.poll_event(), Some(Event::Up { .. })));
//! assert!(matches!(b.poll_event(), Some(Event::Up { passive: true, .. })));
//!
//! a.send(now, handle, StreamId(0), Ppid::ASAP, false, b"hello")?;
//! carry(&mut a, &mut b);
//! let Some(Event::Readable { handle }) = b.poll_event() else { panic!() };
//! let mut message = [0; 2_048];
//! let received = b.recv(now, handle, &mut message).unwrap();
//! assert_eq!(&message[..received.len], b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod association;
mod config;

mod cookie;
mod endpoint;
pub mod lanes;
pub(crate) mod packet;
pub(crate) mod serial;
mod statistics;
mod storage;
pub(crate) mod transfer;
mod types;

pub use association::{State, Status};
pub use config::Config;
pub use endpoint::{Endpoint, LISTEN_PORTS_MAX};
pub use packet::crc32c;
pub use statistics::Statistics;
pub use storage::{Inline, Lent, Slot, Storage};
pub use transfer::{RxDescriptor, TxDescriptor};
pub use types::{
    Closed, Connect, ConnectError, Datagram, Event, Handle, Input, InputError,
    LOCAL_ADDRESSES_MAX, ListenError, Packet, PathError, PathStatus, Received, SendError, TooBig,
    TooManyAddresses, UDP_PORT, UdpPorts, Unreachable,
};

/// The page for those who want SCTP alone; its example is run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/sctp.md")]
struct Page;

#[cfg(test)]
mod tests;
