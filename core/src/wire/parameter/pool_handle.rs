//! Pool handle parameter (RFC 5354 §3.9).
//!
//! ```text
//! | 0x0009 | length | handle: 1..32 bytes (the RFC sets no limit) | padding |
//! ```

use super::ParameterType;
use crate::identifier::PoolHandle;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{HEADER_LEN, Tlv, Writer, padded};

pub(crate) fn pool_handle(tlv: Tlv<'_>) -> Result<PoolHandle<'_>, ParseError<'_>> {
    PoolHandle::new(tlv.value()).map_err(|_| tlv.error(ParseErrorKind::Value))
}

pub(crate) fn write_pool_handle(
    handle: PoolHandle<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    let bytes = handle.as_bytes();
    writer.put_header(ParameterType::POOL_HANDLE, HEADER_LEN.saturating_add(bytes.len()))?;
    writer.put_padded(bytes)
}

pub(crate) const fn pool_handle_len(handle: PoolHandle<'_>) -> usize {
    padded(HEADER_LEN.saturating_add(handle.as_bytes().len()))
}
