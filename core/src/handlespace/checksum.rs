//! The checksum over the elements of an owner (RFC 5353 §3.6.2, RFC 1071).
//!
//! The running sum has 32 bits, wraps, and adds words in little-endian order: not the RFC's true
//! one's complement sum beyond some thousand elements, but what every x86 RSPLIB sends. See
//! "Checksums" in `docs/protocol-notes.md`.

use crate::identifier::{PeId, PoolHandle};

/// The checksum over these elements (RFC 5353 §3.6.2), as the PE checksum parameter carries it.
#[must_use]
pub fn checksum_of<'a>(elements: impl Iterator<Item = (PoolHandle<'a>, PeId)>) -> u16 {
    let add = |sum: u32, (handle, id): (PoolHandle<'a>, PeId)| {
        sum.wrapping_add(handle_sum(handle)).wrapping_add(id_sum(id))
    };
    finish(elements.fold(0, add))
}

/// What a handle adds to the sum of each element of its pool.
pub(crate) fn handle_sum(handle: PoolHandle<'_>) -> u32 {
    sum(handle.as_bytes())
}

/// What an identifier adds to the sum of its element.
pub(crate) fn id_sum(id: PeId) -> u32 {
    let PeId(id) = id;
    let swapped = id.swap_bytes();
    (swapped & 0xffff) + (swapped >> 16)
}

/// The checksum of a running sum, as the number that the PE checksum parameter carries.
pub(crate) fn finish(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    (!twice as u16).swap_bytes()
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|word| match *word {
            [low, high] => u32::from(u16::from_le_bytes([low, high])),
            [low] => u32::from(low),
            _ => 0,
        })
        .fold(0, u32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(elements: &[(&[u8], u32)]) -> u16 {
        let name = |&(handle, id): &(_, _)| (PoolHandle::new(handle).unwrap(), PeId(id));
        checksum_of(elements.iter().map(name))
    }

    #[test]
    fn as_rsplib_sent_them() {
        type Case = (&'static [(&'static [u8], u32)], u16);
        let cases: [Case; 8] = [
            (&[], 0xffff),
            (&[(b"PingPongPool", 0xaaaa_0001)], 0x17d1),
            (&[(b"PingPongPool", 0xaaaa_0002)], 0x17d0),
            (&[(b"EchoPool", 0xaaaa_0001)], 0xe7a5),
            (&[(b"EchoPool", 0xaaaa_0004)], 0xe7a2),
            (&[(b"Odd7chr", 0xaaaa_0003)], 0xcc4d),
            (&[(b"EchoPool", 0xaaaa_0001), (b"PingPongPool", 0xaaaa_0002)], 0xff75),
            (
                &[
                    (b"EchoPool", 0xaaaa_0001),
                    (b"PingPongPool", 0xaaaa_0002),
                    (b"Odd7chr", 0xaaaa_0003),
                ],
                0xcbc3,
            ),
        ];
        for (elements, expected) in cases {
            assert_eq!(checksum(elements), expected, "{elements:x?}");
        }
    }
}
