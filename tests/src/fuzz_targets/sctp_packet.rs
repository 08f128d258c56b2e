//! An SCTP endpoint that gets made-up chunks in packets with right checksums.
//!
//! The first byte chooses what the endpoint is doing; then come records: a byte that chooses the
//! tag and how much time passes, a byte that counts words of four bytes, and those words, which
//! are the chunks of one packet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rserpool_core::association::{Ppid, StreamId};
use rserpool_core::entropy::SplitMix64;
use rserpool_core::machine::Machine;
use rserpool_core::sctp::{Config, Connect, Datagram, Endpoint, Event, Handle, Inline, Input};
use rserpool_core::time::Instant;

type Host = Endpoint<Inline<2, 2_048, 2_048, 8>, SplitMix64>;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const HOST_PORT: u16 = 3_863;
const PEER_PORT: u16 = 5_000;
const ABORT: u8 = 6;

/// Feeds `data` to an endpoint and checks what it makes of it.
pub fn run(data: &[u8]) {
    let Some((&stage, mut records)) = data.split_first() else { return };
    let mut bench = Bench::new(stage);
    while let [choice, word_count, rest @ ..] = records {
        let len = (usize::from(*word_count) * 4).min(rest.len());
        let (chunks, rest) = rest.split_at(len);
        records = rest;
        bench.give(*choice, chunks);
    }
}

struct Bench {
    host: Host,
    now: Instant,
    /// The tags that host and peer want to see; 0 while unknown.
    host_tag: u32,
    peer_tag: u32,
    handle: Option<Handle>,
}

impl Bench {
    fn new(stage: u8) -> Self {
        let new = |seed: u8| {
            Host::new(Config::DEFAULT, SplitMix64::new(seed.into()), [seed; 32], Inline::new())
        };
        let mut bench = Self {
            host: new(1),
            now: Instant::from_millis(1),
            host_tag: 1,
            peer_tag: 2,
            handle: None,
        };
        bench.host.listen(HOST_PORT).expect("there is room for a port");
        match stage % 4 {
            0 => {}
            1 => {
                let remote = SocketAddr::new(PEER, PEER_PORT);
                let connect = Connect { local_port: HOST_PORT, remote, udp: None };
                bench.handle = bench.host.connect(bench.now, connect).ok();
                let _ = bench.drain();
            }
            stage => {
                bench.establish(new(2));
                let handle = bench.handle.expect("the handshake is over");
                let text = [7; 600];
                for _ in 0..2 {
                    let (stream, ppid) = (StreamId(0), Ppid(1));
                    let sent = bench.host.send(bench.now, handle, stream, ppid, false, &text);
                    sent.expect("there is room for two messages");
                }
                if stage == 3 {
                    bench.host.shutdown(bench.now, handle).expect("it is up");
                }
                let _ = bench.drain();
            }
        }
        bench
    }

    /// Lets a real peer open an association; the tags are seen on the wire.
    fn establish(&mut self, mut peer: Host) {
        let remote = SocketAddr::new(HOST, HOST_PORT);
        let connect = Connect { local_port: PEER_PORT, remote, udp: None };
        peer.connect(self.now, connect).expect("there is room for an association");
        let mut buf = [0; 1_500];
        for _ in 0..2 {
            let packet = peer.poll_transmit(self.now, &mut buf).expect("INIT or COOKIE ECHO");
            self.host_tag = tag_of(&buf);
            take_in(&mut self.host, self.now, PEER, HOST, &buf[..packet.len]);
            let packet = self.host.poll_transmit(self.now, &mut buf).expect("its answer");
            self.peer_tag = tag_of(&buf);
            take_in(&mut peer, self.now, HOST, PEER, &buf[..packet.len]);
        }
        let Some(Event::Up { handle, .. }) = self.host.poll_event() else {
            panic!("the handshake takes four packets")
        };
        self.handle = Some(handle);
    }

    fn give(&mut self, choice: u8, chunks: &[u8]) {
        let tag = match choice % 4 {
            0 => 0,
            1 => self.peer_tag,
            _ => self.host_tag,
        };
        let mut packet = vec![0; 12];
        packet[..2].copy_from_slice(&PEER_PORT.to_be_bytes());
        packet[2..4].copy_from_slice(&HOST_PORT.to_be_bytes());
        packet[4..8].copy_from_slice(&tag.to_be_bytes());
        packet.extend(chunks);
        let checksum = crc32c(&packet);
        packet[8..12].copy_from_slice(&checksum.to_le_bytes());
        let is_abort = chunks.first() == Some(&ABORT) && chunks.get(2..4) == Some(&[0, 4]);
        take_in(&mut self.host, self.now, PEER, HOST, &packet);
        let answer_count = self.drain();
        assert!(!is_abort || answer_count == 0, "an ABORT is never answered");
        self.now += Duration::from_millis(u64::from(choice >> 2) * 50);
        self.host.handle_timeout(self.now);
        self.drain();
        let next = self.host.poll_timeout();
        assert!(next.is_none_or(|next| next > self.now), "{next:?} is not after {:?}", self.now);
    }

    /// Pulls all out; how many packets there were.
    fn drain(&mut self) -> usize {
        let (mut buf, mut message) = ([0; 1_500], [0; 2_048]);
        let mut count = 0;
        loop {
            while let Some(packet) = self.host.poll_transmit(self.now, &mut buf) {
                check(&buf[..packet.len]);
                assert_eq!(packet.remote, PEER);
                count += 1;
                assert!(count < 1_000, "it never falls silent");
            }
            match self.host.poll_event() {
                Some(Event::Readable { handle }) => {
                    while let Some(received) = self.host.recv(self.now, handle, &mut message) {
                        assert!((1..=message.len()).contains(&received.len));
                    }
                }
                Some(_) => {}
                None => return count,
            }
        }
    }
}

fn take_in(host: &mut Host, now: Instant, remote: IpAddr, local: IpAddr, payload: &[u8]) {
    let _ =
        host.handle_input(now, Input::Datagram(Datagram { local, remote, udp: None, payload }));
}

fn tag_of(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]])
}

/// A packet of ours fits the MTU, has a right checksum, whole chunks and padding of zeros.
fn check(packet: &[u8]) {
    assert!((16..=1_480).contains(&packet.len()), "{} bytes", packet.len());
    let mut unsummed = packet.to_vec();
    unsummed[8..12].fill(0);
    assert_eq!(packet[8..12], crc32c(&unsummed).to_le_bytes());
    let mut rest = &packet[12..];
    while !rest.is_empty() {
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        assert!(len >= 4);
        let (chunk, behind) = rest.split_at(len.next_multiple_of(4));
        assert!(chunk[len..].iter().all(|&byte| byte == 0));
        rest = behind;
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use rserpool_core::entropy::Entropy;

    #[test]
    fn random_chunks_break_nothing() {
        let mut random = SplitMix64::new(9);
        for stage in 0..4_000_u32 {
            let mut data = vec![stage as u8];
            for _ in 0..random.below(6) {
                let count = random.below(20) as u8;
                let mut record = vec![0; 2 + 4 * usize::from(count)];
                random.fill(&mut record);
                record[1] = count;
                // A known chunk type and a length that may be right.
                if count > 0 {
                    record[2] %= 16;
                    record[4] = 0;
                    record[5] = random.below(4 * u64::from(count) + 2) as u8;
                }
                data.extend(record);
            }
            run(&data);
        }
    }
}
