//! The bytes of SCTP packets (RFC 9260 §3).
//!
//! Framing lives in [`framing`] alone; one file per chunk that has fields of its own. Parsing
//! borrows and never fails half-way: what is malformed ends the walk, as §6.10 and §3.2 want.

mod cause;
mod chunk;
mod crc;
mod data;
mod framing;
mod header;
mod init;
mod sack;
mod writer;

pub use crc::crc32c;

pub(crate) use cause::Cause;
pub(crate) use chunk::{Chunk, ChunkType};
pub(crate) use data::DataChunk;
pub(crate) use framing::{Chunks, RawChunk, RawParameter, Tlvs, UnknownAction};
pub(crate) use header::{CommonHeader, checksum_is_right};
pub(crate) use init::{Init, ParameterType};
pub(crate) use sack::{GapBlock, Sack};
pub(crate) use writer::PacketWriter;
