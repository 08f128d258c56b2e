//! Who is where, as boards see it and as processes do.
//!
//! With IPv4 both see the same: the whole of 127.0.0.0/8 is this machine's. With IPv6 a machine
//! has but one loopback address. Boards have addresses in a network of their own, where all
//! processes are one neighbour; processes see all boards at `::1`, apart by their UDP ports. No
//! checksum of SCTP covers an address, so nothing else is rewritten.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::EthernetAddress;

/// The addresses of one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) mac: EthernetAddress,
    pub(crate) v4: Ipv4Addr,
}

impl Addresses {
    /// Whether a board has an address. Its link-local one is for neighbour discovery alone.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        address == self.facing(address)
    }

    /// Where a peer sees the board, on the board's side.
    pub(crate) fn facing(&self, peer: IpAddr) -> IpAddr {
        match peer {
            IpAddr::V4(_) => self.v4.into(),
            IpAddr::V6(_) => v6_of(self.mac).into(),
        }
    }

    /// Where processes see the board when they are reached at `peer`.
    pub(crate) fn outside(&self, peer: IpAddr) -> IpAddr {
        match peer {
            IpAddr::V4(_) => self.v4.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// The IPv6 address that a board gives itself in the boards' network (RFC 4862 §5.5.3, RFC 2464
/// §4); one that is set by hand is to be the same.
pub(crate) fn v6_of(mac: EthernetAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let mut octets = PREFIX_V6.octets();
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    octets.into()
}

/// Where a board finds the process that is at `address`.
pub(crate) fn inside(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(_) => HOST_V6.into(),
        v4 => v4,
    }
}

/// Where the process is that a board finds at `address`; `None` if there are none.
pub(crate) fn process_at(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V6(HOST_V6) => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V6(_) => None,
        v4 => Some(v4),
    }
}

/// The boards' network.
pub(crate) const PREFIX_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0);

/// Its length, in bits.
pub(crate) const PREFIX_V6_LEN: u8 = 64;

/// Where boards find what processes have at `::1`.
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_known_by_its_own_addresses_on_either_side() {
        let board = Addresses {
            mac: EthernetAddress([0x02, 0, 127, 77, 0, 10]),
            v4: Ipv4Addr::new(127, 77, 0, 10),
        };
        let v6: IpAddr = "fd77::7fff:fe4d:a".parse().unwrap();
        assert!(board.has(v6) && board.has(board.v4.into()));
        assert!(!board.has(HOST_V6.into()) && !board.has(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(board.facing(HOST_V6.into()), v6);
        assert_eq!(board.outside(HOST_V6.into()), Ipv6Addr::LOCALHOST);
        assert_eq!(board.outside(Ipv4Addr::LOCALHOST.into()), board.v4);
    }

    #[test]
    fn processes_are_one_neighbour_and_nobody_else_is_reached() {
        assert_eq!(inside(Ipv6Addr::LOCALHOST.into()), HOST_V6);
        assert_eq!(process_at(HOST_V6.into()), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(process_at("fd77::2".parse().unwrap()), None);
        let v4 = Ipv4Addr::new(127, 0, 0, 5).into();
        assert_eq!((inside(v4), process_at(v4)), (v4, Some(v4)));
    }
}
