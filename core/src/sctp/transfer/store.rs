//! Where received user data lies until it is read: chains of equal blocks in the lent bytes.
//!
//! Messages of several streams are read in another order than they came in, and fragments join
//! in any order; blocks make each of these steps constant or linear in the data copied, and
//! leave no holes. A block is: link to the next (index + 1), bytes used, payload.
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

/// An index plus one; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link(u16);

impl Link {
    pub(super) const NONE: Self = Self(0);

    /// The link to `index`, which is below 2^16 - 1.
    pub(super) fn to(index: usize) -> Self {
        Self(u16::try_from(index.saturating_add(1)).unwrap_or(0))
    }

    pub(super) fn index(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The link as a number.
    pub(super) const fn bits(self) -> u16 {
        self.0
    }

    pub(super) const fn of_bits(bits: u16) -> Self {
        Self(bits)
    }
}

/// What is free.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoreState {
    free: Link,
    /// Blocks from here on were never used.
    fresh: u16,
    used_count: u16,
}

impl StoreState {
    /// All free; all bits zero.
    pub(super) const EMPTY: Self = Self { free: Link::NONE, fresh: 0, used_count: 0 };
}

/// User data in a chain of blocks: the last of them, which links to the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    last: Link,
}

impl Chain {
    pub(super) const EMPTY: Self = Self { last: Link::NONE };
}

/// How much is in a chain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    /// Bytes of user data.
    pub(super) len: usize,
    block_count: u16,
}

/// The lent bytes, cut into blocks.
pub(super) struct Store<'s> {
    state: &'s mut StoreState,
    bytes: &'s mut [u8],
    /// Blocks have two to the power of this many bytes.
    block_shift: u32,
}

impl<'s> Store<'s> {
    pub(super) fn new(state: &'s mut StoreState, bytes: &'s mut [u8]) -> Self {
        let block_shift = block_shift(bytes.len());
        Self { state, bytes, block_shift }
    }

    /// Bytes that one block takes.
    pub(super) fn payload_len(&self) -> usize {
        1_usize.wrapping_shl(self.block_shift).saturating_sub(HEADER_LEN)
    }

    /// Blocks in all.
    pub(super) fn block_count(&self) -> usize {
        self.bytes.len().wrapping_shr(self.block_shift).min(BLOCKS_MAX)
    }

    /// Blocks that are free.
    pub(super) fn free_count(&self) -> usize {
        self.block_count().saturating_sub(usize::from(self.state.used_count))
    }

    /// Blocks that are needed to append `len` bytes to `chain`.
    pub(super) fn blocks_for(&self, chain: &Chain, len: usize) -> usize {
        let room = match chain.last.index() {
            Some(last) => self.payload_len().saturating_sub(self.used_in(last)),
            None => 0,
        };
        len.saturating_sub(room).div_ceil(self.payload_len().max(1))
    }

    /// Appends `data`; [`Store::blocks_for`] blocks must be free.
    pub(super) fn append(&mut self, chain: &mut Chain, data: &[u8]) {
        debug_assert!(self.blocks_for(chain, data.len()) <= self.free_count());
        let mut rest = data;
        if let Some(last) = chain.last.index() {
            rest = self.fill(last, rest);
        }
        // Every turn takes a free block.
        while !rest.is_empty() {
            let Some(block) = self.take_free() else { break };
            let (now, behind) = rest.split_at(rest.len().min(self.payload_len()));
            self.write(block, 0, now);
            let mut header = Header { next: Link::to(block), used: now.len() as u16 };
            if let Some(last) = chain.last.index() {
                header.next = self.link(last, header.next);
            }
            self.set_header(block, header);
            chain.last = Link::to(block);
            rest = behind;
        }
    }

