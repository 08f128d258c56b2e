//! Bytes of ASAP (RFC 5352), ENRP (RFC 5353) and their parameters (RFC 5354, 5356).
//!
//! Parsing borrows from the bytes that came; emitting writes into a buffer that the caller lends.
//! Every message and parameter that is accepted is written again to the very bytes it came as; see
//! [`Layout`]. Bytes that are refused yield a [`ParseError`], which knows what to tell the sender.
//! Messages with lists are written by builders, element by element, without a list in memory.
//!
//! ```
//! use rserpool_core::identifier::{PeId, PoolHandle};
//! use rserpool_core::wire::asap::{AsapMessage, Deregistration};
//!
//! let message = AsapMessage::Deregistration(Deregistration::new(
//!     PoolHandle::new(b"EchoPool")?,
//!     PeId(0xaaaa_0001),
//! ));
//! let mut buf = [0; 64];
//! let len = message.emit(&mut buf)?;
//! assert_eq!(AsapMessage::parse(&buf[..len]), Ok(message));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately absent: any knowledge of procedures. Whether an identifier may be 0 or a home must
//! be known is decided by the machines.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

pub mod asap;
pub mod enrp;

mod builder;
mod error;
mod framing;
mod parameter;
mod stream;
#[cfg(test)]
mod test_support;
mod unknown;

pub use error::{EmitError, ParseError, ParseErrorKind};
pub use framing::{Layout, Unrecognized};
pub use parameter::{
    Addresses, Cause, Causes, ErrorCause, Load, OperationError, ParameterType, PeChecksum, Policy,
    PolicyType, PolicyWords, PoolElement, PoolElements, PoolElementsIter, Protocol,
    RegistrationLife, ServerInformation, ServerInformations, ServerInformationsIter, Transport,
    TransportBuf, TransportUse, Transports, TransportsIter,
};

pub use stream::{Framer, StreamError};

pub use asap::AsapMessage;
pub use enrp::EnrpMessage;
pub use unknown::UnknownMessage;
