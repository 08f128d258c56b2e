//! What the messages of the services share: the header, and how fields are read and written.
//!
//! ```text
//! | type u8 | flags u8 | length u16, header included |
//! ```
//!
//! Numbers are big endian; nothing is padded.

/// Why bytes are no message of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// They end within a field.
    #[error("the message ends {missing_len} bytes too early")]
    TooShort {
        /// How many bytes are missing.
        missing_len: usize,
    },
    /// The header says another length.
    #[error("the header says {said_len} bytes, but there are {len}")]
    Length {
        /// What the header says.
        said_len: usize,
        /// How many there are.
        len: usize,
    },
    /// A type that the service does not have.
    #[error("no message has type {0}")]
    Type(u8),
    /// More bytes than the message can have.
    #[error("{0} bytes too many")]
    TooLong(usize),
    /// A field has a value that makes no sense.
    #[error("{field} cannot be {value}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A cookie that another service made, or nobody.
    #[error("this is no cookie of the service")]
    Cookie,
}

/// Reads fields from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads a header: the message's type and flags, and a reader of its fields.
    pub(crate) fn message(data: &'a [u8]) -> Result<(u8, u8, Self), ParseError> {
        let mut reader = Self(data);
        let [kind, flags] = reader.array()?;
        let said_len = usize::from(u16::from_be_bytes(reader.array()?));
        match said_len == data.len() {
            true => Ok((kind, flags, reader)),
            false => Err(ParseError::Length { said_len, len: data.len() }),
        }
    }

    /// Reads bytes without a header.
    pub(crate) fn fields(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], ParseError> {
        let missing_len = LEN.saturating_sub(self.0.len());
        let (array, rest) =
            self.0.split_first_chunk().ok_or(ParseError::TooShort { missing_len })?;
        self.0 = rest;
        Ok(*array)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ParseError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, ParseError> {
        self.u64().map(f64::from_bits)
    }

    /// What is left, which must not be longer than `len_max`.
    pub(crate) fn rest(self, len_max: usize) -> Result<&'a [u8], ParseError> {
        match self.0.len().checked_sub(len_max) {
            None | Some(0) => Ok(self.0),
            Some(excess) => Err(ParseError::TooLong(excess)),
        }
    }

    /// Nothing must be left.
    pub(crate) fn end(self) -> Result<(), ParseError> {
        self.rest(0).map(drop)
    }
}

/// Writes a message whose length is put into its header at the end.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn message(kind: u8, flags: u8) -> Self {
        Self(vec![kind, flags, 0, 0])
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn f64(self, value: f64) -> Self {
        self.u64(value.to_bits())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The message.
    ///
    /// # Panics
    ///
    /// If it is longer than a header can say: each kind of message bounds what it holds.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let len = u16::try_from(self.0.len()).expect("every kind of message is bounded");
        self.0[2..4].copy_from_slice(&len.to_be_bytes());
        self.0
    }
}

/// The longest message that a header can describe.
pub(crate) const MESSAGE_LEN_MAX: usize = u16::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_must_tell_the_length() {
        let (kind, flags, reader) = Reader::message(&[7, 1, 0, 6, 0xa, 0xb]).unwrap();
        assert_eq!((kind, flags, reader.rest(2)), (7, 1, Ok(&[0xa, 0xb][..])));
        let error = Reader::message(&[7, 1, 0, 7, 0xa, 0xb]).unwrap_err();
        assert_eq!(error, ParseError::Length { said_len: 7, len: 6 });
        let error = Reader::message(&[7, 1, 0]).unwrap_err();
        assert_eq!(error, ParseError::TooShort { missing_len: 1 });
    }

    #[test]
    fn what_is_left_is_bounded() {
        let reader = Reader::fields(&[1, 2, 3]);
        assert_eq!(reader.rest(1), Err(ParseError::TooLong(2)));
        assert_eq!(reader.end(), Err(ParseError::TooLong(3)));
    }
}
