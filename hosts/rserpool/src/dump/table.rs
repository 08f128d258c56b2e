//! What a registrar tells of its handlespace, as owned values.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rserpool_core::handlespace::checksum_of;
use rserpool_core::identifier::{PeId, PoolHandleBuf, RegistrarId};
use rserpool_core::wire::{Policy, PoolElement, Protocol, RegistrationLife, Transport};

/// A handlespace, as a registrar tells it to its peers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct HandlespaceDump {
    /// Who told it.
    pub registrar: RegistrarId,
    /// The checksum that it announces over the elements that it owns, if it did.
    pub announced_checksum: Option<u16>,
    /// The registrars that it knows; `None` if it refuses to tell.
    pub peers: Option<Vec<DumpedPeer>>,
    /// All elements, in the order in which they were told: those of a pool together.
    pub elements: Vec<DumpedElement>,
}

/// A registrar that another one knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpedPeer {
    /// Who.
    pub identifier: RegistrarId,
    /// Where its ENRP port is.
    pub transport: DumpedTransport,
}

/// A pool element.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DumpedElement {
    /// Its pool.
    pub pool: PoolHandleBuf,
    /// Who it is.
    pub identifier: PeId,
    /// Its home registrar.
    pub home: RegistrarId,
    /// How long its registration lasts.
    pub registration_life: RegistrationLife,
    /// The pool's policy and this element's values.
    pub policy: Policy,
    /// How users reach it.
    pub user_transport: DumpedTransport,
    /// How registrars reach it, if that was told.
    pub asap_transport: Option<DumpedTransport>,
}

/// Where somebody is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DumpedTransport {
    /// By what.
    pub protocol: Protocol,
    /// At which port.
    pub port: u16,
    /// At which addresses.
    pub addresses: Vec<IpAddr>,
}

impl HandlespaceDump {
    /// The checksum over the elements of each home, and how many they are.
    #[must_use]
    pub fn checksums(&self) -> BTreeMap<RegistrarId, (u16, usize)> {
        let mut homes: BTreeMap<_, Vec<&DumpedElement>> = BTreeMap::new();
        for element in &self.elements {
            homes.entry(element.home).or_default().push(element);
        }
        let sum = |elements: Vec<&DumpedElement>| {
            let names = elements.iter().map(|it| (it.pool.as_handle(), it.identifier));
            (checksum_of(names), elements.len())
        };
        homes.into_iter().map(|(home, elements)| (home, sum(elements))).collect()
    }
}

impl DumpedElement {
    pub(super) fn of(pool: PoolHandleBuf, element: &PoolElement<'_>) -> Self {
        Self {
            pool,
            identifier: element.id,
            home: element.home,
            registration_life: element.registration_life,
            policy: element.policy,
            user_transport: DumpedTransport::of(element.user_transport),
            asap_transport: element.asap_transport.map(DumpedTransport::of),
        }
    }
}

impl DumpedPeer {
    pub(super) fn of(identifier: RegistrarId, transport: Transport<'_>) -> Self {
        Self { identifier, transport: DumpedTransport::of(transport) }
    }
}

impl DumpedTransport {
    fn of(transport: Transport<'_>) -> Self {
        Self {
            protocol: transport.protocol(),
            port: transport.port(),
            addresses: transport.addresses().collect(),
        }
    }
}
