//! ASAP Server Announce (RFC 5352 §2.2.10).
//!
//! ```text
//! | 10 | 0 | length | registrar u32 | SCTP or TCP transport * |
//! ```
//!
//! RSPLIB sends no transport; then the datagram's source is the registrar's SCTP endpoint.

use nom::Parser;

use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Parsed, Tlvs, Writer, be_u32, message_methods};
use crate::wire::parameter::{Transports, transport};

/// A registrar announces itself to a multicast group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ServerAnnounce<'a> {
    /// The registrar.
    pub registrar: RegistrarId,
    /// Where to reach it.
    pub transports: Transports<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> ServerAnnounce<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(registrar: RegistrarId, transports: Transports<'a>) -> Self {
        Self { registrar, transports, layout: Layout::OURS }
    }
}

message_methods!(ServerAnnounce);

impl<'a> Message<'a> for ServerAnnounce<'a> {
    const TYPE: u8 = 10;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 8;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let registrar = tlvs.fixed(fixed)?;
        let bytes = tlvs.rest();
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                // RFC 5352 §2.2.10 means SCTP and TCP; others do no harm, who reads picks.
                kind if kind.is_transport() => {
                    let (_, plain) = transport(tlv)?;
                    tlvs.odd_if(!plain);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        Ok(Self::new(registrar, Transports::from_checked(bytes)))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        writer.put_u32(self.registrar.0)?;
        writer.put_padded(self.transports.as_bytes())
    }

    fn value_len(&self) -> usize {
        crate::wire::framing::padded(self.transports.as_bytes().len()).saturating_add(4)
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

fn fixed(input: &[u8]) -> Parsed<'_, RegistrarId> {
    be_u32.map(RegistrarId).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::check_asap;
    use crate::wire::{AsapMessage, Protocol, TransportBuf, TransportUse};

    #[test]
    fn rsplib_sends_no_transport() {
        let message = ServerAnnounce::new(RegistrarId(0x1111_1111), Transports::NONE);
        check_asap("0a000008 11111111", AsapMessage::ServerAnnounce(message));
    }

    #[test]
    fn transports_are_walked() {
        let address = "10.77.0.11".parse().unwrap();
        let transport =
            TransportBuf::<16>::new(Protocol::Sctp, 3863, TransportUse::Data, &[address]).unwrap();
        let transports = Transports::one(transport.as_transport());
        let message = ServerAnnounce::new(RegistrarId(1), transports);
        assert!(message.transports.iter().eq([transport.as_transport()]));
        check_asap(
            "0a000018 00000001 00040010 0f170000 00010008 0a4d000b",
            AsapMessage::ServerAnnounce(message),
        );
    }
}
