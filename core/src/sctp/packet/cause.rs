//! Error causes (RFC 9260 §3.3.10), in ABORT and ERROR chunks.
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

/// What went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Cause(pub(crate) u16);

impl Cause {
    /// None given.
    pub(crate) const NONE: Self = Self(0);
    /// A DATA chunk on a stream that does not exist.
    pub(crate) const INVALID_STREAM: Self = Self(1);
    /// A parameter that must be there is not.
    pub(crate) const MISSING_PARAMETER: Self = Self(2);
    /// The state cookie came too late.
    pub(crate) const STALE_COOKIE: Self = Self(3);
    /// No memory for the association.
    pub(crate) const OUT_OF_RESOURCE: Self = Self(4);
    /// An address that cannot be used.
    pub(crate) const UNRESOLVABLE_ADDRESS: Self = Self(5);
    /// A chunk of unknown type that is to be reported.
    pub(crate) const UNRECOGNIZED_CHUNK: Self = Self(6);
    /// A fixed field holds a value that it must not.
    pub(crate) const INVALID_PARAMETER: Self = Self(7);
    /// Parameters of unknown type that are to be reported.
    pub(crate) const UNRECOGNIZED_PARAMETERS: Self = Self(8);
    /// A DATA chunk without data.
    pub(crate) const NO_USER_DATA: Self = Self(9);
    /// A restart while the association is being shut down.
    pub(crate) const COOKIE_WHILE_SHUTTING_DOWN: Self = Self(10);
    /// An INIT would add addresses to an association.
    pub(crate) const RESTART_WITH_NEW_ADDRESSES: Self = Self(11);
    /// The user wanted it.
    pub(crate) const USER_INITIATED_ABORT: Self = Self(12);
    /// The peer broke the protocol.
    pub(crate) const PROTOCOL_VIOLATION: Self = Self(13);
}
