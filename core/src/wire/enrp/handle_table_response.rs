//! ENRP Handle Table Response (RFC 5353 §2.3).
//!
//! ```text
//! | 3 | M = 0x02, R = 0x01 | length | sender u32 | receiver u32 | entry * |
//! entry: | pool handle | pool element + |
//! ```

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::{PoolHandle, RegistrarId};
use crate::wire::builder::Builder;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods, padded};
use crate::wire::parameter::{
    ParameterType, PoolElement, pool_handle, pool_handle_len, write_pool_handle,
};

/// A registrar names pools and their elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandleTableResponse<'a> {
    /// Whether the request is refused; then there are no entries.
    pub rejected: bool,
    /// Whether there is more, to be asked for by another request.
    pub more: bool,
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// The elements with their pools. To write some, use [`HandleTableResponseBuilder`].
    pub entries: HandleTableEntries<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl HandleTableResponse<'_> {
    /// The answer that refuses a request.
    #[must_use]
    pub const fn refused(sender: RegistrarId, receiver: RegistrarId) -> Self {
        let (entries, layout) = (HandleTableEntries { bytes: &[] }, Layout::OURS);
        Self { rejected: true, more: false, sender, receiver, entries, layout }
    }
}

message_methods!(HandleTableResponse);

const REJECTED: u8 = 0x01;
const MORE: u8 = 0x02;

impl<'a> Message<'a> for HandleTableResponse<'a> {
    const TYPE: u8 = 3;
    const FLAGS: u8 = REJECTED | MORE;
    const FIXED_LEN: usize = 12;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        let bytes = tlvs.rest();
        // The pool handle that no element has followed yet, and whether there has been one at all.
        let mut bare = None;
        let mut in_pool = false;
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::POOL_ELEMENT if in_pool => {
                    let plain = PoolElement::check(tlv)?;
                    tlvs.odd_if(!plain);
                    bare = None;
                }
                ParameterType::POOL_HANDLE if bare.is_none() => {
                    pool_handle(tlv)?;
                    bare = Some(tlv);
                    in_pool = true;
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        if let Some(tlv) = bare {
            return Err(tlv.error(ParseErrorKind::Missing));
        }
        let (rejected, more) = (flags & REJECTED != 0, flags & MORE != 0);
        let entries = HandleTableEntries { bytes };
        Ok(Self { rejected, more, sender, receiver, entries, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)?;
        writer.put_padded(self.entries.bytes)
    }

    fn value_len(&self) -> usize {
        IDS_LEN.saturating_add(padded(self.entries.bytes.len()))
    }

    fn flags(&self) -> u8 {
        (if self.rejected { REJECTED } else { 0 }) | (if self.more { MORE } else { 0 })
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

/// The entries of a [`HandleTableResponse`], in their encoded form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandleTableEntries<'a> {
    bytes: &'a [u8],
}

impl<'a> HandleTableEntries<'a> {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Walks the elements, each with its pool.
    #[must_use]
    pub fn iter(&self) -> HandleTableIter<'a> {
        HandleTableIter { tlvs: Tlvs::new(self.bytes, self.bytes), pool_handle: None }
    }
}

impl<'a> IntoIterator for HandleTableEntries<'a> {
    type Item = (PoolHandle<'a>, PoolElement<'a>);
    type IntoIter = HandleTableIter<'a>;

    fn into_iter(self) -> HandleTableIter<'a> {
        self.iter()
    }
}

/// Walks [`HandleTableEntries`].
#[derive(Clone, Copy, Debug)]
pub struct HandleTableIter<'a> {
    tlvs: Tlvs<'a>,
    pool_handle: Option<PoolHandle<'a>>,
}

impl<'a> Iterator for HandleTableIter<'a> {
    type Item = (PoolHandle<'a>, PoolElement<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Each round takes at least a header off a finite number of bytes.
        while let Ok(Some(tlv)) = self.tlvs.next() {
            match tlv.kind {
                ParameterType::POOL_HANDLE => self.pool_handle = pool_handle(tlv).ok(),
                ParameterType::POOL_ELEMENT => {
                    return Some((self.pool_handle?, PoolElement::again(tlv)?));
                }
                _ => {}
            }
        }
        None
    }
}

/// Writes a Handle Table Response into a buffer, element by element.
///
/// The buffer holds a valid message at any time; what does not fit is left out, and then
/// [`more`](Self::more) is to be said.
#[derive(Debug)]
pub struct HandleTableResponseBuilder<'b> {
    builder: Builder<'b>,
    /// Where the pool handle of the last element lies: its start and length.
    pool_handle: (usize, usize),
}

