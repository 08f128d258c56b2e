//! What components tell of themselves, and `rsp status` that hears it.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Process, rsp};

/// A monitor at a port of its own, and where that is.
struct Monitor {
    process: Process,
    place: String,
}

impl Monitor {
    fn start() -> Self {
        let listen = ["status", "--listen", "127.0.0.1:0", "--json", "--interval", "100ms"];
        let process = Process::start(&listen);
        let first: Value = serde_json::from_str(&process.line()).unwrap();
        let place = first["address"].as_str().unwrap().to_owned();
        Self { process, place }
    }

    /// Waits until there is a component that is as wanted.
    fn await_component(&self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line: Value = serde_json::from_str(&self.process.line()).unwrap();
            let components = line["components"].as_array().unwrap();
            if let Some(component) = components.iter().find(|component| is_wanted(component)) {
                return component.clone();
            }
            assert!(Instant::now() < deadline, "{line:#}");
        }
    }
}

/// A report of an element 0x00000007 of 1 s, and whether it is the last.
fn report(flags: u8) -> Vec<u8> {
    let mut bytes = vec![1, flags, 0x01, 0x20, 0, 0, 2, 0];
    bytes.extend([2, 0, 0, 0, 0, 0, 0, 7]);
    bytes.extend([0; 8]);
    bytes.extend([0, 0x0f, 0x42, 0x40]);
    bytes.extend([b'x'; 127]);
    bytes.extend([0; 129]);
    bytes.extend([0xff, 0xff, 0, 0]);
    bytes
}

#[test]
fn a_report_is_shown_until_its_sender_says_good_bye() {
    let monitor = Monitor::start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"nonsense", &monitor.place).unwrap();
    socket.send_to(&report(0), &monitor.place).unwrap();
    let component = monitor.await_component(|component| component["identifier"] == "0x00000007");
    assert_eq!(component["type"], "element");
    assert_eq!(component["location"].as_str().unwrap().len(), 127);
    socket.send_to(&report(1), &monitor.place).unwrap();
    monitor.await_component(|component| component["state"] == "stopped");
    monitor.process.signal(Signal::SIGTERM);
    assert_eq!(monitor.process.end().code, Some(0));
}

#[test]
fn a_monitor_that_hears_nobody_says_what_to_do() {
    let ended = rsp(&["status", "--listen", "127.0.0.1:0", "--once", "--wait", "10ms"]);
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.errors.contains("--csp-server"), "{}", ended.errors);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let monitor = Monitor::start();
    let second = rsp(&["status", "--listen", &monitor.place, "--once"]);
    assert_eq!(second.code, Some(5), "{}", second.errors);
    assert!(second.errors.contains(&monitor.place), "{}", second.errors);
}

/// The flags of who reports to `monitor`.
fn reporting(monitor: &Monitor) -> [&str; 4] {
    ["--csp-server", &monitor.place, "--csp-interval", "50ms"]
}

#[test]
fn a_whole_scope_is_seen_while_it_works_and_when_it_ends() {
    let monitor = Monitor::start();
    let flags = reporting(&monitor);
    let (registrar, place) =
        Process::registrar(&[&["--identifier", "0x11111111"], &flags[..]].concat());
    let component = monitor.await_component(|it| it["status"] == "0[0] PEs in 0 Pools, 0 Peers");
    assert_eq!(component["identifier"], "0x11111111");
    assert_eq!(component["interval_seconds"], 0.05);
    let port = place.split(['/', ':']).nth(1).unwrap();
    let location = component["location"].as_str().unwrap();
    assert!(location.ends_with(&format!(": 127.0.0.1:{port}")), "{location} {place}");

    let element = Process::element(&place, &[&["--identifier", "7"], &flags[..]].concat());
    monitor.await_component(|it| it["status"] == "1[1] PEs in 1 Pool, 0 Peers");
    let idle = monitor.await_component(|it| it["status"] == "0 Sessions");
    assert_eq!((&idle["type"], &idle["identifier"]), (&"element".into(), &"0x00000007".into()));
    assert_eq!(idle["associations"][0]["protocol"], "ASAP");
    assert!(idle["associations"][0]["seconds"].as_f64().unwrap() > 0.0);

    let job = ["run", "load", "--work", "100000000000", "--registrar", &place];
    let job = Process::start(&[&job[..], &flags].concat());
    let user = monitor.await_component(|it| it["type"] == "user" && it["association_count"] == 2);
    assert!(user["status"].as_str().unwrap().starts_with("1 Session, "), "{user}");
    let session = &user["associations"][1];
    assert_eq!(session["identifier"], "0x00000007");
    assert_eq!(session["protocol"], "Compute");
    let is_busy = |it: &Value| it["status"] == "1 Session" && it["workload"].as_f64() > Some(0.0);
    monitor.await_component(is_busy);

    for (process, identifier) in [
        (job, &user["identifier"]),
        (element, &idle["identifier"]),
        (registrar, &"0x11111111".into()),
    ] {
        process.signal(Signal::SIGTERM);
        process.end();
        monitor.await_component(|it| it["identifier"] == *identifier && it["state"] == "stopped");
    }
}

#[test]
fn an_element_without_a_registrar_says_that_it_looks_for_one() {
    let monitor = Monitor::start();
    let flags = reporting(&monitor);
    let _element = Process::starting_element("127.0.0.1:1/1", &flags);
    let component = monitor.await_component(|it| it["type"] == "element");
    assert_eq!(component["status"], "Looking for Registrar ...");
    assert_eq!(component["association_count"], 0);
}

#[test]
fn an_interval_that_is_too_short_is_refused() {
    let server = ["--csp-server", "127.0.0.1", "--csp-interval", "9ms"];
    let refused = rsp(&[&["resolve", "ComputePool"], &server[..]].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.errors);
    assert!(refused.errors.contains("--csp-interval 9ms"), "{}", refused.errors);
}

/// Longer than any of this takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
