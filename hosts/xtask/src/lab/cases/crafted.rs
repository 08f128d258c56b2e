//! Messages laid byte by byte, so that they can be such as no wire code of ours would write.

use std::net::Ipv4Addr;

/// A parameter, padded.
pub(super) fn parameter(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).expect("crafted values are short");
    let mut bytes = [kind.to_be_bytes(), len.to_be_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message of these parts.
pub(super) fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let len = u16::try_from(4 + content.len()).expect("crafted messages are short");
    let mut bytes = vec![kind, 0];
    bytes.extend(len.to_be_bytes());
    bytes.extend(content);
    bytes
}

/// A pool handle.
pub(super) fn pool(handle: &str) -> Vec<u8> {
    parameter(0x0009, handle.as_bytes())
}

/// One byte more than RSPLIB can take.
pub(super) fn long_pool() -> Vec<u8> {
    pool(&"H".repeat(33))
}

/// A pool element identifier.
pub(super) fn identifier(element: u32) -> Vec<u8> {
    parameter(0x000e, &element.to_be_bytes())
}

/// A member selection policy: its type, then its numbers.
pub(super) fn policy(words: &[u32]) -> Vec<u8> {
    parameter(0x0008, &words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>())
}

/// An SCTP transport; its use is 0 for data alone, 1 for data and control.
pub(super) fn transport(address: Ipv4Addr, port: u16, transport_use: u16) -> Vec<u8> {
    let mut value = [port.to_be_bytes(), transport_use.to_be_bytes()].concat();
    value.extend(parameter(0x0001, &address.octets()));
    parameter(0x0004, &value)
}

/// A pool element at `home`, of these parts: a transport, a policy, perhaps another transport.
pub(super) fn element(element: u32, home: u32, parts: &[&[u8]]) -> Vec<u8> {
    let numbers = [element, home, LIFE_MS].map(u32::to_be_bytes).concat();
    parameter(0x000a, &[numbers, parts.concat()].concat())
}

/// The two identifiers at the head of an ENRP message.
pub(super) fn between(sender: u32, receiver: u32) -> Vec<u8> {
    [sender, receiver].map(u32::to_be_bytes).concat()
}

pub(super) const ROUND_ROBIN: u32 = 1;
pub(super) const WEIGHTED_RANDOM: u32 = 4;

/// How long a registration holds.
const LIFE_MS: u32 = 90_000;
