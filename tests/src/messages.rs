//! Examples of every message that we can send: each type, policy, transport and cause.

use std::net::IpAddr;

use rserpool_core::association::Ppid;
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::wire::asap::{self, AsapMessage};
use rserpool_core::wire::enrp::{self, EnrpMessage, UpdateAction};
use rserpool_core::wire::{
    Cause, Layout, Load, OperationError, PeChecksum, Policy, PoolElement, Protocol,
    RegistrationLife, ServerInformation, Transport, TransportBuf, TransportUse, Transports,
};

/// The encoded examples, each with the protocol that it belongs to.
///
/// # Panics
///
/// If one cannot be written.
#[must_use]
pub fn examples() -> Vec<(Ppid, Vec<u8>)> {
    let mut examples = Examples { found: Vec::new() };
    examples.registrations();
    examples.answers();
    examples.resolutions();
    examples.sessions();
    examples.registrars();
    examples.tables();
    examples.errors();
    examples.found
}

struct Examples {
    found: Vec<(Ppid, Vec<u8>)>,
}

impl Examples {
    fn asap(&mut self, message: AsapMessage<'_>) {
        let mut bytes = vec![0xff; message.encoded_len()];
        assert_eq!(message.emit(&mut bytes), Ok(bytes.len()));
        self.found.push((Ppid::ASAP, bytes));
    }

    fn enrp(&mut self, message: EnrpMessage<'_>) {
        let mut bytes = vec![0xff; message.encoded_len()];
        assert_eq!(message.emit(&mut bytes), Ok(bytes.len()));
        self.found.push((Ppid::ENRP, bytes));
    }

    fn built(&mut self, ppid: Ppid, build: impl FnOnce(&mut [u8]) -> usize) {
        let mut bytes = vec![0xff; 2000];
        let len = build(&mut bytes);
        bytes.truncate(len);
        self.found.push((ppid, bytes));
    }

    fn registrations(&mut self) {
        let sctp = sctp();
        for policy in policies() {
            self.registration(element(sctp.as_transport(), policy));
        }
        for transport in transports() {
            self.registration(element(transport.as_transport(), Policy::RoundRobin));
        }
        self.asap(AsapMessage::Deregistration(asap::Deregistration::new(pool(), ELEMENT)));
    }

    fn registration(&mut self, element: PoolElement<'_>) {
        for handle in [&b"EchoPool"[..], b"Odd7chr"] {
            let handle = PoolHandle::new(handle).expect("short enough");
            self.asap(AsapMessage::Registration(asap::Registration::new(handle, element)));
        }
    }

    fn answers(&mut self) {
        use asap::{DeregistrationResponse, RegistrationResponse};
        let granted = RegistrationResponse::granted(pool(), ELEMENT);
        self.asap(AsapMessage::RegistrationResponse(granted));
        for cause in causes() {
            let refused = RegistrationResponse::refused(pool(), ELEMENT, cause);
            self.asap(AsapMessage::RegistrationResponse(refused));
        }
        let mut message = DeregistrationResponse::new(pool(), ELEMENT);
        self.asap(AsapMessage::DeregistrationResponse(message));
        message.error = Some(OperationError::new(Cause::UNKNOWN_POOL_HANDLE, &[]));
        self.asap(AsapMessage::DeregistrationResponse(message));
    }

    fn resolutions(&mut self) {
        for items in [None, Some(1), Some(u32::MAX)] {
            for subscribe in [false, true] {
                let message = asap::HandleResolution {
                    subscribe,
                    ..asap::HandleResolution::new(pool(), items)
                };
                self.asap(AsapMessage::HandleResolution(message));
            }
        }
        let unknown = OperationError::new(Cause::UNKNOWN_POOL_HANDLE, &[]);
        let message = asap::HandleResolutionResponse::refused(pool(), unknown);
        self.asap(AsapMessage::HandleResolutionResponse(message));
        let sctp = sctp();
        for policy in policies() {
            self.built(Ppid::ASAP, |buf| {
                let mut builder =
                    asap::HandleResolutionResponseBuilder::new(buf, pool()).expect("enough room");
                builder.accept(true).policy(policy).expect("enough room");
                for _ in 0..3 {
                    let element = element(sctp.as_transport(), policy);
                    builder.element(&element).expect("enough room");
                }
                builder.finish()
            });
        }
    }

