//! ASAP Endpoint Unreachable (RFC 5352 §2.2.9).
//!
//! ```text
//! | 9 | 0 | length | pool handle | PE identifier |
//! ```

use super::{handle_and_id_len, read_handle_and_id, write_handle_and_id};
use crate::identifier::{PeId, PoolHandle};
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};

/// A user or element reports that it cannot reach an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EndpointUnreachable<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub pe_id: PeId,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> EndpointUnreachable<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(pool_handle: PoolHandle<'a>, pe_id: PeId) -> Self {
        Self { pool_handle, pe_id, layout: Layout::OURS }
    }
}

message_methods!(EndpointUnreachable);

impl<'a> Message<'a> for EndpointUnreachable<'a> {
    const TYPE: u8 = 9;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, pe_id) = read_handle_and_id(tlvs)?;
        Ok(Self::new(pool_handle, pe_id))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_handle_and_id(self.pool_handle, self.pe_id, writer)
    }

    fn value_len(&self) -> usize {
        handle_and_id_len(self.pool_handle)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::AsapMessage;
    use crate::wire::test_support::check_asap;

    #[test]
    fn bytes_are_those_of_rsplib() {
        let message =
            EndpointUnreachable::new(PoolHandle::new(b"PingPongPool").unwrap(), PeId(0xaaaa_0001));
        check_asap(
            "0900001c 00090010 50696e67506f6e67506f6f6c 000e0008 aaaa0001",
            AsapMessage::EndpointUnreachable(message),
        );
    }
}
