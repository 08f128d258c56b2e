//! All fields of a message, for `rsp decode -v`.

use std::fmt::Write as _;

use rserpool::capture::{Carrier, Message, Protocol};
use rserpool_core::identifier::{PeId, PoolHandle, RegistrarId};
use rserpool_core::wire::asap::AsapMessage;
use rserpool_core::wire::enrp::EnrpMessage;
use rserpool_core::wire::{
    OperationError, Policy, PoolElement, ServerInformation, Transport, Unrecognized,
};

use super::applications;
use super::summary::{policy, transport};

/// The fields, one indented line each.
pub(super) fn fields(message: &Message) -> String {
    let mut out = Fields::default();
    match message.carrier {
        Carrier::Sctp { ppid, stream, tsn, over_udp } => {
            let udp = if over_udp { " over UDP" } else { "" };
            out.field("SCTP", format!("PPID {}, stream {stream}, TSN {tsn}{udp}", ppid.0));
        }
        Carrier::Udp => {}
    }
    if message.retransmission {
        return out.text;
    }
    match message.protocol() {
        Protocol::Asap => match AsapMessage::parse(&message.data) {
            Ok(message) => {
                out.asap(&message);
                out.unrecognized(message.unrecognized());
            }
            Err(error) => {
                out.field("not well-formed", error);
                out.bytes("to blame", error.bytes);
            }
        },
        Protocol::Enrp => match EnrpMessage::parse(&message.data) {
            Ok(message) => {
                out.enrp(&message);
                out.unrecognized(message.unrecognized());
            }
            Err(error) => {
                out.field("not well-formed", error);
                out.bytes("to blame", error.bytes);
            }
        },
        protocol => {
            for (name, value) in applications::fields(protocol, &message.data) {
                out.field(name, value);
            }
        }
    }
    out.bytes("bytes", &message.data);
    out.text
}

#[derive(Default)]
struct Fields {
    text: String,
    depth: usize,
}