    /// Hangs `second` behind `first`.
    pub(super) fn join(&mut self, first: &mut Chain, second: Chain) {
        if let (Some(last), Some(end)) = (first.last.index(), second.last.index()) {
            let middle = self.header(end).next;
            let front = self.link(last, middle);
            self.link(end, front);
        }
        first.last = second.last;
    }

    /// The same without the gaps that joining left between its parts; frees what that spares.
    // Not inlined: the block would lie on the stack of all that is received.
    #[inline(never)]
    pub(super) fn compacted(&mut self, mut chain: Chain) -> Chain {
        let mut dense = Chain::EMPTY;
        // Every turn takes the first block off the chain.
        while let Some(last) = chain.last.index() {
            let first = self.header(last).next;
            let block = first.index().unwrap_or(last);
            let second = self.link(block, first);
            self.link(last, second);
            if block == last {
                chain = Chain::EMPTY;
            }
            let first = Chain { last: first };
            let mut buf = [0; BLOCK_LEN_MAX];
            let measure = self.read(first, &mut buf).unwrap_or_default();
            self.free(first, measure);
            self.append(&mut dense, buf.get(..measure.len).unwrap_or_default());
        }
        dense
    }

    /// How much is in `chain`.
    pub(super) fn measure(&self, chain: Chain) -> Measure {
        self.walk(chain, |_| Some(())).unwrap_or_default()
    }

    /// Copies `chain` to the start of `buf`; how much that is, or `None` if `buf` cannot hold it.
    pub(super) fn read(&self, chain: Chain, buf: &mut [u8]) -> Option<Measure> {
        let mut rest = buf;
        self.walk(chain, |from| {
            rest.split_off_mut(..from.len())?.copy_from_slice(from);
            Some(())
        })
    }

    /// Takes a step for the user data of each block of `chain`, first to last.
    fn walk(&self, chain: Chain, mut step: impl FnMut(&[u8]) -> Option<()>) -> Option<Measure> {
        let mut measure = Measure::default();
        let last = chain.last.index()?;
        let mut block = self.header(last).next.index()?;
        for _ in 0..self.block_count() {
            let Header { next, used } = self.header(block);
            let start = self.start_of(block).saturating_add(HEADER_LEN);
            step(self.bytes.get(start..)?.get(..used.into())?)?;
            measure.len = measure.len.saturating_add(used.into());
            measure.block_count = measure.block_count.saturating_add(1);
            if block == last {
                break;
            }
            block = next.index()?;
        }
        Some(measure)
    }

    /// Frees a whole chain at once.
    pub(super) fn free(&mut self, chain: Chain, measure: Measure) {
        let Some(last) = chain.last.index() else { return };
        self.state.free = self.link(last, self.state.free);
        self.state.used_count = self.state.used_count.saturating_sub(measure.block_count);
    }

    fn take_free(&mut self) -> Option<usize> {
        let block = match self.state.free.index() {
            Some(block) => {
                self.state.free = self.header(block).next;
                block
            }
            None => {
                let block = usize::from(self.state.fresh);
                if block >= self.block_count() {
                    return None;
                }
                self.state.fresh = self.state.fresh.saturating_add(1);
                block
            }
        };
        self.state.used_count = self.state.used_count.saturating_add(1);
        Some(block)
    }

