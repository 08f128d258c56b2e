//! The C library usrsctp, by its address family AF_CONN.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rserpool_core::time::Instant;
use rserpool_tests::network::Envelope;
use rserpool_tests::sctp_run::{Ending, Plan};
use rserpool_tests::sctp_stack::{End, Message, SCTP_PORT, Stack};
use rserpool_usrsctp::{Key, Library, Received, Socket};

use super::{FAIR, MakePeer, RAIN, all_arrives, envelope};

/// One end of it.
struct Usrsctp {
    library: Library,
    key: Key,
    listener: Socket,
    socket: Option<Socket>,
    address: IpAddr,
    peer: IpAddr,
    out: VecDeque<Vec<u8>>,
    /// The parts of a message that came so far.
    parts: Vec<u8>,
    /// Up to when it knows of time.
    time: Instant,
    was_up: bool,
    end: Option<End>,
}

/// It does not say when its timers are due.
const TICK: Duration = Duration::from_millis(10);
const BUFFER_LEN: u32 = 262_144;
/// What is left of 1500 bytes behind the headers of IP and UDP.
const MTU: u32 = 1_472;

static KEYS: AtomicUsize = AtomicUsize::new(1);

impl Usrsctp {
    fn new(address: IpAddr, peer: IpAddr) -> Self {
        let library = Library::in_process();
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let listener = library.conn_socket(key, SCTP_PORT, BUFFER_LEN, MTU).expect("a new key");
        listener.listen().expect("it is bound");
        Self {
            library,
            key,
            listener,
            socket: None,
            address,
            peer,
            out: VecDeque::new(),
            parts: Vec::new(),
            time: Instant::from_millis(1_000),
            was_up: false,
            end: None,
        }
    }

    /// Takes in the association that a peer has opened.
    fn accept(&mut self) {
        if self.socket.is_none()
            && let Ok(socket) = self.listener.accept()
        {
            self.socket = Some(socket);
            self.was_up = true;
        }
    }
}

impl Stack for Usrsctp {
    fn name(&self) -> &'static str {
        "usrsctp"
    }

    fn connect(&mut self, _now: Instant) {
        let port = SCTP_PORT + 1;
        let socket = self.library.conn_socket(self.key, port, BUFFER_LEN, MTU).expect("a port");
        socket.connect_conn(SCTP_PORT).expect("it is bound");
        self.socket = Some(socket);
    }

    fn input(&mut self, now: Instant, envelope: &Envelope) {
        self.timeout(now);
        self.library.input(self.key, &envelope.bytes);
        self.accept();
    }

    fn timeout(&mut self, now: Instant) {
        let millis = now.saturating_duration_since(self.time).as_millis() as u32;
        if millis > 0 {
            self.time += Duration::from_millis(millis.into());
            self.library.advance(millis);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        Some(self.time + TICK)
    }

    fn output(&mut self, _now: Instant) -> Option<Envelope> {
        let Self { library, key, out, .. } = self;
        library.output(|from, packet| {
            // Ends of earlier tests may still have something to say.
            if from == *key {
                out.push_back(packet.to_vec());
            }
        });
        self.out.pop_front().map(|bytes| envelope(self.address, self.peer, &bytes))
    }

    fn send(&mut self, _now: Instant, message: &Message) -> bool {
        let Message { stream, ppid, unordered, ref data } = *message;
        let socket = self.socket.as_ref();
        let is_unordered = unordered == Some(true);
        socket.is_some_and(|socket| socket.send(stream, ppid, is_unordered, data).is_ok())
    }

    fn recv(&mut self, _now: Instant) -> Option<Message> {
        let mut buf = vec![0; 65_536];
        loop {
            match self.socket.as_ref()?.recv(&mut buf).ok()? {
                Received::Message { stream, ppid, unordered, len, is_end } => {
                    self.parts.extend_from_slice(&buf[..len]);
                    if is_end {
                        let data = std::mem::take(&mut self.parts);
                        return Some(Message { stream, ppid, unordered: Some(unordered), data });
                    }
                }
                Received::Up => self.was_up = true,
                Received::Ended => self.end = Some(End::Shutdown),
                // An abort of its own has no cause either.
                Received::Lost { cause: 0 } => self.end = self.end.or(Some(End::Lost)),
                Received::Lost { .. } => self.end = Some(End::Aborted),
                Received::Other => {}
            }
        }
    }

    fn was_up(&self) -> bool {
        self.was_up
    }

    fn end(&self) -> Option<End> {
        self.end
    }

    fn shutdown(&mut self, _now: Instant) {
        if let Some(socket) = &self.socket {
            socket.shutdown().expect("the association is up");
        }
    }

    fn abort(&mut self, _now: Instant) {
        self.end = Some(End::Aborted);
        if let Some(socket) = &self.socket {
            socket.abort().expect("the association is up");
        }
    }
}

const USRSCTP: MakePeer = |address, peer| Box::new(Usrsctp::new(address, peer));

#[test]
fn usrsctp_in_fair_weather() {
    all_arrives(&FAIR, 3, USRSCTP, End::Shutdown);
    all_arrives(&Plan { ending: Ending::ServerShutsDown, ..FAIR }, 3, USRSCTP, End::Shutdown);
}

#[test]
fn usrsctp_in_the_rain() {
    all_arrives(&RAIN, 10, USRSCTP, End::Shutdown);
}

#[test]
fn usrsctp_and_aborts() {
    all_arrives(&Plan { ending: Ending::ClientAborts, ..FAIR }, 2, USRSCTP, End::Aborted);
    all_arrives(&Plan { ending: Ending::ServerAborts, ..FAIR }, 2, USRSCTP, End::Aborted);
}

#[test]
fn usrsctp_sends_and_takes_long_messages() {
    let plan = Plan { message_count: 6, len_max: 65_536, streams: 2, ..FAIR };
    all_arrives(&plan, 3, USRSCTP, End::Shutdown);
}
