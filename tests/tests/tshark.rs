//! tshark judges what we send: it must dissect all of it without a complaint.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use rserpool_core::association::Ppid;
use rserpool_tests::messages::examples;

#[test]
fn tshark_has_no_complaint_about_what_we_send() {
    let examples = examples();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.pcap");
    write_capture(&path, &examples);
    let text = tshark(&path, &["-V"]);
    for sign in ["Malformed", "Expert Info (Error", "Expert Info (Warning"] {
        let at = text.lines().position(|line| line.contains(sign));
        let context: Vec<&str> = at
            .into_iter()
            .flat_map(|at| text.lines().skip(at.saturating_sub(30)).take(40))
            .collect();
        assert!(at.is_none(), "tshark says {sign}:\n{}", context.join("\n"));
    }
    // One column for each protocol; other frames leave both empty.
    let fields = ["-T", "fields", "-e", "asap.message_type", "-e", "enrp.message_type"];
    let seen = tshark(&path, &fields);
    let mut types = BTreeMap::new();
    assert_eq!(seen.lines().count(), examples.len());
    for (line, (ppid, message)) in seen.lines().zip(&examples) {
        // A cause may quote another message, whose type follows.
        let column = line.split('\t').nth(usize::from(*ppid == Ppid::ENRP)).unwrap();
        let first: u8 = column.split(',').next().unwrap().parse().expect(line);
        assert_eq!(first, message[0]);
        *types.entry((*ppid, first)).or_insert(0) += 1;
    }
    assert!((1..=14).all(|kind| types.contains_key(&(Ppid::ASAP, kind))));
    assert!((1..=10).all(|kind| types.contains_key(&(Ppid::ENRP, kind))));
}

#[test]
fn our_examples_are_read_as_they_are_written() {
    for (_, bytes) in examples() {
        rserpool_tests::fuzz_targets::message::run(&bytes);
    }
}

/// Runs tshark on a capture and returns what it prints.
fn tshark(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("tshark")
        .args(["-n", "-o", "sctp.checksum:TRUE", "-r"])
        .arg(path)
        .args(arguments)
        .output()
        .expect("tshark does not run; install it (`cargo xtask setup`, or `apt install tshark`)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Each message in an SCTP packet of its own.
fn write_capture(path: &Path, messages: &[(Ppid, Vec<u8>)]) {
    let header = PcapHeader { datalink: DataLink::IPV4, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(fs::File::create(path).unwrap(), header).unwrap();
    for (index, (ppid, message)) in messages.iter().enumerate() {
        let packet = ip_packet(&sctp_packet(index as u32, *ppid, message));
        let time = Duration::from_millis(index as u64);
        let record = PcapPacket::new(time, packet.len() as u32, &packet);
        writer.write_packet(&record).unwrap();
    }
}

fn sctp_packet(tsn: u32, ppid: Ppid, message: &[u8]) -> Vec<u8> {
    let port: u16 = if ppid == Ppid::ASAP { 3863 } else { 9901 };
    let mut packet = [port.to_be_bytes(), port.to_be_bytes()].concat();
    packet.extend(7u32.to_be_bytes());
    packet.extend([0; 4]);
    // A DATA chunk with a whole message.
    packet.extend([0, 3]);
    packet.extend((16 + message.len() as u16).to_be_bytes());
    packet.extend(tsn.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend((tsn as u16).to_be_bytes());
    packet.extend(ppid.0.to_be_bytes());
    packet.extend(message);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let checksum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}

fn ip_packet(payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let [high, low] = len.to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, 132, 0, 0];
    packet.extend([10, 77, 0, 21, 10, 77, 0, 11]);
    let words = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(payload);
    packet
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
