//! The messages that boards are tested with are those of the captures and of the examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rserpool::capture::{Capture, Protocol, RoundTrip};
use rserpool_core::association::Ppid;
use rserpool_tests::messages;

/// Longer messages only repeat what shorter ones show.
const MESSAGE_LEN_MAX: usize = 600;

/// Compares a data file of `tests/vectors` with what it is made of. If the code has changed on
/// purpose, `RSERPOOL_WRITE_VECTORS=1` writes it anew.
fn is_up_to_date(name: &str, messages: &[(Ppid, Vec<u8>)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/data").join(name);
    let mut bytes = Vec::new();
    for (Ppid(ppid), message) in messages {
        bytes.push(u8::try_from(*ppid).unwrap());
        bytes.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        bytes.extend(message);
    }
    if std::env::var_os("RSERPOOL_WRITE_VECTORS").is_some() {
        fs::write(&path, &bytes).unwrap();
    }
    println!("{name}: {} messages, {} bytes", messages.len(), bytes.len());
    assert!(fs::read(&path).unwrap() == bytes, "{name}: write it anew, see this function");
}

#[test]
fn the_examples_are_those_of_the_vectors() {
    is_up_to_date("examples.bin", &messages::examples());
}

#[test]
fn the_captures_are_those_of_the_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut captures: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    captures.retain(|path| path.extension().is_some_and(|extension| extension == "pcapng"));
    captures.sort_unstable();
    let (mut seen, mut chosen) = (BTreeSet::new(), Vec::new());
    for path in captures {
        for message in Capture::open(&path).unwrap().map(Result::unwrap) {
            let ppid = match message.protocol() {
                Protocol::Asap => Ppid::ASAP,
                Protocol::Enrp => Ppid::ENRP,
                _ => continue,
            };
            let data = &message.data;
            // One of each kind, flags and length.
            let shape = (ppid, data.get(..4).map(<[u8]>::to_vec));
            let is_chosen = data.len() <= MESSAGE_LEN_MAX
                && !message.retransmission
                && matches!(message.round_trip(), RoundTrip::Same)
                && seen.insert(shape);
            if is_chosen {
                chosen.push((ppid, data.clone()));
            }
        }
    }
    is_up_to_date("captures.bin", &chosen);
}
