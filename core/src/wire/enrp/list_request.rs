//! ENRP List Request (RFC 5353 §2.5).
//!
//! ```text
//! | 5 | 0 | length | sender u32 | receiver u32 |
//! ```

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};

/// A registrar asks another for the registrars it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ListRequest<'a> {
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl ListRequest<'_> {
    /// Makes one.
    #[must_use]
    pub const fn new(sender: RegistrarId, receiver: RegistrarId) -> Self {
        Self { sender, receiver, layout: Layout::OURS }
    }
}

message_methods!(ListRequest);

impl<'a> Message<'a> for ListRequest<'a> {
    const TYPE: u8 = 5;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 12;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        tlvs.finish()?;
        Ok(Self::new(sender, receiver))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)
    }

    fn value_len(&self) -> usize {
        IDS_LEN
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
    use crate::wire::test_support::{check_enrp, check_verbatim_enrp, hex};
    use crate::wire::{EnrpMessage, ParseErrorKind};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let message = ListRequest::new(RegistrarId(0x1111_1111), RegistrarId(0x2222_2222));
        check_enrp("0500000c 11111111 22222222", EnrpMessage::ListRequest(message));
    }

    #[test]
    fn parameters_may_follow_only_if_they_can_be_skipped() {
        check_verbatim_enrp("05000010 11111111 22222222 80990004");
        let bytes = hex("05000010 11111111 22222222 00090004");
        assert_eq!(ListRequest::parse(&bytes).unwrap_err().kind, ParseErrorKind::Misplaced);
    }
}
