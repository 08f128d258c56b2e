//! Registrars that are found by their announces: on loopback, in a group of the test's own.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::process::{Process, rsp};

/// A group and a port that nobody else listens at.
fn group() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    format!("239.255.77.3:{}", socket.local_addr().unwrap().port())
}

fn registrar(group: &str, identifier: &str) -> Process {
    let process = Process::start(&[
        "registrar",
        "--listen",
        "127.0.0.1:0/0",
        "--announce-group",
        group,
        "--announce-ttl",
        "0",
        "--identifier",
        identifier,
    ]);
    process.place();
    process
}

/// The flags of somebody who knows no registrar, and hears loopback alone.
fn auto(group: &str) -> [&str; 6] {
    ["--announces", "on", "--announce-group", group, "--announce-interface", "127.0.0.1"]
}

fn home_of(group: &str) -> Option<String> {
    let resolved = rsp(&[&["resolve", "ComputePool", "--json"], &auto(group)[..]].concat());
    // The pool may be empty for a while, and the registrar not heard yet.
    assert!(matches!(resolved.code, Some(0 | 3 | 4)), "{}", resolved.errors);
    let json: serde_json::Value = serde_json::from_str(&resolved.output).ok()?;
    json["elements"][0]["home"].as_str().map(str::to_owned)
}

#[test]
fn a_scope_on_loopback_configures_itself() {
    let group = group();
    let serve = ["serve", "--listen", "127.0.0.1:0/0"];
    let element = Process::start(&[&serve[..], &auto(&group)].concat());
    let first = registrar(&group, "0x11111111");
    assert!(element.line().contains(" in ComputePool ready at 127.0.0.1:"));
    assert_eq!(home_of(&group).as_deref(), Some("0x11111111"));
    let job = ["run", "montecarlo", "--samples", "100000", "--json"];
    let job = rsp(&[&job[..], &auto(&group)].concat());
    assert_eq!(job.code, Some(0), "{}", job.errors);
    assert!(job.output.contains("\"samples\":100000"), "{}", job.output);

    // Another one takes its place, wherever it is.
    drop(first);
    let _second = registrar(&group, "0x22222222");
    let found = std::iter::repeat_with(|| home_of(&group)).take(100);
    assert!(found.flatten().any(|home| home == "0x22222222"));
}

#[test]
fn registrars_find_each_other_and_share_their_elements() {
    let (group, peer_group) = (group(), group());
    let start = |identifier| {
        let flags = ["--identifier", identifier, "--announce-ttl", "0", "--enrp-port", "0/0"];
        let groups = ["--announce-group", &group, "--peer-group", &peer_group];
        let listen = ["registrar", "--listen", "127.0.0.1:0/0"];
        Process::start(&[&listen[..], &flags, &groups].concat())
    };
    let first = start("0x11111111");
    let place = first.place();
    let _element = Process::element(&place, &["--identifier", "7"]);
    let second = start("0x22222222");
    let other = second.place();
    // It asks the first one for its table, and then knows what that knows.
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let resolved = rsp(&["resolve", "ComputePool", "--registrar", &other]);
        if resolved.code == Some(0) {
            assert!(resolved.output.contains("0x00000007  0x11111111"), "{}", resolved.output);
            break;
        }
        assert!(Instant::now() < deadline, "{}", resolved.errors);
    }
}

#[test]
fn a_registrar_that_does_not_announce_itself_is_not_found() {
    let group = group();
    let (_registrar, _place) = Process::registrar(&["--announce-group", &group]);
    let resolve = ["resolve", "ComputePool", "--patience", "3s"];
    let resolved = rsp(&[&resolve[..], &auto(&group)].concat());
    assert_eq!(resolved.code, Some(3), "{}", resolved.output);
    assert!(resolved.errors.contains("any announced address"), "{}", resolved.errors);
}
