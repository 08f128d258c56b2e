//! Reports of the Component Status Protocol: RSPLIB's to `rsp status`, ours to `cspmonitor`.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Case;
use super::rsplib::{self, PATIENCE};
use crate::lab::guest::{Guest, Program};
use crate::lab::process::{Process, await_some};
use crate::lab::{GUEST, Lab};

pub(super) const CASE: Case = Case {
    name: "csp",
    what: "RSPLIB's components report to rsp status, and ours to cspmonitor",
    patience: Duration::from_secs(240),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    theirs(lab, &mut guest)?;
    ours(lab, &mut guest)
}

/// RSPLIB's components report to our monitor.
fn theirs(lab: &mut Lab, guest: &mut Guest) -> Result<()> {
    let listen = format!("status --listen {MONITOR} --json --interval 500ms");
    let monitor = lab.rsp("status", &listen)?;
    let reports = format!("-cspserver={MONITOR} -cspinterval=500");
    let registrar = rsplib::registrar_at(
        guest,
        GUEST,
        &format!("-identifier={} {reports}", rsplib::IDENTIFIER),
    )?;
    let at = format!("-registrar={GUEST}:3863 -asapannounce=off {reports}");
    let element = guest.spawn(&format!("rspserver -pingpong -identifier={ELEMENT} {at}"))?;
    let client = guest.spawn(&format!("pingpongclient -interval=200 {at}"))?;
    let seen = await_component(&monitor, |it| {
        it["identifier"] == rsplib::IDENTIFIER && it["status"] == "1[1] PEs in 1 Pool, 0 Peers"
    });
    lab.check("rsp status shows rspregistrar with its pool", seen)?;
    let seen = await_component(&monitor, |it| {
        let with = &it["associations"][0];
        it["identifier"] == ELEMENT
            && it["status"] == "1 Session"
            && with["identifier"] == rsplib::IDENTIFIER
            && with["protocol"] == "ASAP"
    });
    lab.check("it shows rspserver with its registrar and its session", seen)?;
    let seen = await_component(&monitor, |it| {
        let with = &it["associations"][1];
        it["type"] == "user" && with["identifier"] == ELEMENT && with["protocol"] == "PingPong"
    });
    let user = lab.check("it shows pingpongclient with rspserver", seen)?;
    let user = user["identifier"].as_str().unwrap_or_default();
    for (program, identifier) in
        [(client, user), (element, ELEMENT), (registrar, rsplib::IDENTIFIER)]
    {
        guest.signal(&program, "INT")?;
        let stopped = await_component(&monitor, |it| {
            it["identifier"] == identifier && it["state"] == "stopped"
        });
        lab.check(&format!("it knows that {identifier} has stopped"), stopped)?;
    }
    Ok(())
}

/// Our components report to RSPLIB's monitor.
fn ours(lab: &mut Lab, guest: &mut Guest) -> Result<()> {
    let monitor = guest.spawn("stdbuf -oL cspmonitor -updateinterval=500")?;
    let reports = format!("--csp-server {GUEST} --csp-interval 500ms");
    let [first, second, third] = [10, 11, 12].map(|host| format!("10.77.0.{host}"));
    let registrar = |name: &str, address: &str, words: &str| {
        let listen = format!("registrar --listen {address} --announces off --enrp-port 9901");
        lab.rsp(name, &format!("{listen} {words} {reports}"))
    };
    let mut home = registrar("home", &first, "--identifier 0x0000aa01")?;
    let _peer = registrar("peer", &second, &format!("--identifier 0x0000aa02 --peer {first}"))?;
    let serve = format!("serve --listen {third} --identifier 0x0000bb01 --registrar {first}");
    let _element = lab.rsp("element", &format!("{serve} {reports}"))?;
    let run = format!("run load --work 1000000000000 --registrar {first} {reports}");
    let mut user = lab.rsp("user", &run)?;
    for (what, words) in [
        ("registrar", "PR $0000aa01 [*: 10.77.0.10:3863]*A=1 *\"1[1] PEs in 1 Pool, 1 Peer\""),
        ("peer", "PR $0000aa02 [*: 10.77.0.11:3863]*A=1 *\"1[0] PEs in 1 Pool, 1 Peer\""),
        ("element", "PE $0000bb01 [*: 10.77.0.12:*A=1 L= *%*\"1 Session\""),
        ("user", "PU $*A=2 *\"1 Session, * of * Packages\""),
    ] {
        let shown = await_line(&monitor, words);
        lab.check(&format!("cspmonitor shows our {what}"), shown)?;
    }
    user.terminate();
    let gone = await_screen(&monitor, |screen| !screen.contains("PU $"));
    lab.check("cspmonitor knows that our user has ended", gone)?;
    home.terminate();
    let gone = await_screen(&monitor, |screen| !screen.contains("PR $0000aa01"));
    lab.check("cspmonitor knows that our registrar has stopped", gone)
}

/// Waits until the monitor shows a line that has the parts of `pattern` around its stars.
fn await_line(monitor: &Program, pattern: &str) -> Result<()> {
    await_screen(monitor, |screen| screen.lines().any(|line| has_parts(line, pattern)))
}

fn has_parts(mut line: &str, pattern: &str) -> bool {
    pattern.split('*').all(|part| match line.split_once(part) {
        Some((_, rest)) => {
            line = rest;
            true
        }
        None => false,
    })
}

/// Waits until what RSPLIB's monitor shows at last is as wanted.
fn await_screen(monitor: &Program, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    let last = || {
        let output = monitor.output();
        // Only what a later one follows is complete.
        let screens: Vec<_> = output.split("Current Component Status").collect();
        screens.iter().rev().nth(1).map(|screen| (*screen).to_owned()).unwrap_or_default()
    };
    await_some(PATIENCE, || Ok(is_wanted(&last()).then_some(())))?
        .with_context(|| format!("it shows {}", last()))
}

/// Waits until the monitor's last line has a component that is as wanted.
fn await_component(monitor: &Process, is_wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let look = || {
        let output = monitor.output();
        let Some(line) = output.lines().last() else { return Ok(None) };
        // The last line may be half written.
        let Ok(json) = serde_json::from_str::<Value>(line) else { return Ok(None) };
        let components = json["components"].as_array().context("a line without components")?;
        Ok(components.iter().find(|component| is_wanted(component)).cloned())
    };
    match await_some(PATIENCE, look)? {
        Some(component) => Ok(component),
        None => bail!("it says {}", monitor.output().lines().last().unwrap_or_default()),
    }
}

/// Where the monitor listens.
const MONITOR: &str = "10.77.0.1:2960";

/// RSPLIB's element.
const ELEMENT: &str = "0xaaaa0001";
