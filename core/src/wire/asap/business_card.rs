//! ASAP Business Card (RFC 5352 §2.2.13).
//!
//! ```text
//! | 13 | 0 | length | pool handle | [policy: RSPLIB only] | pool element * |
//! ```

use super::PoolContent;
use crate::identifier::PoolHandle;
use crate::wire::builder::Builder;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{Policy, PoolElement, PoolElements};

/// A peer of a session says which pool it belongs to and whom to turn to if it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BusinessCard<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The pool's policy; RFC 5352 has none here, RSPLIB's layout has.
    pub policy: Option<Policy>,
    /// Elements in the order of preference. To write some, use [`BusinessCardBuilder`].
    pub elements: PoolElements<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

message_methods!(BusinessCard);

impl<'a> Message<'a> for BusinessCard<'a> {
    const TYPE: u8 = 13;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let PoolContent { pool_handle, policy, elements, .. } = PoolContent::read(tlvs, false)?;
        Ok(Self { pool_handle, policy, elements, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        self.content().write(writer)
    }

    fn value_len(&self) -> usize {
        self.content().encoded_len()
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

impl<'a> BusinessCard<'a> {
    fn content(&self) -> PoolContent<'a> {
        PoolContent {
            pool_handle: self.pool_handle,
            policy: self.policy,
            elements: self.elements,
            error: None,
        }
    }
}

/// Writes a Business Card into a buffer, element by element.
///
/// The buffer holds a valid message at any time; what does not fit is left out.
#[derive(Debug)]
pub struct BusinessCardBuilder<'b> {
    builder: Builder<'b>,
}

impl<'b> BusinessCardBuilder<'b> {
    /// Begins a business card.
    ///
    /// # Errors
    ///
    /// If the buffer is too small for the handle.
    pub fn new(buf: &'b mut [u8], pool_handle: PoolHandle<'_>) -> Result<Self, EmitError> {
        let mut builder = Builder::new(buf, BusinessCard::TYPE)?;
        builder.pool_handle(pool_handle)?;
        Ok(Self { builder })
    }

    /// Appends the pool's policy; before any element.
    ///
    /// # Errors
    ///
    /// If it does not fit; the message is as before.
    pub fn policy(&mut self, policy: Policy) -> Result<&mut Self, EmitError> {
        self.builder.policy(policy)?;
        Ok(self)
    }

    /// Appends an element.
    ///
    /// # Errors
    ///
    /// If it does not fit; the message is as before.
    pub fn element(&mut self, element: &PoolElement<'_>) -> Result<&mut Self, EmitError> {
        self.builder.element(element)?;
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
    use crate::identifier::PeId;
    use crate::wire::test_support::{check_asap, hex};
    use crate::wire::{
        AsapMessage, ParseErrorKind, Protocol, RegistrationLife, TransportBuf, TransportUse,
    };

    #[test]
    fn elements_stand_in_the_order_of_preference() {
        let address = "10.77.0.21".parse().unwrap();
        let transport =
            TransportBuf::<16>::new(Protocol::Sctp, 7, TransportUse::Data, &[address]).unwrap();
        let element = |id| {
            let policy = Policy::Priority { priority: id };
            PoolElement::new(
                PeId(id),
                RegistrationLife::INFINITE,
                transport.as_transport(),
                policy,
            )
        };
        let mut buf = [0; 128];
        let len = BusinessCardBuilder::new(&mut buf, PoolHandle::new(b"Pool").unwrap())
            .unwrap()
            .element(&element(2))
            .unwrap()
            .element(&element(1))
            .unwrap()
            .finish();
        let message = BusinessCard::parse(&buf[..len]).unwrap();
        assert!(message.elements.iter().eq([element(2), element(1)]));
        check_asap(
            "0d000064 00090008 506f6f6c
            000a002c 00000002 00000000 ffffffff
              00040010 00070000 00010008 0a4d0015 0008000c 00000005 00000002
            000a002c 00000001 00000000 ffffffff
              00040010 00070000 00010008 0a4d0015 0008000c 00000005 00000001",
            AsapMessage::BusinessCard(message),
        );
    }

    #[test]
    fn an_error_has_no_place_here() {
        let bytes = hex("0d000014 00090008 506f6f6c 000c0008 00090004");
        assert_eq!(BusinessCard::parse(&bytes).unwrap_err().kind, ParseErrorKind::Misplaced);
    }
}
