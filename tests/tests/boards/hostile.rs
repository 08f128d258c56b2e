//! Boards under attack: they stay up, stay in their pool, and compute.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rserpool::job::SyntheticJob;
use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::{Entropy, SplitMix64};
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{
    Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input, UdpPorts,
};
use rserpool_core::time::Instant as CoreInstant;

use crate::bench::{Bench, Emulated, TRANSPORTS, await_that, listed};
use crate::job::{Running, computed_locally};
use crate::process::{PATIENCE, Process};

#[test]
fn a_board_survives_a_flood_of_bad_frames() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        let mut board = bench.registered_board(&place, transport);
        let payloads = corpus(&["sctp_packet", "sctp_data", "sctp_pair", "message"]);
        let mut random = SplitMix64::new(bench.seed);
        for _ in 0..FRAME_COUNT {
            let frame = bad_frame(&board, &payloads, &mut random);
            // As fast as the board's chip takes them, or faster.
            while !board.board.link().inject(&frame) {
                assert_eq!(board.board.ended().unwrap(), None, "seed {}", bench.seed);
                thread::yield_now();
            }
        }
        assert!(board.board.link().counters().delivered >= FRAME_COUNT);
        assert_is_well(&mut board, &place, bench.seed);
    }
}

#[test]
fn a_board_survives_malformed_messages_inside_an_association() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        let mut board = bench.registered_board(&place, transport);
        let messages = corpus(&["message", "compute", "asap_machines", "registrar"]);
        let mut attacker = Attacker::new(board.address(), bench.seed);
        attacker.send_all(&messages);
        // Each was answered to its end: by a shutdown, or by an abort if the board minds.
        assert_eq!(attacker.ended_count, messages.len(), "seed {}", bench.seed);
        assert_is_well(&mut board, &place, bench.seed);
    }
}

/// The board is up, in its pool, and computes.
fn assert_is_well(board: &mut Emulated, place: &str, seed: u64) {
    assert_eq!(board.board.ended().unwrap(), None, "seed {seed}");
    // An association may have suffered; then the board is back at once.
    await_that("the board in its pool", || listed(place).contains_key(&board.id));
    let job = || SyntheticJob::new(400_000, 100_000);
    let done = Running::start(place, job()).finish();
    assert_eq!(done.job.sum(), computed_locally(job()).sum());
    assert_eq!(done.packages_of(&board.id), 4);
    assert_eq!(board.status()["registered"], 1);
    assert!(!board.output().contains("panic"), "{}", board.output());
}

