//! The registrar (RFC 5352 and RFC 5353; the RFCs say ENRP server).
//!
//! [`Registrar`] keeps the handlespace of a scope of one: it takes registrations, answers handle
//! resolutions and watches over its elements. Each procedure has a file, and each file opens with
//! the sections of the RFC to read before editing it.
//!
//! Deliberately absent: TLS.

mod addresses;
mod announce;
mod associations;
mod challenge;
mod check;
mod config;
mod distance;
mod event;
mod keep_alive;
mod output;
mod peering;
mod rate;
mod registrar;
mod registration;
mod ring;
mod subscriptions;
mod tables;

pub use announce::{NotAnnounceable, presence_group_v4, presence_group_v6};
pub use check::Usage;
pub use config::{Config, HANDLE_RESOLUTION_ITEMS_MAX, KnownIdentifier, RateLimit};
pub use event::{Counters, Event, InputError, Limit, RemovalReason};
pub use peering::{AdoptionSlot, LinkSlot, PEERS_MAX, PeerSide, PeerSlot, PeerView};
pub use registrar::{Registrar, TRANSMIT_LEN_MIN};
pub use subscriptions::SubscriptionSlot;
pub use tables::{
    AssociationSlot, CHALLENGER_LEN_MAX, ChallengeSlot, EventSlot, InlineTables, Lent,
    REPLIES_PER_INPUT_MAX, REPORTED_LEN_MAX, ReplySlot, ReportSlot, Tables, WithPeers,
    WithSubscriptions,
};
