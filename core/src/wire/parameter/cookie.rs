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
