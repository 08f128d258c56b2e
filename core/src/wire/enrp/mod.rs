//! ENRP messages (RFC 5353 §2), one file each.
//!
//! Every one begins with the identifiers of sender and receiver; receiver 0 stands for "all" or
//! "not known".

mod error;
mod handle_table_request;
mod handle_table_response;
mod handle_update;
mod init_takeover;
mod init_takeover_ack;
mod list_request;
mod list_response;
mod presence;
mod takeover_server;

use nom::Parser;

use super::error::{EmitError, ParseError};
use super::framing::{Message, Parsed, Writer, be_u32};
use super::unknown::{self, UnknownMessage};
use crate::identifier::RegistrarId;

pub use error::Error;
pub use handle_table_request::HandleTableRequest;
pub use handle_table_response::{
    HandleTableEntries, HandleTableIter, HandleTableResponse, HandleTableResponseBuilder,
};
pub use handle_update::{HandleUpdate, UpdateAction};
pub use init_takeover::InitTakeover;
pub use init_takeover_ack::InitTakeoverAck;
pub use list_request::ListRequest;
pub use list_response::{ListResponse, ListResponseBuilder};
pub use presence::Presence;
pub use takeover_server::TakeoverServer;

/// An ENRP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is documented where it is defined")]
pub enum EnrpMessage<'a> {
    Presence(Presence<'a>),
    HandleTableRequest(HandleTableRequest<'a>),
    HandleTableResponse(HandleTableResponse<'a>),
    HandleUpdate(HandleUpdate<'a>),
    ListRequest(ListRequest<'a>),
    ListResponse(ListResponse<'a>),
    InitTakeover(InitTakeover<'a>),
    InitTakeoverAck(InitTakeoverAck<'a>),
    TakeoverServer(TakeoverServer<'a>),
    Error(Error<'a>),
    /// A message of a type that we do not know.
    Unknown(UnknownMessage<'a>),
}

impl<'a> EnrpMessage<'a> {
    /// Reads a whole message: `bytes` must be the message and its padding, no more.
    ///
    /// # Errors
    ///
    /// If the bytes are no well-formed message. An unknown type is no error here.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        Ok(match unknown::message_type(bytes)? {
            1 => Self::Presence(Presence::parse(bytes)?),
            2 => Self::HandleTableRequest(HandleTableRequest::parse(bytes)?),
            3 => Self::HandleTableResponse(HandleTableResponse::parse(bytes)?),
            4 => Self::HandleUpdate(HandleUpdate::parse(bytes)?),
            5 => Self::ListRequest(ListRequest::parse(bytes)?),
            6 => Self::ListResponse(ListResponse::parse(bytes)?),
            7 => Self::InitTakeover(InitTakeover::parse(bytes)?),
            8 => Self::InitTakeoverAck(InitTakeoverAck::parse(bytes)?),
            9 => Self::TakeoverServer(TakeoverServer::parse(bytes)?),
            10 => Self::Error(Error::parse(bytes)?),
            _ => Self::Unknown(UnknownMessage::parse(bytes)?),
        })
    }

    /// Writes the message to the start of `buf` and says how many bytes it takes.
    ///
    /// # Errors
    ///
    /// If the buffer is too small or the message too long for its length field.
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, EmitError> {
        match self {
            Self::Presence(message) => message.emit(buf),
            Self::HandleTableRequest(message) => message.emit(buf),
            Self::HandleTableResponse(message) => message.emit(buf),
            Self::HandleUpdate(message) => message.emit(buf),
            Self::ListRequest(message) => message.emit(buf),
            Self::ListResponse(message) => message.emit(buf),
            Self::InitTakeover(message) => message.emit(buf),
            Self::InitTakeoverAck(message) => message.emit(buf),
            Self::TakeoverServer(message) => message.emit(buf),
            Self::Error(message) => message.emit(buf),
            Self::Unknown(message) => message.emit(buf),
        }
    }

    /// How many bytes [`emit`](Self::emit) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Presence(message) => message.encoded_len(),
            Self::HandleTableRequest(message) => message.encoded_len(),
            Self::HandleTableResponse(message) => message.encoded_len(),
            Self::HandleUpdate(message) => message.encoded_len(),
            Self::ListRequest(message) => message.encoded_len(),
            Self::ListResponse(message) => message.encoded_len(),
            Self::InitTakeover(message) => message.encoded_len(),
            Self::InitTakeoverAck(message) => message.encoded_len(),
            Self::TakeoverServer(message) => message.encoded_len(),
            Self::Error(message) => message.encoded_len(),
            Self::Unknown(message) => message.encoded_len(),
        }
    }

    /// The unknown parameters that were skipped and whose types ask for a report.
    #[must_use]
    pub fn unrecognized(&self) -> super::Unrecognized<'a> {
        match self {
            Self::Presence(message) => message.unrecognized(),
            Self::HandleTableRequest(message) => message.unrecognized(),
            Self::HandleTableResponse(message) => message.unrecognized(),
            Self::HandleUpdate(message) => message.unrecognized(),
            Self::ListRequest(message) => message.unrecognized(),
            Self::ListResponse(message) => message.unrecognized(),
            Self::InitTakeover(message) => message.unrecognized(),
            Self::InitTakeoverAck(message) => message.unrecognized(),
            Self::TakeoverServer(message) => message.unrecognized(),
            Self::Error(message) => message.unrecognized(),
            Self::Unknown(_) => super::Layout::OURS.unrecognized(0),
        }
    }

    /// The message's type on the wire.
    #[must_use]
    pub fn message_type(&self) -> u8 {
        match self {
            Self::Presence(_) => Presence::TYPE,
            Self::HandleTableRequest(_) => HandleTableRequest::TYPE,
            Self::HandleTableResponse(_) => HandleTableResponse::TYPE,
            Self::HandleUpdate(_) => HandleUpdate::TYPE,
            Self::ListRequest(_) => ListRequest::TYPE,
            Self::ListResponse(_) => ListResponse::TYPE,
            Self::InitTakeover(_) => InitTakeover::TYPE,
            Self::InitTakeoverAck(_) => InitTakeoverAck::TYPE,
            Self::TakeoverServer(_) => TakeoverServer::TYPE,
            Self::Error(_) => Error::TYPE,
            Self::Unknown(message) => message.message_type,
        }
    }

    /// The identifiers of sender and receiver; `None` of an unknown message.
    #[must_use]
    pub const fn ids(&self) -> Option<(RegistrarId, RegistrarId)> {
        match self {
            Self::Presence(message) => Some((message.sender, message.receiver)),
            Self::HandleTableRequest(message) => Some((message.sender, message.receiver)),
            Self::HandleTableResponse(message) => Some((message.sender, message.receiver)),
            Self::HandleUpdate(message) => Some((message.sender, message.receiver)),
            Self::ListRequest(message) => Some((message.sender, message.receiver)),
            Self::ListResponse(message) => Some((message.sender, message.receiver)),
            Self::InitTakeover(message) => Some((message.sender, message.receiver)),
            Self::InitTakeoverAck(message) => Some((message.sender, message.receiver)),
            Self::TakeoverServer(message) => Some((message.sender, message.receiver)),
            Self::Error(message) => Some((message.sender, message.receiver)),
            Self::Unknown(_) => None,
        }
    }
}

/// The identifiers that every message begins with.
const IDS_LEN: usize = 8;

fn ids(input: &[u8]) -> Parsed<'_, (RegistrarId, RegistrarId)> {
    (registrar, registrar).parse(input)
}

fn registrar(input: &[u8]) -> Parsed<'_, RegistrarId> {
    be_u32.map(RegistrarId).parse(input)
}

#[inline]
fn write_ids(
    sender: RegistrarId,
    receiver: RegistrarId,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    writer.put_words(sender.0, receiver.0)
}
