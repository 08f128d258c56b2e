//! What all peers are to be told: encoded messages in a ring of bytes, read by each peer at its
//! own pace.
//!
//! A place in the ring is a number that only grows. A peer that falls behind so far that its place
//! has been written over is lapped: it goes on with the newest change, and the audit by checksums
//! brings it what it missed (RFC 5353 §3.6). A renewed registration changes no checksum: who
//! missed one asks for the table when the element's life seems to end (`asks_home`).
//!
//! ```text
//! record: | length u16 | receiver u32, 0 for all | message |
//! ```

use crate::identifier::RegistrarId;

/// The longest message: a handle and an element with as many addresses as are kept.
pub(super) const RECORD_LEN_MAX: usize = 512;

const HEADER_LEN: usize = 6;

/// Where in its bytes the ring begins and ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    oldest: u64,
    end: u64,
}

impl Changes {
    pub(super) const NEW: Self = Self { oldest: 0, end: 0 };

    /// The place behind the newest record.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Whether a reader at `place` is not lapped by one more message, however long.
    pub(super) const fn has_room(&self, ring_len: usize, place: u64) -> bool {
        let unread = self.end.saturating_sub(place);
        unread == 0 || unread + ((HEADER_LEN + RECORD_LEN_MAX) as u64) <= ring_len as u64
    }

    /// Appends a message, for one receiver or for all. Whether it fits at all.
    pub(super) fn push(&mut self, ring: &mut [u8], receiver: RegistrarId, message: &[u8]) -> bool {
        let len = HEADER_LEN + message.len();
        let (Ok(message_len), true) = (u16::try_from(message.len()), len <= ring.len()) else {
            return false;
        };
        while self.end + len as u64 - self.oldest > ring.len() as u64 {
            let mut header = [0; 2];
            copy_out(ring, self.oldest, &mut header);
            self.oldest += HEADER_LEN as u64 + u64::from(u16::from_be_bytes(header));
        }
        copy_in(ring, self.end, &message_len.to_be_bytes());
        copy_in(ring, self.end + 2, &receiver.0.to_be_bytes());
        copy_in(ring, self.end + HEADER_LEN as u64, message);
        self.end += len as u64;
        true
    }

    /// Copies the next message for `receiver` at or behind `place` into `buf`, and moves `place`
    /// behind it. `Err` if the receiver was lapped or the buffer is too small; `place` is then at
    /// the end.
    pub(super) fn next(
        &self,
        ring: &[u8],
        place: &mut u64,
        receiver: RegistrarId,
        buf: &mut [u8],
    ) -> Result<Option<usize>, Lapped> {
        if *place < self.oldest {
            *place = self.end;
            return Err(Lapped);
        }
        // Each round passes a record.
        while *place < self.end {
            let mut header = [0; HEADER_LEN];
            copy_out(ring, *place, &mut header);
            let [a, b, wanted @ ..] = header;
            let len = usize::from(u16::from_be_bytes([a, b]));
            let wanted = RegistrarId(u32::from_be_bytes(wanted));
            let start = *place + HEADER_LEN as u64;
            *place = start + len as u64;
            if wanted != RegistrarId::UNKNOWN && wanted != receiver {
                continue;
            }
            let Some(message) = buf.get_mut(..len) else {
                *place = self.end;
                return Err(Lapped);
            };
            copy_out(ring, start, message);
            return Ok(Some(len));
        }
        Ok(None)
    }
}

/// The receiver has missed changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lapped;

fn split(ring_len: usize, place: u64, len: usize) -> (usize, usize) {
    let start = (place % ring_len as u64) as usize;
    (start, len.min(ring_len - start))
}

fn copy_in(ring: &mut [u8], place: u64, bytes: &[u8]) {
    let (start, first) = split(ring.len(), place, bytes.len());
    ring[start..start + first].copy_from_slice(&bytes[..first]);
    ring[..bytes.len() - first].copy_from_slice(&bytes[first..]);
}

fn copy_out(ring: &[u8], place: u64, bytes: &mut [u8]) {
    let (start, first) = split(ring.len(), place, bytes.len());
    let (head, tail) = bytes.split_at_mut(first);
    head.copy_from_slice(&ring[start..start + first]);
    tail.copy_from_slice(&ring[..tail.len()]);
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const ALL: RegistrarId = RegistrarId::UNKNOWN;
    const A: RegistrarId = RegistrarId(0xa);
    const B: RegistrarId = RegistrarId(0xb);

    fn message(number: u8) -> [u8; 14] {
        [number; 14]
    }

    fn read(changes: &Changes, ring: &[u8], place: &mut u64, who: RegistrarId) -> Vec<u8> {
        let mut buf = [0; 64];
        core::iter::from_fn(|| {
            let len = changes.next(ring, place, who, &mut buf).unwrap()?;
            assert_eq!(buf[..len], message(buf[0]));
            Some(buf[0])
        })
        .collect()
    }

    #[test]
    fn each_reader_gets_what_is_for_all_and_what_is_for_it() {
        let (mut ring, mut changes) = ([0; 100], Changes::NEW);
        for (number, receiver) in [(1, ALL), (2, A), (3, B), (4, ALL)] {
            assert!(changes.push(&mut ring, receiver, &message(number)));
        }
        assert_eq!(read(&changes, &ring, &mut 0, A), [1, 2, 4]);
        assert_eq!(read(&changes, &ring, &mut 0, B), [1, 3, 4]);
        let mut place = changes.end();
        assert_eq!(read(&changes, &ring, &mut place, A), []);
    }

    #[test]
    fn the_oldest_go_and_whoever_needs_them_is_lapped_once() {
        // Room for three records, at all possible offsets.
        let (mut ring, mut changes) = ([0; 67], Changes::NEW);
        let mut slow = 0;
        for number in 0..200_u8 {
            assert!(changes.push(&mut ring, ALL, &message(number)));
            let mut keen = changes.end() - 20;
            assert_eq!(read(&changes, &ring, &mut keen, A), [number]);
            if number == 2 {
                assert_eq!(read(&changes, &ring, &mut slow.clone(), A), [0, 1, 2]);
            }
        }
        assert_eq!(changes.next(&ring, &mut slow, A, &mut [0; 64]), Err(Lapped));
        assert_eq!(slow, changes.end());
    }

    #[test]
    fn what_can_never_fit_is_refused() {
        let mut changes = Changes::NEW;
        assert!(!changes.push(&mut [0; 19], ALL, &message(1)));
        assert!(!changes.push(&mut [], ALL, &[]));
        assert!(changes.push(&mut [0; 20], ALL, &message(1)));
    }

    #[test]
    fn a_buffer_that_is_too_small_laps_its_reader() {
        let (mut ring, mut changes) = ([0; 100], Changes::NEW);
        changes.push(&mut ring, ALL, &message(1));
        let mut place = 0;
        assert_eq!(changes.next(&ring, &mut place, A, &mut [0; 13]), Err(Lapped));
        assert_eq!(place, changes.end());
    }
}