impl<'b> HandleTableResponseBuilder<'b> {
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
        let mut builder = Builder::new(buf, HandleTableResponse::TYPE)?;
        builder.append(IDS_LEN, |writer| write_ids(sender, receiver, writer))?;
        Ok(Self { builder, pool_handle: (0, 0) })
    }

    /// Says whether there is more.
    pub fn more(&mut self, more: bool) -> &mut Self {
        self.builder.set_flag(MORE, more);
        self
    }

    /// Appends an element; its pool's handle goes before it unless the last element was of the
    /// same pool.
    ///
    /// # Errors
    ///
    /// If it does not fit; the message is as before.
    #[inline]
    pub fn element(
        &mut self,
        pool_handle: PoolHandle<'_>,
        element: &PoolElement<'_>,
    ) -> Result<&mut Self, EmitError> {
        let (start, len) = self.pool_handle;
        let last = self.builder.bytes().get(start..start.saturating_add(len));
        if last == Some(pool_handle.as_bytes()) {
            self.builder.element(element)?;
            return Ok(self);
        }
        let start = self.builder.len().saturating_add(4);
        let len = pool_handle_len(pool_handle).saturating_add(element.encoded_len());
        self.builder.append(len, |writer| {
            write_pool_handle(pool_handle, writer)?;
            element.write(writer)
        })?;
        self.pool_handle = (start, pool_handle.as_bytes().len());
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
    use std::vec;
    use std::vec::Vec;

    use crate::identifier::PeId;
    use crate::wire::EnrpMessage;
    use crate::wire::test_support::{check_enrp, check_verbatim_enrp, hex};

    const TABLE: &str = "030000ec 11111111 22222222
        0009000b 4f64643763687200 000a0044 aaaa0003 11111111 00003a98
        00040010 88a10001 00010008 0a4d0017 00080014 b0002002 00000000 80000000 00000000
        00040010 90b90000 00010008 0a4d0017
        0009000c 4563686f506f6f6c 000a0038 aaaa0001 11111111 00003a98
        00040010 89e50001 00010008 0a4d0015 00080008 00000001
        00040010 a4790000 00010008 0a4d0015
        00090010 50696e67506f6e67506f6f6c 000a003c aaaa0002 11111111 00003a98
        00040010 a2260001 00010008 0a4d0016 0008000c 00000002 00000003
        00040010 ad7f0000 00010008 0a4d0016";

    #[test]
    fn bytes_are_those_of_rsplib() {
        let bytes = hex(TABLE);
        let message = HandleTableResponse::parse(&bytes).unwrap();
        let entries: Vec<_> =
            message.entries.iter().map(|(pool, element)| (pool.as_bytes(), element.id)).collect();
        assert_eq!(
            entries,
            [
                (&b"Odd7chr"[..], PeId(0xaaaa_0003)),
                (b"EchoPool", PeId(0xaaaa_0001)),
                (b"PingPongPool", PeId(0xaaaa_0002)),
            ]
        );
        check_enrp(TABLE, EnrpMessage::HandleTableResponse(message));
    }

    #[test]
    fn a_table_is_written_element_by_element() {
        let bytes = hex(TABLE);
        let message = HandleTableResponse::parse(&bytes).unwrap();
        let mut buf = vec![0xff; bytes.len() + 56];
        let (sender, receiver) = (message.sender, message.receiver);
        let mut builder = HandleTableResponseBuilder::new(&mut buf, sender, receiver).unwrap();
        for (pool, element) in message.entries {
            builder.element(pool, &element).unwrap();
        }
        assert_eq!(builder.finish(), bytes.len());
        // Another element of the last pool comes without a handle of its own.
        let (pool, element) = message.entries.iter().last().unwrap();
        assert_eq!(builder.element(pool, &element).unwrap_err(), EmitError::Full);
        assert_eq!(builder.more(true).finish(), bytes.len());
        assert_eq!(buf[1], MORE);
        buf[1] = 0;
        assert_eq!(buf[..bytes.len()], bytes);
    }

    #[test]
    fn a_pool_without_elements_is_refused() {
        for (text, kind) in [
            ("03000014 00000001 00000002 00090008 506f6f6c", ParseErrorKind::Missing),
            (
                "0300001c 00000001 00000002 00090008 506f6f6c 00090008 506f6f6d",
                ParseErrorKind::Misplaced,
            ),
        ] {
            assert_eq!(HandleTableResponse::parse(&hex(text)).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn an_element_without_pool_is_refused() {
        let bytes = hex("03000034 00000001 00000002 000a0028 00000001 00000001 00000001
            00040010 00070001 00010008 0a4d0015 00080008 00000001");
        let error = HandleTableResponse::parse(&bytes).unwrap_err();
        assert_eq!((error.kind, error.bytes), (ParseErrorKind::Misplaced, &bytes[12..]));
    }

    #[test]
    fn unknown_parameters_between_entries_are_kept() {
        check_verbatim_enrp("03020010 00000001 00000002 c0990004");
    }

    #[test]
    fn a_refusal_has_its_flag() {
        let message = HandleTableResponse::refused(RegistrarId(1), RegistrarId(2));
        check_enrp("0301000c 00000001 00000002", EnrpMessage::HandleTableResponse(message));
    }
}
