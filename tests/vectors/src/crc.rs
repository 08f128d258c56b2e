//! CRC32c.

use rserpool_core::sctp::crc32c as crc;

use crate::Trace;

/// The check value of the algorithm, the samples of RFC 3720 appendix B.4, and a long input.
#[must_use]
pub fn crc32c() -> u64 {
    let ascending: [u8; 32] = core::array::from_fn(|index| index as u8);
    let descending: [u8; 32] = core::array::from_fn(|index| 31 - index as u8);
    assert_eq!(crc(b"123456789"), 0xe306_9283);
    assert_eq!(crc(b""), 0);
    assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc(&ascending), 0x46dd_794e);
    assert_eq!(crc(&descending), 0x113f_db5c);
    let mut trace = Trace::new();
    let long: [u8; 1_500] = core::array::from_fn(|index| (index as u8).wrapping_mul(7));
    for len in 0..long.len() {
        trace.value(crc(&long[..len]));
    }
    trace.digest()
}
