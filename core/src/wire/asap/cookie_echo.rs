//! ASAP Cookie Echo (RFC 5352 §2.2.12).
//!
//! ```text
//! | 12 | 0 | length | cookie |
//! ```

use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{ParameterType, cookie, cookie_len, write_cookie};

/// A user shows its last cookie to another element of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CookieEcho<'a> {
    /// The cookie; only elements of the pool understand it. For RSPLIB a multiple of four bytes.
    pub cookie: &'a [u8],
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> CookieEcho<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(cookie: &'a [u8]) -> Self {
        Self { cookie, layout: Layout::OURS }
    }
}

message_methods!(CookieEcho);

impl<'a> Message<'a> for CookieEcho<'a> {
    const TYPE: u8 = 12;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let mut found = None;
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::COOKIE if found.is_none() => found = Some(cookie(tlv)),
                _ => tlvs.unexpected(tlv)?,
            }
        }
        Ok(Self::new(tlvs.required(found)?))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_cookie(self.cookie, writer)
    }

    fn value_len(&self) -> usize {
        cookie_len(self.cookie)
    }

    fn flags(&self) -> u8 {
        0
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::AsapMessage;
    use crate::wire::test_support::check_asap;

    #[test]
    fn bytes_are_those_of_rsplib() {
        let cookie = *b"<PP-TD1>\0\0\0\0\0\0\0\x0c";
        check_asap(
            "0c000018 000d0014 3c50502d5444313e 000000000000000c",
            AsapMessage::CookieEcho(CookieEcho::new(&cookie)),
        );
    }
}
