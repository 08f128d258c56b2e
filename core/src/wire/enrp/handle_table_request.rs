//! ENRP Handle Table Request (RFC 5353 §2.2).
//!
//! ```text
//! | 2 | W = 0x01 | length | sender u32 | receiver u32 |
//! ```

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};

/// A registrar asks another for its handlespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandleTableRequest<'a> {
    /// Whether only the elements that the receiver owns are wanted.
    pub own_only: bool,
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl HandleTableRequest<'_> {
    /// Makes one.
    #[must_use]
    pub const fn new(own_only: bool, sender: RegistrarId, receiver: RegistrarId) -> Self {
        Self { own_only, sender, receiver, layout: Layout::OURS }
    }
}

message_methods!(HandleTableRequest);

const OWN_ONLY: u8 = 0x01;

impl<'a> Message<'a> for HandleTableRequest<'a> {
    const TYPE: u8 = 2;
    const FLAGS: u8 = OWN_ONLY;
    const FIXED_LEN: usize = 12;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        tlvs.finish()?;
        Ok(Self::new(flags & OWN_ONLY != 0, sender, receiver))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)
    }

    fn value_len(&self) -> usize {
        IDS_LEN
    }

    fn flags(&self) -> u8 {
        if self.own_only { OWN_ONLY } else { 0 }
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
    use crate::wire::EnrpMessage;
    use crate::wire::test_support::check_enrp;

    #[test]
    fn bytes_are_those_of_rsplib() {
        let message =
            HandleTableRequest::new(false, RegistrarId(0x2222_2222), RegistrarId(0x1111_1111));
        check_enrp("0200000c 22222222 11111111", EnrpMessage::HandleTableRequest(message));
        let message =
            HandleTableRequest::new(true, RegistrarId(0x2222_2222), RegistrarId(0x1111_1111));
        check_enrp("0201000c 22222222 11111111", EnrpMessage::HandleTableRequest(message));
    }
}