impl Fields {
    fn field(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{:indent$}{name}: {value}", "", indent = 6 + 2 * self.depth);
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let mut hex = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            let _ = write!(hex, "{byte:02x}");
        }
        self.field(name, format_args!("{hex} ({} bytes)", bytes.len()));
    }

    fn nested(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.field(name, "");
        // No trailing blank after the colon.
        self.text.truncate(self.text.trim_end().len());
        self.text.push('\n');
        self.depth += 1;
        inner(self);
        self.depth -= 1;
    }

    fn asap(&mut self, message: &AsapMessage<'_>) {
        match message {
            AsapMessage::Registration(m) => {
                self.pool(m.pool_handle);
                self.element(&m.element);
            }
            AsapMessage::Deregistration(m) => self.pool_and_id(m.pool_handle, m.pe_id),
            AsapMessage::RegistrationResponse(m) => {
                self.field("rejected", m.rejected);
                self.pool_and_id(m.pool_handle, m.pe_id);
                self.error(m.error.as_ref());
            }
            AsapMessage::DeregistrationResponse(m) => {
                self.pool_and_id(m.pool_handle, m.pe_id);
                self.error(m.error.as_ref());
            }
            AsapMessage::HandleResolution(m) => {
                self.field("subscribe", m.subscribe);
                self.pool(m.pool_handle);
                if let Some(items) = m.items {
                    self.field("items", items);
                }
            }
            AsapMessage::HandleResolutionResponse(m) => {
                self.field("accept", m.accept);
                self.pool(m.pool_handle);
                self.policy(m.policy.as_ref());
                m.elements.iter().for_each(|element| self.element(&element));
                self.error(m.error.as_ref());
            }
            AsapMessage::EndpointKeepAlive(m) => {
                self.field("new home", m.home);
                self.field("registrar", m.registrar);
                self.pool(m.pool_handle);
                if let Some(id) = m.pe_id {
                    self.field("PE identifier", id);
                }
            }
            AsapMessage::EndpointKeepAliveAck(m) => self.pool_and_id(m.pool_handle, m.pe_id),
            AsapMessage::EndpointUnreachable(m) => self.pool_and_id(m.pool_handle, m.pe_id),
            AsapMessage::ServerAnnounce(m) => {
                self.field("registrar", m.registrar);
                m.transports.iter().for_each(|value| self.transport("transport", &value));
            }
            AsapMessage::Cookie(m) => self.bytes("cookie", m.cookie),
            AsapMessage::CookieEcho(m) => self.bytes("cookie", m.cookie),
            AsapMessage::BusinessCard(m) => {
                self.pool(m.pool_handle);
                self.policy(m.policy.as_ref());
                m.elements.iter().for_each(|element| self.element(&element));
            }
            AsapMessage::Error(m) => self.error(Some(&m.error)),
            _ => {}
        }
    }

    fn enrp(&mut self, message: &EnrpMessage<'_>) {
        if let Some((sender, receiver)) = message.ids() {
            self.field("sender", sender);
            self.field("receiver", receiver);
        }
        match message {
            EnrpMessage::Presence(m) => {
                self.field("reply required", m.reply_required);
                if let Some(checksum) = m.checksum {
                    self.field("PE checksum", format_args!("{:#06x}", checksum.0));
                }
                m.server.iter().for_each(|server| self.server(server));
            }
            EnrpMessage::HandleTableRequest(m) => self.field("own elements only", m.own_only),
            EnrpMessage::HandleTableResponse(m) => {
                self.field("rejected", m.rejected);
                self.field("more to send", m.more);
                for (pool, element) in m.entries {
                    self.pool(pool);
                    self.element(&element);
                }
            }
            EnrpMessage::HandleUpdate(m) => {
                self.field("takeover suggested", m.takeover_suggested);
                self.field("action", m.action.0);
                self.pool(m.pool_handle);
                self.element(&m.element);
            }
            EnrpMessage::ListResponse(m) => {
                self.field("rejected", m.rejected);
                m.servers.iter().for_each(|server| self.server(&server));
            }
            EnrpMessage::InitTakeover(m) => self.target(m.target),
            EnrpMessage::InitTakeoverAck(m) => self.target(m.target),
            EnrpMessage::TakeoverServer(m) => self.target(m.target),
            EnrpMessage::Error(m) => self.error(Some(&m.error)),
            _ => {}
        }
    }

    fn pool(&mut self, handle: PoolHandle<'_>) {
        self.field("pool handle", handle);
    }

    fn pool_and_id(&mut self, handle: PoolHandle<'_>, id: PeId) {
        self.pool(handle);
        self.field("PE identifier", id);
    }

    fn target(&mut self, target: RegistrarId) {
        self.field("target", target);
    }

    fn policy(&mut self, value: Option<&Policy>) {
        if let Some(value) = value {
            let kind = value.policy_type().0;
            self.field("policy", format_args!("{} ({kind:#010x})", policy(value)));
        }
    }

    fn transport(&mut self, name: &str, value: &Transport<'_>) {
        let (text, purpose) = (transport(value), value.transport_use());
        self.field(name, format_args!("{text}, use {purpose:?}"));
    }

    fn element(&mut self, element: &PoolElement<'_>) {
        self.nested("pool element", |out| {
            out.field("PE identifier", element.id);
            out.field("home registrar", element.home);
            out.field("registration life", element.registration_life.0);
            out.transport("user transport", &element.user_transport);
            out.policy(Some(&element.policy));
            if let Some(asap) = &element.asap_transport {
                out.transport("ASAP transport", asap);
            }
        });
    }

    fn server(&mut self, server: &ServerInformation<'_>) {
        self.nested("server information", |out| {
            out.field("registrar", server.id);
            out.transport("transport", &server.transport);
        });
    }

    fn error(&mut self, error: Option<&OperationError<'_>>) {
        for cause in error.iter().flat_map(|error| error.causes()) {
            let name = cause.code.name().unwrap_or("unknown cause");
            self.field("error", format_args!("{name} ({:#06x})", cause.code.0));
            if !cause.data.is_empty() {
                self.depth += 1;
                self.bytes("data", cause.data);
                self.depth -= 1;
            }
        }
    }

    fn unrecognized(&mut self, parameters: Unrecognized<'_>) {
        for parameter in parameters {
            self.bytes("unknown parameter to report", parameter);
        }
    }
}
