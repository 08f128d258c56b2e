//! What can be refused, and which error cause says so.

use core::fmt;

use super::storage::Resource;

/// Why a registration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RegistrationError {
    /// The identifier 0 stands for "not known".
    ZeroIdentifier,
    /// The user transport has the port 0.
    NoUserPort,
    /// The policy is not that of the pool, or one that nobody here can select by.
    InconsistentPolicy,
    /// The user transport is not of the pool's type.
    InconsistentTransport,
    /// The pool has, and the element has not, a control channel; or the other way round.
    InconsistentControl,
    /// A transport has more addresses than can be kept.
    TooManyAddresses,
    /// The storage has no more of this.
    Full(Resource),
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroIdentifier => "the pool element identifier is 0",
            Self::NoUserPort => "the user transport has the port 0",
            Self::InconsistentPolicy => "the policy is not that of the pool",
            Self::InconsistentTransport => "the transport type is not that of the pool",
            Self::InconsistentControl => "the use of a control channel is not that of the pool",
            Self::TooManyAddresses => "a transport has more addresses than can be kept",
            Self::Full(Resource::Elements) => "there is no room for another pool element",
            Self::Full(Resource::Pools) => "there is no room for another pool",
            Self::Full(Resource::Owners) => "there is no room for another owner",
            Self::Full(Resource::Blocks) => "there is no room for so many addresses",
        })
    }
}

impl core::error::Error for RegistrationError {}

/// Why nothing was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ResolveError {
    /// There is no pool of this handle.
    UnknownPool,
    /// The pool has elements, but each has the weight 0.
    NothingSelectable,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPool => "there is no such pool",
            Self::NothingSelectable => "each element of the pool has the weight 0",
        })
    }
}

impl core::error::Error for ResolveError {}
