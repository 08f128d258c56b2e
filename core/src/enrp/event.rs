//! What a registrar tells its user: events, counters and why an input was refused.

use core::fmt;

use crate::association::{AssociationId, DownReason};
use crate::identifier::{PeId, PoolHandleBuf, RegistrarId};
use crate::wire::Cause;

/// What the user of a registrar should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// After [`stop`](super::Registrar::stop): the last association is gone.
    Stopped,
    /// A pool came into being with its first element.
    PoolCreated {
        /// Its handle.
        pool: PoolHandleBuf,
    },
    /// A pool went with its last element.
    PoolRemoved {
        /// Its handle.
        pool: PoolHandleBuf,
    },
    /// A pool element registered.
    ElementRegistered {
        /// Its pool.
        pool: PoolHandleBuf,
        /// Which one.
        element: PeId,
        /// Where it registered.
        association: AssociationId,
    },
    /// A pool element registered again.
    ElementUpdated {
        /// Its pool.
        pool: PoolHandleBuf,
        /// Which one.
        element: PeId,
        /// Where it registered.
        association: AssociationId,
    },
    /// A pool element is no longer in the handlespace.
    ElementRemoved {
        /// Its pool.
        pool: PoolHandleBuf,
        /// Which one.
        element: PeId,
        /// Why.
        reason: RemovalReason,
    },
    /// A request was rejected.
    Rejected {
        /// Whose.
        association: AssociationId,
        /// With which error cause.
        cause: Cause,
    },
    /// An association met a limit.
    Limited {
        /// Which one.
        association: AssociationId,
        /// Which limit.
        limit: Limit,
    },
    /// A peer was heard for the first time, or again.
    PeerUp {
        /// Which one.
        peer: RegistrarId,
    },
    /// A peer is dead, or was taken over by another registrar.
    PeerDown {
        /// Which one.
        peer: RegistrarId,
    },
    /// This registrar is in the scope: it has its mentor's tables, or has found none.
    Joined,
    /// A table was taken from a peer.
    Synchronized {
        /// Whose.
        peer: RegistrarId,
    },
    /// This registrar wants the elements of a dead peer.
    TakeoverStarted {
        /// Whose.
        target: RegistrarId,
    },
    /// This registrar is the home of a dead peer's elements.
    TakenOver {
        /// Whose.
        target: RegistrarId,
        /// How many.
        elements: u32,
    },
    /// There is no room for an element of a peer.
    Unlearnable {
        /// Whose it is.
        owner: RegistrarId,
        /// What is full.
        limit: Limit,
    },
    /// Events were lost because nobody drained them.
    EventsLost {
        /// How many.
        count: u32,
    },
}

/// Why a pool element was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RemovalReason {
    /// It deregistered.
    Deregistered,
    /// Its association ended.
    AssociationDown(DownReason),
    /// Its association was set up anew by a peer that has lost its state.
    Restarted,
    /// It did not answer a keep-alive.
    KeepAliveTimeout,
    /// It was reported unreachable and did not answer the probe.
    Unreachable,
    /// Another element of its association did not answer, so the association was aborted.
    AssociationAborted,
    /// More distinct reporters than `max_bad_pe_reports` called it unreachable.
    BadReports,
    /// Its registration life ended.
    Expired,
    /// Its home says so, or does not name it any more.
    RemovedByHome,
    /// It did not answer when another association registered its identifier.
    Superseded,
}

/// A limit of a registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Limit {
    /// The storage for associations is full.
    Associations,
    /// The storage for elements or pools is full.
    Elements,
    /// `elements_per_association_max`.
    ElementsPerAssociation,
    /// `registration_rate`.
    RegistrationRate,
    /// `handle_resolution_rate`.
    HandleResolutionRate,
    /// `unreachable_rate`.
    UnreachableRate,
    /// `error_rate`.
    ErrorRate,
    /// The storage for peers, or for associations with them, is full.
    Peers,
    /// More registrars announce themselves than are counted.
    Announces,
    /// The storage for registrations that await the answer to a challenge is full.
    Challenges,
    /// `reports_per_reporter_max`, or the storage for reports is full: a report probes, but does
    /// not count.
    Reports,
}

/// Why an input was refused. What the peer is owed for it comes out of `poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum InputError {
    /// Output is waiting: drain `poll_transmit` and give the input again.
    Busy,
    /// No such association, or it is on its way down.
    UnknownAssociation,
    /// The association's number is in use.
    KnownAssociation,
    /// The registrar has stopped or is stopping.
    Stopped,
    /// Not an ASAP message; the association is aborted.
    WrongPpid,
    /// The message does not parse.
    Malformed,
    /// The message is unknown, or none that a registrar takes.
    Unexpected,
    /// The message claims to come from a registrar that speaks on another association.
    TakenIdentifier,
    /// The request was rejected with this error cause.
    Rejected(Cause),
    /// A limit was met.
    Limited(Limit),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("output is waiting to be drained"),
            Self::UnknownAssociation => f.write_str("no such association"),
            Self::KnownAssociation => f.write_str("the association's number is in use"),
            Self::Stopped => f.write_str("the registrar is stopping"),
            Self::WrongPpid => f.write_str("not an ASAP message"),
            Self::Malformed => f.write_str("the message does not parse"),
            Self::Unexpected => f.write_str("no message that a registrar takes"),
            Self::TakenIdentifier => f.write_str("its sender speaks on another association"),
            Self::Rejected(cause) => write!(f, "rejected with error cause {:#06x}", cause.0),
            Self::Limited(limit) => write!(f, "limit met: {limit:?}"),
        }
    }
}

impl core::error::Error for InputError {}

/// How often things have happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Registrations granted to new elements.
    pub registrations: u64,
    /// Registrations granted to known elements.
    pub reregistrations: u64,
    /// Registrations rejected.
    pub registrations_rejected: u64,
    /// Deregistrations granted, those of unknown elements among them.
    pub deregistrations: u64,
    /// Handle resolutions answered with elements.
    pub handle_resolutions: u64,
    /// Updates of pools sent to users that have subscribed to them.
    pub updates: u64,
    /// Handle resolutions answered with an error.
    pub handle_resolutions_rejected: u64,
    /// Keep-alives sent.
    pub keep_alives: u64,
    /// Keep-alive acknowledgements that were awaited.
    pub keep_alive_acks: u64,
    /// Keep-alives that were not answered in time.
    pub keep_alive_timeouts: u64,
    /// Unreachable reports about known elements.
    pub unreachable_reports: u64,
    /// Elements removed, for whatever reason.
    pub removals: u64,
    /// Messages that did not parse.
    pub malformed: u64,
    /// Messages that a registrar does not take.
    pub unexpected: u64,
    /// Error messages sent.
    pub errors_sent: u64,
    /// Error messages received.
    pub errors_received: u64,
    /// Inputs refused because of a limit.
    pub limited: u64,
    /// Associations aborted by this registrar.
    pub aborts: u64,
    /// Presences whose checksum was not that of what is known of the peer's elements.
    pub audits_failed: u64,
    /// Peers that missed changes because they took them too slowly.
    pub peers_lapped: u64,
    /// Elements of peers that could not be entered.
    pub unlearnable: u64,
    /// Takeovers that this registrar began.
    pub takeovers_started: u64,
    /// Takeovers that it completed.
    pub takeovers: u64,
    /// Elements that took this registrar as their new home.
    pub adoptions: u64,
    /// Replies that did not fit into the caller's buffer and were dropped.
    pub unsendable: u64,
}
