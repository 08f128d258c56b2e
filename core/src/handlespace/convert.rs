//! Between the parameters of messages and what is kept of them.

use super::error::RegistrationError;
use super::register::Entry;
use super::view::ElementView;
use crate::association::AssociationId;
use crate::identifier::{PoolHandle, RegistrarId};
use crate::policy::{Kind, Values};
use crate::wire::{
    Cause, Layout, Load, Policy, PoolElement, Protocol, RegistrationLife, Transport, TransportUse,
};

/// A pool element that wants to be in the handlespace.
#[derive(Clone, Copy, Debug)]
pub struct NewElement<'a> {
    /// The handle of its pool.
    pub pool: PoolHandle<'a>,
    /// The element. Its home is not looked at.
    pub element: &'a PoolElement<'a>,
    /// The registrar that owns it: here by RFC 5352 §3.1, rule 4, this one; in updates from peers
    /// its home.
    pub owner: RegistrarId,
    /// The association that it registered on, if that is at this registrar.
    pub association: Option<AssociationId>,
}

impl<'a> NewElement<'a> {
    pub(crate) fn entry(&self) -> Result<Entry<'a>, RegistrationError> {
        let element = self.element;
        let (kind, values) =
            from_policy(element.policy).ok_or(RegistrationError::InconsistentPolicy)?;
        let user = element.user_transport;
        // RFC 5352 §3.1, rule 5: invalid values.
        if user.port() == 0 && user.protocol() != Protocol::Opaque {
            return Err(RegistrationError::NoUserPort);
        }
        let transport = user.as_bytes().first_chunk().map_or(0, |kind| u16::from_be_bytes(*kind));
        Ok(Entry {
            pool: self.pool,
            pe_id: element.id,
            life: element.registration_life.0,
            kind,
            values,
            transport,
            is_control: user.transport_use() == TransportUse::DataPlusControl,
            transports: [
                user.as_bytes(),
                element.asap_transport.map_or(&[][..], |transport| transport.as_bytes()),
            ],
            owner: self.owner,
            association: self.association,
        })
    }
}

impl<'a> ElementView<'a> {
    /// How long its registration lasts, as it stood in the message.
    #[must_use]
    pub const fn registration_life(&self) -> RegistrationLife {
        RegistrationLife(self.life())
    }

    /// Its policy.
    #[must_use]
    pub const fn policy(&self) -> Policy {
        to_policy(self.kind(), self.values())
    }

    /// How users reach it.
    #[must_use]
    pub fn user_transport(&self) -> Transport<'a> {
        Transport::from_encoded(self.transport(0))
    }

    /// How registrars reach it.
    #[must_use]
    pub fn asap_transport(&self) -> Option<Transport<'a>> {
        let bytes = self.transport(1);
        (!bytes.is_empty()).then(|| Transport::from_encoded(bytes))
    }

    /// The element as messages tell of it: with the ASAP transport in ENRP, without in ASAP.
    #[must_use]
    pub fn to_wire(self, with_asap: bool) -> PoolElement<'a> {
        PoolElement {
            id: self.pe_id(),
            home: self.home(),
            registration_life: self.registration_life(),
            user_transport: self.user_transport(),
            policy: self.policy(),
            asap_transport: if with_asap { self.asap_transport() } else { None },
            layout: Layout::OURS,
        }
    }
}

impl RegistrationError {
    /// The error cause that tells a peer (RFC 5354 §3.12).
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::ZeroIdentifier | Self::NoUserPort => Cause::INVALID_VALUES,
            Self::InconsistentPolicy => Cause::INCONSISTENT_POOL_POLICY,
            Self::InconsistentTransport => Cause::INCONSISTENT_TRANSPORT_TYPE,
            Self::InconsistentControl => Cause::INCONSISTENT_DATA_CONTROL,
            Self::TooManyAddresses | Self::Full(_) => Cause::LACK_OF_RESOURCES,
        }
    }
}

