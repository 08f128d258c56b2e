//! SCTP packets as bytes, in code of its own: no mistake in the endpoint's codec can hide here.

use std::fmt;

use crate::chunk::{Body, Chunk, Content, Init, Sack, Tlv, kinds};

/// The ports of both sides, which scripts do not name.
pub(crate) const LOCAL_PORT: u16 = 5_001;
pub(crate) const REMOTE_PORT: u16 = 5_002;

/// A chunk as it came: type, flags, length field, and what that length covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawChunk {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) len: u16,
    pub(crate) value: Vec<u8>,
}

/// A parameter or cause as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawTlv {
    pub(crate) kind: u16,
    pub(crate) len: u16,
    pub(crate) value: Vec<u8>,
}

/// A packet that the endpoint sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) tag: u32,
    pub(crate) chunks: Vec<RawChunk>,
}

/// A packet with the common header in front of `chunks`.
pub(crate) fn packet(tag: u32, chunks: &[u8], has_bad_checksum: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(12 + chunks.len());
    bytes.extend(REMOTE_PORT.to_be_bytes());
    bytes.extend(LOCAL_PORT.to_be_bytes());
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(chunks);
    let checksum = if has_bad_checksum { !crc32c(&bytes) } else { crc32c(&bytes) };
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Takes apart what the endpoint sent.
///
/// # Errors
///
/// What is wrong with it: an endpoint must not send such a packet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Sent, String> {
    let (header, mut rest) = bytes.split_at_checked(12).ok_or("it is shorter than a header")?;
    let mut zeroed = bytes.to_vec();
    zeroed[8..12].fill(0);
    if header[8..12] != crc32c(&zeroed).to_le_bytes() {
        return Err("its checksum is wrong".into());
    }
    let ports = [u16_at(header, 0), u16_at(header, 2)];
    if ports != [Some(LOCAL_PORT), Some(REMOTE_PORT)] {
        return Err(format!("its ports are {ports:?}"));
    }
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (&[kind, flags, l0, l1], _) =
            rest.split_first_chunk().ok_or("a chunk has no whole header")?;
        let len = u16::from_be_bytes([l0, l1]);
        let value = rest.get(4..usize::from(len)).ok_or("a chunk's length is wrong")?;
        chunks.push(RawChunk { kind, flags, len, value: value.to_vec() });
        let padded = usize::from(len).next_multiple_of(4);
        let padding = rest.get(usize::from(len)..padded).ok_or("the last chunk is not padded")?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err("its padding is not zero".into());
        }
        rest = &rest[padded..];
    }
    if chunks.is_empty() {
        return Err("it has no chunks".into());
    }
    let tag = u32_at(header, 4).unwrap_or(0);
    Ok(Sent { tag, chunks })
}

/// The parameters or causes in `bytes`; the last one may lack its padding.
pub(crate) fn tlvs(mut bytes: &[u8]) -> Result<Vec<RawTlv>, String> {
    let mut tlvs = Vec::new();
    while !bytes.is_empty() {
        let (Some(kind), Some(len)) = (u16_at(bytes, 0), u16_at(bytes, 2)) else {
            return Err("a parameter has no whole header".into());
        };
        let value = bytes.get(4..usize::from(len)).ok_or("a parameter's length is wrong")?;
        tlvs.push(RawTlv { kind, len, value: value.to_vec() });
        let padded = usize::from(len).next_multiple_of(4).min(bytes.len());
        if bytes[usize::from(len)..padded].iter().any(|&byte| byte != 0) {
            return Err("a parameter's padding is not zero".into());
        }
        bytes = &bytes[padded..];
    }
    Ok(tlvs)
}

