//! ENRP Handle Update (RFC 5353 §2.4, draft-dreibholz-rserpool-enrp-takeover).
//!
//! ```text
//! | 4 | T = 0x01 | length | sender u32 | receiver u32 |
//! | action u16: 0 add, 1 delete | reserved u16 | pool handle | pool element |
//! ```
//!
//! A deletion names the whole element too, with its transports.

use nom::Parser;

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::{PoolHandle, RegistrarId};
use crate::wire::asap::read_handle_and_element;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Parsed, Tlvs, Writer, be_u16, message_methods};
use crate::wire::parameter::{PoolElement, pool_handle_len, write_pool_handle};

/// What becomes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UpdateAction(pub u16);

impl UpdateAction {
    /// It is new, or has changed, or has renewed its registration.
    pub const ADD: Self = Self(0);
    /// It is gone.
    pub const DELETE: Self = Self(1);
}

/// A registrar tells the others of an element of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandleUpdate<'a> {
    /// Whether the receiver is asked to become the element's home.
    pub takeover_suggested: bool,
    /// Who sends it.
    pub sender: RegistrarId,
    /// Who is to get it; 0 for all.
    pub receiver: RegistrarId,
    /// What becomes of it. The RFC reserves all values but two; they are not refused here.
    pub action: UpdateAction,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub element: PoolElement<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> HandleUpdate<'a> {
    /// Makes one without takeover suggestion.
    #[must_use]
    pub const fn new(
        sender: RegistrarId,
        receiver: RegistrarId,
        action: UpdateAction,
        pool_handle: PoolHandle<'a>,
        element: PoolElement<'a>,
    ) -> Self {
        let layout = Layout::OURS;
        Self { takeover_suggested: false, sender, receiver, action, pool_handle, element, layout }
    }
}

message_methods!(HandleUpdate);

const TAKEOVER_SUGGESTED: u8 = 0x01;

impl<'a> Message<'a> for HandleUpdate<'a> {
    const TYPE: u8 = 4;
    const FLAGS: u8 = TAKEOVER_SUGGESTED;
    const FIXED_LEN: usize = 16;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (sender, receiver) = tlvs.fixed(ids)?;
        let (action, reserved) = tlvs.fixed(fixed)?;
        tlvs.odd_if(reserved != 0);
        let (pool_handle, element) = read_handle_and_element(tlvs)?;
        let takeover_suggested = flags & TAKEOVER_SUGGESTED != 0;
        let layout = Layout::OURS;
        Ok(Self { takeover_suggested, sender, receiver, action, pool_handle, element, layout })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_ids(self.sender, self.receiver, writer)?;
        writer.put_u32(u32::from(self.action.0) << 16)?;
        write_pool_handle(self.pool_handle, writer)?;
        self.element.write(writer)
    }

    fn value_len(&self) -> usize {
        IDS_LEN
            .saturating_add(4)
            .saturating_add(pool_handle_len(self.pool_handle))
            .saturating_add(self.element.encoded_len())
    }

    fn flags(&self) -> u8 {
        if self.takeover_suggested { TAKEOVER_SUGGESTED } else { 0 }
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

/// The action and the reserved field.
fn fixed(input: &[u8]) -> Parsed<'_, (UpdateAction, u16)> {
    (be_u16.map(UpdateAction), be_u16).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::PeId;
    use crate::wire::test_support::{check_enrp, check_verbatim_enrp};
    use crate::wire::{
        EnrpMessage, Policy, Protocol, RegistrationLife, TransportBuf, TransportUse,
    };

    #[test]
    fn bytes_are_those_of_rsplib() {
        let address = ["10.77.0.22".parse().unwrap()];
        let user = TransportBuf::<16>::new(
            Protocol::Sctp,
            41510,
            TransportUse::DataPlusControl,
            &address,
        )
        .unwrap();
        let asap =
            TransportBuf::<16>::new(Protocol::Sctp, 44415, TransportUse::Data, &address).unwrap();
        let element = PoolElement {
            home: RegistrarId(0x1111_1111),
            asap_transport: Some(asap.as_transport()),
            ..PoolElement::new(
                PeId(0xaaaa_0002),
                RegistrationLife(15_000),
                user.as_transport(),
                Policy::WeightedRoundRobin { weight: 3 },
            )
        };
        let handle = PoolHandle::new(b"PingPongPool").unwrap();
        let message = HandleUpdate::new(
            RegistrarId(0x1111_1111),
            RegistrarId(0x2222_2222),
            UpdateAction::ADD,
            handle,
            element,
        );
        check_enrp(
            "0400005c 11111111 22222222 00000000 00090010 50696e67506f6e67506f6f6c
            000a003c aaaa0002 11111111 00003a98
            00040010 a2260001 00010008 0a4d0016 0008000c 00000002 00000003
            00040010 ad7f0000 00010008 0a4d0016",
            EnrpMessage::HandleUpdate(message),
        );
    }

    #[test]
    fn a_takeover_is_suggested_by_a_flag() {
        let text = "04010054 11111111 22222222 00010000 0009000c 4563686f506f6f6c
            000a0038 11110001 11111111 00003a98 00040010 a5a30001 00010008 0a4d0015
            00080008 00000001 00040010 96670000 00010008 0a4d0015";
        let bytes = crate::wire::test_support::hex(text);
        let message = HandleUpdate::parse(&bytes).unwrap();
        assert!(message.takeover_suggested);
        assert_eq!(message.action, UpdateAction::DELETE);
        check_enrp(text, EnrpMessage::HandleUpdate(message));
    }

    #[test]
    fn the_reserved_field_is_kept() {
        check_verbatim_enrp(
            "04000040 00000001 00000002 00000007 00090008 506f6f6c
            000a0028 00000001 00000001 00000001 00040010 00070001 00010008 0a4d0015
            00080008 00000001",
        );
    }
}
