//! Our own addresses, as INIT and INIT ACK list them (RFC 9260 §5.1.2).

use core::net::IpAddr;

use heapless::Vec;

use crate::sctp::packet::ParameterType;
use crate::sctp::types::LOCAL_ADDRESSES_MAX;

/// Those of our addresses that a peer may use, if there are several: a single one need not be
/// listed, since packets come from it.
pub(super) struct OwnAddresses(Vec<IpAddr, LOCAL_ADDRESSES_MAX>);

/// A parameter with an IPv6 address.
const PARAMETER_LEN_MAX: usize = 20;

impl OwnAddresses {
    /// Of `all` our addresses, those that `takes` says the peer can use. One on this machine can
    /// use loopback addresses, and nobody else.
    pub(super) fn for_peer(
        all: &[IpAddr],
        remote: IpAddr,
        takes: impl Fn(IpAddr) -> bool,
    ) -> Self {
        let is_useful = |address: &&IpAddr| remote.is_loopback() || !address.is_loopback();
        if LOCAL_ADDRESSES_MAX < 2 || all.len() < 2 {
            return Self(Vec::new());
        }
        Self(all.iter().filter(is_useful).copied().filter(|&address| takes(address)).collect())
    }

    /// The parameters that list them.
    pub(super) fn parameters(&self) -> Vec<u8, { PARAMETER_LEN_MAX * LOCAL_ADDRESSES_MAX }> {
        let mut bytes = Vec::new();
        for address in &self.0 {
            let header = |kind: ParameterType, len| [0, kind.0 as u8, 0, len];
            // There is room for all of them.
            let _ = match address {
                IpAddr::V4(address) => bytes
                    .extend_from_slice(&header(ParameterType::IPV4_ADDRESS, 8))
                    .and_then(|()| bytes.extend_from_slice(&address.octets())),
                IpAddr::V6(address) => bytes
                    .extend_from_slice(&header(ParameterType::IPV6_ADDRESS, 20))
                    .and_then(|()| bytes.extend_from_slice(&address.octets())),
            };
        }
        bytes
    }

    /// The kinds of addresses that we have, for a peer at `remote`: parameter types in a row.
    pub(super) fn kinds(&self, remote: IpAddr) -> Vec<u8, 4> {
        let mut kinds = Vec::new();
        for (is_ipv6, kind) in
            [(false, ParameterType::IPV4_ADDRESS), (true, ParameterType::IPV6_ADDRESS)]
        {
            let has_one = self.0.iter().any(|address| address.is_ipv6() == is_ipv6);
            if has_one || remote.is_ipv6() == is_ipv6 {
                let _ = kinds.extend_from_slice(&kind.0.to_be_bytes());
            }
        }
        kinds
    }
}
