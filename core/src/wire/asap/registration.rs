//! ASAP Registration (RFC 5352 §2.2.1).
//!
//! ```text
//! | 1 | 0 | length | pool handle | pool element |
//! ```

use crate::identifier::PoolHandle;
use crate::wire::error::{EmitError, ParseError};
use crate::wire::framing::{Layout, Message, Tlvs, Writer, message_methods};
use crate::wire::parameter::{
    PoolElement, pool_handle_header, pool_handle_len, write_pool_handle,
};

/// An element wants to join a pool, or renews its registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Registration<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub element: PoolElement<'a>,
    /// How it was laid out when it came.
    pub layout: Layout<'a>,
}

impl<'a> Registration<'a> {
    /// Makes one.
    #[must_use]
    pub const fn new(pool_handle: PoolHandle<'a>, element: PoolElement<'a>) -> Self {
        Self { pool_handle, element, layout: Layout::OURS }
    }
}

message_methods!(Registration);

impl<'a> Message<'a> for Registration<'a> {
    const TYPE: u8 = 1;
    const FLAGS: u8 = 0;
    const FIXED_LEN: usize = 4;

    fn read(_: u8, tlvs: &mut Tlvs<'a>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, element) = super::read_handle_and_element(tlvs)?;
        Ok(Self::new(pool_handle, element))
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), EmitError> {
        write_pool_handle(self.pool_handle, writer)?;
        self.element.write(writer)
    }

    #[inline(always)]
    fn write_after(&self, header: [u8; 4], writer: &mut Writer<'_>) -> Result<(), EmitError> {
        let header = u32::from_be_bytes(header);
        writer.put_words(header, pool_handle_header(self.pool_handle))?;
        writer.put_padded(self.pool_handle.as_bytes())?;
        // The element is the last; the room is as long as the message.
        self.element.write_sized(writer.room(), writer)
    }

    fn value_len(&self) -> usize {
        pool_handle_len(self.pool_handle).wrapping_add(self.element.encoded_len())
    }

    fn flags(&self) -> u8 {
        0
    }

    fn layout(&self) -> Layout<'a> {
        self.layout
    }

    fn set_layout(&mut self, layout: Layout<'a>) {
        self.layout = layout;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::PeId;
    use crate::wire::test_support::{check_asap, check_verbatim_asap, hex};
    use crate::wire::{
        AsapMessage, Load, ParseErrorKind, Policy, Protocol, RegistrationLife, TransportBuf,
        TransportUse,
    };

    #[test]
    fn bytes_are_those_of_rsplib() {
        let address = "10.77.0.21".parse().unwrap();
        let transport = TransportBuf::<16>::new(
            Protocol::Sctp,
            37247,
            TransportUse::DataPlusControl,
            &[address],
        )
        .unwrap();
        let policy = Policy::LeastUsedDegradationDpf {
            load: Load::MIN,
            degradation: Load(0x4000_0000),
            dpf: Load(0x0041_8937),
            distance: 0,
        };
        let element = PoolElement::new(
            PeId(0xaaaa_0001),
            RegistrationLife(90_000),
            transport.as_transport(),
            policy,
        );
        check_asap(
            "0100004c 00090010 50696e67506f6e67506f6f6c
            000a0038 aaaa0001 00000000 00015f90
            00040010 917f 0001 00010008 0a4d0015
            00080018 b0002003 00000000 40000000 00418937 00000000",
            AsapMessage::Registration(Registration::new(
                PoolHandle::new(b"PingPongPool").unwrap(),
                element,
            )),
        );
    }

    #[test]
    fn an_element_with_both_families_is_as_rsplib_sends_it() {
        let addresses = ["10.77.0.21".parse().unwrap(), "fd77::21".parse().unwrap()];
        let transport = TransportBuf::<36>::new(
            Protocol::Sctp,
            0xbd6b,
            TransportUse::DataPlusControl,
            &addresses,
        )
        .unwrap();
        let transport = transport.as_transport();
        let element = PoolElement::new(
            PeId(0xaaaa_0001),
            RegistrationLife(90_000),
            transport,
            Policy::RoundRobin,
        );
        assert!(transport.addresses().eq(addresses));
        check_asap(
            "01000050 00090010 50696e67506f6e67506f6f6c 000a003c aaaa0001 00000000 00015f90
            00040024 bd6b 0001 00010008 0a4d0015 00020014 fd770000000000000000000000000021
            00080008 00000001",
            AsapMessage::Registration(Registration::new(
                PoolHandle::new(b"PingPongPool").unwrap(),
                element,
            )),
        );
    }

    #[test]
    fn over_long_policies_and_unknown_parameters_are_kept() {
        let odd = [
            // A policy with a word too many.
            "01000038 00090008 506f6f6c 000a002c 00000001 00000000 00000001
            00040010 00070001 00010008 0a4d0015 0008000c 00000001 12345678",
            // An unknown policy with a word.
            "01000038 00090008 506f6f6c 000a002c 00000001 00000000 00000001
            00040010 00070001 00010008 0a4d0015 0008000c b0002005 12345678",
            // The policy before the transport.
            "01000034 00090008 506f6f6c 000a0028 00000001 00000000 00000001
            00080008 00000001 00040010 00070001 00010008 0a4d0015",
            // Something unknown among the addresses.
            "0100003c 00090008 506f6f6c 000a0030 00000001 00000000 00000001
            00040018 00070001 c0990008 01020304 00010008 0a4d0015 00080008 00000001",
            // The element before its pool.
            "01000034 000a0028 00000001 00000000 00000001
            00040010 00070001 00010008 0a4d0015 00080008 00000001 00090008 506f6f6c",
        ];
        odd.into_iter().for_each(check_verbatim_asap);
        let among_addresses = hex(odd[3]);
        let message = Registration::parse(&among_addresses).unwrap();
        assert!(message.unrecognized().eq([&hex("c0990008 01020304")[..]]));
    }

    #[test]
    fn a_transport_of_two_tcp_addresses_is_refused() {
        let bytes = hex("0100003c 00090008 506f6f6c 000a0030 00000001 00000000 00000001
            00050018 00070000 00010008 0a4d0015 00010008 0a4d0016 00080008 00000001");
        let error = Registration::parse(&bytes).unwrap_err();
        assert_eq!((error.kind, error.bytes), (ParseErrorKind::Value, &bytes[28..52]));
    }
}
