//! `rsp decode` on recorded traffic.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

fn decode(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rsp"))
        .arg("decode")
        .args(arguments)
        .current_dir(captures())
        .output()
        .unwrap()
}

#[test]
fn counts_print_one_line_a_file() {
    let output =
        decode(&["--counts", "hres-unknown-pool.pcapng", "registrar-startup-alone.pcapng"]);
    assert!(output.status.success());
    let expected = fs::read_to_string(captures().join("counts.txt")).unwrap();
    let expected: String = expected
        .lines()
        .filter(|line| line.starts_with("hres-unknown") || line.starts_with("registrar-startup"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn round_trips_succeed() {
    let output = decode(&["--roundtrip", "enrp-join-mentor.pcapng", "crafted-asap-errors.pcapng"]);
    assert!(output.status.success());
    let expected = "enrp-join-mentor.pcapng: 79 the same, 0 not well-formed\n\
        crafted-asap-errors.pcapng: 257 the same, 20 not well-formed\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

#[test]
fn a_message_takes_one_line_and_with_v_all_its_fields() {
    let output = decode(&["policy-RoundRobin.pcapng"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("ASAP REGISTRATION ")).unwrap();
    assert!(line.starts_with("    6 "), "the number of the frame: {line}");
    let expected = " > 10.77.0.11:3863 ASAP REGISTRATION PingPongPool 0xaaaa0001 \
        at SCTP 10.77.0.21:43367, RoundRobin, life 90000";
    assert!(line.ends_with(expected), "{line}");
    let output = decode(&["-v", "policy-RoundRobin.pcapng"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\n        user transport: SCTP 10.77.0.21:43367, use DataPlusControl\n")
    );
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    let output = decode(&["README.md"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("reading README.md"), "{text}");
    assert!(text.contains("hint:"), "{text}");
}
