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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::{check_asap, check_verbatim_asap, hex};
    use crate::wire::{AsapMessage, Cause, OperationError, ParseErrorKind};
    use std::borrow::ToOwned;
    use std::format;

    #[test]
    fn bytes_are_those_of_rsplib() {
        let message = HandleResolution::new(PoolHandle::new(b"PingPongPool").unwrap(), Some(1));
        check_asap(
            "0500001c 00090010 50696e67506f6e67506f6f6c 803f0008 00000001",
            AsapMessage::HandleResolution(message),
        );
    }

    #[test]
    fn a_subscription_sets_the_flag() {
        let handle = PoolHandle::new(b"Odd7chr").unwrap();
        let message = HandleResolution { subscribe: true, ..HandleResolution::new(handle, None) };
        check_asap("05010010 0009000b 4f646437636872 00", AsapMessage::HandleResolution(message));
    }

    #[test]
    fn the_option_is_known_without_its_top_bits() {
        let text = "05000014 00090008 506f6f6c 003f0008 ffffffff";
        check_verbatim_asap(text);
        assert_eq!(HandleResolution::parse(&hex(text)).unwrap().items, Some(u32::MAX));
    }

    #[test]
    fn a_handle_of_33_bytes_is_an_invalid_value() {
        let bytes = hex(&("0500002c 00090025".to_owned() + &"78".repeat(33) + "000000"));
        let error = HandleResolution::parse(&bytes).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::Value);
        assert_eq!(error.cause(), Some(Cause::INVALID_VALUES));
        assert_eq!(error.bytes, &bytes[4..41]);
        let longest = hex(&("05000028 00090024".to_owned() + &"78".repeat(32)));
        assert_eq!(HandleResolution::parse(&longest).unwrap().pool_handle.as_bytes().len(), 32);
    }

    #[test]
    fn unknown_parameters_follow_their_top_bits() {
        let with = |kind: &str| hex(&format!("05000014 00090008 506f6f6c {kind} 0005 78000000"));
        let (stop, report, skip, skip_and_report) =
            (with("0099"), with("4099"), with("8099"), with("c099"));
        let error = HandleResolution::parse(&stop).unwrap_err();
        assert_eq!((error.kind, error.cause()), (ParseErrorKind::Unrecognized, None));
        assert_eq!(error.operation_error(), None);
        let error = HandleResolution::parse(&report).unwrap_err();
        assert_eq!(error.cause(), Some(Cause::UNRECOGNIZED_PARAMETER));
        assert_eq!(error.bytes, &report[12..17]);
        let message = HandleResolution::parse(&skip).unwrap();
        assert_eq!(message.unrecognized().next(), None);
        let message = HandleResolution::parse(&skip_and_report).unwrap();
        assert!(message.unrecognized().eq([&skip_and_report[12..17]]));
        let report = OperationError::unrecognized(message.unrecognized()).unwrap();
        assert_eq!(
            report,
            OperationError::new(Cause::UNRECOGNIZED_PARAMETER, &[0xc0, 0x99, 0, 5, 0x78])
        );
    }
}
