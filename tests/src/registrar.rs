//! A registrar on a test bench: what it hears, what it says, and a clock that jumps.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rserpool::HeapTables;
use rserpool_core::association::{
    AssociationId, Channel, DownReason, Input, Ppid, StreamId, Transmit,
};
use rserpool_core::enrp::{Config, Event, InputError, Registrar};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::handlespace::Storage;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::machine::Machine;
use rserpool_core::time::Instant;
use rserpool_core::wire::asap::{
    AsapMessage, Deregistration, DeregistrationResponse, EndpointKeepAlive, EndpointKeepAliveAck,
    EndpointUnreachable, Error, HandleResolution, HandleResolutionResponse,
    HandleResolutionResponseBuilder, Registration, RegistrationResponse,
};
use rserpool_core::wire::{
    Cause, Layout, OperationError, Policy, PoolElement, Protocol, RegistrationLife, TransportBuf,
    TransportUse,
};

/// The registrar's identifier on every bench.
pub const REGISTRAR: RegistrarId = RegistrarId(0x1111_1111);

/// The largest message that fits the bench's buffer.
pub const BUFFER_LEN: usize = 65_536;

/// A registrar with all that it said and told since anybody looked.
pub struct Bench<S> {
    /// The machine.
    pub registrar: Registrar<S, HeapTables, SplitMix64>,
    /// The time on the bench.
    pub now: Instant,
    said: Vec<Said>,
    told: Vec<Event>,
    buffer: Vec<u8>,
}

/// What a registrar said.
#[derive(Clone, PartialEq, Eq)]
pub enum Said {
    /// An ASAP message.
    Message(u32, Vec<u8>),
    /// An announce to the multicast group of ASAP.
    Announce(Vec<u8>),
    /// It had an association aborted.
    Abort(u32),
    /// It had an association shut down.
    Shutdown(u32),
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(to, bytes) => write!(f, "to {to}: {:?}", AsapMessage::parse(bytes)),
            Self::Announce(bytes) => write!(f, "to all: {:?}", AsapMessage::parse(bytes)),
            Self::Abort(id) => write!(f, "abort {id}"),
            Self::Shutdown(id) => write!(f, "shut down {id}"),
        }
    }
}

impl<S: Storage> Bench<S> {
    /// A registrar of seed 1.
    pub fn new(config: Config, storage: S) -> Self {
        Self::with_seed(config, storage, 1_200, 1)
    }

    /// A registrar of any seed, with room for that many associations.
    pub fn with_seed(mut config: Config, storage: S, associations: usize, seed: u64) -> Self {
        config.identifier = REGISTRAR;
        let (tables, entropy) = (HeapTables::new(associations), SplitMix64::new(seed));
        Self {
            registrar: Registrar::new(config, storage, tables, entropy),
            now: Instant::from_millis(1_000),
            said: Vec::new(),
            told: Vec::new(),
            buffer: vec![0; BUFFER_LEN],
        }
    }

    /// Drains the machine after a mutation.
    pub fn drain(&mut self) {
        while let Some(transmit) = self.registrar.poll_transmit(self.now, &mut self.buffer) {
            self.said.push(match transmit {
                Transmit::Message { association, stream, ppid, len } => {
                    assert_eq!((stream, ppid), (StreamId(0), Ppid::ASAP));
                    Said::Message(association.0, self.buffer[..len].to_vec())
                }
                Transmit::Multicast { channel: Channel::Asap, len } => {
                    Said::Announce(self.buffer[..len].to_vec())
                }
                Transmit::Abort { association } => Said::Abort(association.0),
                Transmit::Shutdown { association } => Said::Shutdown(association.0),
                other => panic!("a registrar alone does not {other:?}"),
            });
        }
        while let Some(event) = self.registrar.poll_event() {
            self.told.push(event);
        }
    }

    /// An input of any kind.
    pub fn input(&mut self, input: Input<'_>) -> Result<(), InputError> {
        let result = self.registrar.handle_input(self.now, input);
        self.drain();
        result
    }

    /// An association comes up.
    pub fn up(&mut self, id: u32, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
        self.input(Input::Up {
            association: AssociationId(id),
            connect: None,
            peer_addresses: &addresses,
            peer_port: 30_000,
        })
        .expect("an association comes up");
    }

