//! Whether a packet is the one that the script expects.

use crate::bindings::Bindings;
use crate::chunk::{Body, Chunk, Content, Init, Sack, Tlv, kinds};
use crate::script::{Packet, PacketBody};
use crate::wire::{RawChunk, RawTlv, Sent, tlvs, u16_at, u32_at};

/// Compares `sent` with what is expected.
///
/// # Errors
///
/// The first thing that is not as expected.
pub(crate) fn check(packet: &Packet, sent: &Sent, bindings: &mut Bindings) -> Result<(), String> {
    let PacketBody::Chunks(expected) = &packet.body else {
        return Err("raw bytes can only be injected".into());
    };
    if expected.len() != sent.chunks.len() {
        return Err(format!("expected {} chunks, got {}", expected.len(), sent.chunks.len()));
    }
    for (chunk, raw) in expected.iter().zip(&sent.chunks) {
        let name = kinds::name_of(chunk.kind).unwrap_or("CHUNK");
        if chunk.kind != raw.kind {
            return Err(format!("expected {name}"));
        }
        check_chunk(chunk, raw, Some(bindings)).map_err(|reason| format!("{name}: {reason}"))?;
    }
    bindings.on_sent(expected, packet.tag, sent)
}

fn check_chunk(chunk: &Chunk, raw: &RawChunk, bindings: Option<&Bindings>) -> Result<(), String> {
    equal("type", Some(chunk.kind), Some(raw.kind))?;
    equal("flgs", chunk.flags, Some(raw.flags))?;
    equal("len", chunk.len, Some(raw.len))?;
    let value = raw.value.as_slice();
    let tsn = |tsn: Option<u32>| match bindings {
        Some(bindings) => tsn.map(|tsn| bindings.tsn_to_script(tsn)),
        None => tsn,
    };
    match &chunk.body {
        Body::Data { tsn: expected, stream, sequence, ppid } => {
            equal("tsn", *expected, tsn(u32_at(value, 0)))?;
            equal("sid", *stream, u16_at(value, 4))?;
            equal("ssn", *sequence, u16_at(value, 6))?;
            equal("ppid", *ppid, u32_at(value, 8))
        }
        Body::Init(init) => check_init(init, value),
        Body::Sack(sack) => check_sack(sack, value),
        Body::Tlvs(tlvs) => check_tlvs(tlvs.as_deref(), value),
        Body::Cumulative(expected) => {
            equal("len", Some(8), Some(raw.len))?;
            equal("cum_tsn", *expected, u32_at(value, 0))
        }
        Body::Bytes(bytes) => check_bytes(bytes.as_deref(), value),
        Body::Nothing => equal("len", Some(4), Some(raw.len)),
    }
}

/// Tag and TSN depend on what is bound; [`Bindings::on_sent`] compares them.
fn check_init(init: &Init, value: &[u8]) -> Result<(), String> {
    equal("a_rwnd", init.a_rwnd, u32_at(value, 4))?;
    equal("os", init.outbound, u16_at(value, 8))?;
    equal("is", init.inbound, u16_at(value, 10))?;
    let parameters = value.get(16..).ok_or("it is too short")?;
    check_tlvs(init.parameters.as_deref(), parameters)
}

fn check_sack(sack: &Sack, value: &[u8]) -> Result<(), String> {
    equal("cum_tsn", sack.cumulative, u32_at(value, 0))?;
    equal("a_rwnd", sack.a_rwnd, u32_at(value, 4))?;
    let count = |at| u16_at(value, at).map(usize::from).ok_or("it is too short");
    let (gap_count, duplicate_count) = (count(8)?, count(10)?);
    if value.len() != 12 + 4 * (gap_count + duplicate_count) {
        return Err("its counts do not fit its length".into());
    }
    let gap = |at: usize| Some((u16_at(value, at)?, u16_at(value, at + 2)?));
    let gaps: Option<Vec<_>> = (0..gap_count).map(|index| gap(12 + 4 * index)).collect();
    let start = 12 + 4 * gap_count;
    let duplicates: Option<Vec<_>> =
        (0..duplicate_count).map(|index| u32_at(value, start + 4 * index)).collect();
    equal("gaps", sack.gaps.clone(), gaps)?;
    equal("dups", sack.duplicates.clone(), duplicates)
}

fn check_tlvs(expected: Option<&[Tlv]>, bytes: &[u8]) -> Result<(), String> {
    let found = tlvs(bytes)?;
    let Some(expected) = expected else { return Ok(()) };
    let kinds: Vec<u16> = found.iter().map(|tlv| tlv.kind).collect();
    if expected.len() != found.len() {
        return Err(format!("expected {} parameters, got {kinds:#06x?}", expected.len()));
    }
    expected.iter().zip(&found).try_for_each(|(tlv, raw)| check_tlv(tlv, raw))
}

fn check_tlv(expected: &Tlv, raw: &RawTlv) -> Result<(), String> {
    if let Some(kind) = expected.kind.filter(|&kind| kind != raw.kind) {
        return Err(format!("expected parameter {kind:#06x}, got {:#06x}", raw.kind));
    }
    let named = |reason: String| format!("parameter {:#06x}: {reason}", raw.kind);
    equal("len", expected.len, Some(raw.len)).map_err(named)?;
    match &expected.content {
        Content::Bytes(bytes) => check_bytes(bytes.as_deref(), &raw.value),
        Content::Tlvs(expected) => check_tlvs(expected.as_deref(), &raw.value),
        Content::Chunk(expected) => {
            let Some(expected) = expected else { return Ok(()) };
            check_chunk(expected, &embedded(&raw.value)?, None)
        }
    }
    .map_err(named)
}

/// The chunk that a cause quotes; its length is its own, whatever padding follows.
fn embedded(bytes: &[u8]) -> Result<RawChunk, String> {
    let (&[kind, flags, l0, l1], _) =
        bytes.split_first_chunk().ok_or("it quotes no whole chunk header")?;
    let len = u16::from_be_bytes([l0, l1]);
    let value = bytes.get(4..usize::from(len)).ok_or("it quotes less than the chunk")?;
    if bytes.len() > usize::from(len).next_multiple_of(4) {
        return Err("it quotes more than the chunk".into());
    }
    Ok(RawChunk { kind, flags, len, value: value.to_vec() })
}

fn check_bytes(expected: Option<&[u8]>, found: &[u8]) -> Result<(), String> {
    match expected {
        Some(expected) if expected != found => {
            Err(format!("expected {expected:02x?}, got {found:02x?}"))
        }
        _ => Ok(()),
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(
    name: &str,
    expected: Option<T>,
    found: Option<T>,
) -> Result<(), String> {
    match (expected, found) {
        (Some(expected), Some(found)) if expected != found => {
            Err(format!("{name}={expected:?} expected, got {found:?}"))
        }
        (_, None) => Err(format!("it has no {name}")),
        _ => Ok(()),
    }
}
