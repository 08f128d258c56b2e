//! Framing of chunks, parameters and error causes (RFC 9260 §3.2, §3.2.1, §3.3.10).
//!
//! Chunk: type 8, flags 8, length 16, value. Parameter and cause: type 16, length 16, value. The
//! length counts the header but not the 0 to 3 bytes of padding that follow.
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

use nom::error::{Error, ErrorKind};
use nom::{IResult, Parser};

/// A chunk as it is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawChunk<'a> {
    /// Its type.
    pub(crate) kind: u8,
    /// Its flags.
    pub(crate) flags: u8,
    /// What follows its header, without padding.
    pub(crate) value: &'a [u8],
    /// All of it, without padding.
    pub(crate) bytes: &'a [u8],
}

/// A parameter or an error cause as it is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawParameter<'a> {
    /// Its type.
    pub(crate) kind: u16,
    /// What follows its header, without padding.
    pub(crate) value: &'a [u8],
    /// All of it, without padding.
    pub(crate) bytes: &'a [u8],
}

/// What to do with a chunk or parameter of unknown type, by its two top bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnknownAction {
    /// 00: do not look at the rest.
    Stop,
    /// 01: do not look at the rest, and report it.
    StopAndReport,
    /// 10: go on as if it were not there.
    Skip,
    /// 11: go on, and report it.
    SkipAndReport,
}

impl UnknownAction {
    /// The action that the two top bits, given as the lowest of `bits`, ask for.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Stop,
            1 => Self::StopAndReport,
            2 => Self::Skip,
            _ => Self::SkipAndReport,
        }
    }

    /// Whether the walk ends here.
    pub(crate) const fn stops(self) -> bool {
        matches!(self, Self::Stop | Self::StopAndReport)
    }

    /// Whether the sender is told.
    pub(crate) const fn reports(self) -> bool {
        matches!(self, Self::StopAndReport | Self::SkipAndReport)
    }
}

/// Walks the chunks of a packet; ends before the first that is malformed or incomplete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The chunks in `bytes`, which start right after the common header.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = RawChunk<'a>;

    fn next(&mut self) -> Option<RawChunk<'a>> {
        let (rest, ([kind, flags], bytes)) = item(self.0).ok()?;
        self.0 = rest;
        Some(RawChunk { kind, flags, value: value(bytes), bytes })
    }
}

/// Walks parameters or error causes; ends before the first that is malformed or incomplete.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// The parameters or causes in `bytes`.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = RawParameter<'a>;

    fn next(&mut self) -> Option<RawParameter<'a>> {
        let (rest, (kind, bytes)) = item(self.0).ok()?;
        self.0 = rest;
        Some(RawParameter { kind: u16::from_be_bytes(kind), value: value(bytes), bytes })
    }
}

/// Takes `N` bytes. (nom's own number parsers loop over bytes.)
#[inline]
fn array<const N: usize>(input: &[u8]) -> IResult<&[u8], [u8; N]> {
    match input.split_first_chunk() {
        Some((&bytes, rest)) => Ok((rest, bytes)),
        None => Err(too_short(input)),
    }
}

/// Takes two bytes as a number.
#[inline]
pub(super) fn be_u16(input: &[u8]) -> IResult<&[u8], u16> {
    array.map(u16::from_be_bytes).parse(input)
}

/// Takes four bytes as a number.
#[inline]
pub(super) fn be_u32(input: &[u8]) -> IResult<&[u8], u32> {
    array.map(u32::from_be_bytes).parse(input)
}

/// Takes a chunk, parameter or cause, and the padding behind it: what is before its length, and
/// all of it without padding.
fn item(input: &[u8]) -> IResult<&[u8], ([u8; 2], &[u8])> {
    let (_, [kind, flags, high, low]) = array(input)?;
    let len = usize::from(u16::from_be_bytes([high, low]));
    match input.split_at_checked(len) {
        Some((bytes, rest)) if len >= HEADER_LEN => {
            // Padding is not always there after the last item, so its absence is no fault.
            let padding = len.wrapping_neg() & 3;
            Ok((rest.get(padding..).unwrap_or_default(), ([kind, flags], bytes)))
        }
        _ => Err(too_short(input)),
    }
}

fn value(bytes: &[u8]) -> &[u8] {
    bytes.get(HEADER_LEN..).unwrap_or_default()
}

const fn too_short(input: &[u8]) -> nom::Err<Error<&[u8]>> {
    nom::Err::Error(Error { input, code: ErrorKind::Eof })
}

const HEADER_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn padding_is_skipped_whatever_it_holds() {
        let bytes = [0x80, 1, 0, 5, b'x', 0xff, 0xff, 0xff, 11, 0, 0, 4];
        let chunks: Vec<_> = Chunks::new(&bytes).collect();
        assert_eq!(chunks.len(), 2);
        assert_eq!((chunks[0].kind, chunks[0].flags, chunks[0].value), (0x80, 1, &b"x"[..]));
        assert_eq!(chunks[0].bytes, [0x80, 1, 0, 5, b'x']);
        assert_eq!(chunks[1].kind, 11);
    }

    #[test]
    fn a_length_below_four_ends_the_walk() {
        assert_eq!(Chunks::new(&[11, 0, 0, 4, 11, 0, 0, 3, 11, 0, 0, 4]).count(), 1);
        assert_eq!(Tlvs::new(&[0, 9, 0, 0, 0, 9, 0, 4]).count(), 0);
    }

    #[test]
    fn an_incomplete_chunk_is_dropped_at_each_length() {
        let bytes = [3, 0, 0, 8, 1, 2, 3, 4];
        for len in 0..8 {
            assert_eq!(Chunks::new(&bytes[..len]).count(), 0, "{len}");
            assert_eq!(Tlvs::new(&bytes[..len]).count(), 0, "{len}");
        }
        assert_eq!(Chunks::new(&bytes).count(), 1);
    }

    #[test]
    fn the_top_bits_say_what_to_do_with_the_unknown() {
        let action = |kind: u8| UnknownAction::from_bits(kind >> 6);
        assert_eq!(action(0x3f), UnknownAction::Stop);
        assert_eq!(action(0x7f), UnknownAction::StopAndReport);
        assert_eq!(action(0xbf), UnknownAction::Skip);
        assert_eq!(action(0xff), UnknownAction::SkipAndReport);
    }
}
