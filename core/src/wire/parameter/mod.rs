//! Parameters of ASAP and ENRP messages (RFC 5354 §3), one file each.

mod address;
mod cookie;
mod handle_resolution_option;
mod operation_error;
mod pe_checksum;
mod pe_identifier;
mod policy;
mod pool_element;
mod pool_handle;
mod server_information;
mod transport;

pub use address::Addresses;
pub use operation_error::{Cause, Causes, ErrorCause, OperationError};
pub use pe_checksum::PeChecksum;
pub use policy::{Load, Policy, PolicyType, PolicyWords};
pub use pool_element::{PoolElement, PoolElements, PoolElementsIter, RegistrationLife};
pub use server_information::{ServerInformation, ServerInformations, ServerInformationsIter};
pub use transport::{Protocol, Transport, TransportBuf, TransportUse, Transports, TransportsIter};

pub(crate) use cookie::{cookie, cookie_len, write_cookie};
pub(crate) use handle_resolution_option::{ITEMS_LEN, items, write_items};
pub(crate) use operation_error::operation_error;
pub(crate) use pe_checksum::{CHECKSUM_LEN, checksum, write_checksum};
pub(crate) use pe_identifier::{PE_IDENTIFIER_LEN, pe_identifier, write_pe_identifier};
pub(crate) use policy::usual_or_any_policy;
pub(crate) use pool_handle::{
    pool_handle, pool_handle_header, pool_handle_len, write_pool_handle,
};
pub(crate) use transport::transport;

/// The type of a parameter (RFC 5354 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ParameterType(pub u16);

impl ParameterType {
    /// IPv4 address.
    pub const IPV4_ADDRESS: Self = Self(0x0001);
    /// IPv6 address.
    pub const IPV6_ADDRESS: Self = Self(0x0002);
    /// DCCP transport.
    pub const DCCP_TRANSPORT: Self = Self(0x0003);
    /// SCTP transport.
    pub const SCTP_TRANSPORT: Self = Self(0x0004);
    /// TCP transport.
    pub const TCP_TRANSPORT: Self = Self(0x0005);
    /// UDP transport.
    pub const UDP_TRANSPORT: Self = Self(0x0006);
    /// UDP-Lite transport.
    pub const UDP_LITE_TRANSPORT: Self = Self(0x0007);
    /// Pool member selection policy.
    pub const POLICY: Self = Self(0x0008);
    /// Pool handle.
    pub const POOL_HANDLE: Self = Self(0x0009);
    /// Pool element.
    pub const POOL_ELEMENT: Self = Self(0x000a);
    /// Server information.
    pub const SERVER_INFORMATION: Self = Self(0x000b);
    /// Operation error.
    pub const OPERATION_ERROR: Self = Self(0x000c);
    /// Cookie.
    pub const COOKIE: Self = Self(0x000d);
    /// Pool element identifier.
    pub const PE_IDENTIFIER: Self = Self(0x000e);
    /// Pool element checksum.
    pub const PE_CHECKSUM: Self = Self(0x000f);
    /// Opaque transport.
    pub const OPAQUE_TRANSPORT: Self = Self(0x0010);
    /// The number of items that a handle resolution asks for (RSPLIB's extension,
    /// draft-dreibholz-rserpool-asap-hropt).
    pub const HANDLE_RESOLUTION: Self = Self(0x803f);
    /// The same without its top bits, which RSPLIB takes too.
    pub const HANDLE_RESOLUTION_BARE: Self = Self(0x003f);

    pub(crate) const fn from_be_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(bytes))
    }

    /// Whether this is one of RFC 5354's types: then its top bits do not count, and in the wrong
    /// place it is an error.
    pub(crate) const fn is_mandatory_to_know(self) -> bool {
        matches!(self.0, 0x0001..=0x0010)
    }

    /// Whether this is a transport.
    pub(crate) const fn is_transport(self) -> bool {
        matches!(self.0, 0x0003..=0x0007 | 0x0010)
    }

    /// Where in a parameter of this type, header included, other parameters begin, if they do.
    pub(crate) const fn nested_offset(self) -> Option<usize> {
        match self {
            Self::SCTP_TRANSPORT
            | Self::TCP_TRANSPORT
            | Self::UDP_TRANSPORT
            | Self::UDP_LITE_TRANSPORT
            | Self::SERVER_INFORMATION => Some(8),
            Self::DCCP_TRANSPORT => Some(12),
            Self::POOL_ELEMENT => Some(16),
            _ => None,
        }
    }
}
