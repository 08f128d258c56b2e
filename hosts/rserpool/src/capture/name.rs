//! Names of messages, as listings of captures give them.

use rserpool_core::association::Ppid;

use super::{Carrier, Message};

/// Which protocol a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// ASAP (PPID 11, and UDP 3863).
    Asap,
    /// ENRP (PPID 12, and UDP 9901).
    Enrp,
    /// RSPLIB's fractal generator (PPID 32).
    Fractal,
    /// RSPLIB's ping-pong (PPID 33).
    PingPong,
    /// RSPLIB's CalcApp (PPID 34).
    CalcApp,
    /// RSPLIB's scripting service (PPID 35).
    Scripting,
    /// The compute service of this project.
    Compute,
    /// RSPLIB's component status reports (UDP 2960).
    ComponentStatus,
    /// Something else.
    Other,
}

impl Message {
    /// The protocol, as told by the payload protocol identifier or the UDP port.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.carrier {
            Carrier::Sctp { ppid, .. } => match ppid {
                Ppid::ASAP => Protocol::Asap,
                Ppid::ENRP => Protocol::Enrp,
                Ppid::COMPUTE => Protocol::Compute,
                Ppid(32) => Protocol::Fractal,
                Ppid(33) => Protocol::PingPong,
                Ppid(34) => Protocol::CalcApp,
                Ppid(35) => Protocol::Scripting,
                _ => Protocol::Other,
            },
            Carrier::Udp => match self.destination.port() {
                3863 => Protocol::Asap,
                9901 => Protocol::Enrp,
                2960 => Protocol::ComponentStatus,
                _ => Protocol::Other,
            },
        }
    }

    /// The message's name, as in `ASAP REGISTRATION` or `ENRP(UDP) PRESENCE`.
    #[must_use]
    pub fn name(&self) -> String {
        let protocol = self.protocol();
        let Some(&kind) = self.data.first() else {
            return self.carrier_name();
        };
        let (prefix, names) = match protocol {
            Protocol::Asap => ("ASAP", ASAP),
            Protocol::Enrp => ("ENRP", ENRP),
            Protocol::Fractal => ("FGP", FRACTAL),
            Protocol::PingPong => ("PPP", PING_PONG),
            Protocol::CalcApp => ("CALCAPP", CALC_APP),
            Protocol::Scripting => ("SSP", SCRIPTING),
            Protocol::ComponentStatus => return self.report_name(),
            Protocol::Compute => ("COMPUTE", &[][..]),
            Protocol::Other => return self.carrier_name(),
        };
        let name = names.get(usize::from(kind)).copied().filter(|name| !name.is_empty());
        match (self.carrier, name) {
            (Carrier::Sctp { .. }, Some(name)) => format!("{prefix} {name}"),
            (Carrier::Sctp { .. }, None) => format!("{prefix} type{kind}"),
            (Carrier::Udp, Some(name)) => format!("{prefix}(UDP) {name}"),
            (Carrier::Udp, None) => format!("{prefix}(UDP) {kind}"),
        }
    }

    fn report_name(&self) -> String {
        let last = self.data.get(1).is_some_and(|flags| flags & 1 != 0);
        format!("CSP REPORT{}", if last { "(final)" } else { "" })
    }

    fn carrier_name(&self) -> String {
        match self.carrier {
            Carrier::Sctp { ppid, .. } => format!("PPID {}", ppid.0),
            Carrier::Udp => format!("UDP {}", self.destination.port()),
        }
    }
}

/// Names by type.
type Names = &'static [&'static str];

const ASAP: Names = &[
    "",
    "REGISTRATION",
    "DEREGISTRATION",
    "REGISTRATION_RESPONSE",
    "DEREGISTRATION_RESPONSE",
    "HANDLE_RESOLUTION",
    "HANDLE_RESOLUTION_RESPONSE",
    "ENDPOINT_KEEP_ALIVE",
    "ENDPOINT_KEEP_ALIVE_ACK",
    "ENDPOINT_UNREACHABLE",
    "SERVER_ANNOUNCE",
    "COOKIE",
    "COOKIE_ECHO",
    "BUSINESS_CARD",
    "ERROR",
];
const ENRP: Names = &[
    "",
    "PRESENCE",
    "HANDLE_TABLE_REQUEST",
    "HANDLE_TABLE_RESPONSE",
    "HANDLE_UPDATE",
    "LIST_REQUEST",
    "LIST_RESPONSE",
    "INIT_TAKEOVER",
    "INIT_TAKEOVER_ACK",
    "TAKEOVER_SERVER",
    "ERROR",
];
const PING_PONG: Names = &["", "PING", "PONG"];
const CALC_APP: Names =
    &["", "REQUEST", "ACCEPT", "REJECT", "ABORT", "COMPLETE", "KEEPALIVE", "KEEPALIVE_ACK"];
const FRACTAL: Names = &["", "PARAMETER", "DATA"];
const SCRIPTING: Names = &[
    "NOTREADY",
    "READY",
    "UPLOAD",
    "DOWNLOAD",
    "KEEPALIVE",
    "KEEPALIVE_ACK",
    "STATUS",
    "ENVIRONMENT",
];
