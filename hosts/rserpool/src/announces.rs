//! Announces of registrars by multicast (RFC 5352 §3.6): the sockets that they come and go by.
//!
//! A machine's interfaces come and go, too, so they are looked at again every few seconds. What
//! cannot be joined or sent today is logged and tried again then: a scope whose registrars are
//! configured works without multicast.

mod interfaces;
mod listener;
mod sender;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::asap::{announce_group_v4, announce_group_v6};
use rserpool_core::enrp::{presence_group_v4, presence_group_v6};
use rserpool_core::profile::Profile;

pub(crate) use interfaces::{Interface, InterfaceWatch, local_addresses, next_change};
pub(crate) use listener::Listener;
pub(crate) use sender::Announcer;

/// Where announces of registrars are sent to and heard at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AnnounceConfig {
    /// The multicast groups and their UDP ports.
    pub groups: Vec<SocketAddr>,
    /// The interfaces.
    pub interfaces: Interfaces,
    /// Over how many routers announces go, and one more; 0 keeps them on this machine.
    pub ttl: u8,
}

impl AnnounceConfig {
    /// The groups of `profile`, at all interfaces, with RSPLIB's TTL of 30.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        let groups = vec![announce_group_v4(profile).into(), announce_group_v6().into()];
        Self { groups, interfaces: Interfaces::All, ttl: 30 }
    }

    /// Where registrars meet: RSPLIB's group 239.0.0.51 and ff05::134, port 9901. The RFCs have no
    /// group for that.
    #[must_use]
    pub fn of_peers() -> Self {
        let groups = vec![presence_group_v4().into(), presence_group_v6().into()];
        Self { groups, interfaces: Interfaces::All, ttl: 30 }
    }

    /// The same, but at the interface of `addresses` alone if a transport is bound there: who
    /// listens on loopback does not announce itself to the world.
    pub(crate) fn bound_to(mut self, addresses: &[IpAddr]) -> Self {
        let bound = addresses.iter().find(|address| !address.is_unspecified());
        if let (Interfaces::All, Some(&address)) = (&self.interfaces, bound) {
            self.interfaces = Interfaces::At(address);
        }
        self
    }
}

/// Network interfaces of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interfaces {
    /// All that are up.
    All,
    /// The one with this address.
    At(IpAddr),
    /// The one of this name.
    Named(String),
}

/// How often the interfaces are looked at.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);
