//! Socket addresses as the kernel lays them out: `sockaddr_in`, `sockaddr_in6`, lists of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::layout::{Fields, Record};

/// Bytes of a `sockaddr_storage`.
pub(crate) const STORAGE_LEN: usize = size_of::<libc::sockaddr_storage>();

const IPV4_LEN: usize = size_of::<libc::sockaddr_in>();
const IPV6_LEN: usize = size_of::<libc::sockaddr_in6>();

const _: () = assert!(STORAGE_LEN == 128 && IPV4_LEN == 16 && IPV6_LEN == 28);

/// Addresses one behind the other, as `sctp_bindx` and `sctp_connectx` hand them to the kernel.
pub(crate) fn packed(addresses: &[SocketAddr]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(addresses.len() * IPV6_LEN);
    for address in addresses {
        let storage = storage(*address);
        bytes.extend_from_slice(&storage[..len_of(address)]);
    }
    bytes
}

/// An address in a `sockaddr_storage`.
pub(crate) fn storage(address: SocketAddr) -> [u8; STORAGE_LEN] {
    let record = Record::<STORAGE_LEN>::new();
    let record = match address {
        SocketAddr::V4(address) => record
            .u16(0, libc::AF_INET as u16)
            .with(2, address.port().to_be_bytes())
            .with(4, address.ip().octets()),
        SocketAddr::V6(address) => record
            .u16(0, libc::AF_INET6 as u16)
            .with(2, address.port().to_be_bytes())
            .u32(4, address.flowinfo())
            .with(8, address.ip().octets())
            .u32(24, address.scope_id()),
    };
    *record.bytes()
}

/// The address at the beginning of `bytes`; IPv4 in IPv6 becomes IPv4.
pub(crate) fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let fields = Fields(bytes);
    let port = fields.u16_be(2)?;
    match i32::from(fields.u16(0)?) {
        libc::AF_INET => {
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(fields.array::<4>(4)?)), port))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(fields.array::<16>(8)?);
            Some(match ip.to_canonical() {
                IpAddr::V4(ip) => SocketAddr::new(ip.into(), port),
                IpAddr::V6(ip) => {
                    SocketAddrV6::new(ip, port, fields.u32(4)?, fields.u32(24)?).into()
                }
            })
        }
        _ => None,
    }
}

/// The addresses of a packed list; ends at the first that is none.
pub(crate) fn unpacked(mut bytes: &[u8]) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    while let Some(address) = decode(bytes) {
        addresses.push(address);
        let len = match Fields(bytes).u16(0).map(i32::from) {
            Some(libc::AF_INET) => IPV4_LEN,
            _ => IPV6_LEN,
        };
        bytes = Fields(bytes).rest(len);
    }
    addresses
}

fn len_of(address: &SocketAddr) -> usize {
    if address.is_ipv4() { IPV4_LEN } else { IPV6_LEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_has_family_port_and_four_bytes() {
        let bytes = packed(&["10.77.0.2:3863".parse().unwrap()]);
        let family = (libc::AF_INET as u16).to_ne_bytes();
        assert_eq!(bytes[..8], [family[0], family[1], 0x0f, 0x17, 10, 77, 0, 2]);
        assert_eq!(bytes[8..], [0; 8]);
    }

    #[test]
    fn a_list_of_both_families_comes_back() {
        let addresses: Vec<SocketAddr> =
            ["10.0.0.1:1", "[fe80::1]:2", "[2001:db8::3]:3", "192.0.2.4:65535"]
                .map(|text| text.parse().unwrap())
                .to_vec();
        let bytes = packed(&addresses);
        assert_eq!(bytes.len(), 16 + 28 + 28 + 16);
        assert_eq!(unpacked(&bytes), addresses);
    }

    #[test]
    fn ipv4_in_ipv6_is_ipv4() {
        let bytes = storage("[::ffff:10.0.0.1]:9".parse().unwrap());
        assert_eq!(decode(&bytes), Some("10.0.0.1:9".parse().unwrap()));
    }

    #[test]
    fn a_cut_list_ends_before_the_cut() {
        let addresses = ["10.0.0.1:1".parse().unwrap(), "[2001:db8::3]:3".parse().unwrap()];
        let bytes = packed(&addresses);
        for len in 0..bytes.len() {
            let whole = if len < 8 { 0 } else { 1 };
            assert_eq!(unpacked(&bytes[..len]), addresses[..whole], "{len} bytes");
        }
    }

    #[test]
    fn another_family_is_no_address() {
        assert_eq!(decode(&[0xff; 28]), None);
    }
}
