//! ENRP Init Takeover Ack (RFC 5353 §2.8).
//!
//! ```text
//! | 8 | 0 | length | sender u32 | receiver u32 | target u32 |
//! ```

use super::{IDS_LEN, ids, registrar, write_ids};
use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};

/// A registrar has no objection to a takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InitTakeoverAck<'a> {
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// Whose elements are taken over.
    pub target: RegistrarId,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl InitTakeoverAck<'_> {
    /// Makes one.
    #[must_use]
    pub const fn new(sender: RegistrarId, receiver: RegistrarId, target: RegistrarId) -> Self {
        Self { sender, receiver, target, layout: Layout::OURS }
    }
}

message_methods!(InitTakeoverAck);

impl<'a> Message<'a> for InitTakeoverAck<'a> {
    const TYPE: u8 = 8;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 16;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        let target = tlvs.fixed(registrar)?;
        tlvs.finish()?;
        Ok(Self::new(sender, receiver, target))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)?;
        writer.put_u32(self.target.0)
    }

    fn value_len(&self) -> usize {
        IDS_LEN.saturating_add(4)
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
    use crate::wire::EnrpMessage;
    use crate::wire::test_support::check_enrp;

    #[test]
    fn bytes_are_those_of_rsplib() {
        let message = InitTakeoverAck::new(
            RegistrarId(0x2222_2222),
            RegistrarId(0x3333_3333),
            RegistrarId(0x1111_1111),
        );
        check_enrp("08000010 22222222 33333333 11111111", EnrpMessage::InitTakeoverAck(message));
    }
}
