#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]

mod address;
#[cfg(feature = "tokio")]
mod asynchronous;
mod control;
mod layout;
mod notification;
mod options;
mod socket;
mod sys;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncSocket;
pub use control::{ReceiveInfo, SendFlags, SendInfo};
pub use notification::{AddressChange, AssociationChange, Notification};
pub use options::{Event, Heartbeat, InitOptions, RtoOptions, SackOptions, Status};
pub use socket::{Family, Received, Socket, is_available, kernel_udp_port};

/// How the kernel names an association (`sctp_assoc_t`); the default stands for associations to
/// come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssociationId(pub i32);
