//! ASAP messages (RFC 5352 §2.2), one file each.

mod business_card;
mod cookie;
mod cookie_echo;
mod deregistration;
mod deregistration_response;
mod endpoint_keep_alive;
mod endpoint_keep_alive_ack;
mod endpoint_unreachable;
mod error;
mod handle_resolution;
mod handle_resolution_response;
mod registration;
mod registration_response;
mod server_announce;

use super::error::{EmitError, ParseError};
use super::framing::{Message, Tlvs, Writer};
use super::parameter::{
    OperationError, PE_IDENTIFIER_LEN, ParameterType, Policy, PoolElement, PoolElements,
    operation_error, pe_identifier, pool_handle, pool_handle_len, usual_or_any_policy,
    write_pe_identifier, write_pool_handle,
};
use super::unknown::{self, UnknownMessage};
use crate::identifier::{PeId, PoolHandle};

pub use business_card::{BusinessCard, BusinessCardBuilder};
pub use cookie::Cookie;
pub use cookie_echo::CookieEcho;
pub use deregistration::Deregistration;
pub use deregistration_response::DeregistrationResponse;
pub use endpoint_keep_alive::EndpointKeepAlive;
pub use endpoint_keep_alive_ack::EndpointKeepAliveAck;
pub use endpoint_unreachable::EndpointUnreachable;
pub use error::Error;
pub use handle_resolution::HandleResolution;
pub use handle_resolution_response::{HandleResolutionResponse, HandleResolutionResponseBuilder};
pub use registration::Registration;
pub use registration_response::RegistrationResponse;
pub use server_announce::ServerAnnounce;

