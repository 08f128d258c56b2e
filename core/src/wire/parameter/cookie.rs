//! Cookie parameter (RFC 5354 §3.13).
//!
//! ```text
//! | 0x000d | length | cookie: any bytes | padding |
//! ```
//!
//! RSPLIB does not skip the padding: cookies for it have a multiple of four bytes.

use super::ParameterType;
use crate::wire::error::EmitError;
use crate::wire::framing::{HEADER_LEN, Tlv, Writer, padded};

pub(crate) fn cookie(tlv: Tlv<'_>) -> &[u8] {
    tlv.value()
}

pub(crate) fn write_cookie(cookie: &[u8], writer: &mut Writer<'_>) -> Result<(), EmitError> {
    writer.put_header(ParameterType::COOKIE, HEADER_LEN.saturating_add(cookie.len()))?;
    writer.put_padded(cookie)
}

pub(crate) const fn cookie_len(cookie: &[u8]) -> usize {
    padded(HEADER_LEN.saturating_add(cookie.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::tlv;
    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let bytes = hex("000d0006 abcd0000");
        assert_eq!(cookie(parameter(&bytes)), [0xab, 0xcd]);
        let mut buf = [0xff; 8];
        write_cookie(&[0xab, 0xcd], &mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, bytes[..]);
        assert_eq!(cookie_len(&[0xab, 0xcd]), 8);
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = &hex("000d0006 abcd")[..];
        for len in 0..bytes.len() {
            assert!(tlv(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn a_cookie_may_be_empty() {
        assert_eq!(cookie(parameter(&hex("000d0004"))), []);
    }
}
