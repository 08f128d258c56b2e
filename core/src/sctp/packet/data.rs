//! DATA (RFC 9260 §3.3.1): type 0, flags I U B E; TSN 32, stream 16, SSN 16, PPID 32, user data.
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use nom::IResult;

use super::framing::{be_u16, be_u32};
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

impl<'a> DataChunk<'a> {
    /// Chunk header and fixed fields.
    pub(crate) const HEADER_LEN: usize = 16;

    /// The bits of the flags byte.
    pub(crate) const fn flags(&self) -> u8 {
        (self.immediate as u8) << 3
            | (self.unordered as u8) << 2
            | (self.beginning as u8) << 1
            | self.ending as u8
    }

    /// Takes the value of a chunk with `flags` apart.
    pub(crate) fn parse(flags: u8, value: &'a [u8]) -> Option<Self> {
        let (payload, (tsn, stream, ssn, ppid)) = fixed(value).ok()?;
        Some(Self {
            tsn: Tsn(tsn),
            stream,
            ssn: Ssn(ssn),
            ppid,
            immediate: flags & 8 != 0,
            unordered: flags & 4 != 0,
            beginning: flags & 2 != 0,
            ending: flags & 1 != 0,
            payload,
        })
    }
}

fn fixed(input: &[u8]) -> IResult<&[u8], (u32, u16, u16, u32)> {
    let (input, tsn) = be_u32(input)?;
    let (input, stream) = be_u16(input)?;
    let (input, ssn) = be_u16(input)?;
    let (input, ppid) = be_u32(input)?;
    Ok((input, (tsn, stream, ssn, ppid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_and_flags_are_read() {
        let value = [0, 0, 1, 0, 0, 7, 0, 9, 0, 0, 0, 11, b'h', b'i'];
        let chunk = DataChunk::parse(0b1110, &value).unwrap();
        assert_eq!((chunk.tsn, chunk.stream, chunk.ssn, chunk.ppid), (Tsn(256), 7, Ssn(9), 11));
        assert!(chunk.immediate && chunk.unordered && chunk.beginning && !chunk.ending);
        assert_eq!(chunk.payload, b"hi");
        assert_eq!(chunk.flags(), 0b1110);
        for len in 0..12 {
            assert_eq!(DataChunk::parse(0, &value[..len]), None, "{len}");
        }
    }
}
