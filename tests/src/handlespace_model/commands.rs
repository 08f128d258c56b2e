//! Commands in bytes, so that a fuzzer can make them up.

use rserpool_core::wire::{Load, Policy};

/// Commands, read from bytes.
pub(super) struct Commands<'a>(pub(super) &'a [u8]);

impl Commands<'_> {
    pub(super) fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    /// A number that is often an extreme one.
    pub(super) fn number(&mut self) -> u32 {
        match self.byte() {
            byte @ 0..=9 => u32::from(byte),
            byte @ 10..=15 => u32::MAX - u32::from(byte - 10),
            byte => u32::from(byte) << 24 | u32::from(self.byte()) << 8,
        }
    }

    pub(super) fn pool(&mut self) -> &'static [u8] {
        const HANDLES: [&[u8]; 6] = [
            b"a",
            b"b",
            b"Pool",
            b"PoolPool",
            b"Pool-0123456789",
            b"a-handle-of-thirty-two-bytes-!!!",
        ];
        HANDLES[usize::from(self.byte()) % HANDLES.len()]
    }

    pub(super) fn id(&mut self) -> u32 {
        u32::from(self.byte() % 24).wrapping_mul(0x0b00_b1e5)
    }

    pub(super) fn policy(&mut self, kind: u8) -> Policy {
        let degradation = Load(self.number());
        let load = Load(self.number());
        let weight = load.0 >> (degradation.0 % 32);
        match kind % 16 {
            0 => Policy::RoundRobin,
            1 => Policy::WeightedRoundRobin { weight },
            2 => Policy::Random,
            3 => Policy::WeightedRandom { weight },
            4 => Policy::Priority { priority: load.0 },
            5 => Policy::LeastUsed { load },
            6 => Policy::LeastUsedDegradation { load, degradation },
            7 => Policy::PriorityLeastUsed { load, degradation },
            8 => Policy::RandomizedLeastUsed { load },
            9 => Policy::RandomizedPriorityLeastUsed { load, degradation },
            10 => Policy::RandomizedLeastUsedDegradation { load, degradation },
            11 => Policy::PriorityLeastUsedDegradation { load, degradation },
            12 => Policy::RandomizedPriorityLeastUsedDegradation { load, degradation },
            13 => Policy::WeightedRandomDpf { weight, dpf: degradation, distance: load.0 % 100 },
            14 => Policy::LeastUsedDpf { load, dpf: degradation, distance: weight % 1000 },
            _ => {
                let distance = weight % 1000;
                Policy::LeastUsedDegradationDpf { load, degradation, dpf: degradation, distance }
            }
        }
    }
}
