//! ASAP Cookie (RFC 5352 §2.2.11).
//!
//! ```text
//! | 11 | 0 | length | cookie |
//! ```

use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{ParameterType, cookie, cookie_len, write_cookie};

/// An element gives its user a cookie, to be shown to another element after a failover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Cookie<'a> {
    /// The cookie; only elements of the pool understand it. For RSPLIB a multiple of four bytes.
    pub cookie: &'a [u8],
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> Cookie<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(cookie: &'a [u8]) -> Self {
        Self { cookie, layout: Layout::OURS }
    }
}

message_methods!(Cookie);

impl<'a> Message<'a> for Cookie<'a> {
    const TYPE: u8 = 11;
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
    use crate::wire::test_support::{check_asap, check_verbatim_asap, hex};
    use crate::wire::{AsapMessage, ParseErrorKind};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let cookie = *b"<PP-TD1>\0\0\0\0\0\0\0\x02";
        check_asap(
            "0b000018 000d0014 3c50502d5444313e 0000000000000002",
            AsapMessage::Cookie(Cookie::new(&cookie)),
        );
    }

    #[test]
    fn padding_may_be_left_out_of_the_length() {
        // RFC 5354 §4 does not count it, RSPLIB does, and so do we.
        check_asap("0b00000c 000d0005 78000000", AsapMessage::Cookie(Cookie::new(b"x")));
        check_verbatim_asap("0b000009 000d0005 78000000");
    }

    #[test]
    fn padding_that_is_not_zero_is_ignored_but_kept() {
        check_verbatim_asap("0b00000c 000d0005 78000001");
        check_verbatim_asap("0b000009 000d0005 78000001");
    }

    #[test]
    fn a_second_cookie_is_refused() {
        let bytes = hex("0b000010 000d0005 78000000 000d0004");
        let error = AsapMessage::parse(&bytes).unwrap_err();
        assert_eq!((error.kind, error.bytes), (ParseErrorKind::Misplaced, &bytes[12..]));
    }
}
