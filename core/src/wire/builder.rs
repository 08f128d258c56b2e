//! Writes messages with lists straight into the caller's buffer.
//!
//! After each step the buffer holds a valid message: the header's length is kept up to date, and
//! what does not fit leaves no trace. Appended parameters are multiples of four bytes.

use super::error::EmitError;
use super::framing::{HEADER_LEN, Writer, message_header};
use super::parameter::{
    Policy, PoolElement, ServerInformation, pool_handle_len, write_pool_handle,
};
use crate::identifier::PoolHandle;

#[derive(Debug)]
pub(crate) struct Builder<'b> {
    buf: &'b mut [u8],
    kind: u8,
    flags: u8,
    len: usize,
}

impl<'b> Builder<'b> {
    pub(crate) fn new(buf: &'b mut [u8], kind: u8) -> Result<Self, EmitError> {
        let mut builder = Self { buf, kind, flags: 0, len: HEADER_LEN };
        if builder.buf.len() < HEADER_LEN {
            return Err(EmitError::Full);
        }
        builder.write_header()?;
        Ok(builder)
    }

    /// The length of the message so far.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The message so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn set_flag(&mut self, flag: u8, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
        if let Some(flags) = self.buf.get_mut(1) {
            *flags = self.flags;
        }
    }

    /// Appends `len` bytes that `write` writes.
    #[inline(always)]
    pub(crate) fn append(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), EmitError>,
    ) -> Result<(), EmitError> {
        // Should this ever wrap, the range is no range.
        let end = self.len.wrapping_add(len);
        let place = self.buf.get_mut(self.len..end).ok_or(EmitError::Full)?;
        let short = u16::try_from(end).map_err(|_| EmitError::TooLong)?;
        write(&mut Writer::new(place))?;
        self.len = end;
        if let Some([_, _, high, low]) = self.buf.first_chunk_mut() {
            [*high, *low] = short.to_be_bytes();
        }
        Ok(())
    }

    pub(crate) fn pool_handle(&mut self, handle: PoolHandle<'_>) -> Result<(), EmitError> {
        self.append(pool_handle_len(handle), |writer| write_pool_handle(handle, writer))
    }

    pub(crate) fn policy(&mut self, policy: Policy) -> Result<(), EmitError> {
        self.append(policy.encoded_len(), |writer| policy.write(writer))
    }

    #[inline]
    pub(crate) fn element(&mut self, element: &PoolElement<'_>) -> Result<(), EmitError> {
        let len = element.encoded_len();
        self.append(len, |writer| element.write_sized(len, writer))
    }

    pub(crate) fn server(&mut self, server: &ServerInformation<'_>) -> Result<(), EmitError> {
        self.append(server.encoded_len(), |writer| server.write(writer))
    }

    fn write_header(&mut self) -> Result<(), EmitError> {
        let header = message_header(self.kind, self.flags, self.len)?;
        Writer::new(self.buf).put(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::test_support::hex;

    #[test]
    fn the_header_is_right_after_each_step() {
        let mut buf = [0xff; 16];
        let mut builder = Builder::new(&mut buf, 6).unwrap();
        assert_eq!(builder.bytes(), hex("06000004"));
        builder.set_flag(1, true);
        builder.pool_handle(PoolHandle::new(b"Pool").unwrap()).unwrap();
        assert_eq!(builder.bytes(), hex("0601000c 00090008 506f6f6c"));
        assert_eq!(builder.policy(Policy::Random), Err(EmitError::Full));
        builder.set_flag(1, false);
        assert_eq!(builder.bytes(), hex("0600000c 00090008 506f6f6c"));
    }

    #[test]
    fn a_message_ends_where_its_length_field_does() {
        let mut buf = std::vec![0; 70_000];
        let mut builder = Builder::new(&mut buf, 6).unwrap();
        builder.append(65_528, |_| Ok(())).unwrap();
        assert_eq!(builder.policy(Policy::Random), Err(EmitError::TooLong));
        assert_eq!(builder.len(), 65_532);
    }

    #[test]
    fn a_buffer_without_room_for_a_header_is_refused() {
        assert_eq!(Builder::new(&mut [0; 3], 6).unwrap_err(), EmitError::Full);
    }
}
