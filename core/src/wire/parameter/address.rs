//! IPv4 and IPv6 address parameters (RFC 5354 §3.1, §3.2).
//!
//! ```text
//! | 0x0001 | length = 8  | IPv4 address: 4 bytes |
//! | 0x0002 | length = 20 | IPv6 address: 16 bytes |
//! ```
//!
//! They occur within transports only. IPv4 addresses mapped into IPv6 are written as IPv4.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::Parser;

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{Parsed, Tlv, Tlvs, Writer, be_u32, chunk, padding_len, tlv};

/// Reads an address, if `tlv` is one.
pub(crate) fn address(tlv: Tlv<'_>) -> Option<Result<IpAddr, ParseError<'_>>> {
    match tlv.kind {
        ParameterType::IPV4_ADDRESS => Some(tlv.read(ipv4)),
        ParameterType::IPV6_ADDRESS => Some(tlv.read(ipv6)),
        _ => None,
    }
}

fn ipv4(input: &[u8]) -> Parsed<'_, IpAddr> {
    be_u32.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).parse(input)
}

fn ipv6(input: &[u8]) -> Parsed<'_, IpAddr> {
    chunk::<16>.map(|octets| IpAddr::V6(Ipv6Addr::from(octets))).parse(input)
}

/// Checks the addresses of a transport: `most` is how many there may be. Returns whether they are
/// all there is.
pub(crate) fn check_addresses<'a>(
    whole: &'a [u8],
    addresses: &'a [u8],
    most: usize,
) -> Result<bool, ParseError<'a>> {
    let mut tlvs = Tlvs::new(whole, addresses);
    let mut count = 0usize;
    while let Some(tlv) = tlvs.next()? {
        let len = match tlv.kind {
            ParameterType::IPV4_ADDRESS => 8,
            ParameterType::IPV6_ADDRESS => 20,
            _ => {
                tlvs.unexpected(tlv)?;
                continue;
            }
        };
        if tlv.bytes.len() != len {
            return Err(tlv.error(ParseErrorKind::ParameterLength));
        }
        count = count.saturating_add(1);
    }
    if count == 0 || count > most {
        return Err(ParseError::new(ParseErrorKind::Value, whole));
    }
    Ok(tlvs.layout().is_ours())
}

pub(crate) fn write_address(address: IpAddr, writer: &mut Writer<'_>) -> Result<(), EmitError> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            writer.put_header(ParameterType::IPV4_ADDRESS, 8)?;
            writer.put(address.octets())
        }
        IpAddr::V6(address) => {
            writer.put_header(ParameterType::IPV6_ADDRESS, 20)?;
            writer.put(address.octets())
        }
    }
}

/// Checks addresses that lie one after the other with nothing among them, as nearly all do.
#[inline(always)]
pub(crate) fn are_usual(mut addresses: &[u8]) -> bool {
    // Each round takes an address off a finite number of bytes.
    loop {
        let len = match addresses.first_chunk() {
            Some([0, 1, 0, 8]) => 8,
            Some([0, 2, 0, 20]) => 20,
            _ => return false,
        };
        match addresses.get(len..) {
            Some([]) => return true,
            Some(rest) => addresses = rest,
            None => return false,
        }
    }
}

/// The addresses of a transport.
#[derive(Clone, Copy, Debug)]
pub struct Addresses<'a>(pub(crate) &'a [u8]);

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    #[inline]
    fn next(&mut self) -> Option<IpAddr> {
        // The header is compared as a word, not byte by byte.
        if let Some((&[h, i, j, k, a, b, c, d], rest)) = self.0.split_first_chunk()
            && u32::from_be_bytes([h, i, j, k]) == 0x0001_0008
        {
            self.0 = rest;
            return Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)));
        }
        if self.0.is_empty() { None } else { self.next_other() }
    }
}

impl Addresses<'_> {
    /// The next one, whatever stands before it.
    #[inline(never)]
    fn next_other(&mut self) -> Option<IpAddr> {
        // Each round takes at least a header off a finite number of bytes.
        while let Ok((rest, tlv)) = tlv(self.0) {
            self.0 = rest.get(padding_len(tlv.bytes.len())..).unwrap_or_default();
            if let Some(Ok(address)) = address(tlv) {
                return Some(address);
            }
        }
        self.0 = &[];
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        for (text, shown) in [
            ("00010008 0a4d0015", "10.77.0.21"),
            ("00020014 fd770000000000000000000000000021", "fd77::21"),
        ] {
            let bytes = hex(text);
            let expected: IpAddr = shown.parse().unwrap();
            assert_eq!(address(parameter(&bytes)), Some(Ok(expected)));
            let mut buf = [0xff; 20];
            write_address(expected, &mut Writer::new(&mut buf)).unwrap();
            assert_eq!(buf[..bytes.len()], bytes);
        }
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = hex("00010008 0a4d0015 00020014 fd770000000000000000000000000021");
        assert_eq!(check_addresses(&bytes, &bytes, 2), Ok(true));
        for len in 0..bytes.len() {
            // Of two addresses one is enough.
            assert_eq!(check_addresses(&bytes, &bytes[..len], 2).is_ok(), len == 8);
        }
    }

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        let mut buf = [0xff; 8];
        let mapped = "::ffff:10.77.0.21".parse().unwrap();
        write_address(mapped, &mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, hex("00010008 0a4d0015")[..]);
    }

    #[test]
    fn too_many_and_none_at_all_are_refused() {
        let two = hex("00010008 0a4d0015 00010008 0a4d0016");
        assert_eq!(check_addresses(&two, &two, 1).unwrap_err().kind, ParseErrorKind::Value);
        assert_eq!(check_addresses(&two, &[], 1).unwrap_err().kind, ParseErrorKind::Value);
    }
}
