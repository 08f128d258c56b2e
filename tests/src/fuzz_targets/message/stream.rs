//! Bytes as a stream of messages, as they come by TCP.

use rserpool_core::wire::{Framer, StreamError};

/// Cuts `data` into messages, in pieces whose lengths the first byte decides.
///
/// # Panics
///
/// If the pieces matter, or if a byte is lost.
pub(super) fn run(data: &[u8]) {
    let Some((&seed, stream)) = data.split_first() else { return };
    let whole = cut(stream, |_| stream.len());
    let pieces = cut(stream, |index| usize::from(seed.rotate_left(index % 8) % 7) + 1);
    assert_eq!(whole, pieces);
    let (messages, error) = whole;
    assert!(stream.starts_with(&messages.concat()));
    for message in &messages {
        assert!(message.len() >= 4 && message.len() % 4 == 0 && message.len() <= LEN_MAX);
    }
    if let Some(StreamError::TooLong { len }) = error {
        assert!(len > LEN_MAX);
    }
}

fn cut(
    mut stream: &[u8],
    piece_len: impl Fn(u32) -> usize,
) -> (Vec<Vec<u8>>, Option<StreamError>) {
    let (mut framer, mut messages) = (Framer::new([0; LEN_MAX]), Vec::new());
    let mut index = 0;
    while !stream.is_empty() {
        let (mut piece, rest) = stream.split_at(piece_len(index).min(stream.len()));
        (stream, index) = (rest, index + 1);
        loop {
            match framer.next_message(&mut piece) {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(piece.is_empty());
    }
    (messages, None)
}

const LEN_MAX: usize = 256;
