//! Announces of registrars by multicast (RFC 5352 §2.2.10, §3.6).
//!
//! An announce can be forged by anybody (RFC 5352 §9.2), so all it does is to put a registrar on
//! a bounded list, behind those that are there, for the few seconds of T7.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::InputError;
use super::hunt::{ASAP_PORT, ServerHunt};
use super::user_transport::UserTransport;
use crate::association::Endpoint;
use crate::profile::Profile;
use crate::time::Instant;
use crate::wire::asap::ServerAnnounce;
use crate::wire::{Protocol, UnknownMessage};

/// The type of the message.
const SERVER_ANNOUNCE: u8 = 10;

/// The multicast group that registrars announce themselves to: RFC 5352 §8.3's, or the one that
/// RSPLIB uses.
///
/// ```
/// use rserpool_core::{asap::announce_group_v4, profile::Profile};
/// assert_eq!(announce_group_v4(Profile::Rsplib), "239.0.0.50:3863".parse()?);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[must_use]
pub const fn announce_group_v4(profile: Profile) -> SocketAddrV4 {
    let group = match profile {
        Profile::Rfc => Ipv4Addr::new(224, 0, 1, 185),
        Profile::Rsplib => Ipv4Addr::new(239, 0, 0, 50),
    };
    SocketAddrV4::new(group, ASAP_PORT)
}

/// The same for IPv6, of whatever profile: FF05::133, which RFC 5352 §8.3 has for a site.
#[must_use]
pub const fn announce_group_v6() -> SocketAddrV6 {
    SocketAddrV6::new(Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0x133), ASAP_PORT, 0, 0)
}

/// Takes an announce that came from `source` by UDP.
pub(crate) fn on_server_announce(
    hunt: &mut ServerHunt,
    profile: Profile,
    now: Instant,
    source: SocketAddr,
    bytes: &[u8],
) -> Result<(), InputError> {
    // Announces are never answered.
    let malformed = InputError::Malformed { cause: None };
    let announce = match UnknownMessage::parse(bytes).map_err(|_| malformed)?.message_type {
        SERVER_ANNOUNCE => ServerAnnounce::parse(bytes).map_err(|_| malformed)?,
        _ => return Err(InputError::Unexpected),
    };
    let endpoint = endpoint_of(&announce, profile, source).ok_or(InputError::Unexpected)?;
    hunt.add_announced(now, source.ip(), &endpoint, announce.registrar)
        .map_err(|_| InputError::Full)
}

/// Where the registrar is: at its first usable SCTP transport. Without any transport, RFC 5352
/// §3.6 takes the source address and the well-known port; RSPLIB, which never sends transports,
/// takes the source address and the source port: `docs/protocol-notes.md`, "Bare announces".
fn endpoint_of(
    announce: &ServerAnnounce<'_>,
    profile: Profile,
    source: SocketAddr,
) -> Option<Endpoint> {
    let mut transports = announce.transports.iter().peekable();
    if transports.peek().is_none() {
        let mut endpoint = Endpoint::new(source);
        if profile == Profile::Rfc {
            endpoint.port = ASAP_PORT;
        }
        return Some(endpoint);
    }
    transports
        .filter(|transport| transport.protocol() == Protocol::Sctp)
        .filter_map(UserTransport::of_usable)
        .find_map(|transport| usable_from(transport.endpoint, source.ip()))
}

