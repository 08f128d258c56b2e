//! ASAP Handle Resolution Response (RFC 5352 §2.2.6).
//!
//! ```text
//! | 6 | A = 0x01 | length | pool handle | [policy] | pool element * | [operation error] |
//! ```
//!
//! With an error there are neither policy nor elements. RSPLIB's policy at the head is a copy of
//! the first element's: only its type says something of the pool.

use super::PoolContent;
use crate::identifier::PoolHandle;
use crate::wire::builder::Builder;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{OperationError, Policy, PoolElement, PoolElements};

/// A registrar names elements of a pool, the preferred one first, or says why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HandleResolutionResponse<'a> {
    /// Whether the registrar will tell of changes (RFC 5352's A bit).
    pub accept: bool,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The pool's policy; round robin if there is none.
    pub policy: Option<Policy>,
    /// The elements. To write some, use [`HandleResolutionResponseBuilder`].
    pub elements: PoolElements<'a>,
    /// Why there are none.
    pub error: Option<OperationError<'a>>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> HandleResolutionResponse<'a> {
    /// The answer that refuses a resolution.
    #[must_use]
    pub const fn refused(pool_handle: PoolHandle<'a>, error: OperationError<'a>) -> Self {
        Self {
            accept: false,
            pool_handle,
            policy: None,
            elements: PoolElements::NONE,
            error: Some(error),
            layout: Layout::OURS,
        }
    }
}

message_methods!(HandleResolutionResponse);

const ACCEPT: u8 = 0x01;

impl<'a> Message<'a> for HandleResolutionResponse<'a> {
    const TYPE: u8 = 6;
    const FLAGS: u8 = ACCEPT;
    const FIXED_LEN: usize = 4;

    fn read(flags: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let PoolContent { pool_handle, policy, elements, error } = PoolContent::read(tlvs, true)?;
        let accept = flags & ACCEPT != 0;
        Ok(Self { accept, pool_handle, policy, elements, error, layout: Layout::OURS })
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        self.content().write(writer)
    }

    fn value_len(&self) -> usize {
        self.content().encoded_len()
    }

    fn flags(&self) -> u8 {
        if self.accept { ACCEPT } else { 0 }
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

impl<'a> HandleResolutionResponse<'a> {
    fn content(&self) -> PoolContent<'a> {
        PoolContent {
            pool_handle: self.pool_handle,
            policy: self.policy,
            elements: self.elements,
            error: self.error,
        }
    }
}

/// Writes a Handle Resolution Response into a buffer, element by element.
///
/// The buffer holds a valid message at any time; what does not fit is left out.
///
/// ```
/// use rserpool_core::identifier::PoolHandle;
/// use rserpool_core::wire::asap::HandleResolutionResponseBuilder;
/// use rserpool_core::wire::Policy;
/// let mut buf = [0; 1024];
/// let handle = PoolHandle::new(b"EchoPool")?;
/// let len = HandleResolutionResponseBuilder::new(&mut buf, handle)?
///     .policy(Policy::RoundRobin)?
///     .finish();
/// assert_eq!(len, 24);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HandleResolutionResponseBuilder<'b> {
    builder: Builder<'b>,
}

impl<'b> HandleResolutionResponseBuilder<'b> {
    /// Begins a response.
    ///
    /// # Errors
    ///
    /// If the buffer is too small for the handle.
    pub fn new(buf: &'b mut [u8], pool_handle: PoolHandle<'_>) -> Result<Self, EmitError> {
        let mut builder = Builder::new(buf, HandleResolutionResponse::TYPE)?;
        builder.pool_handle(pool_handle)?;
        Ok(Self { builder })
    }

    /// Says whether the registrar will tell of changes.
    pub fn accept(&mut self, accept: bool) -> &mut Self {
        self.builder.set_flag(ACCEPT, accept);
        self
    }

    /// Appends the pool's policy; before any element.
    ///
    /// # Errors
    ///
    /// If it does not fit; the message is as before.
    pub fn policy(&mut self, policy: Policy) -> Result<&mut Self, EmitError> {
        self.builder.policy(policy)?;
        Ok(self)
    }

