//! Pool handle parameter (RFC 5354 §3.9).
//!
//! ```text
//! | 0x0009 | length | handle: 1..32 bytes (the RFC sets no limit) | padding |
//! ```

use super::ParameterType;
use crate::identifier::PoolHandle;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{HEADER_LEN, Tlv, Writer, padded};

#[inline]
pub(crate) fn pool_handle(tlv: Tlv<'_>) -> Result<PoolHandle<'_>, ParseError<'_>> {
    PoolHandle::new(tlv.value()).map_err(|_| tlv.error(ParseErrorKind::Value))
}

#[inline]
pub(crate) fn write_pool_handle(
    handle: PoolHandle<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    let bytes = handle.as_bytes();
    writer.put_header(ParameterType::POOL_HANDLE, HEADER_LEN.wrapping_add(bytes.len()))?;
    writer.put_padded(bytes)
}

/// The parameter's header as a word.
#[inline(always)]
pub(crate) const fn pool_handle_header(handle: PoolHandle<'_>) -> u32 {
    let len = HEADER_LEN.wrapping_add(handle.as_bytes().len());
    (ParameterType::POOL_HANDLE.0 as u32) << 16 | len as u32
}

#[inline]
pub(crate) const fn pool_handle_len(handle: PoolHandle<'_>) -> usize {
    padded(HEADER_LEN.wrapping_add(handle.as_bytes().len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::framing::tlv;
    use crate::wire::test_support::{hex, parameter};

    #[test]
    fn both_directions() {
        let bytes = hex("0009000b 4f64643763687200");
        let handle = PoolHandle::new(b"Odd7chr").unwrap();
        assert_eq!(pool_handle(parameter(&bytes)), Ok(handle));
        let mut buf = [0xff; 12];
        write_pool_handle(handle, &mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, bytes[..]);
        assert_eq!(pool_handle_len(handle), 12);
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = &hex("0009000b 4f646437636872")[..];
        for len in 0..bytes.len() {
            assert!(tlv(&bytes[..len]).is_err());
        }
    }

    #[test]
    fn an_empty_handle_is_refused() {
        let error = pool_handle(parameter(&[0, 9, 0, 4])).unwrap_err();
        assert_eq!((error.kind, error.bytes), (ParseErrorKind::Value, &[0, 9, 0, 4][..]));
    }
}
