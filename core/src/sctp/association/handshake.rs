//! Setting up: RFC 9260 §5.1, §5.2.

use super::own::OwnAddresses;
use super::{Addresses, Association, Events, Owed, PATHS_MAX, Path, State};
use core::net::IpAddr;

use crate::association::DownReason;
use crate::sctp::cookie::{COOKIE_LEN_MAX, Cookie};
use crate::sctp::endpoint::{Context, REFLECTED, Route, is_unicast};
use crate::sctp::packet::{
    Cause, ChunkType, Chunks, Init, PacketWriter, ParameterType, RawParameter, UnknownAction,
};
use crate::sctp::serial::Tsn;
use crate::sctp::transfer::PathTransfer;
use crate::sctp::types::{Connect, InputError};
use crate::time::Timer;
use heapless::Vec;

/// The longest cookie of a peer that is kept; Linux needs 232 bytes and more with many addresses.
const PEER_COOKIE_LEN_MAX: usize = 1_024;
/// Bytes of unknown parameters that are reported to a peer.
const REPORT_LEN_MAX: usize = 128;

/// RFC 9260 §3.3.2.
const A_RWND_MIN: u32 = 1_500;

/// Parameters that are to be reported, padded and in a row, each as it came.
type Report = Vec<u8, REPORT_LEN_MAX>;

/// What an INIT ACK answers: our side of the association to come.
pub(in crate::sctp) struct StrangerInit {
    pub(in crate::sctp) own_tag: u32,
    pub(in crate::sctp) own_initial_tsn: Tsn,
    pub(in crate::sctp) ties: (u32, u32),
    /// The receive window that is offered.
    pub(in crate::sctp) a_rwnd: u32,
}

/// Why an INIT or INIT ACK is refused.
pub(in crate::sctp) struct Refusal<'a> {
    pub(in crate::sctp) cause: Cause,
    pub(in crate::sctp) info: &'a [u8],
}

/// What the parameters of an INIT or INIT ACK say.
struct Parameters<'a> {
    cookie: Option<&'a [u8]>,
    report: Report,
    /// The peer's addresses beside the one that the packet came from.
    addresses: Addresses,
    /// What kinds of addresses the peer can use.
    takes_ipv4: bool,
    takes_ipv6: bool,
}

fn read_parameters<'a>(init: &Init<'a>, source: IpAddr) -> Result<Parameters<'a>, Refusal<'a>> {
    let mut parameters = Parameters {
        cookie: None,
        report: Vec::new(),
        addresses: Addresses::NONE,
        takes_ipv4: true,
        takes_ipv6: true,
    };
    for parameter in init.tlvs() {
        match ParameterType(parameter.kind) {
            ParameterType::STATE_COOKIE => parameters.cookie = Some(parameter.value),
            // RFC 9260 §5.1.2 D.
            ParameterType::HOST_NAME => {
                return Err(Refusal { cause: Cause::UNRESOLVABLE_ADDRESS, info: parameter.bytes });
            }
            ParameterType::IPV4_ADDRESS | ParameterType::IPV6_ADDRESS => {
                if let Some(address) = listed_address(&parameter, source) {
                    parameters.addresses.add(address);
                }
            }
            ParameterType::SUPPORTED_ADDRESS_TYPES => {
                let kinds = parameter.value.as_chunks().0;
                let has = |kind: ParameterType| kinds.contains(&kind.0.to_be_bytes());
                parameters.takes_ipv4 = has(ParameterType::IPV4_ADDRESS);
                parameters.takes_ipv6 = has(ParameterType::IPV6_ADDRESS);
            }
            ParameterType::UNRECOGNIZED | ParameterType::COOKIE_PRESERVATIVE => {}
            _ => {
                let action = UnknownAction::from_bits((parameter.kind >> 14) as u8);
                if action.reports() {
                    report(&mut parameters.report, &parameter);
                }
                if action.stops() {
                    break;
                }
            }
        }
    }
    Ok(parameters)
}

