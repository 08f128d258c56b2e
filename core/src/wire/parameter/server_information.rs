//! Server information parameter (RFC 5354 §3.11).
//!
//! ```text
//! | 0x000b | length | registrar u32 | SCTP transport |
//! ```

use nom::Parser;

use super::ParameterType;
use super::transport::{Transport, transport, usual_sctp};
use crate::identifier::RegistrarId;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{Layout, Parsed, Tlv, Tlvs, Writer, be_u32, padded, padding_len, tlv};

/// A registrar and where to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ServerInformation<'a> {
    /// Its identifier.
    pub id: RegistrarId,
    /// Where its ENRP endpoint is: always SCTP.
    pub transport: Transport<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> ServerInformation<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(id: RegistrarId, transport: Transport<'a>) -> Self {
        Self { id, transport, layout: Layout::OURS }
    }

    /// Reads the server information parameter at the start of `bytes`, with its header.
    ///
    /// # Errors
    ///
    /// If it is none, or not well-formed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (_, tlv) = tlv(bytes)?;
        if tlv.kind != ParameterType::SERVER_INFORMATION {
            return Err(tlv.error(ParseErrorKind::Value));
        }
        Self::from_tlv(tlv)
    }

    /// How many bytes it takes in a message.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self.verbatim() {
            Some(bytes) => padded(bytes.len()),
            None => self.plain_len(),
        }
    }

    #[inline]
    pub(crate) fn from_tlv(tlv: Tlv<'a>) -> Result<Self, ParseError<'a>> {
        if let Ok((rest, id)) = fixed(tlv.value())
            && let Some(([], transport)) = usual_sctp::<true>(rest)
        {
            return Ok(Self::new(id, transport));
        }
        Self::unusual(tlv)
    }

    #[inline(never)]
    fn unusual(tlv: Tlv<'a>) -> Result<Self, ParseError<'a>> {
        let mut tlvs = Tlvs::new(tlv.bytes, tlv.value());
        let id = tlvs.fixed(fixed)?;
        let mut server = None;
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::SCTP_TRANSPORT if server.is_none() => {
                    let (transport, plain) = transport(tlv)?;
                    tlvs.odd_if(!plain);
                    server = Some(transport);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        Ok(Self { id, transport: tlvs.required(server)?, layout: tlvs.layout() })
    }

    #[inline]
    pub(crate) fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        if let Some(bytes) = self.verbatim() {
            return writer.put_padded(bytes);
        }
        let header = u32::from(ParameterType::SERVER_INFORMATION.0) << 16;
        let [.., high, low] = self.plain_len().to_be_bytes();
        writer.put_words(header | u32::from_be_bytes([0, 0, high, low]), self.id.0)?;
        self.transport.write(writer)
    }

    #[inline]
    fn plain_len(&self) -> usize {
        FIXED_LEN.saturating_add(self.transport.encoded_len())
    }

    /// The bytes as they came, if they are peculiar and still say what the fields say.
    #[inline(always)]
    fn verbatim(&self) -> Option<&'a [u8]> {
        match self.layout.0 {
            None => None,
            Some(bytes) => self.verbatim_if_same(bytes),
        }
    }

    #[cold]
    #[inline(never)]
    fn verbatim_if_same(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        Self::parse(bytes).is_ok_and(|server| server == *self).then_some(bytes)
    }
}

/// Header and identifier.
const FIXED_LEN: usize = 8;

fn fixed(input: &[u8]) -> Parsed<'_, RegistrarId> {
    be_u32.map(RegistrarId).parse(input)
}

/// Server information parameters one after the other, in their encoded form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ServerInformations<'a> {
    bytes: &'a [u8],
}

impl<'a> ServerInformations<'a> {
    /// None at all.
    pub const NONE: ServerInformations<'static> = ServerInformations { bytes: &[] };

    pub(crate) const fn from_checked(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The encoded form.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Walks them.
    #[must_use]
    pub const fn iter(&self) -> ServerInformationsIter<'a> {
        ServerInformationsIter { rest: self.bytes }
    }
}

impl<'a> IntoIterator for ServerInformations<'a> {
    type Item = ServerInformation<'a>;
    type IntoIter = ServerInformationsIter<'a>;

    fn into_iter(self) -> ServerInformationsIter<'a> {
        self.iter()
    }
}

/// Walks [`ServerInformations`].
#[derive(Clone, Copy, Debug)]
pub struct ServerInformationsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ServerInformationsIter<'a> {
    type Item = ServerInformation<'a>;

    fn next(&mut self) -> Option<ServerInformation<'a>> {
        // Each round takes at least a header off a finite number of bytes.
        while let Ok((rest, tlv)) = tlv(self.rest) {
            self.rest = rest.get(padding_len(tlv.bytes.len())..).unwrap_or_default();
            if tlv.kind == ParameterType::SERVER_INFORMATION {
                return ServerInformation::from_tlv(tlv).ok();
            }
        }
        self.rest = &[];
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::hex;

    #[test]
    fn both_directions() {
        let bytes = hex("000b0018 22222222 00040010 26ad0000 00010008 0a4d000c");
        let server = ServerInformation::parse(&bytes).unwrap();
        assert_eq!((server.id, server.transport.port()), (RegistrarId(0x2222_2222), 9901));
        let mut buf = [0xff; 24];
        server.write(&mut Writer::new(&mut buf)).unwrap();
        assert_eq!(buf, bytes[..]);
        assert_eq!(ServerInformation::new(server.id, server.transport), server);
    }

    #[test]
    fn cut_at_each_length() {
        let bytes = hex("000b0018 22222222 00040010 26ad0000 00010008 0a4d000c");
        for len in 0..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            assert!(ServerInformation::parse(&cut).is_err());
            if len >= 4 {
                cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                assert!(ServerInformation::parse(&cut).is_err());
            }
        }
    }

    #[test]
    fn the_transport_is_sctp() {
        let bytes = hex("000b0018 22222222 00050010 26ad0000 00010008 0a4d000c");
        let error = ServerInformation::parse(&bytes).unwrap_err();
        assert_eq!((error.kind, error.bytes), (ParseErrorKind::Misplaced, &bytes[8..]));
    }
}
