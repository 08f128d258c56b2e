//! Messages: those of RSPLIB as captured, and at least one of every kind that we send.

use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::wire::asap::{EndpointKeepAlive, Registration};
use rserpool_core::wire::{
    AsapMessage, EnrpMessage, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf,
    TransportUse,
};

use crate::Trace;

/// A file of messages: each is a PPID of one byte, a length of two bytes (high first), the bytes.
/// `tests/tests/vectors.rs` says where they come from.
struct Messages(&'static [u8]);

impl Iterator for Messages {
    type Item = (u8, &'static [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[ppid, high, low], rest) = self.0.split_first_chunk()?;
        let (message, rest) = rest.split_at(u16::from_be_bytes([high, low]).into());
        self.0 = rest;
        Some((ppid, message))
    }
}

/// The PPIDs of ASAP and ENRP.
const ASAP: u8 = 11;
const ENRP: u8 = 12;

/// Messages of RSPLIB decode, and are written again to the same bytes.
#[must_use]
pub fn captured_messages() -> u64 {
    round_trips(Messages(include_bytes!("../data/captures.bin")), 100)
}

/// Our own messages, of every kind, do so too.
#[must_use]
pub fn example_messages() -> u64 {
    round_trips(Messages(include_bytes!("../data/examples.bin")), 150)
}

fn round_trips(messages: Messages, count_min: usize) -> u64 {
    let mut trace = Trace::new();
    let mut count = 0;
    for (ppid, message) in messages {
        round_trip(&mut trace, ppid, message);
        // Half of a message is no message, or another one; it never is a panic.
        for len in 0..message.len() {
            trace.value(is_well_formed(ppid, &message[..len]));
        }
        count += 1;
    }
    assert!(count >= count_min, "only {count} messages");
    trace.digest()
}

fn round_trip(trace: &mut Trace, ppid: u8, message: &[u8]) {
    let mut buffer = [0xff; 1_024];
    let (emitted, len) = match ppid {
        ASAP => {
            let parsed = AsapMessage::parse(message).expect("it is well-formed");
            trace.value(parsed);
            (parsed.emit(&mut buffer), parsed.encoded_len())
        }
        ENRP => {
            let parsed = EnrpMessage::parse(message).expect("it is well-formed");
            trace.value(parsed);
            (parsed.emit(&mut buffer), parsed.encoded_len())
        }
        other => panic!("PPID {other}"),
    };
    assert_eq!(emitted, Ok(len));
    assert_eq!(&buffer[..len], message);
}

fn is_well_formed(ppid: u8, message: &[u8]) -> bool {
    match ppid {
        ASAP => AsapMessage::parse(message).is_ok(),
        _ => EnrpMessage::parse(message).is_ok(),
    }
}

/// A registration and a keep-alive by RFC 5352 §2.2.1 and §2.2.7, laid by hand.
#[must_use]
pub fn rfc_layouts() -> u64 {
    #[rustfmt::skip]
    const REGISTRATION: [u8; 60] = [
        0x01, 0x00, 0x00, 60, // Registration
        0x00, 0x09, 0x00, 16, // pool handle
        b'P', b'i', b'n', b'g', b'P', b'o', b'n', b'g', b'P', b'o', b'o', b'l',
        0x00, 0x0a, 0x00, 40, // pool element
        0xaa, 0xaa, 0x00, 0x01, // identifier
        0x00, 0x00, 0x00, 0x00, // home: none yet
        0x00, 0x01, 0x5f, 0x90, // registration life
        0x00, 0x04, 0x00, 16, // SCTP transport
        0xa9, 0x67, 0x00, 0x01, // port 43367, data and control
        0x00, 0x01, 0x00, 8, 10, 77, 0, 21, // IPv4 address
        0x00, 0x08, 0x00, 8, 0x00, 0x00, 0x00, 0x01, // round robin
    ];
    let pool = PoolHandle::new(b"PingPongPool").expect("a handle");
    let address = [core::net::IpAddr::from([10, 77, 0, 21])];
    let use_ = TransportUse::DataPlusControl;
    let transport: TransportBuf<16> =
        TransportBuf::new(Protocol::Sctp, 43_367, use_, &address).expect("room");
    let life = RegistrationLife(90_000);
    let element =
        PoolElement::new(PeId(0xaaaa_0001), life, transport.as_transport(), Policy::RoundRobin);
    let mut buffer = [0xff; 64];
    let len = Registration::new(pool, element).emit(&mut buffer).expect("room");
    assert_eq!(buffer[..len], REGISTRATION);
    let Ok(AsapMessage::Registration(parsed)) = AsapMessage::parse(&REGISTRATION) else {
        panic!("it is a registration")
    };
    assert_eq!((parsed.pool_handle, parsed.element.id), (pool, PeId(0xaaaa_0001)));
    assert_eq!(parsed.element.registration_life, life);
    assert_eq!(parsed.element.user_transport.port(), 43_367);
    assert!(parsed.element.user_transport.addresses().eq(address));

    #[rustfmt::skip]
    const KEEP_ALIVE: [u8; 32] = [
        0x07, 0x01, 0x00, 32, // Endpoint Keep-Alive, from a new home
        0x11, 0x11, 0x11, 0x11, // registrar
        0x00, 0x09, 0x00, 16, // pool handle
        b'P', b'i', b'n', b'g', b'P', b'o', b'n', b'g', b'P', b'o', b'o', b'l',
        0x00, 0x0e, 0x00, 8, 0xaa, 0xaa, 0x00, 0x01, // pool element identifier
    ];
    let message = EndpointKeepAlive::new(true, RegistrarId(0x1111_1111), pool, PeId(0xaaaa_0001));
    let len = message.emit(&mut buffer).expect("room");
    assert_eq!(buffer[..len], KEEP_ALIVE);
    let parsed = AsapMessage::parse(&KEEP_ALIVE);
    assert_eq!(parsed, Ok(AsapMessage::EndpointKeepAlive(message)));
    let mut trace = Trace::new();
    trace.value(parsed);
    trace.digest()
}
