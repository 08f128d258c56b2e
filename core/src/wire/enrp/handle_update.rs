//! ENRP Handle Update (RFC 5353 §2.4, draft-dreibholz-rserpool-enrp-takeover).
//!
//! ```text
//! | 4 | T = 0x01 | length | sender u32 | receiver u32 |
//! | action u16: 0 add, 1 delete | reserved u16 | pool handle | pool element |
//! ```
//!
//! A deletion names the whole element too, with its transports.

use nom::Parser;
use nom::number::complete::be_u16;

use super::{IDS_LEN, ids, write_ids};
use crate::identifier::{PoolHandle, RegistrarId};
use crate::wire::asap::read_handle_and_element;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Parsed, Tlvs, Writer, message_methods};
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
