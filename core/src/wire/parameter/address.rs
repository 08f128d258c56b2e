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
use nom::number::complete::{be_u32, be_u128};

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{Parsed, Tlv, Tlvs, Writer, padding_len, tlv};

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
    be_u128.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))).parse(input)
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

/// The addresses of a transport.
#[derive(Clone, Copy, Debug)]
pub struct Addresses<'a>(pub(crate) &'a [u8]);

impl Iterator for Addresses<'_> {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
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