/// An address that the peer lists, unless it can be no way to it: one that is nobody's or
/// everybody's, the source, or on another machine's loopback.
fn listed_address(parameter: &RawParameter<'_>, source: IpAddr) -> Option<IpAddr> {
    let address = match *parameter.value {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(<[u8; 16]>::try_from(parameter.value).ok()?),
    };
    let is_useless = address.is_unspecified()
        || !is_unicast(address)
        || address == source
        || (address.is_loopback() && !source.is_loopback());
    (!is_useless).then_some(address)
}

/// The addresses that an INIT lists beside the one that it came from.
pub(in crate::sctp) fn listed_addresses(
    init: &Init<'_>,
    source: IpAddr,
) -> impl Iterator<Item = IpAddr> {
    let addresses = init.tlvs().filter(|parameter| {
        let kind = ParameterType(parameter.kind);
        kind == ParameterType::IPV4_ADDRESS || kind == ParameterType::IPV6_ADDRESS
    });
    addresses.filter_map(move |parameter| listed_address(&parameter, source))
}

/// Adds a parameter to a report, if there is room for all of it.
fn report(report: &mut Report, parameter: &RawParameter<'_>) {
    let len = parameter.bytes.len().next_multiple_of(4);
    if report.capacity() - report.len() >= len {
        let _ = report.extend_from_slice(parameter.bytes);
        let _ = report.resize(report.len().next_multiple_of(4), 0);
    }
}

impl StrangerInit {
    /// Answers an INIT with an INIT ACK, which keeps all in the cookie. RFC 9260 §5.1.
    ///
    /// # Errors
    ///
    /// If the INIT must be refused.
    pub(in crate::sctp) fn answer<'a>(
        &self,
        context: &mut Context<'_>,
        ports: (u16, u16),
        init: &Init<'a>,
    ) -> Result<(), Refusal<'a>> {
        if !init.is_acceptable() {
            return Err(Refusal { cause: Cause::INVALID_PARAMETER, info: &[] });
        }
        let source = context.source;
        let parameters = read_parameters(init, source.remote)?;
        let (local_port, remote_port) = ports;
        let config = context.shared.config;
        let cookie = Cookie {
            created: context.now.as_micros(),
            local_port,
            remote_port,
            own_tag: self.own_tag,
            peer_tag: init.tag,
            own_initial_tsn: self.own_initial_tsn.0,
            peer_initial_tsn: init.initial_tsn.0,
            peer_rwnd: init.a_rwnd,
            outbound_streams: config.outbound_streams().min(init.inbound_streams),
            inbound_streams: config.inbound_streams().min(init.outbound_streams),
            own_tie: self.ties.0,
            peer_tie: self.ties.1,
            remote: source.remote,
            local: source.local,
            udp: source.udp,
            others: parameters.addresses,
        };
        let mut sealed = [0; COOKIE_LEN_MAX];
        let keys = &mut context.shared.keys;
        let Some(len) = keys.seal(context.now, context.entropy, &cookie, &mut sealed) else {
            return Ok(());
        };
        let route = source.route(local_port, remote_port, init.tag);
        let fixed = Init {
            tag: self.own_tag,
            a_rwnd: self.a_rwnd,
            // RFC 9260 §5.1.1: no more than the peer takes.
            outbound_streams: cookie.outbound_streams,
            inbound_streams: config.inbound_streams(),
            initial_tsn: self.own_initial_tsn,
            parameters: &[],
        };
        let takes = |address: IpAddr| match address {
            IpAddr::V4(_) => parameters.takes_ipv4,
            IpAddr::V6(_) => parameters.takes_ipv6,
        };
        let own = OwnAddresses::for_peer(&context.shared.addresses, source.remote, takes);
        let (sealed, own) = (&sealed[..len], own.parameters());
        context.shared.replies.push(&route, &mut |writer| {
            write_init_ack(&fixed, &own, sealed, &parameters.report, writer)
        });
        Ok(())
    }
}

