//! The memory of an SCTP endpoint on a host: grows with the number of associations.

use rserpool_core::sctp::{Lent, RxDescriptor, Slot, Storage, TxDescriptor};

/// Buffers of each association.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferLens {
    pub(crate) send_len: usize,
    pub(crate) receive_len: usize,
}

/// Storage that grows up to a maximum number of associations, and never shrinks.
#[derive(Debug)]
pub(crate) struct HeapStorage {
    slots: Vec<Slot>,
    buffers: Vec<Buffers>,
    lens: BufferLens,
    association_count_max: usize,
}

#[derive(Debug)]
struct Buffers {
    tx: Box<[u8]>,
    rx: Box<[u8]>,
    tx_descriptors: Box<[TxDescriptor]>,
    rx_descriptors: Box<[RxDescriptor]>,
}

impl HeapStorage {
    pub(crate) fn new(lens: BufferLens, association_count_max: usize) -> Self {
        Self { slots: Vec::new(), buffers: Vec::new(), lens, association_count_max }
    }

    /// Sees to it that there are slots for `association_count` associations and a few more that
    /// are being set up, within the maximum.
    pub(crate) fn reserve(&mut self, association_count: usize) {
        let wanted = association_count + SLOT_COUNT_SPARE;
        if wanted <= self.slots.len() {
            return;
        }
        let wanted = wanted.max(self.slots.len() * 2).min(self.association_count_max);
        while self.slots.len() < wanted {
            self.slots.push(Slot::EMPTY);
            self.buffers.push(Buffers::new(self.lens));
        }
    }
}

impl Buffers {
    // The allocator maps zeroed memory when it is first touched, so idle associations are cheap.
    fn new(lens: BufferLens) -> Self {
        let descriptor_count = |len: usize| len.div_ceil(CHUNK_LEN_TYPICAL);
        Self {
            tx: vec![0; lens.send_len].into(),
            rx: vec![0; lens.receive_len].into(),
            tx_descriptors: vec![TxDescriptor::EMPTY; descriptor_count(lens.send_len)].into(),
            rx_descriptors: vec![RxDescriptor::EMPTY; descriptor_count(lens.receive_len)].into(),
        }
    }
}

impl Storage for HeapStorage {
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    fn lend(&mut self, index: usize) -> Option<Lent<'_>> {
        let buffers = self.buffers.get_mut(index)?;
        Some(Lent {
            slot: self.slots.get_mut(index)?,
            tx: &mut buffers.tx,
            rx: &mut buffers.rx,
            tx_descriptors: &mut buffers.tx_descriptors,
            rx_descriptors: &mut buffers.rx_descriptors,
        })
    }
}

/// Slots that are kept free for associations that come between two calls of `reserve`.
const SLOT_COUNT_SPARE: usize = 64;

/// One descriptor for so many bytes of buffer: control messages are small.
const CHUNK_LEN_TYPICAL: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_grows_up_to_its_maximum() {
        let mut storage =
            HeapStorage::new(BufferLens { send_len: 2_000, receive_len: 3_000 }, 100);
        storage.reserve(0);
        assert_eq!(storage.slots().len(), SLOT_COUNT_SPARE);
        storage.reserve(50);
        assert_eq!(storage.slots().len(), 100);
        let lent = storage.lend(99).unwrap();
        assert_eq!((lent.tx.len(), lent.rx.len()), (2_000, 3_000));
        assert!(storage.lend(100).is_none());
    }
}
