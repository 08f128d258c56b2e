//! Reading handlespaces: RSPLIB's registrar by `rsp hsdump`, ours by RSPLIB's `hsdump`.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use super::Case;
use super::rsplib::{self, PATIENCE};
use crate::lab::guest::Guest;
use crate::lab::process::await_some;
use crate::lab::{GUEST, Lab};

pub(super) const CASE: Case = Case {
    name: "hsdump",
    what: "rsp hsdump reads rspregistrar, hsdump reads rsp registrar",
    patience: Duration::from_secs(240),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    theirs(lab, &mut guest)?;
    ours(lab, &mut guest)
}

/// We read RSPLIB's registrar.
fn theirs(lab: &mut Lab, guest: &mut Guest) -> Result<()> {
    // It tells two elements at a time.
    let words = format!("-identifier={} -maxelementsperhtrequest=2", rsplib::IDENTIFIER);
    let registrar = rsplib::registrar_at(guest, GUEST, &words)?;
    for (service, identifier) in ELEMENTS {
        guest.spawn(&format!(
            "rspserver {service} -identifier={identifier} -registrar={GUEST}:3863 \
             -asapannounce=off"
        ))?;
    }
    let all = await_some(PATIENCE, || {
        let dump = dump(lab, GUEST)?;
        let is_all = identifiers(&dump) == ELEMENTS.map(|(_, identifier)| identifier);
        // The last element may have registered between the checksum and the table.
        let is_one_moment = dump["homes"][0]["checksum"] == dump["announced_checksum"];
        Ok((is_all && is_one_moment).then_some(dump))
    })?;
    let all = all.context("rsp hsdump does not tell all elements and their checksum");
    let all = lab.check("rsp hsdump tells all elements, in three tables", all)?;
    lab.check("it tells their pools, homes and addresses", judge(&all))?;
    let readers = dump(lab, GUEST)?["peers"].clone();
    let readers = readers.as_array().context("no list of peers")?;
    let last = readers.last().context("rspregistrar does not know who has read")?;
    let reader = last["identifier"].as_str().unwrap_or_default().trim_start_matches("0x");
    let dead = format!("Dead peer ${reader} has no PEs -> no takeover procedure necessary");
    let dead = registrar.await_text(&dead, PATIENCE);
    lab.check("rspregistrar forgets who has read, and takes nothing over", dead)
}

/// The handlespace of the registrar at `address`, by `rsp hsdump`.
fn dump(lab: &Lab, address: &str) -> Result<Value> {
    let reader = lab.rsp("hsdump", &format!("hsdump {address}:9901/9899 --json"))?;
    Ok(serde_json::from_str(&reader.finish(PATIENCE)?)?)
}

fn elements(dump: &Value) -> impl Iterator<Item = &Value> {
    let pools = dump["pools"].as_array().into_iter().flatten();
    pools.flat_map(|pool| pool["elements"].as_array().into_iter().flatten())
}

fn identifiers(dump: &Value) -> Vec<&str> {
    let mut all: Vec<_> = elements(dump).filter_map(|it| it["identifier"].as_str()).collect();
    all.sort_unstable();
    all
}

fn judge(dump: &Value) -> Result<()> {
    let home = &dump["homes"][0];
    let is_sound = dump["registrar"] == rsplib::IDENTIFIER
        && dump["pools"].as_array().is_some_and(|pools| pools.len() == 2)
        && dump["announced_checksum"].is_string()
        && home["checksum"] == dump["announced_checksum"]
        && home["elements"] == ELEMENTS.len();
    if !is_sound {
        bail!("it tells {dump:#}");
    }
    for element in elements(dump) {
        let is_sound = element["home"] == rsplib::IDENTIFIER
            && element["user_transport"]["addresses"][0] == GUEST
            && element["asap_transport"]["addresses"][0] == GUEST;
        if !is_sound {
            bail!("it tells {element:#}");
        }
    }
    Ok(())
}

/// RSPLIB reads our registrar.
fn ours(lab: &mut Lab, guest: &mut Guest) -> Result<()> {
    let listen = format!("registrar --listen {OURS}:3863/9899 --enrp-port 9901/9899");
    let registrar = lab.rsp("registrar", &format!("{listen} --announces off --log debug"))?;
    let ready = registrar.await_text("meets peers at", PATIENCE);
    lab.check("our registrar meets peers", ready)?;
    let serve = format!("serve --listen {THIRD}:0/9899 --registrar {OURS}:3863/9899");
    let element = lab.rsp("element", &format!("{serve} --identifier 0x0000bb01"))?;
    element.await_text("ready at", PATIENCE)?;
    let dump = guest.run(Duration::from_secs(20), &format!("hsdump {OURS}:9901"))?.text;
    let told = match dump.contains("ComputePool") && dump.contains("$0000bb01") {
        true => Ok(()),
        false => Err(anyhow!("it says {}", dump.lines().last().unwrap_or_default())),
    };
    lab.check("RSPLIB's hsdump tells our registrar's element", told)?;
    let gone = registrar.await_text("PeerDown", PATIENCE);
    lab.check("our registrar soon knows that the reader has gone", gone)?;
    let undisturbed = match registrar.output().contains("Takeover") {
        false => Ok(()),
        true => Err(anyhow!("it has begun a takeover")),
    };
    lab.check("our registrar takes nothing over", undisturbed)
}

const ELEMENTS: [(&str, &str); 5] = [
    ("-echo", "0xaaaa0001"),
    ("-pingpong", "0xaaaa0002"),
    ("-pingpong", "0xaaaa0003"),
    ("-echo", "0xaaaa0004"),
    ("-pingpong", "0xaaaa0005"),
];

/// Our registrar, and our element.
const OURS: &str = "10.77.0.10";
const THIRD: &str = "10.77.0.11";
