//! ASAP Handle Resolution (RFC 5352 §2.2.5, draft-dreibholz-rserpool-asap-hropt).
//!
//! ```text
//! | 5 | S = 0x01 | length | pool handle | [handle resolution parameter] |
//! ```

use crate::identifier::PoolHandle;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{
    ITEMS_LEN, ParameterType, items, pool_handle, pool_handle_len, write_items, write_pool_handle,
};

/// A user or element asks for elements of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandleResolution<'a> {
    /// Whether it wants to be told of changes (RFC 5352's S bit).
    pub subscribe: bool,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// How many elements are wanted: `u32::MAX` for all, 0 or nothing for the registrar's default.
    pub items: Option<u32>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> HandleResolution<'a> {
    /// A request without subscription.
    #[must_use]
    pub const fn new(pool_handle: PoolHandle<'a>, items: Option<u32>) -> Self {
        Self { subscribe: false, pool_handle, items, layout: Layout::OURS }
    }
}

message_methods!(HandleResolution);

const SUBSCRIBE: u8 = 0x01;

impl<'a> Message<'a> for HandleResolution<'a> {
    const TYPE: u8 = 5;
    const FLAGS: u8 = SUBSCRIBE;
    const FIXED_LEN: usize = 4;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (mut handle, mut wanted) = (None, None);
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::POOL_HANDLE if handle.is_none() => {
                    handle = Some(pool_handle(tlv)?);
                    tlvs.rank(1);
                }
                ParameterType::HANDLE_RESOLUTION | ParameterType::HANDLE_RESOLUTION_BARE
                    if wanted.is_none() =>
                {
                    wanted = Some(items(tlv)?);
                    tlvs.rank(2);
                    tlvs.odd_if(tlv.kind == ParameterType::HANDLE_RESOLUTION_BARE);
                }
                _ => tlvs.unexpected(tlv)?,
            }
        }
        let subscribe = flags & SUBSCRIBE != 0;
        let pool_handle = tlvs.required(handle)?;
        Ok(Self { subscribe, pool_handle, items: wanted, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_pool_handle(self.pool_handle, writer)?;
        match self.items {
            Some(items) => write_items(items, writer),
            None => Ok(()),
        }
    }

    fn value_len(&self) -> usize {
        let items_len = if self.items.is_some() { ITEMS_LEN } else { 0 };
        pool_handle_len(self.pool_handle).saturating_add(items_len)
    }

    fn flags(&self) -> u8 {
        if self.subscribe { SUBSCRIBE } else { 0 }
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}
