//! Recorded traffic of RSPLIB: everything decodes, and is written again to the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rserpool::capture::{Capture, Message, Protocol, RoundTrip, counts};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// All captures by name.
fn captures() -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "pcapng"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect()
}

fn messages(path: &Path) -> impl Iterator<Item = Message> {
    Capture::open(path).unwrap().map(|message| message.unwrap())
}

#[test]
fn counts_are_those_of_an_independent_script() {
    let expected = fs::read_to_string(folder().join("counts.txt")).unwrap();
    let mut lines = Vec::new();
    for (name, path) in captures() {
        let counts: Vec<String> =
            counts(path).unwrap().iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        lines.push(format!("{name}.pcapng {}", counts.join(", ")));
    }
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    lines.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn every_message_is_written_again_as_it_came() {
    let (mut same_count, mut refused) = (0, Vec::new());
    for (name, path) in captures() {
        for message in messages(&path).filter(|message| !message.retransmission) {
            let frame = message.frame;
            match message.round_trip() {
                RoundTrip::NotOurs => {}
                RoundTrip::Same => same_count += 1,
                RoundTrip::Refused(why) => {
                    refused.push((name.clone(), frame));
                    println!("{name}: frame {frame}: {}: {why}", message.name());
                }
                RoundTrip::Different(at) => {
                    panic!("{name}: frame {frame}: {} differs at byte {at}", message.name())
                }
            }
        }
    }
    let expected: Vec<(String, u64)> =
        REFUSED.iter().map(|&(name, frame, _)| (name.to_owned(), frame)).collect();
    assert_eq!(refused, expected);
    assert!(same_count > 4000, "only {same_count} messages");
}

#[test]
fn every_kind_of_message_occurs_that_can_be_recorded() {
    let mut kinds = BTreeMap::new();
    for path in captures().values() {
        for message in messages(path) {
            let kind = (message.protocol(), message.data.first().copied());
            match kind {
                (Protocol::Asap, Some(kind)) => *kinds.entry(("ASAP", kind)).or_insert(0) += 1,
                (Protocol::Enrp, Some(kind)) => *kinds.entry(("ENRP", kind)).or_insert(0) += 1,
                _ => {}
            }
        }
    }
    for kind in 1..=14 {
        assert!(kinds.contains_key(&("ASAP", kind)), "ASAP {kind}");
    }
    // RSPLIB's Takeover Server never leaves a Linux host, and nothing here provokes an Error.
    for kind in 1..=8 {
        assert!(kinds.contains_key(&("ENRP", kind)), "ENRP {kind}");
    }
}

/// What is no well-formed message, by RFC 5354 or by RSPLIB's layout, and why. All of it is sent
/// by a script.
const REFUSED: &[(&str, u64, &str)] = &[
    ("crafted-announce-2", 1, "server information in an announce"),
    ("crafted-asap-errors", 71, "a TCP transport with two addresses"),
    ("crafted-asap-errors", 104, "a policy that is cut off"),
    ("crafted-asap-errors", 126, "no user transport"),
    ("crafted-asap-errors", 129, "unknown parameter 0x0099 at the end"),
    ("crafted-asap-errors", 132, "unknown parameter 0x0099 in the middle"),
    ("crafted-asap-errors", 135, "unknown parameter 0x0099 at the beginning"),
    ("crafted-asap-errors", 140, "unknown parameter 0x4099 at the end"),
    ("crafted-asap-errors", 143, "unknown parameter 0x4099 in the middle"),
    ("crafted-asap-errors", 146, "unknown parameter 0x4099 at the beginning"),
    ("crafted-asap-errors", 210, "unknown parameter 0x0099 after the handle"),
    ("crafted-asap-errors", 228, "an empty pool handle"),
    ("crafted-asap-errors", 231, "no pool handle"),
    ("crafted-asap-errors", 339, "longer in the header than in bytes"),
    ("crafted-asap-errors", 342, "shorter in the header than in bytes"),
    ("crafted-asap-errors", 345, "length 3"),
    ("crafted-asap-errors", 348, "two bytes"),
    ("crafted-asap-errors", 354, "a parameter that runs over the message"),
    ("crafted-asap-errors", 357, "a parameter of length 2"),
    ("crafted-asap-errors", 360, "a second message behind the first"),
    ("crafted-asap-errors", 423, "an ASAP message with the PPID of ENRP"),
    ("crafted-fake-registrar-pe", 38, "unknown parameter 0x0099"),
    ("crafted-fake-registrar-pe", 41, "unknown parameter 0x4099"),
    ("crafted-long-handle", 5, "a pool handle of 33 bytes"),
];
