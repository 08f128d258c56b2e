//! The bytes of SCTP packets (RFC 9260 §3).

mod data;
mod sack;
mod writer;

pub(crate) use data::DataChunk;
pub(crate) use sack::{GapBlock, Sack};
pub(crate) use writer::PacketWriter;