    fn sessions(&mut self) {
        let registrar = RegistrarId(0x1111_1111);
        for home in [false, true] {
            let mut message = asap::EndpointKeepAlive::new(home, registrar, pool(), ELEMENT);
            self.asap(AsapMessage::EndpointKeepAlive(message));
            message.pe_id = None;
            self.asap(AsapMessage::EndpointKeepAlive(message));
        }
        let message = asap::EndpointKeepAliveAck::new(pool(), ELEMENT);
        self.asap(AsapMessage::EndpointKeepAliveAck(message));
        let message = asap::EndpointUnreachable::new(pool(), ELEMENT);
        self.asap(AsapMessage::EndpointUnreachable(message));
        let message = asap::ServerAnnounce::new(registrar, Transports::NONE);
        self.asap(AsapMessage::ServerAnnounce(message));
        let sctp = sctp();
        let transports = Transports::one(sctp.as_transport());
        self.asap(AsapMessage::ServerAnnounce(asap::ServerAnnounce::new(registrar, transports)));
        for cookie in [&b"eight by"[..], b"odd length", b""] {
            self.asap(AsapMessage::Cookie(asap::Cookie::new(cookie)));
            self.asap(AsapMessage::CookieEcho(asap::CookieEcho::new(cookie)));
        }
        self.built(Ppid::ASAP, |buf| {
            let mut card = asap::BusinessCardBuilder::new(buf, pool()).expect("enough room");
            let element = element(sctp.as_transport(), Policy::RoundRobin);
            card.element(&element).expect("enough room").finish()
        });
    }

    fn registrars(&mut self) {
        let (sender, receiver, target) = (RegistrarId(1), RegistrarId(2), RegistrarId(3));
        let sctp = sctp();
        let server = ServerInformation::new(sender, sctp.as_transport());
        for reply_required in [false, true] {
            let message =
                enrp::Presence::new(reply_required, receiver, PeChecksum(0xcbc3), server);
            self.enrp(EnrpMessage::Presence(message));
            let message = enrp::HandleTableRequest::new(reply_required, sender, receiver);
            self.enrp(EnrpMessage::HandleTableRequest(message));
        }
        self.enrp(EnrpMessage::ListRequest(enrp::ListRequest::new(sender, receiver)));
        self.enrp(EnrpMessage::ListResponse(enrp::ListResponse::refused(sender, receiver)));
        self.built(Ppid::ENRP, |buf| {
            let mut list =
                enrp::ListResponseBuilder::new(buf, sender, receiver).expect("enough room");
            for _ in 0..3 {
                list.server(&server).expect("enough room");
            }
            list.finish()
        });
        let message = enrp::InitTakeover::new(sender, receiver, target);
        self.enrp(EnrpMessage::InitTakeover(message));
        let message = enrp::InitTakeoverAck::new(sender, receiver, target);
        self.enrp(EnrpMessage::InitTakeoverAck(message));
        let message = enrp::TakeoverServer::new(sender, receiver, target);
        self.enrp(EnrpMessage::TakeoverServer(message));
    }

    fn tables(&mut self) {
        let (sender, receiver) = (RegistrarId(1), RegistrarId(2));
        let sctp = sctp();
        let element = |policy| PoolElement {
            home: sender,
            asap_transport: Some(sctp.as_transport()),
            ..element(sctp.as_transport(), policy)
        };
        for policy in policies() {
            for action in [UpdateAction::ADD, UpdateAction::DELETE] {
                let message =
                    enrp::HandleUpdate::new(sender, receiver, action, pool(), element(policy));
                self.enrp(EnrpMessage::HandleUpdate(message));
            }
        }
        let refused = enrp::HandleTableResponse::refused(sender, receiver);
        self.enrp(EnrpMessage::HandleTableResponse(refused));
        self.built(Ppid::ENRP, |buf| {
            let mut table =
                enrp::HandleTableResponseBuilder::new(buf, sender, receiver).expect("enough room");
            for name in [&b"EchoPool"[..], b"EchoPool", b"Odd7chr"] {
                let pool = PoolHandle::new(name).expect("short enough");
                table.element(pool, &element(Policy::Random)).expect("enough room");
            }
            table.more(true).finish()
        });
    }