fn write_init_ack(
    fixed: &Init<'_>,
    addresses: &[u8],
    cookie: &[u8],
    report: &Report,
    writer: &mut PacketWriter<'_>,
) -> bool {
    let cookie_header = tlv_header(ParameterType::STATE_COOKIE, cookie.len());
    let padding = &[0; 3][..cookie.len().next_multiple_of(4) - cookie.len()];
    // RFC 9260 §3.2: the padding of the last parameter is not part of the chunk.
    let padding = if report.is_empty() { &[] } else { padding };
    // Each parameter to be reported is wrapped in one of ours.
    let mut wrapped: Vec<u8, { 2 * REPORT_LEN_MAX }> = Vec::new();
    for parameter in crate::sctp::packet::Tlvs::new(report) {
        let header = tlv_header(ParameterType::UNRECOGNIZED, parameter.bytes.len());
        let _ = wrapped.resize(wrapped.len().next_multiple_of(4), 0);
        let _ = wrapped.extend_from_slice(&header);
        let _ = wrapped.extend_from_slice(parameter.bytes);
    }
    let fixed = &fixed.fixed_bytes();
    let parts: &[&[u8]] = &[fixed, addresses, &cookie_header, cookie, padding, &wrapped];
    writer.chunk(ChunkType::INIT_ACK.0, 0, parts)
}

pub(super) fn tlv_header(kind: ParameterType, value_len: usize) -> [u8; 4] {
    let ([k0, k1], [l0, l1]) = (kind.0.to_be_bytes(), (value_len as u16 + 4).to_be_bytes());
    [k0, k1, l0, l1]
}

