//! SACK (RFC 9260 §3.3.4): type 3, cumulative TSN, a_rwnd, gap blocks, duplicates.

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
    /// The duplicates, 4 bytes each.
    pub(crate) duplicates: &'a [u8],
}

impl Sack<'_> {
    /// The gap blocks, as they came; nothing says that they are sane.
    pub(crate) fn gap_blocks(&self) -> impl Iterator<Item = GapBlock> + Clone {
        let (blocks, _) = self.gaps.as_chunks::<4>();
        blocks.iter().map(|&[a, b, c, d]| GapBlock {
            start: u16::from_be_bytes([a, b]),
            end: u16::from_be_bytes([c, d]),
        })
    }

    /// The duplicates, as they came.
    pub(crate) fn duplicate_tsns(&self) -> impl Iterator<Item = Tsn> + Clone {
        let (numbers, _) = self.duplicates.as_chunks::<4>();
        numbers.iter().map(|&number| Tsn(u32::from_be_bytes(number)))
    }
}
