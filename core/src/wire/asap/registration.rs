//! ASAP Registration (RFC 5352 §2.2.1).
//!
//! ```text
//! | 1 | 0 | length | pool handle | pool element |
//! ```

use crate::identifier::PoolHandle;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{PoolElement, pool_handle_len, write_pool_handle};

/// An element wants to join a pool, or renews its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Registration<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub element: PoolElement<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> Registration<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(pool_handle: PoolHandle<'a>, element: PoolElement<'a>) -> Self {
        Self { pool_handle, element, layout: Layout::OURS }
    }
}

message_methods!(Registration);

impl<'a> Message<'a> for Registration<'a> {
    const TYPE: u8 = 1;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, element) = super::read_handle_and_element(tlvs)?;
        Ok(Self::new(pool_handle, element))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_pool_handle(self.pool_handle, writer)?;
        self.element.write(writer)
    }

    fn value_len(&self) -> usize {
        pool_handle_len(self.pool_handle).saturating_add(self.element.encoded_len())
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
    use crate::wire::{AsapMessage, Policy};

    const REGISTRATION: &[u8] = b"\x01\x00\x00\x3c\x00\x09\x00\x10PingPongPool\
        \x00\x0a\x00\x28\xaa\xaa\x00\x01\x00\x00\x00\x00\x00\x01\x5f\x90\
        \x00\x04\x00\x10\xa9\x67\x00\x01\x00\x01\x00\x08\x0a\x4d\x00\x15\x00\x08\x00\x08\x00\x00\x00\x01";

    #[test]
    fn fields_are_where_they_should_be() {
        let Ok(AsapMessage::Registration(message)) = AsapMessage::parse(REGISTRATION) else {
            panic!("{:?}", AsapMessage::parse(REGISTRATION));
        };
        assert_eq!(message.pool_handle.as_bytes(), b"PingPongPool");
        assert_eq!(message.element.policy, Policy::RoundRobin);
        assert_eq!(message.element.user_transport.port(), 0xa967);
        let mut buf = [0; 60];
        assert_eq!(message.emit(&mut buf), Ok(60));
        assert_eq!(buf, REGISTRATION);
    }
}
