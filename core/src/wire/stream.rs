//! Messages in a stream of bytes, as pool users send them by TCP (RFC 5352 §3.3).
//!
//! Nothing but a message's own length says where it ends. Messages are padded to multiples of
//! four bytes; a length that cannot be obeyed leaves the stream useless.

use super::framing::{HEADER_LEN, padded};

/// Cuts a stream of bytes into messages. The longest one fits the buffer that it is lent.
///
/// ```
/// use rserpool_core::wire::Framer;
/// let mut framer = Framer::new([0; 64]);
/// let mut bytes: &[u8] = &[0x0b, 0, 0, 8, 1, 2, 3, 4, 0x0c];
/// assert_eq!(framer.next_message(&mut bytes), Ok(Some(&[0x0b, 0, 0, 8, 1, 2, 3, 4][..])));
/// assert_eq!(framer.next_message(&mut bytes), Ok(None));
/// assert!(framer.is_within_message());
/// ```
#[derive(Clone, Debug)]
pub struct Framer<B> {
    buf: B,
    /// How much of a message there is.
    len: usize,
    /// The message that was yielded last is still in the buffer.
    is_yielded: bool,
}

/// Why a stream is useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StreamError {
    /// A message names a length below that of its header.
    TooShort,
    /// A message is longer than the buffer.
    TooLong {
        /// How long, padding included.
        len: usize,
    },
}

impl core::fmt::Display for StreamError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooShort => f.write_str("a message in the stream is shorter than its header"),
            Self::TooLong { len } => {
                write!(f, "a message of {len} bytes in the stream is too long")
            }
        }
    }
}

impl core::error::Error for StreamError {}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Framer<B> {
    /// A framer at the beginning of a stream.
    #[must_use]
    pub const fn new(buf: B) -> Self {
        Self { buf, len: 0, is_yielded: false }
    }

    /// Takes of `bytes` what belongs to the next message, and yields that once it is whole, with
    /// its padding. To be called until it yields nothing: `bytes` are used up then.
    ///
    /// # Errors
    ///
    /// If the message's length cannot be obeyed; so will each later call.
    pub fn next_message(&mut self, bytes: &mut &[u8]) -> Result<Option<&[u8]>, StreamError> {
        if core::mem::take(&mut self.is_yielded) {
            self.len = 0;
        }
        let buf = self.buf.as_mut();
        if buf.len() < HEADER_LEN {
            return Err(StreamError::TooLong { len: HEADER_LEN });
        }
        fill(buf, &mut self.len, HEADER_LEN, bytes);
        let header = buf.get(..self.len).unwrap_or_default();
        let Some(&[_, _, high, low]) = header.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len < HEADER_LEN {
            return Err(StreamError::TooShort);
        }
        let len = padded(len);
        if len > buf.len() {
            return Err(StreamError::TooLong { len });
        }
        fill(buf, &mut self.len, len, bytes);
        self.is_yielded = self.len == len;
        Ok(self.buf.as_ref().get(..len).filter(|_| self.is_yielded))
    }

    /// Whether a part of a message has come.
    #[must_use]
    pub const fn is_within_message(&self) -> bool {
        self.len > 0 && !self.is_yielded
    }
}

/// Moves bytes into `buf` until it holds `wanted`, or there are no more.
fn fill(buf: &mut [u8], len: &mut usize, wanted: usize, bytes: &mut &[u8]) {
    let place = buf.get_mut(*len..wanted).unwrap_or_default();
    let count = place.len().min(bytes.len());
    let (now, later) = bytes.split_at(count);
    for (place, byte) in place.iter_mut().zip(now) {
        *place = *byte;
    }
    *len = len.saturating_add(count);
    *bytes = later;
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::test_support::hex;

    /// The messages of a stream that comes in pieces of `piece_len` bytes.
    fn cut(stream: &[u8], piece_len: usize) -> Result<Vec<Vec<u8>>, StreamError> {
        let (mut framer, mut messages) = (Framer::new([0; 32]), Vec::new());
        for mut piece in stream.chunks(piece_len) {
            while let Some(message) = framer.next_message(&mut piece)? {
                messages.push(message.to_vec());
            }
            assert_eq!(piece, [0; 0], "all is used up");
        }
        Ok(messages)
    }

    #[test]
    fn messages_are_the_same_in_pieces_of_each_length() {
        // Two resolutions, of which the first has a length without its padding, and an empty one.
        let stream = hex("0500000f 0009000b 4f646437636872 00
            05000010 0009000b 4f646437636872 00 0e000004");
        for piece_len in 1..=stream.len() {
            let messages = cut(&stream, piece_len).unwrap();
            assert_eq!(messages, [&stream[..16], &stream[16..32], &stream[32..]], "{piece_len}");
        }
    }

    #[test]
    fn a_length_below_4_is_an_error() {
        for len in 0..4_u8 {
            assert_eq!(cut(&[5, 0, 0, len, 0], 2), Err(StreamError::TooShort), "{len}");
        }
    }

    #[test]
    fn a_message_that_does_not_fit_is_an_error_before_it_has_come() {
        assert_eq!(cut(&[5, 0, 0, 33], 1), Err(StreamError::TooLong { len: 36 }));
        assert_eq!(cut(&[5, 0, 0xff, 0xff], 4), Err(StreamError::TooLong { len: 65_536 }));
        assert_eq!(cut(&[5, 0, 0, 32], 4), Ok(Vec::new()));
        let mut tiny = Framer::new([0; 3]);
        let error = tiny.next_message(&mut &[5, 0, 0, 4][..]);
        assert_eq!(error, Err(StreamError::TooLong { len: 4 }), "no header ever fits");
    }

    #[test]
    fn an_error_stays() {
        let mut framer = Framer::new([0; 8]);
        assert_eq!(framer.next_message(&mut &[5, 0, 0, 3][..]), Err(StreamError::TooShort));
        assert_eq!(framer.next_message(&mut &[5, 0, 0, 4][..]), Err(StreamError::TooShort));
    }

    #[test]
    fn it_knows_whether_a_message_is_under_way() {
        let mut framer = Framer::new([0; 8]);
        assert!(!framer.is_within_message());
        assert_eq!(framer.next_message(&mut &[5, 0][..]), Ok(None));
        assert!(framer.is_within_message());
        assert_eq!(framer.next_message(&mut &[0, 4][..]), Ok(Some(&[5, 0, 0, 4][..])));
        assert!(!framer.is_within_message());
    }
}
