//! How fast two SCTP endpoints in one process are: no sockets, no loss, virtual time.
//!
//! `cargo run --release -p rserpool-tests --example sctp_throughput`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input};
use rserpool_core::time::Instant;

type Host = Endpoint<Inline<1, 262_144, 262_144, 1_024>, SplitMix64>;

const ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
const PORT: u16 = 5_000;

/// Hands over all packets of one end; what happened there.
fn drain(now: Instant, hosts: &mut [Box<Host>; 2], from: usize) -> (Option<Handle>, u64) {
    let mut buf = [0; 1_500];
    let mut count = 0;
    while let Some(packet) = hosts[from].poll_transmit(now, &mut buf) {
        let payload = &buf[..packet.len];
        let (local, remote) = (ADDRESSES[1 - from], ADDRESSES[from]);
        let datagram = Datagram { local, remote, udp: None, payload };
        hosts[1 - from].handle_input(now, Input::Datagram(datagram)).expect("it fits");
        count += 1;
    }
    let mut up = None;
    while let Some(event) = hosts[from].poll_event() {
        if let Event::Up { handle, .. } = event {
            up = Some(handle);
        }
    }
    (up, count)
}

fn measure(message_len: usize, total_len: usize) {
    let new = |seed: u8| {
        let (random, secret) = (SplitMix64::new(seed.into()), [seed; 32]);
        Box::new(Host::new(Config::DEFAULT, random, secret, Inline::new()))
    };
    let mut hosts = [new(1), new(2)];
    let mut now = Instant::from_millis(1_000);
    hosts[1].listen(PORT).expect("a free port");
    let remote = SocketAddr::new(ADDRESSES[1], PORT);
    let connect = Connect { local_port: PORT, remote, udp: None };
    let client = hosts[0].connect(now, connect).expect("a free slot");
    let mut server = None;
    for turn in 0..8 {
        let (up, _) = drain(now, &mut hosts, turn % 2);
        if turn % 2 == 1 {
            server = server.or(up);
        }
    }
    let server = server.expect("it is up");
    let message = vec![7; message_len];
    let mut buf = vec![0; 262_144];
    let (mut sent, mut received, mut packets) = (0, 0, 0);
    let start = std::time::Instant::now();
    while received < total_len {
        let sending = (StreamId(0), Ppid(0));
        while sent < total_len
            && hosts[0].send(now, client, sending.0, sending.1, false, &message).is_ok()
        {
            sent += message_len;
        }
        packets += drain(now, &mut hosts, 0).1;
        while let Some(message) = hosts[1].recv(now, server, &mut buf) {
            received += message.len;
        }
        packets += drain(now, &mut hosts, 1).1;
        now += Duration::from_micros(100);
        for host in &mut hosts {
            if host.poll_timeout().is_some_and(|at| at <= now) {
                host.handle_timeout(now);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = received as f64 / 1e6;
    println!(
        "{message_len:5} B: {:8.1} MB/s, {:9.0} messages/s, {packets} packets",
        megabytes / seconds,
        received as f64 / message_len as f64 / seconds,
    );
}

fn main() {
    for message_len in [64, 1_000, 1_400, 8_192, 65_536] {
        measure(message_len, 200_000 * message_len.min(1_000));
    }
}