/// The files of some of the fuzz targets' corpora.
fn corpus(targets: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut files = Vec::new();
    for target in targets {
        let mut paths: Vec<_> = fs::read_dir(folder.join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        files.extend(paths.iter().map(|path| fs::read(path).unwrap()));
    }
    assert!(files.len() > 10, "the corpora are there");
    files
}

/// A frame that is wrong somewhere: noise, or a corpus file in good or broken headers.
fn bad_frame(board: &Emulated, payloads: &[Vec<u8>], random: &mut SplitMix64) -> Vec<u8> {
    let mut frame = match random.below(4) {
        0 => noise(random),
        kind => {
            let payload = &payloads[random.below(payloads.len() as u64) as usize];
            let payload = &payload[..payload.len().min(PAYLOAD_LEN_MAX)];
            in_headers(board, kind == 1, payload)
        }
    };
    let len = frame.len() as u64;
    match random.below(4) {
        // For the board, whatever else is in it.
        0 => frame[..6].copy_from_slice(&board.board.link().mac()),
        1 => frame[random.below(len) as usize] ^= 1 << random.below(8),
        2 => frame.truncate(1 + random.below(len) as usize),
        _ => {}
    }
    frame
}

fn noise(random: &mut SplitMix64) -> Vec<u8> {
    let mut noise = vec![0; 14 + random.below(1_500) as usize];
    random.fill(&mut noise);
    noise
}

/// An IPv4 packet to the board: SCTP right above IP, or in UDP.
fn in_headers(board: &Emulated, is_raw: bool, payload: &[u8]) -> Vec<u8> {
    let (mac, to) = (board.board.link().mac(), board.address().octets());
    let udp_len = if is_raw { 0 } else { 8 };
    let total_len = (20 + udp_len + payload.len()) as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, if is_raw { 132 } else { 17 }, 0, 0];
    ip[2..4].copy_from_slice(&total_len.to_be_bytes());
    ip.extend_from_slice(&Ipv4Addr::LOCALHOST.octets());
    ip.extend_from_slice(&to);
    let sum: u32 = ip.as_chunks().0.iter().map(|pair| u32::from(u16::from_be_bytes(*pair))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&mac[..], &[2, 0x77, 0, 0, 0, 0xfe, 0x08, 0x00], &ip].concat();
    if !is_raw {
        // Without a checksum, which UDP over IPv4 may leave out.
        let len = (8 + payload.len()) as u16;
        for word in [9_899_u16, 9_899, len, 0] {
            frame.extend_from_slice(&word.to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A user that says nothing but rubbish, over a proper association.
struct Attacker {
    socket: UdpSocket,
    endpoint: Box<Endpoint<Inline<2, 8_192, 8_192, 32>, SplitMix64>>,
    remote: SocketAddr,
    start: Instant,
    handle: Option<Handle>,
    /// Associations that ended: gracefully, or by the board's abort.
    ended_count: usize,
}

impl Attacker {
    fn new(board: Ipv4Addr, seed: u64) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let random = SplitMix64::new(seed);
        let endpoint = Endpoint::new(Config::default(), random, [7; 32], Inline::new());
        Self {
            socket,
            endpoint: Box::new(endpoint),
            remote: SocketAddr::new(board.into(), ELEMENT_PORT),
            start: Instant::now(),
            handle: None,
            ended_count: 0,
        }
    }

    /// Sends each message on its own association, once as control and once as work.
    fn send_all(&mut self, messages: &[Vec<u8>]) {
        for (number, message) in messages.iter().enumerate() {
            self.connect(20_000 + number as u16);
            let message = &message[..message.len().min(PAYLOAD_LEN_MAX)];
            for (stream, ppid) in [(0, Ppid::ASAP), (1, Ppid::COMPUTE)] {
                let now = self.now();
                let Some(handle) = self.handle else { break };
                let _ = self.endpoint.send(now, handle, StreamId(stream), ppid, false, message);
            }
            // Shut down gracefully: over when all is acknowledged, or when the board aborts.
            let now = self.now();
            if let Some(handle) = self.handle {
                let _ = self.endpoint.shutdown(now, handle);
                self.turn_until(|attacker| attacker.handle.is_none());
            }
        }
    }

    fn connect(&mut self, local_port: u16) {
        let now = self.now();
        let local = self.socket.local_addr().unwrap().port();
        let udp = Some(UdpPorts { local, remote: 9_899 });
        let connect = Connect { local_port, remote: self.remote, udp };
        self.endpoint.connect(now, connect).unwrap();
        self.turn_until(|attacker| attacker.handle.is_some());
    }

    fn turn_until(&mut self, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(Instant::now() < deadline, "the board does not answer");
            self.turn();
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn turn(&mut self) {
        let now = self.now();
        let local = self.socket.local_addr().unwrap();
        let mut buf = [0; 2_000];
        while let Ok((len, from)) = self.socket.recv_from(&mut buf) {
            let datagram = Datagram::in_udp(local, from, &buf[..len]);
            let _ = self.endpoint.handle_input(now, Input::Datagram(datagram));
        }
        if self.endpoint.poll_timeout().is_some_and(|at| at <= now) {
            self.endpoint.handle_timeout(now);
        }
        while let Some(packet) = self.endpoint.poll_transmit(now, &mut buf) {
            let to = SocketAddr::new(packet.remote, packet.udp.unwrap().remote);
            let _ = self.socket.send_to(&buf[..packet.len], to);
        }
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Up { handle, .. } => self.handle = Some(handle),
                Event::Readable { handle } => {
                    while self.endpoint.recv(now, handle, &mut [0; 8_192]).is_some() {}
                }
                Event::Down { .. } => {
                    self.ended_count += 1;
                    self.handle = None;
                }
                _ => {}
            }
        }
    }

    fn now(&self) -> CoreInstant {
        CoreInstant::from_micros(self.start.elapsed().as_micros() as u64)
    }
}

/// The SCTP port of the firmware's pool element.
const ELEMENT_PORT: u16 = 7_000;

/// Frames of a flood.
const FRAME_COUNT: u64 = 20_000;

/// What fits a frame behind its headers, and a board's receive buffer.
const PAYLOAD_LEN_MAX: usize = 1_300;
