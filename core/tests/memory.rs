//! What an SCTP endpoint takes, beside the budget of each part: a table, which fails above.
//!
//! With feature `small` the sizes are those of boards, else those of hosts. The last column is
//! what a sketch came to before there was code; to be above that fails nothing.

use rserpool_core::entropy::SplitMix64;
use rserpool_core::sctp::{Endpoint, Inline, RxDescriptor, Slot, TxDescriptor};

/// The driver's buffer, which serves for packets that come in and packets that go out.
const PACKET_LEN: usize = 1_500;

/// A part, the bytes that it takes, its budget, and the sketch's.
type Row = (&'static str, usize, usize, usize);

/// An endpoint with all its associations and a driver's buffer.
const fn whole<S>() -> usize {
    size_of::<Endpoint<S, SplitMix64>>() + PACKET_LEN
}

/// One address a peer, four streams.
const BOARDS: [Row; 5] = [
    ("descriptor of a DATA chunk to send", size_of::<TxDescriptor>(), 24, 24),
    ("descriptor of a DATA chunk received", size_of::<RxDescriptor>(), 20, 20),
    ("association without buffers", size_of::<Slot>(), 496, 400),
    (
        "endpoint of 1, 2 KiB each way, 8 chunks",
        whole::<Inline<1, 2_048, 2_048, 8>>(),
        8_016,
        8_016,
    ),
    // As the firmware lends it, but for the number of associations.
    ("endpoint of 1 as boards have it", whole::<Inline<1, 1_040, 1_536, 6>>(), 8_192, 8_192),
];

/// Four addresses a peer, sixteen streams.
const HOSTS: [Row; 7] = [
    ("descriptor of a DATA chunk to send", size_of::<TxDescriptor>(), 24, 24),
    ("descriptor of a DATA chunk received", size_of::<RxDescriptor>(), 20, 20),
    ("association without buffers", size_of::<Slot>(), 1_280, 608),
    (
        "endpoint of 2, 4 KiB each way, 16 chunks",
        whole::<Inline<2, 4_096, 4_096, 16>>(),
        24_400,
        22_264,
    ),
    (
        "endpoint of 4, 4 KiB each way, 16 chunks",
        whole::<Inline<4, 4_096, 4_096, 16>>(),
        44_500,
        41_272,
    ),
    (
        "endpoint of 8, 8 KiB each way, 32 chunks",
        whole::<Inline<8, 8_192, 8_192, 32>>(),
        155_400,
        150_456,
    ),
    (
        "endpoint of 64, 64 KiB each way, 256 chunks",
        whole::<Inline<64, 65_536, 65_536, 256>>(),
        9_151_672,
        9_151_672,
    ),
];

#[test]
fn each_part_stays_within_its_budget() {
    let rows = if cfg!(feature = "small") { &BOARDS[..] } else { &HOSTS[..] };
    println!("{:<45} {:>9} {:>9} {:>9}", "", "bytes", "budget", "sketch");
    for (what, len, budget, sketch) in rows {
        println!("{what:<45} {len:>9} {budget:>9} {sketch:>9}");
    }
    let over: Vec<_> = rows.iter().filter(|(_, len, budget, _)| len > budget).collect();
    assert!(over.is_empty(), "over budget: {over:?}");
}