    /// An association goes down.
    pub fn down(&mut self, id: u32, reason: DownReason) {
        let association = AssociationId(id);
        self.input(Input::Down { association, reason }).expect("an association goes down");
    }

    /// A message comes.
    pub fn hears(&mut self, id: u32, message: impl AsRef<[u8]>) -> Result<(), InputError> {
        self.input(Input::Message {
            association: AssociationId(id),
            stream: StreamId(0),
            ppid: Ppid::ASAP,
            data: message.as_ref(),
        })
    }

    /// What was said since the last look.
    pub fn said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// What was told since the last look.
    pub fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.told)
    }

    /// Lets time pass, and the machine do what is due in it.
    pub fn sleep(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.registrar.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.registrar.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.registrar.handle_timeout(self.now);
        self.drain();
    }

    /// Lets milliseconds pass.
    pub fn sleep_ms(&mut self, millis: u64) {
        self.sleep(Duration::from_millis(millis));
    }

    /// An element registers and is accepted.
    pub fn registers(&mut self, id: u32, pool: &str, pe_id: u32, policy: Policy) {
        self.hears(id, register(&Element { policy, ..element(pool, pe_id) })).expect("registered");
        assert_eq!(self.said(), [Said::Message(id, registered(pool, pe_id))]);
    }

    /// Resolves a pool and lists the elements in the answer.
    pub fn resolves(&mut self, id: u32, pool: &str, items: Option<u32>) -> Vec<u32> {
        self.hears(id, resolve(pool, items)).expect("resolution is taken");
        let said = self.said();
        let [Said::Message(_, bytes)] = &said[..] else { panic!("{said:?}") };
        match AsapMessage::parse(bytes).expect("well-formed") {
            AsapMessage::HandleResolutionResponse(response) => {
                response.elements.iter().map(|element| element.id.0).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// The identifiers of all elements, pool by pool.
    pub fn elements(&self) -> Vec<u32> {
        let mut found = Vec::new();
        self.registrar.handlespace().walk_after(None, None, |view| {
            found.push(view.pe_id().0);
            true
        });
        found
    }
}

/// An element that registers.
#[derive(Clone, Debug)]
pub struct Element<'a> {
    /// Its pool.
    pub pool: &'a str,
    /// Its identifier.
    pub pe_id: u32,
    /// Its user addresses.
    pub addresses: Vec<IpAddr>,
    /// Its user port.
    pub port: u16,
    /// Its user protocol.
    pub protocol: Protocol,
    /// Its control channel.
    pub transport_use: TransportUse,
    /// Its registration life.
    pub life: u32,
    /// Its policy.
    pub policy: Policy,
}

/// An element on 10.0.0.x, x being the last byte of its identifier.
pub fn element(pool: &str, pe_id: u32) -> Element<'_> {
    Element {
        pool,
        pe_id,
        addresses: vec![ip(&address_of(pe_id))],
        port: 4_000,
        protocol: Protocol::Sctp,
        transport_use: TransportUse::DataPlusControl,
        life: 90_000,
        policy: Policy::RoundRobin,
    }
}

/// The address that [`element`] gives.
pub fn address_of(pe_id: u32) -> String {
    format!("10.0.0.{}", pe_id & 0xff)
}

/// An address.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A handle.
pub fn handle(pool: &str) -> PoolHandle<'_> {
    PoolHandle::new(pool.as_bytes()).expect("a handle")
}

/// The bytes of a message.
pub fn bytes(message: AsapMessage<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.encoded_len()];
    assert_eq!(message.emit(&mut bytes), Ok(bytes.len()));
    bytes
}

/// Registration.
pub fn register(element: &Element<'_>) -> Vec<u8> {
    let transport = transport(element);
    bytes(AsapMessage::Registration(Registration::new(
        handle(element.pool),
        PoolElement {
            id: PeId(element.pe_id),
            home: RegistrarId::UNKNOWN,
            registration_life: RegistrationLife(element.life),
            user_transport: transport.as_transport(),
            policy: element.policy,
            asap_transport: None,
            layout: Layout::OURS,
        },
    )))
}

