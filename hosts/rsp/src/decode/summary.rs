//! What one line tells of a message.

use std::fmt::Write as _;

use rserpool::capture::{Message, Protocol};
use rserpool_core::identifier::{PeId, PoolHandle};
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::enrp::{EnrpMessage, UpdateAction};
use rserpool_core::wire::{Load, OperationError, Policy, PoolElement, Transport};

use super::applications;

/// The gist of a message.
pub(super) fn summary(message: &Message) -> String {
    match message.protocol() {
        Protocol::Asap => match AsapMessage::parse(&message.data) {
            Ok(message) => asap(&message),
            Err(error) => format!("not well-formed: {error}"),
        },
        Protocol::Enrp => match EnrpMessage::parse(&message.data) {
            Ok(message) => enrp(&message),
            Err(error) => format!("not well-formed: {error}"),
        },
        protocol => applications::summary(protocol, &message.data),
    }
}

fn asap(message: &AsapMessage<'_>) -> String {
    match message {
        AsapMessage::Registration(m) => {
            format!("{} {}", m.pool_handle, element(&m.element))
        }
        AsapMessage::Deregistration(m) => pool_and_id(m.pool_handle, m.pe_id),
        AsapMessage::RegistrationResponse(m) => {
            let result = if m.rejected { " REJECTED" } else { "" };
            format!("{}{result}{}", pool_and_id(m.pool_handle, m.pe_id), error(m.error.as_ref()))
        }
        AsapMessage::DeregistrationResponse(m) => {
            format!("{}{}", pool_and_id(m.pool_handle, m.pe_id), error(m.error.as_ref()))
        }
        AsapMessage::HandleResolution(m) => {
            let mut text = m.pool_handle.to_string();
            match m.items {
                Some(u32::MAX) => text.push_str(", all items"),
                Some(items) => {
                    let _ = write!(text, ", {items} items");
                }
                None => {}
            }
            if m.subscribe {
                text.push_str(", subscribe");
            }
            text
        }
        AsapMessage::HandleResolutionResponse(m) => {
            let mut text = m.pool_handle.to_string();
            if let Some(value) = &m.policy {
                let _ = write!(text, ", {}", policy(value));
            }
            for element in m.elements {
                let _ = write!(text, ", {}", element.id);
            }
            text.push_str(&error(m.error.as_ref()));
            text
        }
        AsapMessage::EndpointKeepAlive(m) => {
            let home = if m.home { ", new home" } else { "" };
            let id = m.pe_id.map_or_else(String::new, |id| format!(" {id}"));
            format!("{}{id} from {}{home}", m.pool_handle, m.registrar)
        }
        AsapMessage::EndpointKeepAliveAck(m) => pool_and_id(m.pool_handle, m.pe_id),
        AsapMessage::EndpointUnreachable(m) => pool_and_id(m.pool_handle, m.pe_id),
        AsapMessage::ServerAnnounce(m) => {
            let mut text = m.registrar.to_string();
            for value in m.transports {
                let _ = write!(text, ", {}", transport(&value));
            }
            text
        }
        AsapMessage::Cookie(m) => format!("{} bytes", m.cookie.len()),
        AsapMessage::CookieEcho(m) => format!("{} bytes", m.cookie.len()),
        AsapMessage::BusinessCard(m) => {
            let mut text = m.pool_handle.to_string();
            for element in m.elements {
                let _ = write!(text, ", {}", element.id);
            }
            text
        }
        AsapMessage::Error(m) => causes(&m.error),
        _ => "unknown message".to_owned(),
    }
}

