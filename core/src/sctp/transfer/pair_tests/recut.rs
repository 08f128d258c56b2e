//! The path MTU falls while messages are queued and in flight: RFC 9260 §6.9.

use super::*;
use crate::entropy::{Entropy, SplitMix64};

fn message(index: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 3 + index) as u8).collect()
}

/// Sizes of the DATA chunks in a packet, padding included.
fn sizes(packet: &[u8]) -> Vec<usize> {
    Chunks::new(packet).map(|chunk| chunk.bytes.len().next_multiple_of(4)).collect()
}

/// TSNs of the DATA chunks in a packet.
fn tsns(packet: &[u8]) -> impl Iterator<Item = Tsn> {
    Chunks::new(packet).map(|chunk| match Chunk::parse(chunk) {
        Chunk::Data(data) => data.tsn,
        other => panic!("{other:?}"),
    })
}

#[test]
fn all_sizes_and_fills_of_the_ring_give_the_same_messages() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let mut link = Link::new(LARGE, random.next_u32());
        let (mut queued, mut received) = (Vec::new(), Vec::new());
        let (mut chunk_len_max, mut cut_count) = (PACKET_LEN as u16, 0);
        for round in 0..40 {
            let data = message(round, 1 + random.below(9_000) as usize);
            if link.sender().push(0, 11, false, &data, chunk_len_max).is_ok() {
                queued.push(data);
            }
            // More often, and the descriptors do not last.
            if random.below(8) == 0 && cut_count < 3 {
                cut_count += 1;
                chunk_len_max = chunk_len_max.min(532 + 4 * random.below(234) as u16);
                link.sender().recut(chunk_len_max);
            }
            // What was sent is as large as it was; it goes by the packet that it was cut for.
            for _ in 0..random.below(4) {
                let packet = link.data();
                link.deliver(&packet);
            }
            while let Some(sack) = link.sack() {
                link.deliver_sack(&sack).unwrap();
            }
            received.extend(core::iter::from_fn(|| link.pop()).map(|(_, data)| data));
        }
        let mut next_new = link.tx_state.first_tsn.plus(link.tx_state.sent_count);
        for _ in 0..1_000 {
            let packet = link.data();
            // What is sent again is as large as it was.
            for (tsn, size) in tsns(&packet).zip(sizes(&packet)) {
                let is_new = !tsn.is_before(next_new);
                assert!(!is_new || size <= usize::from(chunk_len_max), "seed {seed}");
                next_new = if is_new { tsn.plus(1) } else { next_new };
            }
            link.deliver(&packet);
            link.wait(200);
            while let Some(sack) = link.sack() {
                link.deliver_sack(&sack).unwrap();
            }
            received.extend(core::iter::from_fn(|| link.pop()).map(|(_, data)| data));
        }
        assert!(received == queued, "seed {seed}");
        assert!(link.sender().all_acked(), "seed {seed}");
    }
}

#[test]
fn no_more_is_cut_than_there_are_descriptors_for() {
    let mut link = Link::new(Sizes { tx_len: 8_192, rx_len: 8_192, descriptors: 6 }, 7);
    for index in 0..3 {
        link.push(0, false, &message(index, 1_400)).unwrap();
    }
    // Three chunks, three free descriptors: two chunks become two each, the third one could not.
    link.sender().recut(716);
    let counts = |link: &mut Link| link.tx_state.chunk_counts();
    assert_eq!(counts(&mut link), (0, 6));
    let mut link = Link::new(Sizes { tx_len: 8_192, rx_len: 8_192, descriptors: 5 }, 7);
    for index in 0..3 {
        link.push(0, false, &message(index, 1_400)).unwrap();
    }
    link.sender().recut(716);
    assert_eq!(counts(&mut link), (0, 5));
    let mut all = Vec::new();
    while all.len() < 5 {
        let packet = link.data();
        all.extend(sizes(&packet));
        link.deliver(&packet);
        link.wait(200);
        let sack = link.sack().unwrap();
        link.deliver_sack(&sack).unwrap();
    }
    assert_eq!(all, [716, 716, 716, 716, 1_416]);
    for index in 0..3 {
        assert_eq!(link.pop().unwrap().1, message(index, 1_400));
    }
}

#[test]
fn what_was_dropped_as_too_big_is_sent_again_in_the_same_window() {
    let mut link = Link::new(LARGE, 7);
    link.push(0, false, &message(0, 5_000)).unwrap();
    let first: Vec<_> = (0..4).map(|_| link.data()).collect();
    let window = link.path.window();
    let mut sender = Sender::new(&mut link.tx_state, &mut link.tx, &mut link.tx_descriptors);
    sender.resend(0, &mut link.path);
    assert_eq!((link.path.flight(), link.path.t3_rtx().get()), (0, None));
    assert_eq!(link.path.window(), window);
    assert_eq!(link.sender().next_size(), 1_468);
    let again: Vec<_> = (0..4).map(|_| link.data()).collect();
    assert_eq!(again, first);
    assert!(link.path.t3_rtx().get().is_some());
}
