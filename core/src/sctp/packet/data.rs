//! DATA (RFC 9260 §3.3.1): type 0, flags I U B E, then TSN, stream, SSN, PPID, user data.

use crate::sctp::serial::{Ssn, Tsn};

/// One DATA chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataChunk<'a> {
    /// Its number.
    pub(crate) tsn: Tsn,
    /// The stream.
    pub(crate) stream: u16,
    /// The number of the message in the stream; meaningless if `unordered`.
    pub(crate) ssn: Ssn,
    /// What the user says it is.
    pub(crate) ppid: u32,
    /// The I bit: the sender asks for a SACK at once.
    pub(crate) immediate: bool,
    /// The U bit.
    pub(crate) unordered: bool,
    /// The B bit: the first fragment of a message.
    pub(crate) beginning: bool,
    /// The E bit: the last fragment of a message.
    pub(crate) ending: bool,
    /// The user data; its second part, where it comes from a ring that wraps, is given apart.
    pub(crate) payload: &'a [u8],
}

impl DataChunk<'_> {
    /// Chunk header and fixed fields.
    pub(crate) const HEADER_LEN: usize = 16;

    /// The bits of the flags byte.
    pub(crate) const fn flags(&self) -> u8 {
        (self.immediate as u8) << 3
            | (self.unordered as u8) << 2
            | (self.beginning as u8) << 1
            | self.ending as u8
    }
}
