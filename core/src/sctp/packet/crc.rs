//! CRC32c (RFC 9260 appendix A): polynomial 0x1EDC6F41, reflected.
//!
//! Hosts switch the feature `crc-slicing` on and take eight bytes a step with 8 KiB of tables;
//! boards take four bits a step with 64 bytes.

/// The CRC32c of `bytes`, as SCTP packets carry it with its low byte first.
///
/// ```
/// assert_eq!(rserpool_core::sctp::crc32c(b"123456789"), 0xe306_9283);
/// ```
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::of(bytes)
}

/// A checksum in the making.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crc32c(u32);

impl Crc32c {
    /// Of no bytes yet.
    pub(super) const fn new() -> Self {
        Self(!0)
    }

    /// The checksum of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> u32 {
        Self::new().update(bytes).finish()
    }

    /// With `bytes` taken in.
    pub(super) fn update(self, bytes: &[u8]) -> Self {
        Self(update(self.0, bytes))
    }

    /// The number, to be sent in little-endian order.
    pub(super) const fn finish(self) -> u32 {
        !self.0
    }
}

const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `crc` after `bits` zero bits.
const fn step(mut crc: u32, bits: u32) -> u32 {
    let mut bit = 0;
    while bit < bits {
        crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        bit += 1;
    }
    crc
}

#[cfg(not(feature = "crc-slicing"))]
fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    static TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut index = 0;
        while index < 16 {
            table[index] = step(index as u32, 4);
            index += 1;
        }
        table
    };
    for &byte in bytes {
        crc ^= u32::from(byte);
        crc = (crc >> 4) ^ TABLE[(crc & 0xf) as usize];
        crc = (crc >> 4) ^ TABLE[(crc & 0xf) as usize];
    }
    crc
}

#[cfg(feature = "crc-slicing")]
fn update(mut crc: u32, bytes: &[u8]) -> u32 {
    static TABLES: [[u32; 256]; 8] = {
        let mut tables = [[0; 256]; 8];
        let mut index = 0;
        while index < 256 {
            let mut slice = 0;
            while slice < 8 {
                tables[slice][index] = step(index as u32, 8 * (slice as u32 + 1));
                slice += 1;
            }
            index += 1;
        }
        tables
    };
    let (words, rest) = bytes.as_chunks::<8>();
    for &word in words {
        let [a, b, c, d, e, f, g, h] = (u64::from_le_bytes(word) ^ u64::from(crc)).to_le_bytes();
        crc = TABLES[7][usize::from(a)]
            ^ TABLES[6][usize::from(b)]
            ^ TABLES[5][usize::from(c)]
            ^ TABLES[4][usize::from(d)]
            ^ TABLES[3][usize::from(e)]
            ^ TABLES[2][usize::from(f)]
            ^ TABLES[1][usize::from(g)]
            ^ TABLES[0][usize::from(h)];
    }
    for &byte in rest {
        crc = (crc >> 8) ^ TABLES[0][usize::from(crc as u8 ^ byte)];
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_values() {
        assert_eq!(Crc32c::of(b"123456789"), 0xe306_9283);
        assert_eq!(Crc32c::of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(Crc32c::of(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn parts_make_the_same_as_the_whole() {
        let bytes: [u8; 61] = core::array::from_fn(|index| (index as u8).wrapping_mul(7));
        for at in 0..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(Crc32c::new().update(head).update(tail).finish(), Crc32c::of(&bytes));
        }
    }
}
