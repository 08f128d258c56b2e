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
    let build = builder(message);
    let mut buf = vec![0; 8192];
    let len = build(&mut buf);
    match direction.as_str() {
        "build" => {
            for _ in 0..rounds {
                black_box(build(black_box(&mut buf)));
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

fn builder(message: &str) -> fn(&mut [u8]) -> usize {
    match message {
        "asap-registration" => build_registration,
        "asap-handle-resolution-response-1" => build_response_1,
        "asap-handle-resolution-response-10" => build_response_10,
        "asap-endpoint-keep-alive" => build_keep_alive,
        "enrp-presence" => build_presence,
        "enrp-handle-table-response-128" => build_table,
        _ => panic!("no message {message}"),
    }
}

#[inline(never)]
fn build_registration(buf: &mut [u8]) -> usize {
    let transport = transport();
    let message = Registration::new(pool(), element(1, transport.as_transport()));
    AsapMessage::Registration(black_box(message)).emit(buf).expect("enough room")
}

#[inline(never)]
fn build_keep_alive(buf: &mut [u8]) -> usize {
    let message = EndpointKeepAlive::new(false, RegistrarId(1), pool(), PeId(1));
    AsapMessage::EndpointKeepAlive(black_box(message)).emit(buf).expect("enough room")
}

#[inline(never)]
fn build_presence(buf: &mut [u8]) -> usize {
    let transport = transport();
    let server = ServerInformation::new(RegistrarId(1), transport.as_transport());
    let message = Presence::new(false, RegistrarId(0), PeChecksum(0xcbc3), server);
    EnrpMessage::Presence(black_box(message)).emit(buf).expect("enough room")
}

fn build_response_1(buf: &mut [u8]) -> usize {
    build_response(buf, 1)
}

fn build_response_10(buf: &mut [u8]) -> usize {
    build_response(buf, 10)
}

#[inline(never)]
fn build_response(buf: &mut [u8], elements: u32) -> usize {
    let transport = transport();
    let mut builder = HandleResolutionResponseBuilder::new(buf, pool()).expect("enough room");
    builder.policy(Policy::LeastUsed { load: Load(7) }).expect("enough room");
    for id in 1..=elements {
        let element = black_box(element(id, transport.as_transport()));
        builder.element(&element).expect("enough room");
    }
    builder.finish()
}

#[inline(never)]
fn build_table(buf: &mut [u8]) -> usize {
    let transport = transport();
    let mut builder =
        HandleTableResponseBuilder::new(buf, RegistrarId(1), RegistrarId(2)).expect("enough room");
    for id in 1..=128 {
        let element = black_box(PoolElement {
            asap_transport: Some(transport.as_transport()),
            ..element(id, transport.as_transport())
        });
        builder.element(pool(), &element).expect("enough room");
    }
    builder.finish()
}

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(black_box(b"EchoPool")).expect("short enough")
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
    static ENCODED: std::sync::OnceLock<TransportBuf<16>> = std::sync::OnceLock::new();
    *ENCODED.get_or_init(|| {
        let address = IpAddr::from([10, 77, 0, 21]);
        TransportBuf::new(Protocol::Sctp, 37247, TransportUse::DataPlusControl, &[address])
            .expect("enough room")
    })
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
            read_policy(message.policy);
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
                read_transport(&server.transport);
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

fn read_element(element: &PoolElement<'_>) {
    black_box((element.id, element.home, element.registration_life));
    read_transport(&element.user_transport);
    read_policy(Some(element.policy));
    if let Some(transport) = &element.asap_transport {
        read_transport(transport);
    }
}

fn read_transport(transport: &Transport<'_>) {
    black_box((transport.protocol(), transport.port(), transport.transport_use()));
    for address in transport.addresses() {
        black_box(address);
    }
}

fn read_policy(policy: Option<Policy>) {
    match policy {
        Some(Policy::LeastUsed { load }) => {
            black_box(load);
        }
        other => panic!("{other:?}"),
    }
}