/// An ASAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is documented where it is defined")]
pub enum AsapMessage<'a> {
    Registration(Registration<'a>),
    Deregistration(Deregistration<'a>),
    RegistrationResponse(RegistrationResponse<'a>),
    DeregistrationResponse(DeregistrationResponse<'a>),
    HandleResolution(HandleResolution<'a>),
    HandleResolutionResponse(HandleResolutionResponse<'a>),
    EndpointKeepAlive(EndpointKeepAlive<'a>),
    EndpointKeepAliveAck(EndpointKeepAliveAck<'a>),
    EndpointUnreachable(EndpointUnreachable<'a>),
    ServerAnnounce(ServerAnnounce<'a>),
    Cookie(Cookie<'a>),
    CookieEcho(CookieEcho<'a>),
    BusinessCard(BusinessCard<'a>),
    Error(Error<'a>),
    /// A message of a type that we do not know.
    Unknown(UnknownMessage<'a>),
}

impl<'a> AsapMessage<'a> {
    /// Reads a whole message: `bytes` must be the message and its padding, no more.
    ///
    /// # Errors
    ///
    /// If the bytes are no well-formed message. An unknown type is no error here.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        Ok(match unknown::message_type(bytes)? {
            1 => Self::Registration(Registration::parse(bytes)?),
            2 => Self::Deregistration(Deregistration::parse(bytes)?),
            3 => Self::RegistrationResponse(RegistrationResponse::parse(bytes)?),
            4 => Self::DeregistrationResponse(DeregistrationResponse::parse(bytes)?),
            5 => Self::HandleResolution(HandleResolution::parse(bytes)?),
            6 => Self::HandleResolutionResponse(HandleResolutionResponse::parse(bytes)?),
            7 => Self::EndpointKeepAlive(EndpointKeepAlive::parse(bytes)?),
            8 => Self::EndpointKeepAliveAck(EndpointKeepAliveAck::parse(bytes)?),
            9 => Self::EndpointUnreachable(EndpointUnreachable::parse(bytes)?),
            10 => Self::ServerAnnounce(ServerAnnounce::parse(bytes)?),
            11 => Self::Cookie(Cookie::parse(bytes)?),
            12 => Self::CookieEcho(CookieEcho::parse(bytes)?),
            13 => Self::BusinessCard(BusinessCard::parse(bytes)?),
            14 => Self::Error(Error::parse(bytes)?),
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
            Self::Registration(message) => message.emit(buf),
            Self::Deregistration(message) => message.emit(buf),
            Self::RegistrationResponse(message) => message.emit(buf),
            Self::DeregistrationResponse(message) => message.emit(buf),
            Self::HandleResolution(message) => message.emit(buf),
            Self::HandleResolutionResponse(message) => message.emit(buf),
            Self::EndpointKeepAlive(message) => message.emit(buf),
            Self::EndpointKeepAliveAck(message) => message.emit(buf),
            Self::EndpointUnreachable(message) => message.emit(buf),
            Self::ServerAnnounce(message) => message.emit(buf),
            Self::Cookie(message) => message.emit(buf),
            Self::CookieEcho(message) => message.emit(buf),
            Self::BusinessCard(message) => message.emit(buf),
            Self::Error(message) => message.emit(buf),
            Self::Unknown(message) => message.emit(buf),
        }
    }

    /// How many bytes [`emit`](Self::emit) writes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Registration(message) => message.encoded_len(),
            Self::Deregistration(message) => message.encoded_len(),
            Self::RegistrationResponse(message) => message.encoded_len(),
            Self::DeregistrationResponse(message) => message.encoded_len(),
            Self::HandleResolution(message) => message.encoded_len(),
            Self::HandleResolutionResponse(message) => message.encoded_len(),
            Self::EndpointKeepAlive(message) => message.encoded_len(),
            Self::EndpointKeepAliveAck(message) => message.encoded_len(),
            Self::EndpointUnreachable(message) => message.encoded_len(),
            Self::ServerAnnounce(message) => message.encoded_len(),
            Self::Cookie(message) => message.encoded_len(),
            Self::CookieEcho(message) => message.encoded_len(),
            Self::BusinessCard(message) => message.encoded_len(),
            Self::Error(message) => message.encoded_len(),
            Self::Unknown(message) => message.encoded_len(),
        }
    }

    /// The unknown parameters that were skipped and whose types ask for a report.
    #[must_use]
    pub fn unrecognized(&self) -> super::Unrecognized<'a> {
        match self {
            Self::Registration(message) => message.unrecognized(),
            Self::Deregistration(message) => message.unrecognized(),
            Self::RegistrationResponse(message) => message.unrecognized(),
            Self::DeregistrationResponse(message) => message.unrecognized(),
            Self::HandleResolution(message) => message.unrecognized(),
            Self::HandleResolutionResponse(message) => message.unrecognized(),
            Self::EndpointKeepAlive(message) => message.unrecognized(),
            Self::EndpointKeepAliveAck(message) => message.unrecognized(),
            Self::EndpointUnreachable(message) => message.unrecognized(),
            Self::ServerAnnounce(message) => message.unrecognized(),
            Self::Cookie(message) => message.unrecognized(),
            Self::CookieEcho(message) => message.unrecognized(),
            Self::BusinessCard(message) => message.unrecognized(),
            Self::Error(message) => message.unrecognized(),
            Self::Unknown(_) => super::Layout::OURS.unrecognized(0),
        }
    }

    /// The message's type on the wire.
    #[must_use]
    pub fn message_type(&self) -> u8 {
        match self {
            Self::Registration(_) => Registration::TYPE,
            Self::Deregistration(_) => Deregistration::TYPE,
            Self::RegistrationResponse(_) => RegistrationResponse::TYPE,
            Self::DeregistrationResponse(_) => DeregistrationResponse::TYPE,
            Self::HandleResolution(_) => HandleResolution::TYPE,
            Self::HandleResolutionResponse(_) => HandleResolutionResponse::TYPE,
            Self::EndpointKeepAlive(_) => EndpointKeepAlive::TYPE,
            Self::EndpointKeepAliveAck(_) => EndpointKeepAliveAck::TYPE,
            Self::EndpointUnreachable(_) => EndpointUnreachable::TYPE,
            Self::ServerAnnounce(_) => ServerAnnounce::TYPE,
            Self::Cookie(_) => Cookie::TYPE,
            Self::CookieEcho(_) => CookieEcho::TYPE,
            Self::BusinessCard(_) => BusinessCard::TYPE,
            Self::Error(_) => Error::TYPE,
            Self::Unknown(message) => message.message_type,
        }
    }
}

fn read_handle_and_id<'a>(tlvs: &mut Tlvs<'a>) -> Result<(PoolHandle<'a>, PeId), ParseError<'a>> {
    let (mut handle, mut id) = (None, None);
    while let Some(tlv) = tlvs.next()? {
        match tlv.kind {
            ParameterType::POOL_HANDLE if handle.is_none() => {
                handle = Some(pool_handle(tlv)?);
                tlvs.rank(1);
            }
            ParameterType::PE_IDENTIFIER if id.is_none() => {
                id = Some(pe_identifier(tlv)?);
                tlvs.rank(2);
            }
            _ => tlvs.unexpected(tlv)?,
        }
    }
    Ok((tlvs.required(handle)?, tlvs.required(id)?))
}

fn write_handle_and_id(
    handle: PoolHandle<'_>,
    id: PeId,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    write_pool_handle(handle, writer)?;
    write_pe_identifier(id, writer)
}

fn handle_and_id_len(handle: PoolHandle<'_>) -> usize {
    pool_handle_len(handle).saturating_add(PE_IDENTIFIER_LEN)
}

type Response<'a> = (PoolHandle<'a>, PeId, Option<OperationError<'a>>);

/// The content of a Registration Response and of a Deregistration Response.
fn read_response<'a>(tlvs: &mut Tlvs<'a>) -> Result<Response<'a>, ParseError<'a>> {
    let (mut handle, mut id, mut error) = (None, None, None);
    while let Some(tlv) = tlvs.next()? {
        match tlv.kind {
            ParameterType::POOL_HANDLE if handle.is_none() => {
                handle = Some(pool_handle(tlv)?);
                tlvs.rank(1);
            }
            ParameterType::PE_IDENTIFIER if id.is_none() => {
                id = Some(pe_identifier(tlv)?);
                tlvs.rank(2);
            }
            ParameterType::OPERATION_ERROR if error.is_none() => {
                let (found, plain) = operation_error(tlv)?;
                error = Some(found);
                tlvs.rank(3);
                tlvs.odd_if(!plain);
            }
            _ => tlvs.unexpected(tlv)?,
        }
    }
    Ok((tlvs.required(handle)?, tlvs.required(id)?, error))
}

fn write_response(
    handle: PoolHandle<'_>,
    id: PeId,
    error: Option<&OperationError<'_>>,
    writer: &mut Writer<'_>,
) -> Result<(), EmitError> {
    write_handle_and_id(handle, id, writer)?;
    match error {
        Some(error) => error.write(writer),
        None => Ok(()),
    }
}

fn response_len(handle: PoolHandle<'_>, error: Option<&OperationError<'_>>) -> usize {
    handle_and_id_len(handle).saturating_add(error.map_or(0, OperationError::encoded_len))
}

/// A pool handle and one pool element: a Registration, and the end of a Handle Update.
#[inline]
pub(super) fn read_handle_and_element<'a>(
    tlvs: &mut Tlvs<'a>,
) -> Result<(PoolHandle<'a>, PoolElement<'a>), ParseError<'a>> {
    let (mut handle, mut element) = (None, None);
    while let Some(tlv) = tlvs.next()? {
        match tlv.kind {
            ParameterType::POOL_HANDLE if handle.is_none() => {
                handle = Some(pool_handle(tlv)?);
                tlvs.rank(1);
            }
            ParameterType::POOL_ELEMENT if element.is_none() => {
                let found = PoolElement::from_tlv(tlv)?;
                tlvs.rank(2);
                tlvs.odd_if(!found.layout.is_ours());
                element = Some(found);
            }
            _ => tlvs.unexpected(tlv)?,
        }
    }
    Ok((tlvs.required(handle)?, tlvs.required(element)?))
}

/// What a Handle Resolution Response and a Business Card tell of a pool.
struct PoolContent<'a> {
    pool_handle: PoolHandle<'a>,
    policy: Option<Policy>,
    elements: PoolElements<'a>,
    error: Option<OperationError<'a>>,
}

impl<'a> PoolContent<'a> {
    #[inline(always)]
    fn read(tlvs: &mut Tlvs<'a>, with_error: bool) -> Result<Self, ParseError<'a>> {
        let (mut handle, mut selection, mut error) = (None, None, None);
        // From the first element on, and behind the last one.
        let (mut from, mut behind): (&[u8], &[u8]) = (&[], &[]);
        let mut before = tlvs.rest();
        while let Some(tlv) = tlvs.next()? {
            match tlv.kind {
                ParameterType::POOL_ELEMENT => {
                    let plain = PoolElement::check(tlv)?;
                    tlvs.rank(3);
                    tlvs.odd_if(!plain);
                    if from.is_empty() {
                        from = before;
                    }
                    behind = tlvs.rest();
                }
                ParameterType::POOL_HANDLE if handle.is_none() => {
                    handle = Some(pool_handle(tlv)?);
                    tlvs.rank(1);
                }
                ParameterType::POLICY if selection.is_none() => {
                    let (found, plain) = usual_or_any_policy(tlv)?;
                    selection = Some(found);
                    tlvs.rank(2);
                    tlvs.odd_if(!plain);
                }
                ParameterType::OPERATION_ERROR if with_error && error.is_none() => {
                    let (found, plain) = operation_error(tlv)?;
                    error = Some(found);
                    tlvs.rank(4);
                    tlvs.odd_if(!plain);
                }
                _ => tlvs.unexpected(tlv)?,
            }
            before = tlvs.rest();
        }
        let len = from.len().saturating_sub(behind.len());
        let elements = PoolElements::from_checked(from.get(..len).unwrap_or_default());
        Ok(Self { pool_handle: tlvs.required(handle)?, policy: selection, elements, error })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_pool_handle(self.pool_handle, writer)?;
        if let Some(policy) = &self.policy {
            policy.write(writer)?;
        }
        writer.put_padded(self.elements.as_bytes())?;
        match &self.error {
            Some(error) => error.write(writer),
            None => Ok(()),
        }
    }

    fn encoded_len(&self) -> usize {
        pool_handle_len(self.pool_handle)
            .saturating_add(self.policy.map_or(0, |policy| policy.encoded_len()))
            .saturating_add(super::framing::padded(self.elements.as_bytes().len()))
            .saturating_add(self.error.as_ref().map_or(0, OperationError::encoded_len))
    }
}
