//! PE identifier parameter (RFC 5354 §3.14).
//!
//! ```text
//! | 0x000e | length = 8 | identifier u32 |
//! ```

use nom::Parser;

use super::ParameterType;
use crate::identifier::PeId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Parsed, Tlv, Writer, be_u32};

pub(crate) const PE_IDENTIFIER_LEN: usize = 8;

#[inline]
pub(crate) fn pe_identifier(tlv: Tlv<'_>) -> Result<PeId, ParseError<'_>> {
    tlv.read(value)
}

fn value(input: &[u8]) -> Parsed<'_, PeId> {
    be_u32.map(PeId).parse(input)
}

#[inline]
pub(crate) fn write_pe_identifier(id: PeId, writer: &mut Writer<'_>) -> Result<(), EmitError> {
    writer.put_words(u32::from(ParameterType::PE_IDENTIFIER.0) << 16 | 8, id.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::tlv;
    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let bytes = hex("000e0008 aaaa0001");
        assert_eq!(pe_identifier(parameter(&bytes)), Ok(PeId(0xaaaa_0001)));
        let mut buf = [0xff; 8];
        write_pe_identifier(PeId(0xaaaa_0001), &mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, bytes[..]);
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = &hex("000e0008 aaaa0001")[..8];
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            assert!(tlv(&cut).is_err());
            if len >= 4 {
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                assert!(pe_identifier(parameter(&cut)).is_err(), "{len}");
            }
        }
    }
}