fn transport(element: &Element<'_>) -> TransportBuf<512> {
    TransportBuf::new(element.protocol, element.port, element.transport_use, &element.addresses)
        .expect("a transport")
}

/// Registration Response without rejection.
pub fn registered(pool: &str, pe_id: u32) -> Vec<u8> {
    bytes(AsapMessage::RegistrationResponse(RegistrationResponse::granted(
        handle(pool),
        PeId(pe_id),
    )))
}

/// Registration Response with rejection.
pub fn not_registered(pool: &str, pe_id: u32, cause: Cause, data: &[u8]) -> Vec<u8> {
    bytes(AsapMessage::RegistrationResponse(RegistrationResponse::refused(
        handle(pool),
        PeId(pe_id),
        OperationError::new(cause, data),
    )))
}

/// Deregistration.
pub fn deregister(pool: &str, pe_id: u32) -> Vec<u8> {
    bytes(AsapMessage::Deregistration(Deregistration::new(handle(pool), PeId(pe_id))))
}

/// Deregistration Response.
pub fn deregistered(pool: &str, pe_id: u32, cause: Option<Cause>) -> Vec<u8> {
    let response = DeregistrationResponse::new(handle(pool), PeId(pe_id));
    let error = cause.map(|cause| OperationError::new(cause, &[]));
    bytes(AsapMessage::DeregistrationResponse(DeregistrationResponse { error, ..response }))
}

/// Handle Resolution.
pub fn resolve(pool: &str, items: Option<u32>) -> Vec<u8> {
    bytes(AsapMessage::HandleResolution(HandleResolution::new(handle(pool), items)))
}

/// Handle Resolution of a user that wants to be told of changes.
pub fn subscribe(pool: &str, items: Option<u32>) -> Vec<u8> {
    let message = HandleResolution::new(handle(pool), items);
    bytes(AsapMessage::HandleResolution(HandleResolution { subscribe: true, ..message }))
}

/// Handle Resolution Response with elements.
pub fn resolved(policy: Policy, elements: &[Element<'_>]) -> Vec<u8> {
    let mut buffer = vec![0; BUFFER_LEN];
    let pool = elements[0].pool;
    let mut response =
        HandleResolutionResponseBuilder::new(&mut buffer, handle(pool)).expect("room");
    response.policy(policy).expect("room");
    for element in elements {
        let transport = transport(element);
        response
            .element(&PoolElement {
                id: PeId(element.pe_id),
                home: REGISTRAR,
                registration_life: RegistrationLife(element.life),
                user_transport: transport.as_transport(),
                policy: element.policy,
                asap_transport: None,
                layout: Layout::OURS,
            })
            .expect("room");
    }
    let len = response.finish();
    buffer.truncate(len);
    buffer
}

/// Handle Resolution Response with an error.
pub fn not_resolved(pool: &str, cause: Cause) -> Vec<u8> {
    bytes(AsapMessage::HandleResolutionResponse(HandleResolutionResponse::refused(
        handle(pool),
        OperationError::new(cause, &[]),
    )))
}

/// Endpoint Keep-Alive.
pub fn keep_alive(pool: &str, pe_id: u32) -> Vec<u8> {
    let message = EndpointKeepAlive::new(false, REGISTRAR, handle(pool), PeId(pe_id));
    bytes(AsapMessage::EndpointKeepAlive(message))
}

/// Endpoint Keep-Alive Ack.
pub fn alive(pool: &str, pe_id: u32) -> Vec<u8> {
    let message = EndpointKeepAliveAck::new(handle(pool), PeId(pe_id));
    bytes(AsapMessage::EndpointKeepAliveAck(message))
}

/// Endpoint Unreachable.
pub fn unreachable(pool: &str, pe_id: u32) -> Vec<u8> {
    let message = EndpointUnreachable::new(handle(pool), PeId(pe_id));
    bytes(AsapMessage::EndpointUnreachable(message))
}

/// Error.
pub fn error(cause: Cause, data: &[u8]) -> Vec<u8> {
    bytes(AsapMessage::Error(Error::new(OperationError::new(cause, data))))
}
