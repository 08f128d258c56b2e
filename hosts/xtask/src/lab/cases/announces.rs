//! Elements that are told of no registrar and find one by its announces, both ways.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Case;
use super::ours::{self, element_by};
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::process::await_some;

pub(super) const OF_RSPLIB: Case = Case {
    name: "announces",
    what: "rsp serve and rsp resolve find rspregistrar by its announces",
    patience: Duration::from_secs(180),
    has_boards: false,
    run: of_rsplib,
};

/// Our element and user find RSPLIB's registrar.
fn of_rsplib(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let started = rsplib::registrar(&mut guest);
    let registrar = lab.check("rspregistrar serves", started)?;
    let words = "--announces on --announce-interface lab0";
    let (_element, identifier) = element_by(lab, "only", ADDRESS, words)?;
    let had = rsplib::must_have(&mut guest, &identifier, ADDRESS);
    lab.check("rspregistrar has it, at its address", had)?;
    let alive = rsplib::await_keep_alives(&registrar, &identifier, 2);
    lab.check("it answers two keep-alives", alive)?;
    let listed = ours::must_resolve_by(lab, &[&identifier], words);
    lab.check("rsp resolve finds it, by the announces too", listed)
}

pub(super) const OF_OURS: Case = Case {
    name: "our-announces",
    what: "rspserver finds rsp registrar by its announces",
    patience: Duration::from_secs(180),
    has_boards: false,
    run: of_ours,
};

/// RSPLIB's elements find our registrar.
fn of_ours(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let listen = "--listen 10.77.0.10:3863/9899 --announces on --announce-interface lab0";
    let registrar = lab.rsp("registrar", &format!("registrar {listen} --log debug"))?;
    let ready = registrar.await_text("ready at", PATIENCE);
    lab.check("our registrar serves", ready)?;
    let element = guest
        .spawn("stdbuf -oL rspserver -echo -identifier=0x22220003 -loglevel=9 -logcolor=off")?;
    let registered = registrar.await_text("ElementRegistered { pool: \"EchoPool\"", PATIENCE);
    lab.check("rspserver finds it and registers", registered)?;
    let answered = || {
        let count = element.output().matches("Sending KeepAliveAck for pool element").count();
        Ok((count >= 2).then_some(()))
    };
    let alive = await_some(PATIENCE, answered)?.context("not in time");
    lab.check("rspserver answers two keep-alives", alive)
}

const ADDRESS: &str = "10.77.0.11";
