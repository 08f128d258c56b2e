//! What an SCTP endpoint takes, beside the budget of each part: a table, which fails above.
//!
//! The budgets of whole endpoints are those of a sketch from before there was code: so many
//! associations, addresses of a peer and streams, so many bytes and chunks each way. With feature
//! `small` the sizes are those of boards, else those of hosts; the sketch's first four shapes are
//! for boards, the last one is for hosts. Where an endpoint is compiled for another number of
//! addresses or streams, what is too much of them is taken away, and what is missing added.
//!
//! The last column is the sketch, also where the budget is more: to be above it fails nothing.
//! So it is with associations without buffers, of whose paths the sketch knew neither probes nor
//! our own address nor a search for the MTU, and with small endpoints as hosts would have them,
//! which keep 1,500 bytes for replies. Instead the sketch had a second buffer for a packet.

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

/// An association without buffers, for so many addresses of a peer and streams each way. At
/// most what a compiler would make of it, which rounds up to the same alignment.
const fn slot(paths: usize, streams: usize) -> usize {
    let wanted = paths * Slot::PATH_LEN + streams * Slot::STREAM_LEN;
    let compiled = Slot::PATHS * Slot::PATH_LEN + Slot::STREAMS * Slot::STREAM_LEN;
    (size_of::<Slot>() - compiled + wanted).next_multiple_of(align_of::<Slot>())
}

/// The same for all associations of an endpoint and the driver's buffer.
const fn shaped<const A: usize, const LEN: usize, const CHUNKS: usize>(
    paths: usize,
    streams: usize,
) -> usize {
    whole::<Inline<A, LEN, LEN, CHUNKS>>() - A * size_of::<Slot>() + A * slot(paths, streams)
}

const SHARED: [Row; 2] = [
    ("descriptor of a DATA chunk to send", size_of::<TxDescriptor>(), 20, 24),
    ("descriptor of a DATA chunk received", size_of::<RxDescriptor>(), 20, 20),
];

/// Compiled for one address of a peer, four streams.
const BOARDS: [Row; 7] = [
    ("association, 1 address, 2 streams", slot(1, 2), 400, 312),
    ("association, 2 addresses, 4 streams", slot(2, 4), 552, 400),
    (
        "1 association, 1 and 2, 2 KiB each way, 8 chunks",
        shaped::<1, 2_048, 8>(1, 2),
        8_016,
        8_016,
    ),
    ("2, 2 and 4, 4 KiB, 16", shaped::<2, 4_096, 16>(2, 4), 21_848, 21_848),
    ("4, 2 and 4, 4 KiB, 16", shaped::<4, 4_096, 16>(2, 4), 40_440, 40_440),
    ("8, 2 and 4, 8 KiB, 32", shaped::<8, 8_192, 32>(2, 4), 148_792, 148_792),
    // As the firmware lends it, but for the number of associations.
    ("1 as boards have it", whole::<Inline<1, 1_040, 1_536, 6>>(), 8_192, 8_192),
];

/// Compiled for four addresses of a peer, sixteen streams.
const HOSTS: [Row; 5] = [
    ("association, 4 addresses, 16 streams", slot(4, 16), 1_040, 608),
    (
        "2 associations, 2 and 4, 4 KiB each way, 16 chunks",
        shaped::<2, 4_096, 16>(2, 4),
        23_232,
        21_848,
    ),
    ("4, 2 and 4, 4 KiB, 16", shaped::<4, 4_096, 16>(2, 4), 42_224, 40_440),
    ("8, 2 and 4, 8 KiB, 32", shaped::<8, 8_192, 32>(2, 4), 150_864, 148_792),
    ("64, 4 and 16, 64 KiB, 256", shaped::<64, 65_536, 256>(4, 16), 9_151_672, 9_151_672),
];

#[test]
fn each_part_stays_within_its_budget() {
    let of_these = if cfg!(feature = "small") { &BOARDS[..] } else { &HOSTS[..] };
    let rows: Vec<_> = SHARED.iter().chain(of_these).collect();
    println!("{:<52} {:>9} {:>9} {:>9}", "", "bytes", "budget", "sketch");
    for (what, len, budget, sketch) in &rows {
        println!("{what:<52} {len:>9} {budget:>9} {sketch:>9}");
    }
    let over: Vec<_> = rows.iter().filter(|(_, len, budget, _)| len > budget).collect();
    assert!(over.is_empty(), "over budget: {over:?}");
}

#[test]
fn a_shape_that_is_compiled_is_what_the_compiler_made_of_it() {
    assert_eq!(slot(Slot::PATHS, Slot::STREAMS), size_of::<Slot>());
    assert_eq!(
        shaped::<4, 4_096, 16>(Slot::PATHS, Slot::STREAMS),
        whole::<Inline<4, 4_096, 4_096, 16>>()
    );
}