/// The bytes of `chunks`, one after the other, each padded.
pub(crate) fn encode(chunks: &[Chunk]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in chunks {
        bytes.extend(encode_chunk(chunk));
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn encode_chunk(chunk: &Chunk) -> Vec<u8> {
    let value = match &chunk.body {
        Body::Data { tsn, stream, sequence, ppid } => {
            let mut value = Vec::new();
            value.extend(tsn.unwrap_or(0).to_be_bytes());
            value.extend(stream.unwrap_or(0).to_be_bytes());
            value.extend(sequence.unwrap_or(0).to_be_bytes());
            value.extend(ppid.unwrap_or(0).to_be_bytes());
            value.resize(usize::from(chunk.len.unwrap_or(16)).max(16) - 4, 0);
            value
        }
        Body::Init(init) => encode_init(init),
        Body::Sack(sack) => encode_sack(sack),
        Body::Tlvs(tlvs) => encode_tlvs(tlvs.as_deref().unwrap_or_default()),
        Body::Cumulative(tsn) => tsn.unwrap_or(0).to_be_bytes().to_vec(),
        Body::Bytes(bytes) => bytes.clone().unwrap_or_default(),
        Body::Nothing => Vec::new(),
    };
    let len = chunk.len.unwrap_or(value.len() as u16 + 4);
    let mut bytes = vec![chunk.kind, chunk.flags.unwrap_or(0)];
    bytes.extend(len.to_be_bytes());
    bytes.extend(value);
    bytes
}

fn encode_init(init: &Init) -> Vec<u8> {
    let mut value = Vec::new();
    value.extend(init.tag.unwrap_or(0).to_be_bytes());
    value.extend(init.a_rwnd.unwrap_or(0).to_be_bytes());
    value.extend(init.outbound.unwrap_or(0).to_be_bytes());
    value.extend(init.inbound.unwrap_or(0).to_be_bytes());
    value.extend(init.tsn.unwrap_or(0).to_be_bytes());
    value.extend(encode_tlvs(init.parameters.as_deref().unwrap_or_default()));
    value
}

fn encode_sack(sack: &Sack) -> Vec<u8> {
    let gaps = sack.gaps.as_deref().unwrap_or_default();
    let duplicates = sack.duplicates.as_deref().unwrap_or_default();
    let mut value = Vec::new();
    value.extend(sack.cumulative.unwrap_or(0).to_be_bytes());
    value.extend(sack.a_rwnd.unwrap_or(0).to_be_bytes());
    value.extend((gaps.len() as u16).to_be_bytes());
    value.extend((duplicates.len() as u16).to_be_bytes());
    value.extend(
        gaps.iter()
            .flat_map(|&(start, end)| start.to_be_bytes().into_iter().chain(end.to_be_bytes())),
    );
    value.extend(duplicates.iter().flat_map(|tsn| tsn.to_be_bytes()));
    value
}

/// All but the last are padded.
fn encode_tlvs(tlvs: &[Tlv]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for tlv in tlvs {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let value = match &tlv.content {
            Content::Bytes(value) => {
                let mut value = value.clone().unwrap_or_default();
                let is_given = matches!(&tlv.content, Content::Bytes(Some(_)));
                if let (Some(len), false) = (tlv.len, is_given) {
                    value.resize(usize::from(len).saturating_sub(4), FILLER);
                }
                value
            }
            Content::Tlvs(tlvs) => encode_tlvs(tlvs.as_deref().unwrap_or_default()),
            Content::Chunk(chunk) => chunk.as_deref().map(encode_chunk).unwrap_or_default(),
        };
        bytes.extend(tlv.kind.unwrap_or(0).to_be_bytes());
        bytes.extend(tlv.len.unwrap_or(value.len() as u16 + 4).to_be_bytes());
        bytes.extend(value);
    }
    bytes
}

/// What the content of a parameter is made of that has a length but no content in the script.
const FILLER: u8 = 0xa5;

pub(crate) fn u16_at(bytes: &[u8], index: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(index..)?.first_chunk().copied()?))
}

pub(crate) fn u32_at(bytes: &[u8], index: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(index..)?.first_chunk().copied()?))
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, chunk) in self.chunks.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{chunk}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RawChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, flags, len, value } = self;
        let (word, half) =
            (|at| u32_at(value, at).unwrap_or(0), |at| u16_at(value, at).unwrap_or(0));
        match kinds::name_of(*kind) {
            Some(name) => write!(f, "{name}[flgs={flags}")?,
            None => write!(f, "CHUNK[type={kind:#04x}, flgs={flags}, len={len}")?,
        }
        match *kind {
            kinds::DATA => {
                let (tsn, stream, sequence) = (word(0), half(4), half(6));
                write!(f, ", len={len}, tsn={tsn}, sid={stream}, ssn={sequence}")?;
                write!(f, ", ppid={}", word(8))?;
            }
            kinds::INIT | kinds::INIT_ACK => {
                write!(f, ", tag={}, a_rwnd={}, os={}", word(0), word(4), half(8))?;
                write!(f, ", is={}, tsn={}", half(10), word(12))?;
                write_tlvs(f, value.get(16..).unwrap_or_default())?;
            }
            kinds::SACK => {
                let gaps: Vec<String> = (0..usize::from(half(8)))
                    .map(|gap| format!("{}:{}", half(12 + 4 * gap), half(14 + 4 * gap)))
                    .collect();
                let at = 12 + 4 * gaps.len();
                let duplicates: Vec<u32> =
                    (0..usize::from(half(10))).map(|index| word(at + 4 * index)).collect();
                write!(f, ", cum_tsn={}, a_rwnd={}", word(0), word(4))?;
                write!(f, ", gaps=[{}], dups={duplicates:?}", gaps.join(", "))?;
            }
            kinds::SHUTDOWN => write!(f, ", cum_tsn={}", word(0))?,
            kinds::HEARTBEAT | kinds::HEARTBEAT_ACK | kinds::ABORT | kinds::ERROR => {
                write_tlvs(f, value)?;
            }
            kinds::COOKIE_ECHO => write!(f, ", len={len}, val=...")?,
            _ => {}
        }
        f.write_str("]")
    }
}

fn write_tlvs(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for tlv in tlvs(bytes).unwrap_or_default() {
        write!(f, ", [type={:#06x}, len={}]", tlv.kind, tlv.len)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_castagnoli_polynomial() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn what_was_encoded_is_parsed() {
        let shutdown =
            Chunk { kind: 7, flags: Some(0), len: None, body: Body::Cumulative(Some(9)) };
        let mut bytes = packet(5, &encode(&[shutdown]), false);
        // As the endpoint would have sent it.
        bytes[..4].rotate_left(2);
        bytes[8..12].fill(0);
        let checksum = crc32c(&bytes);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        let sent = parse(&bytes).unwrap();
        assert_eq!((sent.tag, sent.to_string().as_str()), (5, "SHUTDOWN[flgs=0, cum_tsn=9]"));
        bytes[15] ^= 1;
        assert!(parse(&bytes).is_err());
    }
}
