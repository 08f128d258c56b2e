//! How users reach a pool element, as values and encoded.

use core::fmt;

use crate::association::Endpoint;
use crate::wire::{EmitError, Protocol, Transport, TransportBuf, TransportUse};

/// How users reach a pool element (RFC 5354 §3.3 to §3.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserTransport {
    /// The protocol of its service.
    pub protocol: Protocol,
    /// Addresses and port. TCP and UDP take exactly one address; all must be addresses of the
    /// association to the registrar.
    pub endpoint: Endpoint,
    /// Whether cookies and business cards go over the same association.
    pub transport_use: TransportUse,
}

impl UserTransport {
    /// An SCTP service with a control channel: what a service with failover needs.
    #[must_use]
    pub const fn sctp(endpoint: Endpoint) -> Self {
        Self { protocol: Protocol::Sctp, endpoint, transport_use: TransportUse::DataPlusControl }
    }

    /// Takes a transport from a message, if a user could connect to it: it has a port and at
    /// least one address that stands for a single host.
    pub(crate) fn of_usable(transport: Transport<'_>) -> Option<Self> {
        let port = transport.port();
        let mut endpoint = Endpoint { port, ..Endpoint::default() };
        for address in transport.addresses() {
            if !address.is_unspecified() && !address.is_multicast() {
                // More addresses than we keep: the first ones do.
                let _ = endpoint.addresses.push(address);
            }
        }
        let usable = port != 0 && !endpoint.addresses.is_empty();
        usable.then_some(Self {
            protocol: transport.protocol(),
            endpoint,
            transport_use: transport.transport_use(),
        })
    }
}

/// Why a transport cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UserTransportError {
    /// Port 0.
    NoPort,
    /// No address, or several for another protocol than SCTP.
    AddressCount,
    /// A protocol that cannot be described by addresses and port.
    Protocol,
}

impl fmt::Display for UserTransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPort => "a service has a port other than 0",
            Self::AddressCount => "a service has one address, with SCTP at least one",
            Self::Protocol => "this protocol's transports cannot be registered",
        })
    }
}

impl core::error::Error for UserTransportError {}

/// Room for an SCTP transport with as many IPv6 addresses as an [`Endpoint`] can hold.
const TRANSPORT_LEN_MAX: usize = 8 + 20 * crate::association::ADDRESSES_MAX;

pub(crate) type UserTransportBuf = TransportBuf<TRANSPORT_LEN_MAX>;

pub(crate) fn encode(transport: &UserTransport) -> Result<UserTransportBuf, UserTransportError> {
    if transport.endpoint.port == 0 {
        return Err(UserTransportError::NoPort);
    }
    TransportBuf::new(
        transport.protocol,
        transport.endpoint.port,
        transport.transport_use,
        &transport.endpoint.addresses,
    )
    .map_err(|error| match error {
        EmitError::AddressCount if transport.protocol != Protocol::Opaque => {
            UserTransportError::AddressCount
        }
        _ => UserTransportError::Protocol,
    })
}
