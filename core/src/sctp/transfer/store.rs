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

/// User data in a chain of blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: Link,
    last: Link,
    block_count: u16,
}

impl Chain {
    pub(super) const EMPTY: Self = Self { first: Link::NONE, last: Link::NONE, block_count: 0 };
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
            rest = self.fill(block, rest);
            let added = Chain { first: Link::to(block), last: Link::to(block), block_count: 1 };
            self.join(chain, added);
        }
    }

    /// Hangs `second` behind `first`.
    pub(super) fn join(&mut self, first: &mut Chain, second: Chain) {
        match first.last.index() {
            Some(last) => {
                self.set_next(last, second.first);
                first.last = second.last;
            }
            None => {
                first.first = second.first;
                first.last = second.last;
            }
        }
        first.block_count = first.block_count.saturating_add(second.block_count);
    }

    /// Copies as much of `chain` as `buf` takes.
    pub(super) fn read(&self, chain: &Chain, buf: &mut [u8]) {
        let mut rest = buf;
        let mut link = chain.first;
        for _ in 0..chain.block_count {
            let Some(block) = link.index() else { break };
            let start = self.start_of(block).saturating_add(HEADER_LEN);
            let len = self.used_in(block).min(rest.len());
            let Some(to) = rest.split_off_mut(..len) else { break };
            if let Some(from) = self.bytes.get(start..).and_then(|from| from.get(..len)) {
                to.copy_from_slice(from);
            }
            link = self.next_of(block);
        }
    }

    /// Frees a whole chain at once.
    pub(super) fn free(&mut self, chain: Chain) {
        let Some(last) = chain.last.index() else { return };
        self.set_next(last, self.state.free);
        self.state.free = chain.first;
        self.state.used_count = self.state.used_count.saturating_sub(chain.block_count);
    }

    fn take_free(&mut self) -> Option<usize> {
        let block = match self.state.free.index() {
            Some(block) => {
                self.state.free = self.next_of(block);
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
        self.set_header(block, [0; HEADER_LEN]);
        Some(block)
    }

    /// Copies what fits of `data` into the block; returns the rest.
    fn fill<'d>(&mut self, block: usize, data: &'d [u8]) -> &'d [u8] {
        let used = self.used_in(block);
        let room = self.payload_len().saturating_sub(used);
        let (now, rest) = data.split_at(data.len().min(room));
        let start = self.start_of(block).saturating_add(HEADER_LEN).saturating_add(used);
        if let Some(to) = self.bytes.get_mut(start..).and_then(|to| to.get_mut(..now.len())) {
            to.copy_from_slice(now);
        }
        let [next_0, next_1, _, _] = self.header(block);
        let used = u16::try_from(used.saturating_add(now.len())).unwrap_or(u16::MAX);
        let [used_0, used_1] = used.to_le_bytes();
        self.set_header(block, [next_0, next_1, used_0, used_1]);
        rest
    }

    fn start_of(&self, block: usize) -> usize {
        block.wrapping_shl(self.block_shift)
    }

    fn header(&self, block: usize) -> [u8; HEADER_LEN] {
        let from = self.bytes.get(self.start_of(block)..);
        from.and_then(|from| from.first_chunk()).copied().unwrap_or_default()
    }

    fn set_header(&mut self, block: usize, header: [u8; HEADER_LEN]) {
        let start = self.start_of(block);
        let to = self.bytes.get_mut(start..).and_then(|to| to.first_chunk_mut());
        if let Some(to) = to {
            *to = header;
        }
    }

    fn next_of(&self, block: usize) -> Link {
        let [a, b, _, _] = self.header(block);
        Link(u16::from_le_bytes([a, b]))
    }

    fn set_next(&mut self, block: usize, next: Link) {
        let [_, _, used_0, used_1] = self.header(block);
        let [next_0, next_1] = next.0.to_le_bytes();
        self.set_header(block, [next_0, next_1, used_0, used_1]);
    }

    fn used_in(&self, block: usize) -> usize {
        let [_, _, a, b] = self.header(block);
        usize::from(u16::from_le_bytes([a, b]))
    }
}

const HEADER_LEN: usize = 4;
/// Links have 16 bits, and one value is none.
const BLOCKS_MAX: usize = u16::MAX as usize - 1;

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
        store.read(&left, &mut buf);
        assert_eq!(buf[..30], [1; 30]);
        assert_eq!(buf[30..130], [3; 100]);
        assert_eq!(buf[130..], [2; 70]);
        store.free(left);
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
            store.read(&chain, &mut buf);
            assert_eq!(buf, [round; 600]);
            store.free(chain);
        }
    }
}