impl Association<'_> {
    /// The user wants an association. RFC 9260 §5.1 A.
    pub(in crate::sctp) fn open(&mut self, context: &mut Context<'_>, connect: &Connect) {
        self.begin(context, connect.remote.port(), connect.local_port);
        let (remote, udp) = (connect.remote.ip(), connect.udp);
        // RFC 9260 §5.4: the user vouches for it.
        let first = Path { remote, udp, is_confirmed: true, ..Path::EMPTY };
        self.start_paths(context, first);
        self.tcb.own_tag = context.random_tag();
        self.tcb.own_initial_tsn = Tsn(context.entropy.next_u32());
        self.enter_cookie_wait(context);
    }

    fn begin(&mut self, context: &mut Context<'_>, remote_port: u16, local_port: u16) {
        *self.tcb = super::Tcb::EMPTY;
        self.tcb.local_port = local_port;
        self.tcb.remote_port = remote_port;
        self.tcb.own_tie = context.random_tag();
        self.tcb.peer_tie = context.random_tag();
    }

    fn enter_cookie_wait(&mut self, context: &Context<'_>) {
        self.tcb.state = State::CookieWait;
        self.tcb.owed.add(Owed::INIT);
        self.start_control(context);
    }

    /// Our INIT was answered. RFC 9260 §5.1 C.
    pub(super) fn on_init_ack(
        &mut self,
        context: &mut Context<'_>,
        init: &Init<'_>,
    ) -> Result<(), InputError> {
        if self.tcb.state != State::CookieWait {
            return Err(InputError::OutOfPlace);
        }
        // RFC 9260 §3.3.3: without a tag there is nobody to talk to.
        if init.tag == 0 {
            let route = Route { tag: self.tcb.own_tag, ..self.tcb.route_to(context.source) };
            let (abort, cause) = (ChunkType::ABORT, Cause::INVALID_PARAMETER);
            context.shared.replies.push_cause(&route, abort, REFLECTED, cause, &[]);
        }
        self.tcb.peer_tag = init.tag;
        if init.tag == 0 || !init.is_acceptable() {
            self.abort_with(context, Cause::INVALID_PARAMETER, &[]);
            return Ok(());
        }
        let parameters = match read_parameters(init, context.source.remote) {
            Ok(parameters) => parameters,
            Err(refusal) => {
                self.abort_with(context, refusal.cause, refusal.info);
                return Ok(());
            }
        };
        let Some(cookie) = parameters.cookie else {
            // One parameter is missing: the cookie.
            self.abort_with(context, Cause::MISSING_PARAMETER, &[0, 0, 0, 1, 0, 7]);
            return Ok(());
        };
        let report = parameters.report.as_slice();
        let end = cookie.len() + report.len();
        let room = self.rx.split_at_mut_checked(end).map(|(room, _)| room);
        let Some(room) = room.filter(|_| cookie.len() <= PEER_COOKIE_LEN_MAX) else {
            self.abort_with(context, Cause::OUT_OF_RESOURCE, &[]);
            return Ok(());
        };
        let config = context.shared.config;
        let outbound_streams = config.outbound_streams().min(init.inbound_streams);
        let inbound_streams = config.inbound_streams().min(init.outbound_streams);
        let (cookie_room, report_room) = room.split_at_mut(cookie.len());
        cookie_room.copy_from_slice(cookie);
        report_room.copy_from_slice(report);
        self.tcb.cookie_len = cookie.len() as u16;
        self.tcb.report_len = report.len() as u16;
        let initial = self.tcb.own_initial_tsn;
        self.sender().start(initial, init.a_rwnd, outbound_streams, false);
        self.receiver().start(init.initial_tsn, inbound_streams);
        self.learn(context, context.source.remote, false);
        self.learn_all(context, &parameters.addresses);
        self.sample_control(context);
        self.tcb.state = State::CookieEchoed;
        self.tcb.owed.take(Owed::INIT);
        self.tcb.owed.add(Owed::COOKIE_ECHO);
        self.start_control(context);
        Ok(())
    }

    /// Our cookie was taken. RFC 9260 §5.1 E.
    pub(super) fn on_cookie_ack(&mut self, context: &mut Context<'_>) -> Result<(), InputError> {
        if self.tcb.state != State::CookieEchoed {
            return Err(InputError::OutOfPlace);
        }
        self.sample_control(context);
        self.enter_established(context);
        Ok(())
    }

    pub(super) fn enter_established(&mut self, context: &mut Context<'_>) {
        self.tcb.state = State::Established;
        self.tcb.control = Timer::OFF;
        self.tcb.owed.take(Owed::COOKIE_ECHO);
        self.tcb.owed.take(Owed::INIT);
        self.clear_errors(self.tcb.active());
        self.start_probes(context);
        if !self.tcb.was_up {
            self.tcb.was_up = true;
            self.note_given_up();
            self.tcb.events.add(Events::UP);
            context.shared.statistics.established += 1;
        }
        self.notice_room(&context.shared.config);
    }

    /// Our cookie came too late. RFC 9260 §5.2.6: try again from the start.
    pub(super) fn on_stale_cookie(&mut self, context: &mut Context<'_>) {
        if self.tcb.state != State::CookieEchoed {
            return;
        }
        let count = self.tcb.control_count.saturating_add(1);
        if count > context.shared.config.init_retransmissions_max {
            self.lose(context);
            return;
        }
        self.tcb.owed.take(Owed::COOKIE_ECHO);
        self.tcb.peer_tag = 0;
        self.enter_cookie_wait(context);
        // The count goes on, so that a peer whose clock is broken does not keep us for ever.
        self.tcb.control_count = count;
    }

    /// Builds the association that `cookie` describes. RFC 9260 §5.1 D.
    pub(in crate::sctp) fn open_from_cookie(
        &mut self,
        context: &mut Context<'_>,
        cookie: &Cookie,
        chunks: Chunks<'_>,
    ) -> Result<(), InputError> {
        self.begin(context, cookie.remote_port, cookie.local_port);
        self.tcb.is_passive = true;
        self.start_where_cookie_went(context, cookie);
        self.take_over(context, cookie);
        self.tcb.owed.add(Owed::COOKIE_ACK);
        self.enter_established(context);
        self.on_chunks(context, chunks)
    }

    /// Begins with the path by which the cookie went to the peer: that it came back confirms this
    /// one alone. RFC 9260 §5.4.
    fn start_where_cookie_went(&mut self, context: &Context<'_>, cookie: &Cookie) {
        let Cookie { remote, local, udp, .. } = *cookie;
        let first = Path { remote, local, udp, is_confirmed: true, ..Path::EMPTY };
        self.start_paths(context, first);
    }

    /// Starts data transfer with the values of `cookie`.
    fn take_over(&mut self, context: &Context<'_>, cookie: &Cookie) {
        for index in 0..self.tcb.path_count() {
            self.start_path(context, index);
        }
        self.learn(context, cookie.remote, false);
        self.learn_all(context, &cookie.others);
        self.tcb.note_source(context.source);
        self.tcb.own_tag = cookie.own_tag;
        self.tcb.peer_tag = cookie.peer_tag;
        self.tcb.own_initial_tsn = Tsn(cookie.own_initial_tsn);
        let streams = cookie.outbound_streams;
        self.sender().start(Tsn(cookie.own_initial_tsn), cookie.peer_rwnd, streams, false);
        self.receiver().start(Tsn(cookie.peer_initial_tsn), cookie.inbound_streams);
    }

    /// An INIT for an association that exists. RFC 9260 §5.2.1, §5.2.2.
    pub(in crate::sctp) fn on_init(
        &mut self,
        context: &mut Context<'_>,
        init: &Init<'_>,
    ) -> Result<(), InputError> {
        if init.tag == 0 {
            return Err(InputError::WrongTag);
        }
        if !context.may_answer_stranger() {
            return Err(InputError::OutOfPlace);
        }
        // RFC 9260 §9.2: the SHUTDOWN COMPLETE got lost.
        if self.tcb.state == State::ShutdownAckSent {
            self.tcb.owed.add(Owed::SHUTDOWN_ACK);
            return Ok(());
        }
        if self.adds_addresses(context, init) {
            return Err(InputError::OutOfPlace);
        }
        let a_rwnd = self.window_to_offer();
        let (own_tie, peer_tie) = (self.tcb.own_tie, self.tcb.peer_tie);
        let answer = if self.tcb.state.is_opening() {
            let ties = match self.tcb.state {
                State::CookieEchoed => (own_tie, peer_tie),
                _ => (0, 0),
            };
            StrangerInit {
                own_tag: self.tcb.own_tag,
                own_initial_tsn: self.tcb.own_initial_tsn,
                ties,
                a_rwnd,
            }
        } else {
            StrangerInit {
                own_tag: context.random_tag(),
                own_initial_tsn: Tsn(context.entropy.next_u32()),
                ties: (own_tie, peer_tie),
                a_rwnd,
            }
        };
        let ports = (self.tcb.local_port, self.tcb.remote_port);
        if let Err(refusal) = answer.answer(context, ports, init) {
            let route = context.source.route(ports.0, ports.1, init.tag);
            refuse(context, &route, &refusal);
        }
        Ok(())
    }

    /// Whether an INIT would add addresses to the association, and with them somebody who only
    /// pretends to be its peer; it is refused. RFC 9260 §5.2.1, §5.2.2.
    fn adds_addresses(&self, context: &mut Context<'_>, init: &Init<'_>) -> bool {
        // Before the INIT ACK we do not know what addresses the peer has.
        if self.tcb.state == State::CookieWait || self.tcb.has_more_addresses {
            return false;
        }
        let is_new = |parameter: &RawParameter<'_>| {
            let kind = ParameterType(parameter.kind);
            let is_address =
                kind == ParameterType::IPV4_ADDRESS || kind == ParameterType::IPV6_ADDRESS;
            let listed = listed_address(parameter, context.source.remote);
            is_address && listed.is_some_and(|address| !self.tcb.is_at(address))
        };
        let first_new = init.tlvs().find(is_new).map(|parameter| parameter.bytes);
        // It may come from a new address, and list those that we know.
        let is_from_new = !self.tcb.is_at(context.source.remote);
        let Some(info) = first_new.or(is_from_new.then_some(&[])) else { return false };
        let route = context.source.route(self.tcb.local_port, self.tcb.remote_port, init.tag);
        let cause = Cause::RESTART_WITH_NEW_ADDRESSES;
        refuse(context, &route, &Refusal { cause, info });
        true
    }

    /// The receive window of an INIT or INIT ACK: the whole buffer.
    pub(in crate::sctp) fn window_to_offer(&mut self) -> u32 {
        self.receiver().capacity().max(A_RWND_MIN)
    }

    /// A cookie for an association that exists: the table of RFC 9260 §5.2.4. Whether the rest
    /// of the packet is meant for the association as it is now.
    pub(super) fn on_cookie_echo(
        &mut self,
        context: &mut Context<'_>,
        cookie: &Cookie,
    ) -> Result<(), InputError> {
        let tcb = &*self.tcb;
        let is_own = cookie.own_tag == tcb.own_tag;
        let is_peers = cookie.peer_tag == tcb.peer_tag;
        let are_ties = cookie.own_tie == tcb.own_tie && cookie.peer_tie == tcb.peer_tie;
        let life = context.shared.config.cookie_life;
        let staleness = cookie.staleness(context.now, life);
        if let Some(staleness) = staleness.filter(|_| !(is_own && is_peers)) {
            context.report_stale_cookie(cookie, staleness);
            return Err(InputError::OutOfPlace);
        }
        match (is_own, is_peers) {
            (false, false) if are_ties => self.on_restart(context, cookie),
            // Both sides opened at once. RFC 9260 §5.2.4 B.
            (true, false) => {
                if self.tcb.state.is_opening() {
                    self.follow(context.source);
                    self.take_over(context, cookie);
                }
                self.tcb.peer_tag = cookie.peer_tag;
                self.accept_cookie(context);
                Ok(())
            }
            // RFC 9260 §5.2.4 D.
            (true, true) => {
                self.accept_cookie(context);
                Ok(())
            }
            // RFC 9260 §5.2.4 C, and all that the table does not show.
            _ => {
                context.shared.statistics.cookies_refused += 1;
                Err(InputError::OutOfPlace)
            }
        }
    }

    fn accept_cookie(&mut self, context: &mut Context<'_>) {
        self.tcb.note_source(context.source);
        self.tcb.owed.add(Owed::COOKIE_ACK);
        if self.tcb.state.is_opening() {
            self.enter_established(context);
        }
    }

    /// The peer lost its memory and began anew. RFC 9260 §5.2.4 A.
    fn on_restart(
        &mut self,
        context: &mut Context<'_>,
        cookie: &Cookie,
    ) -> Result<(), InputError> {
        if self.tcb.state == State::ShutdownAckSent {
            self.tcb.owed.add(Owed::SHUTDOWN_ACK);
            let route = Route { tag: cookie.peer_tag, ..self.tcb.route_to(context.source) };
            let (error, cause) = (ChunkType::ERROR, Cause::COOKIE_WHILE_SHUTTING_DOWN);
            context.shared.replies.push_cause(&route, error, 0, cause, &[]);
            return Err(InputError::OutOfPlace);
        }
        // A copy of the cookie that opened what is over now must not open it again.
        context.shared.spend_tag(self.tcb.own_tag);
        self.tcb.guard = Timer::OFF;
        self.tcb.owed = Owed::COOKIE_ACK;
        // Cookies made for an earlier restart tie to nothing any more.
        self.tcb.own_tie = context.random_tag();
        self.tcb.peer_tie = context.random_tag();
        // What was known of the peer's addresses ends with what was there, as after an ABORT.
        let tcb = &mut *self.tcb;
        (tcb.primary, tcb.active, tcb.detour, tcb.source) = (0, 0, 0, 0);
        tcb.paths_changed = 0;
        tcb.has_more_addresses = false;
        tcb.transfers = [const { PathTransfer::EMPTY }; PATHS_MAX];
        self.start_where_cookie_went(context, cookie);
        self.take_over(context, cookie);
        self.enter_established(context);
        self.tcb.events.take(Events::READABLE);
        self.tcb.events.add(Events::RESTARTED);
        context.shared.statistics.restarted += 1;
        self.tcb.stall_count = 0;
        if self.tcb.is_to_shut_down {
            // Whoever it is now: our user has taken leave.
            self.shut_down(context);
        }
        Ok(())
    }
}

/// Refuses an INIT.
pub(in crate::sctp) fn refuse(context: &mut Context<'_>, route: &Route, refusal: &Refusal<'_>) {
    let Refusal { cause, info } = *refusal;
    context.shared.replies.push_cause(route, ChunkType::ABORT, 0, cause, info);
}

impl Association<'_> {
    /// The association could not be set up, or the peer broke the protocol: says so and ends it.
    pub(super) fn abort_with(&mut self, context: &mut Context<'_>, cause: Cause, info: &[u8]) {
        if self.tcb.peer_tag != 0 {
            let route = self.tcb.route_to(context.source);
            context.shared.replies.push_cause(&route, ChunkType::ABORT, 0, cause, info);
        }
        context.shared.statistics.aborted += 1;
        self.tcb.end(DownReason::Aborted, cause);
    }
}
