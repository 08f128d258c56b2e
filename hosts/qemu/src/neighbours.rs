//! What the switch says to boards that look around with IPv6 (RFC 4861): it is the processes'
//! address, and the router that tells the boards their network. Nothing is behind that network,
//! so it is nobody's default router.

use std::net::Ipv6Addr;

use smoltcp::time::Duration;
use smoltcp::wire::{
    EthernetAddress, NdiscNeighborFlags, NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr,
    NdiscRouterFlags,
};

use crate::addresses::{HOST_V6, PREFIX_V6, PREFIX_V6_LEN};
use crate::frame;
use crate::switch::GATEWAY;

/// Whether the switch stands for an address.
pub(crate) fn is_here(address: Ipv6Addr) -> bool {
    [HOST_V6, ROUTER].contains(&address)
}

/// The answer to who asks for `target` (RFC 4861 §4.4).
pub(crate) fn neighbour(target: Ipv6Addr, asker: (EthernetAddress, Ipv6Addr)) -> Vec<u8> {
    let message = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: target,
        lladdr: Some(GATEWAY.into()),
    };
    frame::ndisc((GATEWAY, asker.0), (target, asker.1), message)
}

/// The answer to who asks for routers (RFC 4861 §4.2).
pub(crate) fn router((mac, asker): (EthernetAddress, Ipv6Addr)) -> Vec<u8> {
    let prefix = NdiscPrefixInformation {
        prefix_len: PREFIX_V6_LEN,
        flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
        valid_lifetime: FOR_EVER,
        preferred_lifetime: FOR_EVER,
        prefix: PREFIX_V6,
    };
    let message = NdiscRepr::RouterAdvert {
        hop_limit: 64,
        flags: NdiscRouterFlags::empty(),
        router_lifetime: Duration::ZERO,
        reachable_time: Duration::ZERO,
        retrans_time: Duration::ZERO,
        lladdr: Some(GATEWAY.into()),
        mtu: None,
        prefix_info: Some(prefix),
    };
    // Who has no address yet hears what is said to all (RFC 4861 §6.2.6).
    let (mac, asker) = match asker.is_unspecified() {
        true => (frame::multicast_mac(ALL_NODES.into()), ALL_NODES),
        false => (mac, asker),
    };
    frame::ndisc((GATEWAY, mac), (ROUTER, asker), message)
}

/// The switch's address on the link, from [`GATEWAY`].
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x0077, 0x00ff, 0xfe00, 0x00fe);

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All ones, which stands for infinity (RFC 4861 §4.6.2).
const FOR_EVER: Duration = Duration::from_secs(0xffff_ffff);
