//! Several registrars, each a process: what one knows all know, and nothing is lost with one.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{Process, rsp};

/// Registrars that know each other; where they listen for elements and users.
fn scope(count: usize) -> Vec<(Process, String)> {
    let mut peers: Vec<String> = Vec::new();
    let mut registrars = Vec::new();
    for number in 1..=count {
        let identifier = format!("0x0000000{number}");
        let mut arguments = vec!["--enrp-port", "0/0", "--identifier", &identifier];
        for peer in &peers {
            arguments.extend(["--peer", peer]);
        }
        let (registrar, place) = Process::registrar(&arguments);
        peers.push(registrar.place());
        registrars.push((registrar, place));
    }
    registrars
}

/// The homes of the pool's elements, as the registrar at `place` tells.
fn homes(place: &str) -> Vec<String> {
    let arguments = ["resolve", "ComputePool", "--items", "9", "--json", "--registrar", place];
    let answer = rsp(&arguments);
    if answer.code != Some(0) {
        return Vec::new();
    }
    let json: serde_json::Value = serde_json::from_str(&answer.output).unwrap();
    let elements = json["elements"].as_array().unwrap();
    elements.iter().map(|element| element["home"].as_str().unwrap().to_owned()).collect()
}

/// Asks again and again until the homes are these.
fn await_homes(place: &str, wanted: impl Fn(&[String]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let homes = homes(place);
        if wanted(&homes) {
            return;
        }
        assert!(Instant::now() < deadline, "{homes:?}");
    }
}

#[test]
fn a_killed_registrar_is_taken_over() {
    let mut registrars = scope(2);
    let place = registrars[0].1.clone();
    let _elements = [Process::element(&place, &[]), Process::element(&place, &[])];
    let other = registrars[1].1.clone();
    await_homes(&other, |homes| homes == ["0x00000001", "0x00000001"]);
    registrars[0].0.signal(Signal::SIGKILL);
    await_homes(&other, |homes| homes == ["0x00000002", "0x00000002"]);
    let run = rsp(&["run", "load", "--work", "100000", "--registrar", &other]);
    assert_eq!(run.code, Some(0), "{}", run.errors);
    drop(registrars.pop());
}

#[test]
fn a_registrar_that_stops_hands_its_elements_over() {
    let mut registrars = scope(3);
    let place = registrars[0].1.clone();
    let _elements = [Process::element(&place, &[]), Process::element(&place, &[])];
    let others = [registrars[1].1.clone(), registrars[2].1.clone()];
    for other in &others {
        await_homes(other, |homes| homes == ["0x00000001", "0x00000001"]);
    }
    let (first, _) = registrars.remove(0);
    first.signal(Signal::SIGTERM);
    let ended = first.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    for other in &others {
        let is_moved =
            |homes: &[String]| homes.len() == 2 && homes.iter().all(|home| home != "0x00000001");
        await_homes(other, is_moved);
    }
}
