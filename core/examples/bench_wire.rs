//! Builds or parses a message many times; `cargo xtask bench wire` counts the instructions.
//!
//! Usage: `bench_wire (build|parse) MESSAGE ROUNDS`.

use std::hint::black_box;
use std::net::IpAddr;

use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::wire::asap::{
    AsapMessage, EndpointKeepAlive, HandleResolutionResponseBuilder, Registration,
};
use rserpool_core::wire::enrp::{EnrpMessage, HandleTableResponseBuilder, Presence};
use rserpool_core::wire::{
    Load, PeChecksum, Policy, PoolElement, Protocol, RegistrationLife, ServerInformation,
    Transport, TransportBuf, TransportUse,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, direction, message, rounds] = &arguments[..] else {
        panic!("usage: bench_wire (build|parse) MESSAGE ROUNDS");
    };
    let rounds: u32 = rounds.parse().expect("a number of rounds");
    let transport = transport();
    let content = Content::new(transport.as_transport());
    let build = builder(message);
    let mut buf = vec![0; 8192];
    let len = build(&content, &mut buf);
    match direction.as_str() {
        "build" => {
            for _ in 0..rounds {
                black_box(build(black_box(&content), black_box(&mut buf)));
            }
        }
        "parse" => {
            let read = if message.starts_with("enrp") { read_enrp } else { read_asap };
            for _ in 0..rounds {
                read(black_box(&buf[..len]));
            }
        }
        _ => panic!("build or parse, not {direction}"),
    }
    println!("{len}");
}

/// What the messages tell; it is there before they are built.
struct Content<'a> {
    pool: PoolHandle<'a>,
    registration: AsapMessage<'a>,
    keep_alive: AsapMessage<'a>,
    presence: EnrpMessage<'a>,
    /// As a resolution names them.
    elements: Vec<PoolElement<'a>>,
    /// As a handle table names them.
    owned: Vec<PoolElement<'a>>,
}

impl<'a> Content<'a> {
    fn new(transport: Transport<'a>) -> Self {
        let server = ServerInformation::new(RegistrarId(1), transport);
        let keep_alive = EndpointKeepAlive::new(false, RegistrarId(1), pool(), PeId(1));
        let presence = Presence::new(false, RegistrarId(0), PeChecksum(0xcbc3), server);
        let element = |id| element(id, transport);
        Self {
            pool: pool(),
            registration: AsapMessage::Registration(Registration::new(pool(), element(1))),
            keep_alive: AsapMessage::EndpointKeepAlive(keep_alive),
            presence: EnrpMessage::Presence(presence),
            elements: (1..=10).map(element).collect(),
            owned: (1..=128)
                .map(|id| PoolElement { asap_transport: Some(transport), ..element(id) })
                .collect(),
        }
    }
}

type Build = fn(&Content<'_>, &mut [u8]) -> usize;

fn builder(message: &str) -> Build {
    match message {
        "asap-registration" => |content, buf| content.registration.emit(buf).expect("room"),
        "asap-endpoint-keep-alive" => |content, buf| content.keep_alive.emit(buf).expect("room"),
        "enrp-presence" => |content, buf| content.presence.emit(buf).expect("room"),
        "asap-handle-resolution-response-1" => {
            |content, buf| build_response(content.pool, &content.elements[..1], buf)
        }
        "asap-handle-resolution-response-10" => {
            |content, buf| build_response(content.pool, &content.elements, buf)
        }
        "enrp-handle-table-response-128" => {
            |content, buf| build_table(content.pool, &content.owned, buf)
        }
        _ => panic!("no message {message}"),
    }
}

fn build_response(pool: PoolHandle<'_>, elements: &[PoolElement<'_>], buf: &mut [u8]) -> usize {
    let mut builder = HandleResolutionResponseBuilder::new(buf, pool).expect("room");
    builder.policy(elements[0].policy).expect("room");
    for element in elements {
        builder.element(element).expect("room");
    }
    builder.finish()
}

fn build_table(pool: PoolHandle<'_>, elements: &[PoolElement<'_>], buf: &mut [u8]) -> usize {
    let mut builder =
        HandleTableResponseBuilder::new(buf, RegistrarId(1), RegistrarId(2)).expect("room");
    for element in elements {
        builder.element(pool, element).expect("room");
    }
    builder.finish()
}

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(b"EchoPool").expect("short enough")
}

fn element(id: u32, transport: Transport<'_>) -> PoolElement<'_> {
    let policy = Policy::LeastUsed { load: Load(id) };
    PoolElement {
        home: RegistrarId(1),
        ..PoolElement::new(PeId(id), RegistrationLife(90_000), transport, policy)
    }
}

/// An element keeps its transport encoded; it is encoded once.
fn transport() -> TransportBuf<16> {
    let address = IpAddr::from([10, 77, 0, 21]);
    TransportBuf::new(Protocol::Sctp, 37247, TransportUse::DataPlusControl, &[address])
        .expect("enough room")
}

/// Parses a message and reads every field once.
#[inline(never)]
fn read_asap(bytes: &[u8]) {
    match AsapMessage::parse(bytes).expect("well-formed") {
        AsapMessage::Registration(message) => {
            black_box(message.pool_handle);
            read_element(&message.element);
        }
        AsapMessage::HandleResolutionResponse(message) => {
            black_box((message.accept, message.pool_handle, message.error.is_some()));
            black_box(policy_fields(message.policy));
            for element in message.elements {
                read_element(&element);
            }
        }
        AsapMessage::EndpointKeepAlive(message) => {
            black_box((message.home, message.registrar, message.pool_handle, message.pe_id));
        }
        other => panic!("{other:?}"),
    }
}

/// Parses a message and reads every field once.
#[inline(never)]
fn read_enrp(bytes: &[u8]) {
    match EnrpMessage::parse(bytes).expect("well-formed") {
        EnrpMessage::Presence(message) => {
            black_box((message.reply_required, message.sender, message.receiver));
            black_box(message.checksum);
            if let Some(server) = message.server {
                black_box(server.id);
                black_box(transport_fields(&server.transport));
            }
        }
        EnrpMessage::HandleTableResponse(message) => {
            black_box((message.rejected, message.more, message.sender, message.receiver));
            for (pool, element) in message.entries {
                black_box(pool);
                read_element(&element);
            }
        }
        other => panic!("{other:?}"),
    }
}

/// All fields, put together so that none can be left out.
#[inline(always)]
fn read_element(element: &PoolElement<'_>) {
    let fixed = element.id.0 ^ element.home.0 ^ element.registration_life.0;
    let transports = transport_fields(&element.user_transport)
        ^ match &element.asap_transport {
            Some(transport) => transport_fields(transport),
            None => 0,
        };
    black_box(fixed ^ transports ^ policy_fields(Some(element.policy)));
}

#[inline(always)]
fn transport_fields(transport: &Transport<'_>) -> u32 {
    let mut fields = u32::from(transport.port());
    fields ^= u32::from(transport.protocol() == Protocol::Sctp) << 16;
    fields ^= u32::from(transport.transport_use() == TransportUse::DataPlusControl) << 17;
    for address in transport.addresses() {
        fields ^= match address {
            IpAddr::V4(address) => address.to_bits(),
            IpAddr::V6(address) => address.to_bits() as u32,
        };
    }
    fields
}

#[inline(always)]
fn policy_fields(policy: Option<Policy>) -> u32 {
    match policy {
        Some(Policy::LeastUsed { load }) => load.0,
        other => panic!("{other:?}"),
    }
}
