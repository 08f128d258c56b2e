//! The memory that an endpoint works in, lent by its user.

use super::association::{PATHS_MAX, Path, Tcb};
use super::endpoint::Links;
use super::serial::Ssn;
use super::transfer::{PathTransfer, RxDescriptor, STREAMS_MAX, TxDescriptor};

/// Lends memory for associations.
///
/// A storage may grow between calls of the endpoint, never shrink, and gives the same memory for
/// the same index as long as it lives. All that it lends starts as all zero bits.
pub trait Storage {
    /// One slot for each association, the free ones included.
    fn slots(&self) -> &[Slot];
    /// The same, to write to.
    fn slots_mut(&mut self) -> &mut [Slot];
    /// The slot `index` and the buffers that go with it.
    fn lend(&mut self, index: usize) -> Option<Lent<'_>>;
}

impl<S: Storage + ?Sized> Storage for &mut S {
    fn slots(&self) -> &[Slot] {
        (**self).slots()
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        (**self).slots_mut()
    }

    fn lend(&mut self, index: usize) -> Option<Lent<'_>> {
        (**self).lend(index)
    }
}

/// What an endpoint keeps of one association, its buffers apart.
#[derive(Debug)]
pub struct Slot {
    pub(in crate::sctp) links: Links,
    pub(in crate::sctp) tcb: Tcb,
}

impl Slot {
    /// How many addresses of a peer it has room for.
    pub const PATHS: usize = PATHS_MAX;
    /// What each of them takes of it, in bytes.
    pub const PATH_LEN: usize = size_of::<Path>() + size_of::<PathTransfer>();
    /// How many streams it has room for in each direction.
    pub const STREAMS: usize = STREAMS_MAX;
    /// What one takes of it for both directions, in bytes.
    pub const STREAM_LEN: usize = 2 * size_of::<Ssn>();

    /// A free slot.
    pub const EMPTY: Self = Self { links: Links::EMPTY, tcb: Tcb::EMPTY };
}

/// One slot and its buffers.
#[derive(Debug)]
pub struct Lent<'s> {
    /// The association.
    pub slot: &'s mut Slot,
    /// What it has to send. A message longer than this can never be sent.
    pub tx: &'s mut [u8],
    /// What it has received; at least 1500 bytes. A message longer than this can never come in.
    pub rx: &'s mut [u8],
    /// One for each DATA chunk in `tx`.
    pub tx_descriptors: &'s mut [TxDescriptor],
    /// One for each DATA chunk in `rx`.
    pub rx_descriptors: &'s mut [RxDescriptor],
}

/// Storage of fixed size without indirection: `ASSOCIATIONS` slots, each with `TX_LEN` bytes to
/// send, `RX_LEN` bytes to receive, and `DESCRIPTORS` DATA chunks in each direction.
#[derive(Debug)]
pub struct Inline<
    const ASSOCIATIONS: usize,
    const TX_LEN: usize,
    const RX_LEN: usize,
    const DESCRIPTORS: usize,
> {
    slots: [Slot; ASSOCIATIONS],
    tx: [[u8; TX_LEN]; ASSOCIATIONS],
    rx: [[u8; RX_LEN]; ASSOCIATIONS],
    tx_descriptors: [[TxDescriptor; DESCRIPTORS]; ASSOCIATIONS],
    rx_descriptors: [[RxDescriptor; DESCRIPTORS]; ASSOCIATIONS],
}

impl<const ASSOCIATIONS: usize, const TX_LEN: usize, const RX_LEN: usize, const DESCRIPTORS: usize>
    Inline<ASSOCIATIONS, TX_LEN, RX_LEN, DESCRIPTORS>
{
    /// Storage without associations; all zero bits.
    #[must_use]
    pub const fn new() -> Self {
        const {
            // The least receive window that RFC 9260 §3.3.2 allows.
            assert!(RX_LEN >= 1_500);
            assert!(DESCRIPTORS > 0);
        }
        Self {
            slots: [const { Slot::EMPTY }; ASSOCIATIONS],
            tx: [[0; TX_LEN]; ASSOCIATIONS],
            rx: [[0; RX_LEN]; ASSOCIATIONS],
            tx_descriptors: [[TxDescriptor::EMPTY; DESCRIPTORS]; ASSOCIATIONS],
            rx_descriptors: [[RxDescriptor::EMPTY; DESCRIPTORS]; ASSOCIATIONS],
        }
    }
}

impl<const ASSOCIATIONS: usize, const TX_LEN: usize, const RX_LEN: usize, const DESCRIPTORS: usize>
    Default for Inline<ASSOCIATIONS, TX_LEN, RX_LEN, DESCRIPTORS>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const ASSOCIATIONS: usize, const TX_LEN: usize, const RX_LEN: usize, const DESCRIPTORS: usize>
    Storage for Inline<ASSOCIATIONS, TX_LEN, RX_LEN, DESCRIPTORS>
{
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    fn lend(&mut self, index: usize) -> Option<Lent<'_>> {
        Some(Lent {
            slot: self.slots.get_mut(index)?,
            tx: self.tx.get_mut(index)?,
            rx: self.rx.get_mut(index)?,
            tx_descriptors: self.tx_descriptors.get_mut(index)?,
            rx_descriptors: self.rx_descriptors.get_mut(index)?,
        })
    }
}
