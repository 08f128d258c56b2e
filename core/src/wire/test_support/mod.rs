//! What the tests of the wire files share.

use std::vec;
use std::vec::Vec;

use super::framing::{Tlv, tlv};
use super::{AsapMessage, EmitError, EnrpMessage, ParseError, ParseErrorKind};

/// Bytes from hexadecimal digits; blanks may stand anywhere.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The parameter that `bytes` are.
pub(crate) fn parameter(bytes: &[u8]) -> Tlv<'_> {
    let (rest, tlv) = tlv(bytes).unwrap();
    assert!(rest.len() < 4, "more than padding is left");
    tlv
}

/// Both directions, short buffers and cut messages.
pub(crate) fn check_asap(text: &str, expected: AsapMessage<'_>) {
    let bytes = hex(text);
    assert_eq!(AsapMessage::parse(&bytes), Ok(expected));
    assert_eq!(expected.encoded_len(), bytes.len());
    check_emit(&bytes, |buf| expected.emit(buf));
    check_cut(&bytes, |cut| {
        let mut buf = vec![0xff; cut.len()];
        AsapMessage::parse(cut).map(|message| {
            assert_eq!(message.emit(&mut buf), Ok(cut.len()));
            assert_eq!(buf, cut);
        })
    });
}

/// Both directions, short buffers and cut messages.
pub(crate) fn check_enrp(text: &str, expected: EnrpMessage<'_>) {
    let bytes = hex(text);
    assert_eq!(EnrpMessage::parse(&bytes), Ok(expected));
    assert_eq!(expected.encoded_len(), bytes.len());
    check_emit(&bytes, |buf| expected.emit(buf));
    check_cut(&bytes, |cut| {
        let mut buf = vec![0xff; cut.len()];
        EnrpMessage::parse(cut).map(|message| {
            assert_eq!(message.emit(&mut buf), Ok(cut.len()));
            assert_eq!(buf, cut);
        })
    });
}

/// A message that is accepted but not laid out as we would do it is written as it came.
pub(crate) fn check_verbatim_asap(text: &str) {
    let bytes = hex(text);
    let message = AsapMessage::parse(&bytes).unwrap();
    assert_eq!(message.encoded_len(), bytes.len());
    check_emit(&bytes, |buf| message.emit(buf));
}

/// A message that is accepted but not laid out as we would do it is written as it came.
pub(crate) fn check_verbatim_enrp(text: &str) {
    let bytes = hex(text);
    let message = EnrpMessage::parse(&bytes).unwrap();
    assert_eq!(message.encoded_len(), bytes.len());
    check_emit(&bytes, |buf| message.emit(buf));
}

fn check_emit(bytes: &[u8], emit: impl Fn(&mut [u8]) -> Result<usize, EmitError>) {
    for len in 0..bytes.len() {
        assert_eq!(emit(&mut vec![0xff; len]), Err(EmitError::Full));
    }
    let mut buf = vec![0xff; bytes.len() + 1];
    assert_eq!(emit(&mut buf), Ok(bytes.len()));
    assert_eq!(&buf[..bytes.len()], bytes);
    assert_eq!(buf[bytes.len()], 0xff, "nothing is written behind the message");
}

/// Cuts a message at each length, with and without telling its header.
fn check_cut(bytes: &[u8], parse: impl Fn(&[u8]) -> Result<(), ParseError<'_>>) {
    for len in 0..bytes.len() {
        let mut cut = bytes[..len].to_vec();
        assert_eq!(parse(&cut).unwrap_err().kind, ParseErrorKind::MessageLength);
        if len >= 4 {
            cut[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            cut.resize(len.next_multiple_of(4), 0);
            // Most are refused; what is accepted is written again as it came.
            let _ = parse(&cut);
        }
    }
}
