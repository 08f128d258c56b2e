//! SACK (RFC 9260 §3.3.4): type 3; cumulative TSN 32, a_rwnd 32, number of gap blocks 16, number
//! of duplicates 16, gap blocks of two offsets of 16, duplicates of 32.
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
use nom::bytes::complete::take;

use super::framing::{be_u16, be_u32};
use crate::sctp::serial::Tsn;

/// One run of TSNs that were received, as offsets from the cumulative TSN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GapBlock {
    /// The first.
    pub(crate) start: u16,
    /// The last.
    pub(crate) end: u16,
}

/// One SACK chunk. Its lists are kept encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sack<'a> {
    /// All TSNs up to here were received.
    pub(crate) cumulative: Tsn,
    /// The receive window that the sender of the chunk has left.
    pub(crate) a_rwnd: u32,
    /// The gap blocks, 4 bytes each.
    pub(crate) gaps: &'a [u8],
    /// The duplicates, 4 bytes each. They are of no use to us but tell something of the network.
    pub(crate) duplicates: &'a [u8],
}

impl<'a> Sack<'a> {
    /// Takes the value of a chunk apart; `None` if its lists are longer than it is.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        sack(value).ok().map(|(_, sack)| sack)
    }

    /// The gap blocks, as they came; nothing says that they are sane.
    pub(crate) fn gap_blocks(&self) -> impl Iterator<Item = GapBlock> + Clone {
        let (blocks, _) = self.gaps.as_chunks::<4>();
        blocks.iter().map(|&[a, b, c, d]| GapBlock {
            start: u16::from_be_bytes([a, b]),
            end: u16::from_be_bytes([c, d]),
        })
    }
}

fn sack(input: &[u8]) -> IResult<&[u8], Sack<'_>> {
    let (input, cumulative) = be_u32(input)?;
    let (input, a_rwnd) = be_u32(input)?;
    let (input, gap_count) = be_u16(input)?;
    let (input, duplicate_count) = be_u16(input)?;
    let (input, gaps) = take(usize::from(gap_count).saturating_mul(4))(input)?;
    let (input, duplicates) = take(usize::from(duplicate_count).saturating_mul(4))(input)?;
    Ok((input, Sack { cumulative: Tsn(cumulative), a_rwnd, gaps, duplicates }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_lists_are_read() {
        let value = [0, 0, 0, 5, 0, 0, 8, 0, 0, 2, 0, 1, 0, 2, 0, 3, 0, 5, 0, 5, 0, 0, 0, 4, 0xff];
        let sack = Sack::parse(&value).unwrap();
        assert_eq!((sack.cumulative, sack.a_rwnd), (Tsn(5), 2_048));
        let gaps: Vec<_> = sack.gap_blocks().map(|gap| (gap.start, gap.end)).collect();
        assert_eq!(gaps, [(2, 3), (5, 5)]);
        assert_eq!(sack.duplicates, [0, 0, 0, 4]);
        for len in 0..24 {
            assert_eq!(Sack::parse(&value[..len]), None, "{len}");
        }
    }
}