/// The policy by which we can select, and its numbers; `None` for one that we do not know.
pub(crate) const fn from_policy(policy: Policy) -> Option<(Kind, Values)> {
    Some(match policy {
        Policy::RoundRobin => (Kind::RoundRobin, values(0, 0)),
        Policy::WeightedRoundRobin { weight } => (Kind::WeightedRoundRobin, values(weight, 0)),
        Policy::Random => (Kind::Random, values(0, 0)),
        Policy::WeightedRandom { weight } => (Kind::WeightedRandom, values(weight, 0)),
        Policy::Priority { priority } => (Kind::Priority, values(priority, 0)),
        Policy::LeastUsed { load } => (Kind::LeastUsed, values(load.0, 0)),
        Policy::LeastUsedDegradation { load, degradation } => {
            (Kind::LeastUsedDegradation, values(load.0, degradation.0))
        }
        Policy::PriorityLeastUsed { load, degradation } => {
            (Kind::PriorityLeastUsed, values(load.0, degradation.0))
        }
        Policy::RandomizedLeastUsed { load } => (Kind::RandomizedLeastUsed, values(load.0, 0)),
        Policy::RandomizedPriorityLeastUsed { load, degradation } => {
            (Kind::RandomizedPriorityLeastUsed, values(load.0, degradation.0))
        }
        Policy::RandomizedLeastUsedDegradation { load, degradation } => {
            (Kind::RandomizedLeastUsedDegradation, values(load.0, degradation.0))
        }
        Policy::PriorityLeastUsedDegradation { load, degradation } => {
            (Kind::PriorityLeastUsedDegradation, values(load.0, degradation.0))
        }
        Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
            (Kind::RandomizedPriorityLeastUsedDegradation, values(load.0, degradation.0))
        }
        Policy::WeightedRandomDpf { weight, dpf, distance } => {
            (Kind::WeightedRandomDpf, far_values(weight, 0, dpf, distance))
        }
        Policy::LeastUsedDpf { load, dpf, distance } => {
            (Kind::LeastUsedDpf, far_values(load.0, 0, dpf, distance))
        }
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            (Kind::LeastUsedDegradationDpf, far_values(load.0, degradation.0, dpf, distance))
        }
        _ => return None,
    })
}

const fn values(base: u32, degradation: u32) -> Values {
    far_values(base, degradation, Load(0), 0)
}

const fn far_values(base: u32, degradation: u32, dpf: Load, distance: u32) -> Values {
    Values { base, degradation, distance_penalty: dpf.0, distance }
}

const fn to_policy(kind: Kind, values: Values) -> Policy {
    let Values { base, degradation, distance_penalty, distance } = values;
    let (load, degradation, dpf) = (Load(base), Load(degradation), Load(distance_penalty));
    match kind {
        Kind::RoundRobin => Policy::RoundRobin,
        Kind::WeightedRoundRobin => Policy::WeightedRoundRobin { weight: base },
        Kind::Random => Policy::Random,
        Kind::WeightedRandom => Policy::WeightedRandom { weight: base },
        Kind::Priority => Policy::Priority { priority: base },
        Kind::LeastUsed => Policy::LeastUsed { load },
        Kind::LeastUsedDegradation => Policy::LeastUsedDegradation { load, degradation },
        Kind::PriorityLeastUsed => Policy::PriorityLeastUsed { load, degradation },
        Kind::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
        Kind::RandomizedPriorityLeastUsed => {
            Policy::RandomizedPriorityLeastUsed { load, degradation }
        }
        Kind::RandomizedLeastUsedDegradation => {
            Policy::RandomizedLeastUsedDegradation { load, degradation }
        }
        Kind::PriorityLeastUsedDegradation => {
            Policy::PriorityLeastUsedDegradation { load, degradation }
        }
        Kind::RandomizedPriorityLeastUsedDegradation => {
            Policy::RandomizedPriorityLeastUsedDegradation { load, degradation }
        }
        Kind::WeightedRandomDpf => Policy::WeightedRandomDpf { weight: base, dpf, distance },
        Kind::LeastUsedDpf => Policy::LeastUsedDpf { load, dpf, distance },
        Kind::LeastUsedDegradationDpf => {
            Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance }
        }
    }
}
