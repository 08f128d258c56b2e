//! The data transfer parts of an association (RFC 9260 §6, §7) as sub-state-machines that know
//! nothing of packets' ways, tags, chunks other than DATA and SACK, or the association's state.
//!
//! The state of each is a plain struct in the association's slot; the memory for messages is lent
//! with every call. [`Sender`] takes messages and SACKs and gives DATA; [`Receiver`] takes DATA
//! and gives messages and SACKs; [`PathTransfer`] is what the sender keeps of a destination.
//!
//! The endpoint asks for DATA in ESTABLISHED, SHUTDOWN-PENDING and SHUTDOWN-RECEIVED only, and
//! chooses the path. Descriptors carry a path index, so that several can come.

mod acknowledge;
mod congestion;
mod path;
mod receiver;
mod recut;
mod rto;
mod sack;
mod sender;
mod store;
mod tsn_map;

use crate::time::Span;
pub(crate) use path::PathTransfer;
pub use receiver::RxDescriptor;
pub(crate) use receiver::{DataOutcome, Receiver, ReceiverState};
pub(crate) use sack::{NeverSent, SackOutcome};
pub use sender::TxDescriptor;
pub(crate) use sender::{PushError, Sender, SenderState};

/// Streams of an association in each direction, at most.
pub(crate) const STREAMS_MAX: usize = crate::few(4, 16);

/// What data transfer can be told (RFC 9260 §16).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters {
    /// RTO.Initial.
    pub(crate) rto_initial: Span,
    /// RTO.Min.
    pub(crate) rto_min: Span,
    /// RTO.Max.
    pub(crate) rto_max: Span,
    /// The same for INIT and COOKIE ECHO.
    pub(crate) rto_init_max: Span,
    /// SACK.Delay, at most 500 ms.
    pub(crate) sack_delay: Span,
}

#[cfg(test)]
impl Parameters {
    /// The values that RFC 9260 §16 recommends.
    pub(crate) const DEFAULT: Self = Self {
        rto_initial: Span(1_000_000),
        rto_min: Span(1_000_000),
        rto_max: Span(60_000_000),
        rto_init_max: Span(60_000_000),
        sack_delay: Span(200_000),
    };
}

#[cfg(test)]
mod pair_tests;