    /// Copies what fits of `data` into the block; returns the rest.
    fn fill<'d>(&mut self, block: usize, data: &'d [u8]) -> &'d [u8] {
        let Header { next, used } = self.header(block);
        let room = self.payload_len().saturating_sub(used.into());
        let (now, rest) = data.split_at(data.len().min(room));
        self.write(block, used.into(), now);
        self.set_header(block, Header { next, used: used.saturating_add(now.len() as u16) });
        rest
    }

    fn write(&mut self, block: usize, used: usize, data: &[u8]) {
        let start = self.start_of(block).saturating_add(HEADER_LEN).saturating_add(used);
        if let Some(to) = self.bytes.get_mut(start..).and_then(|to| to.get_mut(..data.len())) {
            to.copy_from_slice(data);
        }
    }

    fn start_of(&self, block: usize) -> usize {
        block.wrapping_shl(self.block_shift)
    }

    fn header(&self, block: usize) -> Header {
        let from = self.bytes.get(self.start_of(block)..);
        let from = from.and_then(|from| from.first_chunk()).copied();
        Header::of_bytes(from.unwrap_or_default())
    }

    fn set_header(&mut self, block: usize, header: Header) {
        let start = self.start_of(block);
        let to = self.bytes.get_mut(start..).and_then(|to| to.first_chunk_mut());
        if let Some(to) = to {
            *to = header.to_bytes();
        }
    }

    /// Lets `block` link to `next`; what it linked to.
    fn link(&mut self, block: usize, next: Link) -> Link {
        let before = self.header(block);
        self.set_header(block, Header { next, ..before });
        before.next
    }

    fn used_in(&self, block: usize) -> usize {
        self.header(block).used.into()
    }
}

/// How a block begins.
#[derive(Clone, Copy)]
struct Header {
    next: Link,
    /// Bytes of user data in it.
    used: u16,
}

impl Header {
    fn of_bytes([next_0, next_1, used_0, used_1]: [u8; HEADER_LEN]) -> Self {
        let next = Link(u16::from_le_bytes([next_0, next_1]));
        Self { next, used: u16::from_le_bytes([used_0, used_1]) }
    }

    fn to_bytes(self) -> [u8; HEADER_LEN] {
        let ([next_0, next_1], [used_0, used_1]) =
            (self.next.0.to_le_bytes(), self.used.to_le_bytes());
        [next_0, next_1, used_0, used_1]
    }
}

const HEADER_LEN: usize = 4;
/// Links have 16 bits, and one value is none.
const BLOCKS_MAX: usize = u16::MAX as usize - 1;

const BLOCK_LEN_MAX: usize = 1 << block_shift(usize::MAX);

/// Small blocks waste little on short messages, large ones cost little on long ones.
const fn block_shift(bytes_len: usize) -> u32 {
    match bytes_len {
        0..=4_096 => 6,
        4_097..=16_384 => 7,
        16_385..=262_144 => 8,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_chains_read_as_one_and_free_as_one() {
        let (mut state, mut bytes) = (StoreState::EMPTY, [0; 640]);
        let mut store = Store::new(&mut state, &mut bytes);
        let (mut left, mut right) = (Chain::EMPTY, Chain::EMPTY);
        store.append(&mut right, &[2; 70]);
        store.append(&mut left, &[1; 30]);
        store.append(&mut left, &[3; 100]);
        assert_eq!(store.free_count(), 10 - 2 - 3);
        store.join(&mut left, right);
        let mut buf = [0; 200];
        assert!(store.read(left, &mut [0; 199]).is_none());
        store.read(left, &mut buf).unwrap();
        assert_eq!(buf[..30], [1; 30]);
        assert_eq!(buf[30..130], [3; 100]);
        assert_eq!(buf[130..], [2; 70]);
        let measure = store.measure(left);
        assert_eq!((measure.len, measure.block_count), (200, 5));
        store.free(left, measure);
        assert_eq!(store.free_count(), 10);
    }

    #[test]
    fn every_block_can_be_used_again_and_again() {
        let (mut state, mut bytes) = (StoreState::EMPTY, [0; 700]);
        let mut store = Store::new(&mut state, &mut bytes);
        for round in 0..50_u8 {
            let mut chain = Chain::EMPTY;
            assert_eq!(store.blocks_for(&chain, 600), 10);
            store.append(&mut chain, &[round; 600]);
            assert_eq!(store.free_count(), 0);
            let mut buf = [0; 600];
            store.read(chain, &mut buf).unwrap();
            assert_eq!(buf, [round; 600]);
            store.free(chain, store.measure(chain));
        }
    }
}
