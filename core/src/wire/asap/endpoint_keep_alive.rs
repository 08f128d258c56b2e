//! ASAP Endpoint Keep-Alive (RFC 5352 §2.2.7).
//!
//! ```text
//! | 7 | H = 0x01 | length | registrar u32 | pool handle | [PE identifier: RSPLIB only] |
//! ```

use nom::Parser;

use crate::identifier::{PeId, PoolHandle, RegistrarId};
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Parsed, Tlvs, Writer, be_u32, message_methods};
use crate::wire::parameter::{
    PE_IDENTIFIER_LEN, ParameterType, pe_identifier, pool_handle, pool_handle_header,
    pool_handle_len, write_pe_identifier, write_pool_handle,
};

/// A registrar asks whether an element is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EndpointKeepAlive<'a> {
    /// Whether the registrar wants to be the element's home from now on.
    pub home: bool,
    /// The registrar.
    pub registrar: RegistrarId,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element. RFC 5352 has none here; RSPLIB sends it, and without it acknowledges once for
    /// every element it has.
    pub pe_id: Option<PeId>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> EndpointKeepAlive<'a> {
    /// Makes one, with the element's identifier.
    #[must_use]
    pub const fn new(
        home: bool,
        registrar: RegistrarId,
        pool_handle: PoolHandle<'a>,
        pe_id: PeId,
    ) -> Self {
        Self { home, registrar, pool_handle, pe_id: Some(pe_id), layout: Layout::OURS }
    }
}

message_methods!(EndpointKeepAlive);

const HOME: u8 = 0x01;

impl<'a> Message<'a> for EndpointKeepAlive<'a> {
    const TYPE: u8 = 7;
    const FLAGS: u8 = HOME;
    const FIXED_LEN: usize = 8;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let registrar = tlvs.fixed(fixed)?;
        let (mut handle, mut pe_id) = (None, None);
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::POOL_HANDLE if handle.is_none() => {
                    handle = Some(pool_handle(tlv)?);
                    tlvs.rank(1);
                }
                ParameterType::PE_IDENTIFIER if pe_id.is_none() => {
                    pe_id = Some(pe_identifier(tlv)?);
                    tlvs.rank(2);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        let home = flags & HOME != 0;
        let pool_handle = tlvs.required(handle)?;
        Ok(Self { home, registrar, pool_handle, pe_id, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        writer.put_u32(self.registrar.0)?;
        write_pool_handle(self.pool_handle, writer)?;
        match self.pe_id {
            Some(id) => write_pe_identifier(id, writer),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn write_after(&self, header: [u8; 4], writer: &mut Writer<'_>) -> Result<(), EmitError> {
        let header = u32::from_be_bytes(header);
        writer.put_three([header, self.registrar.0, pool_handle_header(self.pool_handle)])?;
        writer.put_padded(self.pool_handle.as_bytes())?;
        match self.pe_id {
            Some(id) => write_pe_identifier(id, writer),
            None => Ok(()),
        }
    }

    fn value_len(&self) -> usize {
        let id_len = if self.pe_id.is_some() { PE_IDENTIFIER_LEN } else { 0 };
        pool_handle_len(self.pool_handle).wrapping_add(id_len).wrapping_add(4)
    }

    fn flags(&self) -> u8 {
        if self.home { HOME } else { 0 }
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
    use crate::wire::{AsapMessage, Cause, ParseErrorKind};

    #[test]
    fn bytes_are_those_of_rsplib() {
        let message = EndpointKeepAlive::new(
            true,
            RegistrarId(0x2222_2222),
            PoolHandle::new(b"EchoPool").unwrap(),
            PeId(0x1111_0001),
        );
        check_asap(
            "0701001c 22222222 0009000c 4563686f506f6f6c 000e0008 11110001",
            AsapMessage::EndpointKeepAlive(message),
        );
    }

    #[test]
    fn the_rfc_knows_no_identifier() {
        let message = EndpointKeepAlive {
            home: false,
            registrar: RegistrarId(1),
            pool_handle: PoolHandle::new(b"Pool").unwrap(),
            pe_id: None,
            layout: Layout::OURS,
        };
        check_asap("07000010 00000001 00090008 506f6f6c", AsapMessage::EndpointKeepAlive(message));
    }

    #[test]
    fn a_missing_handle_is_an_invalid_value() {
        let error = EndpointKeepAlive::parse(&[7, 0, 0, 8, 0, 0, 0, 1]).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::Missing);
        assert_eq!(error.cause(), Some(Cause::INVALID_VALUES));
    }
}