/// Keeps the addresses that can be meant for us: a loopback address only if it was announced on
/// loopback, and no link-local address of IPv6, which nobody can use without its interface. The
/// address that the announce came from is tried first if it is among them.
fn usable_from(mut endpoint: Endpoint, source: IpAddr) -> Option<Endpoint> {
    let source = source.to_canonical();
    endpoint.addresses.retain(|address| {
        let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        !is_link_local && (source.is_loopback() || !address.to_canonical().is_loopback())
    });
    if let Some(index) = endpoint.addresses.iter().position(|address| *address == source) {
        endpoint.addresses.swap(0, index);
    }
    (!endpoint.addresses.is_empty()).then_some(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asap::Timers;
    use crate::association::Transmit;
    use crate::entropy::SplitMix64;
    use crate::identifier::RegistrarId;
    use crate::wire::{TransportBuf, TransportUse, Transports};
    use std::string::ToString;

    /// Where a hunt goes after an announce from 10.77.0.12:40000.
    fn announced(profile: Profile, bytes: &[u8]) -> Result<std::string::String, InputError> {
        announced_by(profile, [10, 77, 0, 12], bytes)
    }

    fn announced_by(
        profile: Profile,
        source: [u8; 4],
        bytes: &[u8],
    ) -> Result<std::string::String, InputError> {
        let mut hunt = ServerHunt::new(Timers::of(profile));
        let source = SocketAddr::from((source, 40_000));
        on_server_announce(&mut hunt, profile, Instant::ZERO, source, bytes)?;
        let _ = hunt.start(Instant::ZERO, &mut SplitMix64::new(0));
        let Some(Transmit::Connect { endpoint, .. }) = hunt.poll_transmit() else {
            panic!("nobody to ask");
        };
        Ok(std::format!("{endpoint}"))
    }

    #[test]
    fn groups_are_those_of_the_rfc_or_of_rsplib() {
        assert_eq!(announce_group_v4(Profile::Rfc).to_string(), "224.0.1.185:3863");
        assert_eq!(announce_group_v4(Profile::Rsplib).to_string(), "239.0.0.50:3863");
        assert_eq!(announce_group_v6().to_string(), "[ff05::133]:3863");
    }

    const BARE: [u8; 8] = *b"\x0a\x00\x00\x08\x11\x11\x11\x11";
    const WITH_SCTP: [u8; 24] = *b"\x0a\x00\x00\x18\x11\x11\x11\x11\
        \x00\x04\x00\x10\x0f\x17\x00\x00\x00\x01\x00\x08\x0a\x4d\x00\x0b";
    const WITH_UDP_AND_SCTP: [u8; 40] = *b"\x0a\x00\x00\x28\x11\x11\x11\x11\
        \x00\x06\x00\x10\x00\x01\x00\x00\x00\x01\x00\x08\x0a\x4d\x00\x0b\
        \x00\x04\x00\x10\x0f\x17\x00\x00\x00\x01\x00\x08\x0a\x4d\x00\x0b";

    #[test]
    fn a_bare_announce_stands_for_the_source_port_or_for_the_well_known_one() {
        assert_eq!(announced(Profile::Rsplib, &BARE).unwrap(), "10.77.0.12:40000");
        assert_eq!(announced(Profile::Rfc, &BARE).unwrap(), "10.77.0.12:3863");
    }

    #[test]
    fn the_first_sctp_transport_counts() {
        for profile in [Profile::Rsplib, Profile::Rfc] {
            assert_eq!(announced(profile, &WITH_SCTP).unwrap(), "10.77.0.11:3863");
            assert_eq!(announced(profile, &WITH_UDP_AND_SCTP).unwrap(), "10.77.0.11:3863");
        }
    }

    #[test]
    fn other_messages_and_rubbish_announce_nobody() {
        let keep_alive = b"\x07\x00\x00\x10\x11\x11\x11\x11\x00\x09\x00\x08Echo";
        assert_eq!(announced(Profile::Rsplib, keep_alive), Err(InputError::Unexpected));
        for len in 0..BARE.len() {
            let refused = announced(Profile::Rsplib, &BARE[..len]);
            assert_eq!(refused, Err(InputError::Malformed { cause: None }), "length {len}");
        }
        let mut to_all = WITH_SCTP;
        to_all[20..].copy_from_slice(&[239, 0, 0, 50]);
        assert_eq!(announced(Profile::Rsplib, &to_all), Err(InputError::Unexpected));
    }
    /// An announce with an SCTP transport of these addresses.
    fn with_addresses(addresses: &[&str]) -> std::vec::Vec<u8> {
        let addresses: std::vec::Vec<IpAddr> =
            addresses.iter().map(|address| address.parse().unwrap()).collect();
        let transport =
            TransportBuf::<84>::new(Protocol::Sctp, 3863, TransportUse::Data, &addresses).unwrap();
        let transports = Transports::one(transport.as_transport());
        let mut bytes = std::vec![0; 128];
        let len = ServerAnnounce::new(RegistrarId(1), transports).emit(&mut bytes).unwrap();
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn loopback_is_meant_only_for_this_machine() {
        let all = with_addresses(&["127.0.0.1", "10.77.0.11", "fe80::1"]);
        assert_eq!(announced(Profile::Rsplib, &all).unwrap(), "10.77.0.11:3863");
        let here = announced_by(Profile::Rsplib, [127, 0, 0, 1], &all).unwrap();
        assert_eq!(here, "127.0.0.1:3863");
        let nobody = with_addresses(&["127.0.0.1", "fe80::1"]);
        assert_eq!(announced(Profile::Rsplib, &nobody), Err(InputError::Unexpected));
    }

    #[test]
    fn the_address_that_announced_is_tried_first() {
        let all = with_addresses(&["172.17.0.1", "10.77.0.11", "10.77.0.12"]);
        assert_eq!(announced(Profile::Rsplib, &all).unwrap(), "10.77.0.12:3863");
    }
}
