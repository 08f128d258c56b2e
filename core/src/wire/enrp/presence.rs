//! ENRP Presence (RFC 5353 §2.1).
//!
//! ```text
//! | 1 | R = 0x01 | length | sender u32 | receiver u32 | [PE checksum] | [server information] |
//! ```
//!
//! RSPLIB demands both parameters.

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{
    CHECKSUM_LEN, ParameterType, PeChecksum, ServerInformation, checksum, write_checksum,
};

/// A registrar says that it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Presence<'a> {
    /// Whether the receiver must answer with its own presence.
    pub reply_required: bool,
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// The checksum over the elements that the sender owns.
    pub checksum: Option<PeChecksum>,
    /// Where the sender can be reached.
    pub server: Option<ServerInformation<'a>>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> Presence<'a> {
    /// Makes one with both parameters.
    #[must_use]
    pub const fn new(
        reply_required: bool,
        receiver: RegistrarId,
        checksum: PeChecksum,
        server: ServerInformation<'a>,
    ) -> Self {
        Self {
            reply_required,
            sender: server.id,
            receiver,
            checksum: Some(checksum),
            server: Some(server),
            layout: Layout::OURS,
        }
    }
}

message_methods!(Presence);

const REPLY_REQUIRED: u8 = 0x01;

impl<'a> Message<'a> for Presence<'a> {
    const TYPE: u8 = 1;
    const FLAGS: u8 = REPLY_REQUIRED;
    const FIXED_LEN: usize = 12;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        let (mut sum, mut server) = (None, None);
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::PE_CHECKSUM if sum.is_none() => {
                    sum = Some(checksum(tlv)?);
                    tlvs.rank(1);
                }
                ParameterType::SERVER_INFORMATION if server.is_none() => {
                    let found = ServerInformation::from_tlv(tlv)?;
                    tlvs.rank(2);
                    tlvs.odd_if(!found.layout.is_ours());
                    server = Some(found);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        let reply_required = flags & REPLY_REQUIRED != 0;
        let layout = Layout::OURS;
        Ok(Self { reply_required, sender, receiver, checksum: sum, server, layout })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)?;
        if let Some(checksum) = self.checksum {
            write_checksum(checksum, writer)?;
        }
        match &self.server {
            Some(server) => server.write(writer),
            None => Ok(()),
        }
    }

    fn value_len(&self) -> usize {
        let checksum_len = if self.checksum.is_some() { CHECKSUM_LEN } else { 0 };
        IDS_LEN
            .saturating_add(checksum_len)
            .saturating_add(self.server.as_ref().map_or(0, ServerInformation::encoded_len))
    }

    fn flags(&self) -> u8 {
        if self.reply_required { REPLY_REQUIRED } else { 0 }
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
    use crate::wire::test_support::{check_enrp, check_verbatim_enrp};
    use crate::wire::{EnrpMessage, Protocol, TransportBuf, TransportUse};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let address = "10.77.0.12".parse().unwrap();
        let transport =
            TransportBuf::<16>::new(Protocol::Sctp, 9901, TransportUse::Data, &[address]).unwrap();
        let server = ServerInformation::new(RegistrarId(0x2222_2222), transport.as_transport());
        let message = Presence::new(true, RegistrarId(0x1111_1111), PeChecksum(0xffff), server);
        check_enrp(
            "0101002c 22222222 11111111 000f0006 ffff0000
            000b0018 22222222 00040010 26ad0000 00010008 0a4d000c",
            EnrpMessage::Presence(message),
        );
    }

    #[test]
    fn both_parameters_are_optional_and_in_any_order() {
        let message = Presence {
            reply_required: false,
            sender: RegistrarId(1),
            receiver: RegistrarId::UNKNOWN,
            checksum: None,
            server: None,
            layout: Layout::OURS,
        };
        check_enrp("0100000c 00000001 00000000", EnrpMessage::Presence(message));
        check_verbatim_enrp(
            "0100002c 00000001 00000000 000b0018 00000001 00040010 26ad0000 00010008 0a4d000c
            000f0006 ffff0000",
        );
    }
}
