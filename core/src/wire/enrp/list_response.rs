//! ENRP List Response (RFC 5353 §2.6).
//!
//! ```text
//! | 6 | R = 0x01 | length | sender u32 | receiver u32 | server information * |
//! ```
//!
//! RSPLIB names the one who asked, too: it must drop itself.

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::RegistrarId;
use crate::wire::builder::Builder;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods, padded};
use crate::wire::parameter::{ParameterType, ServerInformation, ServerInformations};

/// A registrar names the registrars it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ListResponse<'a> {
    /// Whether the request is refused; then there are no registrars.
    pub rejected: bool,
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// The registrars. To write some, use [`ListResponseBuilder`].
    pub servers: ServerInformations<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl ListResponse<'_> {
    /// The answer that refuses a request.
    #[must_use]
    pub const fn refused(sender: RegistrarId, receiver: RegistrarId) -> Self {
        let servers = ServerInformations::NONE;
        Self { rejected: true, sender, receiver, servers, layout: Layout::OURS }
    }
}

message_methods!(ListResponse);

const REJECTED: u8 = 0x01;

impl<'a> Message<'a> for ListResponse<'a> {
    const TYPE: u8 = 6;
    const FLAGS: u8 = REJECTED;
    const FIXED_LEN: usize = 12;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        let bytes = tlvs.rest();
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::SERVER_INFORMATION => {
                    let server = ServerInformation::from_tlv(tlv)?;
                    tlvs.odd_if(!server.layout.is_ours());
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        let servers = ServerInformations::from_checked(bytes);
        let rejected = flags & REJECTED != 0;
        Ok(Self { rejected, sender, receiver, servers, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)?;
        writer.put_padded(self.servers.as_bytes())
    }

    fn value_len(&self) -> usize {
        IDS_LEN.saturating_add(padded(self.servers.as_bytes().len()))
    }

    fn flags(&self) -> u8 {
        if self.rejected { REJECTED } else { 0 }
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

/// Writes a List Response into a buffer, registrar by registrar.
///
/// The buffer holds a valid message at any time; what does not fit is left out.
#[derive(Debug)]
pub struct ListResponseBuilder<'b> {
    builder: Builder<'b>,
}

impl<'b> ListResponseBuilder<'b> {
    /// Begins a response.
    ///
    /// # Errors
    ///
    /// If the buffer is too small for it.
    pub fn new(
        buf: &'b mut [u8],
        sender: RegistrarId,
        receiver: RegistrarId,
    ) -> Result<Self, EmitError> {
        let mut builder = Builder::new(buf, ListResponse::TYPE)?;
        builder.append(IDS_LEN, |writer| write_ids(sender, receiver, writer))?;
        Ok(Self { builder })
    }

    /// Appends a registrar.
    ///
    /// # Errors
    ///
    /// If it does not fit; the message is as before.
    pub fn server(&mut self, server: &ServerInformation<'_>) -> Result<&mut Self, EmitError> {
        self.builder.server(server)?;
        Ok(self)
    }

    /// The length of the message so far.
    #[must_use]
    pub const fn finish(&self) -> usize {
        self.builder.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::{check_enrp, hex};
    use crate::wire::{EnrpMessage, Protocol, TransportBuf, TransportUse};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let text = "06000024 11111111 22222222
            000b0018 22222222 00040010 26ad0000 00010008 0a4d000c";
        let address = "10.77.0.12".parse().unwrap();
        let transport =
            TransportBuf::<16>::new(Protocol::Sctp, 9901, TransportUse::Data, &[address]).unwrap();
        let server = ServerInformation::new(RegistrarId(0x2222_2222), transport.as_transport());
        let mut buf = [0xff; 64];
        let len =
            ListResponseBuilder::new(&mut buf, RegistrarId(0x1111_1111), RegistrarId(0x2222_2222))
                .unwrap()
                .server(&server)
                .unwrap()
                .finish();
        assert_eq!(buf[..len], hex(text));
        let message = ListResponse::parse(&buf[..len]).unwrap();
        assert!(message.servers.iter().eq([server]));
        check_enrp(text, EnrpMessage::ListResponse(message));
    }

    #[test]
    fn what_does_not_fit_leaves_the_message_valid() {
        let address = "10.77.0.12".parse().unwrap();
        let transport =
            TransportBuf::<16>::new(Protocol::Sctp, 9901, TransportUse::Data, &[address]).unwrap();
        let server = ServerInformation::new(RegistrarId(3), transport.as_transport());
        let mut buf = [0xff; 35];
        let mut builder =
            ListResponseBuilder::new(&mut buf, RegistrarId(1), RegistrarId(2)).unwrap();
        assert_eq!(builder.server(&server).unwrap_err(), EmitError::Full);
        assert_eq!(builder.finish(), 12);
        assert!(ListResponse::parse(&buf[..12]).unwrap().servers.is_empty());
    }

    #[test]
    fn a_refusal_has_its_flag() {
        let message = ListResponse::refused(RegistrarId(1), RegistrarId(2));
        check_enrp("0601000c 00000001 00000002", EnrpMessage::ListResponse(message));
    }
}
