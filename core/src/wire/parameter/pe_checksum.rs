//! PE checksum parameter (RFC 5354 §3.15).
//!
//! ```text
//! | 0x000f | length = 6 | checksum u16 | padding: 2 |
//! ```

use nom::Parser;

use super::ParameterType;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Parsed, Tlv, Writer, be_u16};

/// The checksum over all elements that a registrar owns (RFC 5353 §3.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PeChecksum(pub u16);

/// With its padding.
pub(crate) const CHECKSUM_LEN: usize = 8;

#[inline]
pub(crate) fn checksum(tlv: Tlv<'_>) -> Result<PeChecksum, ParseError<'_>> {
    tlv.read(value)
}

fn value(input: &[u8]) -> Parsed<'_, PeChecksum> {
    be_u16.map(PeChecksum).parse(input)
}

#[inline]
pub(crate) fn write_checksum(sum: PeChecksum, writer: &mut Writer<'_>) -> Result<(), EmitError> {
    writer.put_words(u32::from(ParameterType::PE_CHECKSUM.0) << 16 | 6, u32::from(sum.0) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::tlv;
    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let bytes = hex("000f0006 cbc30000");
        assert_eq!(checksum(parameter(&bytes)), Ok(PeChecksum(0xcbc3)));
        let mut buf = [0xff; 8];
        write_checksum(PeChecksum(0xcbc3), &mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, bytes[..]);
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = &hex("000f0006 cbc30000")[..6];
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            assert!(tlv(&cut).is_err());
            if len >= 4 {
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                assert!(checksum(parameter(&cut)).is_err(), "{len}");
            }
        }
    }
}
