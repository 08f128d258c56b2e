//! Our element and RSPLIB's registrar when the network and the registrar are not well.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Case;
use super::ours::{self, AT, element};
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::guest::Guest;
use crate::lab::process::{Process, await_some};

pub(super) const CASE: Case = Case {
    name: "trouble",
    what: "rsp serve and rspregistrar with loss, no link, a crowd, a restart",
    patience: Duration::from_secs(300),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let started = rsplib::registrar(&mut guest);
    let registrar = lab.check("rspregistrar serves", started)?;
    let (_element, identifier) = element(lab, "only", ADDRESS)?;

    guest.must("tc qdisc add dev vec0 root netem loss 20% delay 30ms 20ms")?;
    let alive = rsplib::await_keep_alives(&registrar, &identifier, 5);
    lab.check("it answers five keep-alives while a fifth of the packets to it is lost", alive)?;
    guest.must("tc qdisc del dev vec0 root")?;

    // Longer than the registrar waits for an answer, shorter than SCTP waits for a path.
    guest.must(
        "ip link set vec0 down; sleep 9; ip link set vec0 up; ip route add default dev vec0",
    )?;
    let back = await_entry(&mut guest, &identifier);
    lab.check("it is registered again after 9 s without a link", back)?;

    let crowd = crowd(lab);
    let crowd = lab.check("48 elements register from six processes", crowd)?;
    let resolved = ours::resolve(lab, AT).and_then(|lines| match lines.len() {
        49 => Ok(()),
        count => bail!("{count} elements in the answer"),
    });
    lab.check("rsp resolve finds all 49, in an answer of several packets", resolved)?;

    // Peers that only vanish would keep the killed registrar's port in use.
    crowd.into_iter().for_each(|mut process| process.terminate());
    let before = rsplib::keep_alive_count(&registrar, &identifier);
    guest.signal(&registrar, "KILL")?;
    let started = rsplib::registrar(&mut guest);
    let registrar = lab.check("rspregistrar is killed and started again", started)?;
    let again = ours::await_registration(&registrar, &identifier, 0);
    lab.check("the element registers at the new one", again)?;
    let alive = rsplib::await_keep_alives(&registrar, &identifier, 2);
    lab.check(&format!("it answers keep-alives again, after {before} of the old one"), alive)
}

/// Starts processes of eight elements, one after the other: at this log level the registrar takes
/// a tenth of a second for a registration, and an element waits 3 s for its answer.
fn crowd(lab: &Lab) -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    for number in 0..CROWD_PROCESS_COUNT {
        let words = format!("serve --listen {OTHERS} --elements 8 {AT}");
        let process = lab.rsp(&format!("crowd{number}"), &words)?;
        let all = || Ok((process.output().matches("ready at").count() == 8).then_some(()));
        await_some(PATIENCE, all)?.with_context(|| format!("process {number} is not ready"))?;
        processes.push(process);
    }
    Ok(processes)
}

/// Waits until RSPLIB's registrar has the element.
fn await_entry(guest: &mut Guest, element: &str) -> Result<()> {
    let there = || Ok(rsplib::entry(guest, element)?.map(drop));
    await_some(Duration::from_secs(60), there)?.context("it is not there after 60 s")
}

const ADDRESS: &str = "10.77.0.11";
const CROWD_PROCESS_COUNT: usize = 6;
const OTHERS: &str = "10.77.0.12";
