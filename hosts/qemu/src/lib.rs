//! Emulated boards: a launcher of QEMU, and the network that the boards live in.
//!
//! The network needs no privileges. Each board's Ethernet link is a UNIX datagram socket; each
//! board has an address in 127.0.0.0/8, and for it the switch holds real UDP sockets on that very
//! address. So a board and a process on this machine talk by the addresses that they know, and a
//! capture of the loopback interface shows it all. SCTP right above IP is carried over UDP there
//! (RFC 6951), which does not touch its checksum. A board may be told its address by DHCP.
//! With IPv6 there is only `::1`: all boards are there, and processes at [`HOST_V6`] for them.
//!
//! Links can drop, double, delay and reorder frames, from a seed.

mod addresses;
mod board;
mod dhcp;
mod error;
mod firmware;
mod frame;
mod impairment;
mod lanes;
mod log;
mod neighbours;
mod network;
mod qmp;
mod switch;

pub use addresses::HOST_V6;
pub use board::{Board, BoardConfig, check_qemu};
pub use error::BenchError;
pub use firmware::build_firmware;
pub use impairment::Impairment;
pub use network::{Link, Network};
pub use switch::{BoardId, Counters};
