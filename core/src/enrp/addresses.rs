//! Which of the addresses that an element registers are kept (RFC 5352 §3.1 R1).
//!
//! Only those of the association that it registers on: an element must be bound to all of them,
//! so others are wrong, or meant to send users to somebody else.

use core::net::IpAddr;

use heapless::Vec;

use crate::association::ADDRESSES_MAX;
use crate::wire::Transport;

/// The addresses of an element that are kept.
pub(super) type Kept = Vec<IpAddr, ADDRESSES_MAX>;

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// No address of one host: unspecified, multicast, broadcast.
    Nowhere,
    Loopback,
    LinkLocal,
    Wide,
}

fn reach(address: IpAddr) -> Reach {
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() => {
            Reach::Nowhere
        }
        IpAddr::V4(v4) if v4.is_loopback() => Reach::Loopback,
        IpAddr::V4(v4) if v4.is_link_local() => Reach::LinkLocal,
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_multicast() => Reach::Nowhere,
        IpAddr::V6(v6) if v6.is_loopback() => Reach::Loopback,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Reach::LinkLocal,
        IpAddr::V4(_) | IpAddr::V6(_) => Reach::Wide,
    }
}

/// The peer's addresses that others can use: those that reach as far as its farthest.
///
/// So loopback addresses count only on an association that is on loopback altogether.
pub(super) fn usable(peer: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let farthest = peer.iter().map(|&address| reach(address)).max().unwrap_or(Reach::Nowhere);
    let usable =
        move |&&address: &&IpAddr| reach(address) == farthest && farthest > Reach::Nowhere;
    peer.iter().filter(usable).map(|address| address.to_canonical())
}

/// The addresses in `registered` that are usable ones of `peer`, each once, in the order
/// registered.
pub(super) fn cut(registered: impl Iterator<Item = IpAddr>, peer: &[IpAddr]) -> Kept {
    let mut kept = Kept::new();
    for address in registered.map(|address| address.to_canonical()) {
        let known = usable(peer).any(|usable| usable == address);
        if known && !kept.contains(&address) && kept.push(address).is_err() {
            break;
        }
    }
    kept
}

/// Where a registrar may be reached that is heard from `source` and tells `told` of itself.
///
/// The source comes first, as what it tells may be what nobody can reach; but a host may send from
/// an address that its registrar is not bound to. A link-local source says nothing without its
/// interface, so it comes last.
pub(super) fn sighted(source: IpAddr, told: impl Iterator<Item = IpAddr>) -> Kept {
    let mut kept = Kept::new();
    let is_first = reach(source) != Reach::LinkLocal;
    let first = is_first.then_some(source).into_iter();
    let wide = told.filter(|&address| reach(address) == Reach::Wide);
    for address in first.chain(wide).chain([source]).map(|address| address.to_canonical()) {
        if !kept.contains(&address) && kept.push(address).is_err() {
            break;
        }
    }
    kept
}

/// Whether any address of `transport` is one of `peer`.
pub(super) fn shares_one(transport: Transport<'_>, peer: &[IpAddr]) -> bool {
    transport.addresses().any(|address| peer.contains(&address.to_canonical()))
}

/// Who reports, so that one host cannot pass for many: its IPv4 address, or the half of its IPv6
/// address that it does not choose itself.
pub(super) fn reporter(peer: &[IpAddr]) -> u64 {
    match peer.first().map(IpAddr::to_canonical) {
        None => 0,
        Some(IpAddr::V4(v4)) => u64::from(v4.to_bits()),
        Some(IpAddr::V6(v6)) => (v6.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn cut_of(registered: &[&str], peer: &[&str]) -> std::vec::Vec<IpAddr> {
        let peer: std::vec::Vec<_> = peer.iter().map(|text| ip(text)).collect();
        cut(registered.iter().map(|text| ip(text)), &peer).into_iter().collect()
    }

    #[test]
    fn only_addresses_of_the_association_are_kept_and_once() {
        let kept = cut_of(
            &["10.0.0.2", "192.0.2.9", "10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1"],
            &["10.0.0.1", "10.0.0.2"],
        );
        assert_eq!(kept, [ip("10.0.0.2"), ip("10.0.0.1")]);
    }

    #[test]
    fn loopback_is_kept_on_loopback_alone() {
        assert_eq!(cut_of(&["127.0.0.1"], &["127.0.0.1"]), [ip("127.0.0.1")]);
        assert_eq!(cut_of(&["::1", "127.0.0.1"], &["127.0.0.1", "::1"]).len(), 2);
        assert!(cut_of(&["127.0.0.1"], &["10.0.0.1", "127.0.0.1"]).is_empty());
        let kept = cut_of(&["169.254.0.1", "10.0.0.1"], &["10.0.0.1", "169.254.0.1"]);
        assert_eq!(kept, [ip("10.0.0.1")]);
    }

    #[test]
    fn a_registrar_is_first_sought_where_its_presence_came_from() {
        let told = ["127.0.0.1", "fe80::7", "10.0.0.1", "10.0.0.9", "fd77::1"].map(ip);
        let sought = |source| sighted(ip(source), told.into_iter());
        assert_eq!(sought("10.0.0.9")[..3], ["10.0.0.9", "10.0.0.1", "fd77::1"].map(ip));
        assert_eq!(sought("::ffff:10.0.0.1")[0], ip("10.0.0.1"));
        assert_eq!(sought("127.0.0.1")[..2], ["127.0.0.1", "10.0.0.1"].map(ip));
        // Without its interface a link-local address is the last resort.
        assert_eq!(sought("fe80::9")[..2], ["10.0.0.1", "10.0.0.9"].map(ip));
        assert_eq!(sighted(ip("fe80::9"), [].into_iter()), [ip("fe80::9")]);
    }

    #[test]
    fn what_is_no_host_is_never_kept() {
        assert!(cut_of(&["0.0.0.0", "::", "224.0.0.1", "ff02::1"], &["0.0.0.0", "::"]).is_empty());
        assert!(cut_of(&["10.0.0.1"], &[]).is_empty());
    }

    #[test]
    fn a_reporter_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(reporter(&[ip("10.0.0.1")]), reporter(&[ip("::ffff:10.0.0.1")]));
        assert_ne!(reporter(&[ip("10.0.0.1")]), reporter(&[ip("10.0.0.2")]));
        assert_eq!(reporter(&[ip("fd77::1")]), reporter(&[ip("fd77::99")]));
        assert_ne!(reporter(&[ip("fd77::1")]), reporter(&[ip("fd77:0:0:1::1")]));
    }
}
