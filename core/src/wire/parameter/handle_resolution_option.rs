//! Handle resolution parameter (draft-dreibholz-rserpool-asap-hropt).
//!
//! ```text
//! | 0x803f | length = 8 | items u32: how many elements are wanted, all ones for all |
//! ```
//!
//! Its top bits make those who do not know it skip it. RSPLIB takes 0x003f too, and so do we.

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Parsed, Tlv, Writer, be_u32};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::tlv;
    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let bytes = hex("803f0008 ffffffff");
        assert_eq!(items(parameter(&bytes)), Ok(u32::MAX));
        let mut buf = [0xff; 8];
        write_items(u32::MAX, &mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, bytes[..]);
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = &hex("803f0008 ffffffff")[..8];
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            assert!(tlv(&cut).is_err());
            if len >= 4 {
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                assert!(items(parameter(&cut)).is_err(), "{len}");
            }
        }
    }
}
