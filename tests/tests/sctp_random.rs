//! The bodies of the SCTP fuzz targets with seeded random inputs, so that every test run goes
//! some new ground without a fuzzer. `RSERPOOL_SEEDS` sets their number.

use std::env;

use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_tests::fuzz_targets::{sctp_attack, sctp_data, sctp_pair};

fn seeds() -> u64 {
    env::var("RSERPOOL_SEEDS").map_or(200, |count| count.parse().expect("a number"))
}

#[test]
fn random_commands_come_to_an_end() {
    for seed in 0..seeds() {
        println!("seed {seed}");
        let mut random = SplitMix64::new(seed);
        let mut commands = vec![0; random.below(600) as usize];
        random.fill(&mut commands);
        // Ends are rare, else nothing else would happen.
        for command in &mut commands {
            if *command & 7 == 7 && random.below(50) > 0 {
                *command &= !3;
            }
        }
        sctp_pair::run(&commands);
    }
}

#[test]
fn random_attacks_come_to_nothing() {
    for seed in 0..seeds() {
        println!("seed {seed}");
        let mut random = SplitMix64::new(seed ^ 0xff00);
        let mut script = vec![0; 1 + random.below(800) as usize];
        random.fill(&mut script);
        sctp_attack::run(&script);
    }
}

#[test]
fn random_chunks_are_survived() {
    for seed in 0..seeds() {
        println!("seed {seed}");
        let mut random = SplitMix64::new(seed ^ 0xff);
        let mut input = Vec::new();
        for _ in 0..random.below(40) {
            let mut chunks = Vec::new();
            for _ in 0..=random.below(3) {
                chunks.extend(chunk(&mut random));
            }
            // Mostly what gets past the door.
            let control =
                random.next_u32() as u8 & [16, 0xff, 16 | 64, 16 | 32][random.below(4) as usize];
            input.extend([control | 16, (chunks.len() / 4) as u8]);
            input.extend(chunks);
        }
        sctp_data::run(&input);
    }
}

/// A chunk of a known type, mostly; its fields are small numbers, mostly.
fn chunk(random: &mut SplitMix64) -> Vec<u8> {
    let kind =
        [0, 0, 0, 3, 3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 14, 0xc0, 0x6f][random.below(18) as usize];
    let words = random.below(8);
    let mut value = Vec::new();
    for _ in 0..words {
        let word = match random.below(5) {
            0 => random.next_u32(),
            1 => 0,
            _ => random.below(12) as u32,
        };
        value.extend(word.to_be_bytes());
    }
    let len = 4 + value.len() as u16;
    let flags = random.next_u32() as u8 & 0x0f;
    let [high, low] = len.to_be_bytes();
    let mut chunk = vec![kind, flags, high, low];
    chunk.extend(value);
    chunk
}
