//! A board that is a thread of this test: smoltcp and the core's SCTP at the end of a link, with
//! a peer on a real UDP socket.

mod board;
mod peer;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use rserpool_qemu::{Impairment, Network};

use crate::board::{Board, Transport};
use crate::peer::{Peer, SCTP_PORT};

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Messages that go each way.
const MESSAGE_COUNT: u8 = 40;

fn drive(board: &mut Board, host: &mut Peer, until: impl Fn(&Board, &Peer) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !until(board, host) {
        assert!(Instant::now() < deadline, "board: {:?}, host: {host:?}", board.peer);
        board.turn();
        host.turn();
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Both send at once, and what comes is complete and in order.
fn exchange(board: &mut Board, host: &mut Peer) {
    for number in 0..MESSAGE_COUNT {
        board.peer.send(vec![number; 700]);
        host.send(vec![number; 900]);
    }
    let count = usize::from(MESSAGE_COUNT);
    drive(board, host, |board, host| {
        board.peer.received.len() == count && host.received.len() == count
    });
    let numbers = |peer: &Peer| peer.received.iter().map(|data| data[0]).collect::<Vec<_>>();
    assert!(numbers(&board.peer).into_iter().eq(0..MESSAGE_COUNT));
    assert!(numbers(host).into_iter().eq(0..MESSAGE_COUNT));
    assert!(board.peer.received.iter().all(|data| data.len() == 900));
}

fn seed() -> u64 {
    let seed = std::env::var("RSP_BENCH_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(20_261_124);
    println!("RSP_BENCH_SEED={seed}");
    seed
}

fn a_board_connects_to_a_process(transport: Transport, address: Ipv4Addr) {
    let network = Network::start(seed()).unwrap();
    let mut board = Board::start(network.plug(address).unwrap(), transport);
    let mut host = Peer::on_udp(HOST);
    // A board on raw IP finds out by itself; by UDP it is told.
    let udp_port = (transport == Transport::Udp).then(|| host.udp_port());
    board.connect(SocketAddrV4::new(HOST, host.port()), udp_port);
    exchange(&mut board, &mut host);
}

fn a_process_connects_to_a_board(transport: Transport, address: Ipv4Addr, lane: u16) {
    let network = Network::start(seed()).unwrap();
    let mut board = Board::start(network.plug(address).unwrap(), transport);
    let mut host = Peer::on_udp(HOST);
    // The switch learns a board's SCTP port from what it sends: here to a registrar, long gone.
    board.connect(SocketAddrV4::new(HOST, 1), Some(1));
    while board.link().counters().sent < 2 {
        board.turn();
    }
    board.peer.forget();
    host.connect(SocketAddrV4::new(address, SCTP_PORT), lane);
    exchange(&mut board, &mut host);
}

#[test]
fn a_raw_board_connects_to_a_process() {
    a_board_connects_to_a_process(Transport::Raw, Ipv4Addr::new(127, 77, 201, 1));
}

#[test]
fn a_udp_board_connects_to_a_process() {
    a_board_connects_to_a_process(Transport::Udp, Ipv4Addr::new(127, 77, 201, 2));
}

#[test]
fn a_process_connects_to_a_raw_board() {
    a_process_connects_to_a_board(Transport::Raw, Ipv4Addr::new(127, 77, 201, 3), SCTP_PORT);
}

#[test]
fn a_process_connects_to_a_udp_board() {
    a_process_connects_to_a_board(Transport::Udp, Ipv4Addr::new(127, 77, 201, 4), SCTP_PORT);
}

#[test]
fn a_bad_link_loses_frames_but_no_message() {
    let network = Network::start(seed()).unwrap();
    let address = Ipv4Addr::new(127, 77, 201, 5);
    let mut board = Board::start(network.plug(address).unwrap(), Transport::Raw);
    let link = Impairment::drop(100).duplicate(50).reorder(50);
    board.link().impair(link);
    let mut host = Peer::on_udp(HOST);
    board.connect(SocketAddrV4::new(HOST, host.port()), None);
    exchange(&mut board, &mut host);
    let counters = board.link().counters();
    assert!(counters.dropped > 0, "{counters:?}");
}

#[test]
fn two_boards_talk_to_each_other() {
    let network = Network::start(seed()).unwrap();
    let addresses = [6, 7].map(|last| Ipv4Addr::new(127, 77, 201, last));
    let [mut a, mut b] =
        addresses.map(|address| Board::start(network.plug(address).unwrap(), Transport::Raw));
    a.connect(SocketAddrV4::new(addresses[1], SCTP_PORT), None);
    a.peer.send(b"from board to board".to_vec());
    let deadline = Instant::now() + PATIENCE;
    while b.peer.received.is_empty() {
        assert!(Instant::now() < deadline, "{:?} {:?}", a.peer, b.peer);
        a.turn();
        b.turn();
    }
    assert_eq!(b.peer.received, [b"from board to board"]);
}