    fn errors(&mut self) {
        for cause in causes() {
            self.asap(AsapMessage::Error(asap::Error::new(cause)));
            let message = enrp::Error::new(RegistrarId(1), RegistrarId(2), cause);
            self.enrp(EnrpMessage::Error(message));
        }
    }
}

const ELEMENT: PeId = PeId(0xaaaa_0001);

fn pool() -> PoolHandle<'static> {
    PoolHandle::new(b"PingPongPool").expect("short enough")
}

fn element(transport: Transport<'_>, policy: Policy) -> PoolElement<'_> {
    PoolElement {
        layout: Layout::OURS,
        ..PoolElement::new(ELEMENT, RegistrationLife(90_000), transport, policy)
    }
}

fn sctp() -> TransportBuf<16> {
    let address = IpAddr::from([10, 77, 0, 21]);
    TransportBuf::new(Protocol::Sctp, 37247, TransportUse::DataPlusControl, &[address])
        .expect("enough room")
}

fn transports() -> Vec<TransportBuf<64>> {
    let v4 = IpAddr::from([10, 77, 0, 21]);
    let v6 = IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 0x21]);
    let mut transports = vec![TransportBuf::opaque(b"anything").expect("enough room")];
    let mut add = |protocol, addresses: &[IpAddr]| {
        let transport = TransportBuf::new(protocol, 7, TransportUse::Data, addresses);
        transports.push(transport.expect("enough room"));
    };
    add(Protocol::Sctp, &[v4, v6]);
    for protocol in [Protocol::Dccp, Protocol::Tcp, Protocol::Udp, Protocol::UdpLite] {
        add(protocol, &[v4]);
        add(protocol, &[v6]);
    }
    transports
}

fn policies() -> [Policy; 16] {
    let (load, degradation, dpf) = (Load(0x3fff_ffff), Load(0x4000_0000), Load(0x0006_8db9));
    [
        Policy::RoundRobin,
        Policy::WeightedRoundRobin { weight: 3 },
        Policy::Random,
        Policy::WeightedRandom { weight: 5 },
        Policy::Priority { priority: 7 },
        Policy::LeastUsed { load },
        Policy::LeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsed { load },
        Policy::RandomizedPriorityLeastUsed { load, degradation },
        Policy::RandomizedLeastUsedDegradation { load, degradation },
        Policy::PriorityLeastUsedDegradation { load, degradation },
        Policy::RandomizedPriorityLeastUsedDegradation { load, degradation },
        Policy::WeightedRandomDpf { weight: 1000, dpf, distance: 50 },
        Policy::LeastUsedDpf { load, dpf, distance: 50 },
        Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance: 50 },
    ]
}

/// Every cause of RFC 5354, with the data that it calls for.
fn causes() -> [OperationError<'static>; 11] {
    let parameter = b"\x40\x99\0\x08\x01\x02\x03\x04";
    let message = b"\x60\0\0\x04";
    let policy = b"\0\x08\0\x08\0\0\0\x01";
    let transport = b"\0\x04\0\x10\0\x07\0\x01\0\x01\0\x08\x0a\x4d\0\x15";
    [
        OperationError::new(Cause::UNSPECIFIED, &[]),
        OperationError::new(Cause::UNRECOGNIZED_PARAMETER, parameter),
        OperationError::new(Cause::UNRECOGNIZED_MESSAGE, message),
        OperationError::new(Cause::INVALID_VALUES, policy),
        OperationError::new(Cause::NON_UNIQUE_PE_IDENTIFIER, &[]),
        OperationError::new(Cause::INCONSISTENT_POOL_POLICY, policy),
        OperationError::new(Cause::LACK_OF_RESOURCES, &[]),
        OperationError::new(Cause::INCONSISTENT_TRANSPORT_TYPE, transport),
        OperationError::new(Cause::INCONSISTENT_DATA_CONTROL, &[]),
        OperationError::new(Cause::UNKNOWN_POOL_HANDLE, &[]),
        OperationError::new(Cause::SECURITY, &[]),
    ]
}