    /// Appends an element.
    ///
    /// # Errors
    ///
    /// If it does not fit; the message is as before.
    #[inline]
    pub fn element(&mut self, element: &PoolElement<'_>) -> Result<&mut Self, EmitError> {
        self.builder.element(element)?;
        Ok(self)
    }

    /// The length of the message so far.
    #[must_use]
    pub const fn finish(&self) -> usize {
        self.builder.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::{PeId, RegistrarId};
    use crate::wire::test_support::{check_asap, check_verbatim_asap, hex};
    use crate::wire::{
        AsapMessage, Cause, Protocol, RegistrationLife, Transport, TransportBuf, TransportUse,
    };

    fn element(transport: Transport<'_>) -> PoolElement<'_> {
        let life = RegistrationLife(90_000);
        PoolElement {
            home: RegistrarId(0x1111_1111),
            ..PoolElement::new(PeId(0xaaaa_0001), life, transport, Policy::RoundRobin)
        }
    }

    fn transport() -> TransportBuf<16> {
        let address = "10.77.0.21".parse().unwrap();
        TransportBuf::new(Protocol::Sctp, 0xa967, TransportUse::DataPlusControl, &[address])
            .unwrap()
    }

    const RESPONSE: &str = "0600003c 00090008 506f6f6c 00080008 00000001
        000a0028 aaaa0001 11111111 00015f90
        00040010 a967 0001 00010008 0a4d0015 00080008 00000001";

    #[test]
    fn a_refusal_is_as_rsplib_sends_it() {
        let error = OperationError::new(Cause::UNKNOWN_POOL_HANDLE, &[]);
        let handle = PoolHandle::new(b"NoSuchPool").unwrap();
        check_asap(
            "0600001c 0009000e 4e6f53756368506f6f6c 0000 000c0008 00090004",
            AsapMessage::HandleResolutionResponse(HandleResolutionResponse::refused(
                handle, error,
            )),
        );
    }

    #[test]
    fn elements_are_written_and_walked() {
        let bytes = hex(RESPONSE);
        let (transport, handle) = (transport(), PoolHandle::new(b"Pool").unwrap());
        let element = element(transport.as_transport());
        let mut buf = [0xff; 128];
        let len = HandleResolutionResponseBuilder::new(&mut buf, handle)
            .unwrap()
            .policy(Policy::RoundRobin)
            .unwrap()
            .element(&element)
            .unwrap()
            .finish();
        assert_eq!(buf[..len], bytes);
        let message = HandleResolutionResponse::parse(&bytes).unwrap();
        assert!(message.elements.iter().eq([element]));
        assert!(!message.accept);
        check_asap(RESPONSE, AsapMessage::HandleResolutionResponse(message));
    }

    #[test]
    fn what_does_not_fit_leaves_the_message_valid() {
        let bytes = hex(RESPONSE);
        let (transport, handle) = (transport(), PoolHandle::new(b"Pool").unwrap());
        let element = element(transport.as_transport());
        for len in 20..bytes.len() {
            let mut buf = [0xff; 64];
            let mut builder =
                HandleResolutionResponseBuilder::new(&mut buf[..len], handle).unwrap();
            builder.policy(Policy::RoundRobin).unwrap();
            assert_eq!(builder.element(&element).unwrap_err(), EmitError::Full);
            assert_eq!(builder.accept(true).finish(), 20);
            let message = HandleResolutionResponse::parse(&buf[..20]).unwrap();
            assert!(message.accept && message.elements.is_empty());
        }
    }

    #[test]
    fn unknown_parameters_between_elements_are_kept() {
        check_verbatim_asap(
            "06000060 00090008 506f6f6c
            000a0028 00000001 00000000 00000001
              00040010 a967 0001 00010008 0a4d0015 00080008 00000001
            80990004
            000a0028 00000002 00000000 00000001
              00040010 a967 0001 00010008 0a4d0015 00080008 00000001",
        );
    }
}
