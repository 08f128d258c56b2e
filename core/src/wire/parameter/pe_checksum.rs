//! PE checksum parameter (RFC 5354 §3.15).
//!
//! ```text
//! | 0x000f | length = 6 | checksum u16 | padding: 2 |
//! ```

use nom::Parser;
use nom::number::complete::be_u16;

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Parsed, Tlv, Writer};

/// The checksum over all elements that a registrar owns (RFC 5353 §3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PeChecksum(pub u16);

/// With its padding.
pub(crate) const CHECKSUM_LEN: usize = 8;

pub(crate) fn checksum(tlv: Tlv<'_>) -> Result<PeChecksum, ParseError<'_>> {
    tlv.read(value)
}

fn value(input: &[u8]) -> Parsed<'_, PeChecksum> {
    be_u16.map(PeChecksum).parse(input)
}

pub(crate) fn write_checksum(sum: PeChecksum, writer: &mut Writer<'_>) -> Result<(), EmitError> {
    writer.put_header(ParameterType::PE_CHECKSUM, 6)?;
    let [high, low] = sum.0.to_be_bytes();
    writer.put([high, low, 0, 0])
}
