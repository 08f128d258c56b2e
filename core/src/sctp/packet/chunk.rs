//! Chunks by their type (RFC 9260 §3.3).
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

use super::data::DataChunk;
use super::framing::{Chunks, RawChunk, Tlvs};
use super::init::Init;
use super::sack::Sack;
use crate::sctp::serial::Tsn;

/// Types of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkType(pub(crate) u8);

impl ChunkType {
    pub(crate) const DATA: Self = Self(0);
    pub(crate) const INIT: Self = Self(1);
    pub(crate) const INIT_ACK: Self = Self(2);
    pub(crate) const SACK: Self = Self(3);
    pub(crate) const HEARTBEAT: Self = Self(4);
    pub(crate) const HEARTBEAT_ACK: Self = Self(5);
    pub(crate) const ABORT: Self = Self(6);
    pub(crate) const SHUTDOWN: Self = Self(7);
    pub(crate) const SHUTDOWN_ACK: Self = Self(8);
    pub(crate) const ERROR: Self = Self(9);
    pub(crate) const COOKIE_ECHO: Self = Self(10);
    pub(crate) const COOKIE_ACK: Self = Self(11);
    pub(crate) const SHUTDOWN_COMPLETE: Self = Self(14);
    /// RFC 4820. We send it and need not know it: a receiver skips it like any of its class.
    pub(crate) const PAD: Self = Self(0x84);
}

/// One chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chunk<'a> {
    /// User data.
    Data(DataChunk<'a>),
    /// The start of a handshake.
    Init(Init<'a>),
    /// Its answer.
    InitAck(Init<'a>),
    /// What has arrived.
    Sack(Sack<'a>),
    /// A probe, with all that follows its chunk header.
    Heartbeat(&'a [u8]),
    /// The answer to a probe, likewise.
    HeartbeatAck(&'a [u8]),
    /// The end, at once. `reflected` is the T bit.
    Abort { reflected: bool, causes: Tlvs<'a> },
    /// The beginning of the end.
    Shutdown { cumulative: Tsn },
    /// Its answer.
    ShutdownAck,
    /// Something is wrong.
    Error { causes: Tlvs<'a> },
    /// The cookie coming back. It counts only as the first chunk, where it is read apart.
    CookieEcho,
    /// Its answer.
    CookieAck,
    /// The end. It counts only as the first chunk, where its T bit is read apart.
    ShutdownComplete,
    /// A chunk of a type that we know whose fields are malformed.
    Malformed,
    /// A chunk of a type that we do not know.
    Unknown(RawChunk<'a>),
}

impl<'a> Chunk<'a> {
    /// What `raw` is.
    pub(crate) fn parse(raw: RawChunk<'a>) -> Self {
        Self::parse_known(raw).unwrap_or(Self::Malformed)
    }

    fn parse_known(raw: RawChunk<'a>) -> Option<Self> {
        let value = raw.value;
        let reflected = raw.flags & 1 != 0;
        Some(match ChunkType(raw.kind) {
            ChunkType::DATA => Self::Data(DataChunk::parse(raw.flags, value)?),
            ChunkType::INIT => Self::Init(Init::parse(value)?),
            ChunkType::INIT_ACK => Self::InitAck(Init::parse(value)?),
            ChunkType::SACK => Self::Sack(Sack::parse(value)?),
            ChunkType::HEARTBEAT => Self::Heartbeat(value),
            ChunkType::HEARTBEAT_ACK => Self::HeartbeatAck(value),
            ChunkType::ABORT => Self::Abort { reflected, causes: Tlvs::new(value) },
            ChunkType::SHUTDOWN => {
                let &cumulative = value.first_chunk::<4>()?;
                Self::Shutdown { cumulative: Tsn(u32::from_be_bytes(cumulative)) }
            }
            ChunkType::SHUTDOWN_ACK => Self::ShutdownAck,
            ChunkType::ERROR => Self::Error { causes: Tlvs::new(value) },
            ChunkType::COOKIE_ECHO => Self::CookieEcho,
            ChunkType::COOKIE_ACK => Self::CookieAck,
            ChunkType::SHUTDOWN_COMPLETE => Self::ShutdownComplete,
            _ => Self::Unknown(raw),
        })
    }
}

impl Chunks<'_> {
    /// Whether there is a chunk of type `kind`.
    pub(crate) fn contain(mut self, kind: ChunkType) -> bool {
        self.any(|chunk| chunk.kind == kind.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Chunk<'_> {
        Chunk::parse(Chunks::new(bytes).next().unwrap())
    }

    #[test]
    fn each_type_is_told_by_its_number() {
        assert!(matches!(parse(&[4, 0, 0, 8, 0, 1, 0, 4]), Chunk::Heartbeat(&[0, 1, 0, 4])));
        assert!(matches!(parse(&[5, 0, 0, 4]), Chunk::HeartbeatAck(&[])));
        assert!(matches!(parse(&[6, 1, 0, 4]), Chunk::Abort { reflected: true, .. }));
        assert!(matches!(
            parse(&[7, 0, 0, 8, 0, 0, 1, 0]),
            Chunk::Shutdown { cumulative: Tsn(256) }
        ));
        assert!(matches!(parse(&[8, 0, 0, 4]), Chunk::ShutdownAck));
        assert!(matches!(parse(&[9, 0, 0, 4]), Chunk::Error { .. }));
        assert!(matches!(parse(&[10, 0, 0, 5, 9]), Chunk::CookieEcho));
        assert!(matches!(parse(&[11, 0, 0, 4]), Chunk::CookieAck));
        assert!(matches!(parse(&[14, 0, 0, 4]), Chunk::ShutdownComplete));
        assert!(matches!(parse(&[12, 0, 0, 4]), Chunk::Unknown(_)));
    }

    #[test]
    fn known_chunks_that_are_too_short_are_malformed() {
        for kind in [0, 1, 2, 3, 7] {
            assert!(matches!(parse(&[kind, 0, 0, 7, 0, 0, 0, 0]), Chunk::Malformed), "{kind}");
        }
    }
}
