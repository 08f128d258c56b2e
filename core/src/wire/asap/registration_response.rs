//! ASAP Registration Response (RFC 5352 §2.2.3).
//!
//! ```text
//! | 3 | R = 0x01 | length | pool handle | PE identifier | [operation error] |
//! ```

use super::{read_response, response_len, write_response};
use crate::identifier::{PeId, PoolHandle};
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::OperationError;

/// A registrar answers a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegistrationResponse<'a> {
    /// Whether the registration is refused.
    pub rejected: bool,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub pe_id: PeId,
    /// Why it is refused; without [`rejected`](Self::rejected) a warning.
    pub error: Option<OperationError<'a>>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> RegistrationResponse<'a> {
    /// The answer that grants a registration.
    #[must_use]
    pub const fn granted(pool_handle: PoolHandle<'a>, pe_id: PeId) -> Self {
        Self { rejected: false, pool_handle, pe_id, error: None, layout: Layout::OURS }
    }

    /// The answer that refuses a registration.
    #[must_use]
    pub const fn refused(
        pool_handle: PoolHandle<'a>,
        pe_id: PeId,
        error: OperationError<'a>,
    ) -> Self {
        Self { rejected: true, pool_handle, pe_id, error: Some(error), layout: Layout::OURS }
    }
}

message_methods!(RegistrationResponse);

const REJECTED: u8 = 0x01;

impl<'a> Message<'a> for RegistrationResponse<'a> {
    const TYPE: u8 = 3;
    const FLAGS: u8 = REJECTED;
    const FIXED_LEN: usize = 4;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, pe_id, error) = read_response(tlvs)?;
        let rejected = flags & REJECTED != 0;
        Ok(Self { rejected, pool_handle, pe_id, error, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_response(self.pool_handle, self.pe_id, self.error.as_ref(), writer)
    }

    fn value_len(&self) -> usize {
        response_len(self.pool_handle, self.error.as_ref())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::{check_asap, hex};
    use crate::wire::{AsapMessage, Cause};

    #[test]
    fn a_grant_is_as_rsplib_sends_it() {
        let message = RegistrationResponse::granted(
            PoolHandle::new(b"PingPongPool").unwrap(),
            PeId(0xaaaa_0001),
        );
        check_asap(
            "0300001c 00090010 50696e67506f6e67506f6f6c 000e0008 aaaa0001",
            AsapMessage::RegistrationResponse(message),
        );
    }

    #[test]
    fn a_refusal_has_its_flag_and_cause() {
        let error = OperationError::new(Cause::LACK_OF_RESOURCES, &[]);
        let message =
            RegistrationResponse::refused(PoolHandle::new(b"Pool").unwrap(), PeId(1), error);
        check_asap(
            "0301001c 00090008 506f6f6c 000e0008 00000001 000c0008 00060004",
            AsapMessage::RegistrationResponse(message),
        );
    }

    #[test]
    fn a_message_that_is_changed_is_written_our_way() {
        // An unknown parameter that is to be skipped stands between the known ones.
        let bytes = hex("0300001c 00090008 506f6f6c 80990008 01020304 000e0008 00000001");
        let mut message = RegistrationResponse::parse(&bytes).unwrap();
        let mut buf = [0; 28];
        assert_eq!((message.emit(&mut buf), &buf[..]), (Ok(28), &bytes[..]));
        message.rejected = true;
        assert_eq!(message.encoded_len(), 20);
        assert_eq!(message.emit(&mut buf), Ok(20));
        assert_eq!(buf[..20], hex("03010014 00090008 506f6f6c 000e0008 00000001"));
    }
}
