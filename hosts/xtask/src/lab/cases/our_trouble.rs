//! RSPLIB's element and our registrar when the network, the element and the registrar are not
//! well.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Case;
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::guest::Program;
use crate::lab::process::{Process, await_some};

pub(super) const CASE: Case = Case {
    name: "our-trouble",
    what: "rspserver and rsp registrar with loss, silence, no link, a restart",
    patience: Duration::from_secs(300),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let registrar = registrar(lab, "registrar")?;
    let element = guest.spawn(
        "stdbuf -oL rspserver -echo -identifier=0x22220003 -rereginterval=7000 -loglevel=9 \
         -logcolor=off -registrar=10.77.0.10:3863 -asapannounce=off",
    )?;
    let registered = registrar.await_text(REGISTERED, PATIENCE);
    lab.check("rspserver registers", registered)?;

    guest.must("tc qdisc add dev vec0 root netem loss 20% delay 30ms 20ms")?;
    let alive = await_keep_alives(&element, 3);
    lab.check("it answers three keep-alives while a fifth of its packets is lost", alive)?;
    guest.must("tc qdisc del dev vec0 root")?;

    guest.signal(&element, "STOP")?;
    let dropped = await_count(&registrar, "KeepAliveTimeout", 1);
    lab.check("stopped, it is dropped for its silence", dropped)?;
    let before = count(&registrar, REGISTERED);
    guest.signal(&element, "CONT")?;
    let again = await_count(&registrar, REGISTERED, before + 1);
    lab.check("continued, it registers again", again)?;

    let before = count(&registrar, REGISTERED);
    // Longer than our registrar waits for an answer.
    guest.must("ip link set vec0 down; sleep 12; ip link set vec0 up")?;
    guest.must("ip route add default dev vec0")?;
    let again = await_count(&registrar, REGISTERED, before + 1);
    lab.check("after 12 s without a link it registers again", again)?;

    lab.check("our registrar is killed", registrar.kill())?;
    let registrar = self::registrar(lab, "registrar-again")?;
    let again = await_count(&registrar, REGISTERED, 1);
    lab.check("rspserver registers at the new one", again)?;
    let alive = await_keep_alives(&element, 2);
    lab.check("it answers keep-alives again", alive)
}

fn registrar(lab: &Lab, name: &str) -> Result<Process> {
    let registrar = lab.rsp(name, "registrar --listen 10.77.0.10:3863/9899 --log debug")?;
    let ready = registrar.await_text("ready at", PATIENCE);
    lab.check("our registrar serves", ready)?;
    Ok(registrar)
}

/// Waits until the element has answered `count` more keep-alives.
fn await_keep_alives(element: &Program, count: usize) -> Result<()> {
    let answered = || element.output().matches("Sending KeepAliveAck for pool element").count();
    let before = answered();
    let enough = || Ok((answered() >= before + count).then_some(()));
    let missing = || format!("{} in {} s", answered() - before, LONG_PATIENCE.as_secs());
    await_some(LONG_PATIENCE, enough)?.with_context(missing)
}

/// How often our registrar has said `text`.
fn count(registrar: &Process, text: &str) -> usize {
    registrar.output().matches(text).count()
}

/// Waits until our registrar has said `text` so often.
fn await_count(registrar: &Process, text: &str, wanted: usize) -> Result<()> {
    let enough = || Ok((count(registrar, text) >= wanted).then_some(()));
    let missing = || format!("not within {} s", LONG_PATIENCE.as_secs());
    await_some(LONG_PATIENCE, enough)?.with_context(missing)
}

/// How our registrar says that the element is new to it.
const REGISTERED: &str = "ElementRegistered { pool: \"EchoPool\"";

/// RSPLIB's elements sleep through some of their intervals.
const LONG_PATIENCE: Duration = Duration::from_secs(60);
