//! What components tell of themselves, and `rsp status` that hears it.

use std::net::UdpSocket;

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
        loop {
            let line: Value = serde_json::from_str(&self.process.line()).unwrap();
            let components = line["components"].as_array().unwrap();
            if let Some(component) = components.iter().find(|component| is_wanted(component)) {
                return component.clone();
            }
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
