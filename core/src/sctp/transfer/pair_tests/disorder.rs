//! A receiver that gets the fragments of all kinds of messages in any order.

use super::*;
use crate::entropy::{Entropy, SplitMix64};
use crate::sctp::serial::Ssn;

/// A message: its stream, whether it is unordered, its bytes.
type Sent = (u16, bool, Vec<u8>);

/// One run; the seed decides sizes, messages and order.
struct Run {
    random: SplitMix64,
    link: Link,
    initial: Tsn,
    sent: Vec<Sent>,
    /// The message of each TSN, its SSN, and from where to where it goes.
    fragments: Vec<(usize, Ssn, usize, usize)>,
    received: Vec<Sent>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = SplitMix64::new(seed);
        let mut pick = |from: &[usize]| from[random.below(from.len() as u64) as usize];
        let rx_len = pick(&[256, 512, 1_000, 2_048, 5_000]);
        let descriptors = pick(&[3, 4, 5, 8, 9, 16, 31, 64, 600]);
        let fragment_len = pick(&[10, 60, 200, 1_000]);
        // Some wrap.
        let initial = [1, u32::MAX - 20, u32::MAX / 2 - 30][pick(&[0, 1, 2])];
        let mut link = Link::new(Sizes { tx_len: 0, rx_len, descriptors }, initial);
        let capacity = link.receiver().capacity() as usize;
        let fragment_len = fragment_len.min(capacity / 4);
        let (mut sent, mut fragments) = (Vec::<Sent>::new(), Vec::new());
        let mut next_ssn = [Ssn(0); 3];
        for message in 0..40_usize {
            let longest = pick(&[fragment_len, 5 * fragment_len, capacity]).min(capacity);
            let len = pick(&[1, longest / 2 + 1, longest]);
            let (stream, unordered) = (pick(&[0, 1, 2]), pick(&[0, 0, 1]) == 1);
            let ssn = next_ssn[stream];
            if !unordered {
                next_ssn[stream] = ssn.next();
            }
            let starts = (0..len).step_by(fragment_len);
            let ends = starts.clone().map(|start| (start + fragment_len).min(len));
            fragments.extend(starts.zip(ends).map(|(start, end)| (message, ssn, start, end)));
            let bytes = (0..len).map(|byte| (byte + 7 * message) as u8).collect();
            sent.push((stream as u16, unordered, bytes));
        }
        Self { random, link, initial: Tsn(initial), sent, fragments, received: Vec::new() }
    }

    /// Gives one of the next fragments, mostly; whether there was any left.
    fn give(&mut self, window: usize) -> bool {
        let done = self.link.receiver().cumulative().next().distance_from(self.initial) as usize;
        let ahead = window.min(self.fragments.len() - done);
        if ahead == 0 {
            return false;
        }
        let index = done + self.random.below(ahead as u64) as usize;
        let (message, ssn, start, end) = self.fragments[index];
        let (stream, unordered, bytes) = &self.sent[message];
        let chunk = DataChunk {
            tsn: self.initial.plus(index as u32),
            stream: *stream,
            ssn,
            // Only that of the first fragment counts.
            ppid: if start == 0 { message as u32 } else { u32::MAX },
            immediate: false,
            unordered: *unordered,
            beginning: start == 0,
            ending: end == bytes.len(),
            payload: &bytes[start..end],
        };
        let is_known = self.link.rx_state.map.contains(chunk.tsn);
        let outcome = self.link.receiver().on_data(&chunk);
        match outcome {
            DataOutcome::Accepted => assert!(!is_known),
            DataOutcome::Duplicate => assert!(is_known),
            outcome => assert_eq!(outcome, DataOutcome::NoRoom),
        }
        true
    }

    fn read(&mut self) {
        while let Some((message, bytes)) = self.link.pop() {
            let read = (message.stream, message.unordered, bytes);
            assert_eq!(read, self.sent[message.ppid as usize]);
            self.received.push(read);
        }
    }
}

#[test]
fn whatever_the_order_all_arrives_and_nothing_is_kept() {
    for seed in 0..600 {
        let mut run = Run::new(seed);
        let window = [1, 3, 9, 50, 700][run.random.below(5) as usize];
        let patience = 1 + run.random.below(40);
        let mut turns = 0;
        while run.give(if turns % 8 == 0 { 1 } else { window }) {
            turns += 1;
            assert!(turns < 400_000, "seed {seed} is stuck");
            if run.random.below(patience) == 0 {
                run.read();
            }
        }
        run.read();
        let of = |messages: &[Sent], stream| -> Vec<Sent> {
            let is_of = |message: &&Sent| (message.0, message.1) == (stream, false);
            messages.iter().filter(is_of).cloned().collect()
        };
        assert_eq!(run.received.len(), run.sent.len(), "seed {seed}");
        for stream in 0..3 {
            assert_eq!(of(&run.received, stream), of(&run.sent, stream), "seed {seed}");
        }
        let mut receiver = run.link.receiver();
        assert_eq!(receiver.a_rwnd(), receiver.capacity(), "seed {seed}");
    }
}