fn enrp(message: &EnrpMessage<'_>) -> String {
    let Some((sender, receiver)) = message.ids() else {
        return "unknown message".to_owned();
    };
    let mut text = format!("{sender} to {receiver}");
    match message {
        EnrpMessage::Presence(m) => {
            if let Some(checksum) = m.checksum {
                let _ = write!(text, ", checksum {:#06x}", checksum.0);
            }
            if let Some(server) = &m.server {
                let _ = write!(text, ", {}", transport(&server.transport));
            }
            text.push_str(if m.reply_required { ", reply required" } else { "" });
        }
        EnrpMessage::HandleTableRequest(m) => {
            text.push_str(if m.own_only { ", own elements only" } else { "" });
        }
        EnrpMessage::HandleTableResponse(m) => {
            let _ = write!(text, ", {} elements", m.entries.iter().count());
            text.push_str(if m.rejected { ", REJECTED" } else { "" });
            text.push_str(if m.more { ", more to come" } else { "" });
        }
        EnrpMessage::HandleUpdate(m) => {
            let action = match m.action {
                UpdateAction::ADD => "add".to_owned(),
                UpdateAction::DELETE => "delete".to_owned(),
                UpdateAction(other) => format!("action {other}"),
            };
            let _ = write!(text, ", {action} {} {}", m.pool_handle, element(&m.element));
            text.push_str(if m.takeover_suggested { ", takeover suggested" } else { "" });
        }
        EnrpMessage::ListResponse(m) => {
            for server in m.servers {
                let _ = write!(text, ", {}", server.id);
            }
            text.push_str(if m.rejected { ", REJECTED" } else { "" });
        }
        EnrpMessage::InitTakeover(m) => {
            let _ = write!(text, ", target {}", m.target);
        }
        EnrpMessage::InitTakeoverAck(m) => {
            let _ = write!(text, ", target {}", m.target);
        }
        EnrpMessage::TakeoverServer(m) => {
            let _ = write!(text, ", target {}", m.target);
        }
        EnrpMessage::Error(m) => {
            let _ = write!(text, ", {}", causes(&m.error));
        }
        _ => {}
    }
    text
}

fn pool_and_id(pool: PoolHandle<'_>, id: PeId) -> String {
    format!("{pool} {id}")
}

fn element(element: &PoolElement<'_>) -> String {
    format!(
        "{} at {}, {}, life {}",
        element.id,
        transport(&element.user_transport),
        policy(&element.policy),
        element.registration_life.0,
    )
}

fn error(error: Option<&OperationError<'_>>) -> String {
    error.map_or_else(String::new, |error| format!(", {}", causes(error)))
}

/// The causes of an error, by name or number.
pub(super) fn causes(error: &OperationError<'_>) -> String {
    let names: Vec<String> = error
        .causes()
        .map(|cause| match cause.code.name() {
            Some(name) => name.to_owned(),
            None => format!("cause {:#06x}", cause.code.0),
        })
        .collect();
    names.join(", ")
}

/// A transport as in `Sctp 10.77.0.21,10.77.1.21:3863`.
pub(super) fn transport(transport: &Transport<'_>) -> String {
    let addresses: Vec<String> = transport
        .addresses()
        .map(|address| match address {
            std::net::IpAddr::V4(address) => address.to_string(),
            std::net::IpAddr::V6(address) => format!("[{address}]"),
        })
        .collect();
    let protocol = format!("{:?}", transport.protocol()).to_uppercase();
    format!("{protocol} {}:{}", addresses.join(","), transport.port())
}

/// A policy with its values.
pub(super) fn policy(policy: &Policy) -> String {
    let kind = policy.policy_type();
    let mut text = match kind.name() {
        Some(name) => name.to_owned(),
        None => format!("policy {:#010x}", kind.0),
    };
    for (name, value) in values(policy) {
        let _ = write!(text, " {name} {value}");
    }
    text
}

/// The values of a policy by name.
fn values(policy: &Policy) -> Vec<(&'static str, String)> {
    let load = |name, load: Load| (name, percent(load));
    let number = |name, value: u32| (name, value.to_string());
    match *policy {
        Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => {
            vec![number("weight", weight)]
        }
        Policy::Priority { priority } => vec![number("priority", priority)],
        Policy::LeastUsed { load: used } | Policy::RandomizedLeastUsed { load: used } => {
            vec![load("load", used)]
        }
        Policy::LeastUsedDegradation { load: used, degradation }
        | Policy::PriorityLeastUsed { load: used, degradation }
        | Policy::RandomizedPriorityLeastUsed { load: used, degradation }
        | Policy::RandomizedLeastUsedDegradation { load: used, degradation }
        | Policy::PriorityLeastUsedDegradation { load: used, degradation }
        | Policy::RandomizedPriorityLeastUsedDegradation { load: used, degradation } => {
            vec![load("load", used), load("degradation", degradation)]
        }
        Policy::WeightedRandomDpf { weight, dpf, distance } => {
            vec![number("weight", weight), load("dpf", dpf), number("distance", distance)]
        }
        Policy::LeastUsedDpf { load: used, dpf, distance } => {
            vec![load("load", used), load("dpf", dpf), number("distance", distance)]
        }
        Policy::LeastUsedDegradationDpf { load: used, degradation, dpf, distance } => vec![
            load("load", used),
            load("degradation", degradation),
            load("dpf", dpf),
            number("distance", distance),
        ],
        _ => vec![],
    }
}

fn percent(load: Load) -> String {
    format!("{:.2}%", f64::from(load.0) / f64::from(u32::MAX) * 100.0)
}
