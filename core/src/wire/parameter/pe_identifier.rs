//! PE identifier parameter (RFC 5354 §3.14).
//!
//! ```text
//! | 0x000e | length = 8 | identifier u32 |
//! ```

use nom::Parser;
use nom::number::complete::be_u32;

use super::ParameterType;
use crate::identifier::PeId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Parsed, Tlv, Writer};

pub(crate) const PE_IDENTIFIER_LEN: usize = 8;

pub(crate) fn pe_identifier(tlv: Tlv<'_>) -> Result<PeId, ParseError<'_>> {
    tlv.read(value)
}

fn value(input: &[u8]) -> Parsed<'_, PeId> {
    be_u32.map(PeId).parse(input)
}

pub(crate) fn write_pe_identifier(id: PeId, writer: &mut Writer<'_>) -> Result<(), EmitError> {
    writer.put_header(ParameterType::PE_IDENTIFIER, PE_IDENTIFIER_LEN)?;
    writer.put_u32(id.0)
}
