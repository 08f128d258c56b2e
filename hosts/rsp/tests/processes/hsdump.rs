//! `rsp hsdump` at registrars of ours.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Process, rsp};

/// Registrars 1 and 2 of a scope: both, where users reach the first, where peers reach each.
fn scope() -> ([Process; 2], String, [String; 2]) {
    let flags = ["--enrp-port", "0/0", "--log", "info", "--identifier"];
    let (first, place) = Process::registrar(&[&flags[..], &["0x00000001"]].concat());
    let first_peer = first.place();
    let join = ["0x00000002", "--peer", &first_peer];
    let (second, _) = Process::registrar(&[&flags[..], &join].concat());
    let second_peer = second.place();
    ([first, second], place, [first_peer, second_peer])
}

/// Reads the handlespace again and again until it is as wanted.
fn await_dump(place: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let dump = rsp(&["hsdump", place, "--json"]);
        assert_eq!(dump.code, Some(0), "{}", dump.errors);
        let dump: Value = serde_json::from_str(&dump.output).unwrap();
        if is_wanted(&dump) {
            return dump;
        }
        assert!(Instant::now() < deadline, "{dump:#}");
    }
}

fn element_count(dump: &Value) -> usize {
    let pools = dump["pools"].as_array().unwrap().iter();
    pools.map(|pool| pool["elements"].as_array().unwrap().len()).sum()
}

#[test]
fn the_same_handlespace_is_read_from_either_registrar_of_a_scope() {
    let (registrars, place, peers) = scope();
    // More than one table holds.
    let elements = ["--elements", "16"];
    let _first = Process::element(&place, &elements);
    let _other = Process::element(&place, &["--pool", "Other", "--policy", "WeightedRandom:7"]);
    for (reader, (peer, other)) in
        [(&peers[0], "0x00000002"), (&peers[1], "0x00000001")].into_iter().enumerate()
    {
        let dump = await_dump(peer, |dump| {
            let knows_other = dump["peers"][0]["identifier"] == other;
            element_count(dump) == 17 && knows_other
        });
        assert_eq!(dump["registrar"], format!("0x0000000{}", reader + 1));
        let pool = &dump["pools"][1];
        assert_eq!((&pool["pool"], &pool["policy"]), (&"Other".into(), &"WeightedRandom".into()));
        let element = &pool["elements"][0];
        assert_eq!(element["policy"], "WeightedRandom:7");
        assert_eq!(element["home"], "0x00000001");
        assert_eq!(element["user_transport"]["addresses"][0], "127.0.0.1");
        assert_eq!(element["registration_life_seconds"], 90.0);
        assert_eq!(dump["homes"][0]["elements"], 17);
    }
    let home = await_dump(&peers[0], |_| true);
    assert_eq!(home["announced_checksum"], home["homes"][0]["checksum"]);
    let list = rsp(&["hsdump", &peers[0]]);
    assert!(
        list.output.contains("POOL \"ComputePool\"  LeastUsed, 16 elements"),
        "{}",
        list.output
    );
    assert!(list.output.contains("  0x00000001  17 elements, checksum 0x"), "{}", list.output);
    assert!(list.output.contains(", as it announces"), "{}", list.output);
    for registrar in registrars {
        registrar.signal(Signal::SIGTERM);
        let ended = registrar.end();
        assert!(!ended.errors.contains("TakeoverStarted"), "{}", ended.errors);
    }
}

#[test]
fn who_does_not_tell_is_named() {
    let (registrar, place) = Process::registrar(&[]);
    let wrong_port = rsp(&["hsdump", &place]);
    assert_eq!(wrong_port.code, Some(1), "{}", wrong_port.errors);
    assert!(wrong_port.errors.contains("ENRP port (9901)"), "{}", wrong_port.errors);
    drop(registrar);
    let nobody = rsp(&["hsdump", &place]);
    assert_eq!(nobody.code, Some(3), "{}", nobody.errors);
    assert!(nobody.errors.contains(&place), "{}", nobody.errors);
    assert!(nobody.errors.contains("--enrp-port"), "{}", nobody.errors);
}
