//! Handle resolution parameter (draft-dreibholz-rserpool-asap-hropt).
//!
//! ```text
//! | 0x803f | length = 8 | items u32: how many elements are wanted, all ones for all |
//! ```
//!
//! Its top bits make those who do not know it skip it. RSPLIB takes it as 0x003f too, and so do we.

use nom::number::complete::be_u32;

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Parsed, Tlv, Writer};

pub(crate) const ITEMS_LEN: usize = 8;

pub(crate) fn items(tlv: Tlv<'_>) -> Result<u32, ParseError<'_>> {
    tlv.read(value)
}

fn value(input: &[u8]) -> Parsed<'_, u32> {
    be_u32(input)
}

pub(crate) fn write_items(items: u32, writer: &mut Writer<'_>) -> Result<(), EmitError> {
    writer.put_header(ParameterType::HANDLE_RESOLUTION, ITEMS_LEN)?;
    writer.put_u32(items)
}
