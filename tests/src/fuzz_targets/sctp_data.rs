//! Chunks around the sequence numbers in use, at an endpoint with a live association.
//!
//! Input: for each packet a control byte, a length byte (in units of 4) and that many bytes of
//! chunks. Ports, tag and checksum are put right, so that the bytes get past the door; control
//! bits spoil some of that again, move TSNs near those in use, or let time pass.

use rserpool_core::sctp::{Config, Inline};
use rserpool_core::time::Instant;

use crate::network::Envelope;
use crate::sctp_run::{CLIENT, SERVER};
use crate::sctp_stack::{Message, Ours, SCTP_PORT, Stack, UDP_PORT};

/// Control bits.
const WRONG_TAG: u8 = 1;
const NO_CHECKSUM: u8 = 2;
const STRANGER: u8 = 4;
const TIME_PASSES: u8 = 8;
const NEAR_TSN: u8 = 16;
const USER_SENDS: u8 = 32;
const USER_READS: u8 = 64;
const USER_SHUTS_DOWN: u8 = 128;

type Victim = Ours<Inline<1, 65_536, 65_536, 256>>;

/// An endpoint with an association, and what an eavesdropper knows of it.
struct Target {
    victim: Victim,
    now: Instant,
    /// What the victim wants to see as verification tag.
    tag: u32,
    /// The first TSN of the victim and of its peer.
    tsn: u32,
    peer_tsn: u32,
}

/// Runs the packets that `data` encodes.
///
/// # Panics
///
/// If the endpoint panics, sends a malformed packet, never falls silent, or asks to be woken in
/// the past.
pub fn run(data: &[u8]) {
    let mut target = Target::new();
    let mut rest = data;
    while let Some((&[control, len], tail)) = rest.split_first_chunk() {
        let (chunks, tail) = tail.split_at(tail.len().min(usize::from(len) * 4));
        rest = tail;
        target.trouble(control, chunks);
    }
    for _ in 0..TIMEOUTS_MAX {
        if target.victim.next_timeout().is_none() {
            break;
        }
        target.let_time_pass();
    }
}

impl Target {
    fn new() -> Self {
        let mut client = Ours::large(1, CLIENT, SERVER, Config::DEFAULT);
        let mut victim = Ours::large(2, SERVER, CLIENT, Config::DEFAULT);
        let now = Instant::from_millis(1_000);
        client.connect(now);
        let (mut tag, mut tsns) = (0, [0; 2]);
        for _ in 0..4 {
            while let Some(envelope) = client.output(now) {
                tag = word_at(&envelope.bytes, 4);
                tsns[1] = tsn_of_init(&envelope.bytes).unwrap_or(tsns[1]);
                victim.input(now, &envelope);
            }
            while let Some(envelope) = victim.output(now) {
                tsns[0] = tsn_of_init(&envelope.bytes).unwrap_or(tsns[0]);
                client.input(now, &envelope);
            }
        }
        assert!(victim.was_up() && tag != 0);
        Self { victim, now, tag, tsn: tsns[0], peer_tsn: tsns[1] }
    }

    fn trouble(&mut self, control: u8, chunks: &[u8]) {
        if control & USER_SENDS != 0 {
            let data = vec![control; 2_000];
            let message = Message { stream: 1, ppid: 0, unordered: None, data };
            self.victim.send(self.now, &message);
        }
        if control & TIME_PASSES != 0 {
            self.let_time_pass();
        }
        let packet = self.packet(control, chunks);
        let from = if control & STRANGER != 0 { [10, 9, 9, 9].into() } else { CLIENT };
        let udp = Some((UDP_PORT, UDP_PORT));
        self.victim.input(self.now, &Envelope { from, to: SERVER, udp, bytes: packet });
        self.drain();
        if control & USER_READS != 0 {
            while self.victim.recv(self.now).is_some() {}
        }
        if control & USER_SHUTS_DOWN != 0 {
            self.victim.shutdown(self.now);
        }
        self.drain();
    }

    fn packet(&self, control: u8, chunks: &[u8]) -> Vec<u8> {
        let tag = if control & WRONG_TAG != 0 { 0 } else { self.tag };
        let [port_0, port_1] = SCTP_PORT.to_be_bytes();
        let mut packet = vec![port_0, port_1, port_0, port_1];
        packet.extend(tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(chunks);
        if control & NEAR_TSN != 0 {
            self.move_tsns(&mut packet);
        }
        if control & NO_CHECKSUM == 0 {
            let checksum = crc32c(&packet);
            packet[8..12].copy_from_slice(&checksum.to_le_bytes());
        }
        packet
    }

    /// Adds the TSNs in use to those of DATA, SACK and SHUTDOWN.
    fn move_tsns(&self, packet: &mut [u8]) {
        let mut at = 12;
        while let Some(&[kind, _, high, low]) = packet.get(at..).and_then(<[u8]>::first_chunk) {
            let base = match kind {
                0 => self.peer_tsn,
                3 | 7 => self.tsn.wrapping_sub(1),
                _ => 0,
            };
            if matches!(kind, 0 | 3 | 7)
                && let Some(field) = packet.get_mut(at + 4..at + 8)
            {
                let value = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
                field.copy_from_slice(&base.wrapping_add(value).to_be_bytes());
            }
            at += usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4).max(4);
        }
    }

    fn let_time_pass(&mut self) {
        if let Some(next) = self.victim.next_timeout() {
            self.now = self.now.max(next);
            self.victim.timeout(self.now);
            self.drain();
            let next = self.victim.next_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "{next:?} is not after {:?}",
                self.now
            );
        }
    }

    fn drain(&mut self) {
        for count in 0.. {
            assert!(count < PACKETS_MAX, "does not fall silent");
            let Some(envelope) = self.victim.output(self.now) else { break };
            check_packet(&envelope.bytes);
        }
    }
}

/// What every packet that an endpoint sends must be.
///
/// # Panics
///
/// If it is not.
pub fn check_packet(packet: &[u8]) {
    assert!((16..=1_480).contains(&packet.len()), "{} bytes", packet.len());
    assert_eq!(packet.len() % 4, 0, "padding");
    let mut copy = packet.to_vec();
    copy[8..12].fill(0);
    assert_eq!(packet[8..12], crc32c(&copy).to_le_bytes(), "checksum");
    let mut at = 12;
    let mut was_data = false;
    while at < packet.len() {
        let len = usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
        assert!(len >= 4 && at + len <= packet.len(), "a chunk of {len} bytes at {at}");
        // RFC 9260 §6.10: control chunks come first.
        assert!(!was_data || packet[at] == 0, "chunk {} after DATA", packet[at]);
        was_data = packet[at] == 0;
        at += len.next_multiple_of(4);
    }
}

fn tsn_of_init(packet: &[u8]) -> Option<u32> {
    matches!(packet.get(12), Some(1 | 2)).then(|| word_at(packet, 28))
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&word| u32::from_be_bytes(word))
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| (crc >> 8) ^ CRC_TABLE[usize::from(crc as u8 ^ byte)];
    !bytes.iter().fold(u32::MAX, step)
}

/// What each byte does to the checksum: a fuzzer checks many packets.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// More packets than one event may release.
const PACKETS_MAX: u32 = 600;
/// Timeouts after the last packet that are looked at.
const TIMEOUTS_MAX: u32 = 60;
