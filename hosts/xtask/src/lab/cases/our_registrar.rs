//! RSPLIB's elements and users at our registrar; they have the kernel's SCTP over UDP.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::Case;
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::guest::Program;
use crate::lab::process::await_some;

pub(super) const CASE: Case = Case {
    name: "our-registrar",
    what: "rspserver and pingpongclient at rsp registrar, over UDP 9899",
    patience: Duration::from_secs(240),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let registrar = lab.rsp("registrar", &format!("registrar --listen {AT}/9899 --log debug"))?;
    let ready = registrar.await_text("ready at", PATIENCE);
    lab.check("our registrar serves", ready)?;
    let mut elements = Vec::new();
    for (service, identifier) in SERVICES {
        elements.push(guest.spawn(&rsplib_program(&format!(
            "rspserver {service} -identifier={identifier} -policy=RoundRobin"
        )))?);
    }
    let listed = await_pool(lab, "PingPongPool", &["0x22220001", "0x22220002"]);
    lab.check("two rspserver register in PingPongPool", listed)?;
    let listed = await_pool(lab, "EchoPool", &["0x22220003"]);
    lab.check("one rspserver registers in EchoPool", listed)?;
    for (element, (_, identifier)) in elements.iter().zip(SERVICES) {
        let alive = await_keep_alives(element, identifier, 3);
        lab.check(&format!("{identifier} answers three keep-alives"), alive)?;
    }

    let client = guest.spawn(&rsplib_program("pingpongclient -interval=200"))?;
    let Pong { element, reply } = lab.check(
        "pingpongclient finds one of them through our registrar",
        await_pong(&client, |pong| pong.reply >= 5),
    )?;
    let (served, other) = match element.as_str() {
        "0x22220001" => (&elements[0], "0x22220002"),
        _ => (&elements[1], "0x22220001"),
    };
    lab.check("that one is killed", guest.signal(served, "KILL"))?;
    let continued = await_pong(&client, |pong| pong.element == other);
    let pong = lab.check("pingpongclient fails over to the other", continued)?;
    let resumed = match pong.reply > reply {
        true => Ok(()),
        false => Err(anyhow!("reply {} after reply {reply}", pong.reply)),
    };
    lab.check("the other goes on from the cookie", resumed)?;
    let listed = await_pool(lab, "PingPongPool", &[other]);
    lab.check("our registrar has the other only", listed)?;

    let echo = "(echo from the lab; sleep 2) | timeout 8 rspterminal";
    let said = guest.run(Duration::from_secs(12), &format!("{echo} {RSPLIB_REGISTRAR}"))?;
    let echoed = match said.text.contains("22220003> from the lab") {
        true => Ok(()),
        false => Err(anyhow!("rspterminal says: {}", said.text.trim())),
    };
    lab.check("rspterminal gets an echo", echoed)?;
    guest.signal(&elements[2], "INT")?;
    let gone = registrar.await_text(DEREGISTERED, PATIENCE);
    lab.check("rspserver deregisters when it is stopped", gone.map(drop))
}

/// A pong, as pingpongclient prints it.
pub(super) struct Pong {
    pub(super) element: String,
    /// The server's count, which a cookie hands on.
    pub(super) reply: u64,
}

/// Waits until the last pong is as wanted.
pub(super) fn await_pong(client: &Program, is_wanted: impl Fn(&Pong) -> bool) -> Result<Pong> {
    let look = || Ok(last_pong(&client.output()).filter(|pong| is_wanted(pong)));
    await_some(PATIENCE, look)?.with_context(|| match last_pong(&client.output()) {
        None => "no pong at all".to_owned(),
        Some(last) => format!("the last is reply {} of {}", last.reply, last.element),
    })
}

fn last_pong(output: &str) -> Option<Pong> {
    let line = output.lines().rfind(|line| line.contains("Ack #") && line.contains("(reply #"))?;
    let (_, rest) = line.split_once("from PE $")?;
    let (element, rest) = rest.split_once(" (reply #")?;
    let (reply, _) = rest.split_once(')')?;
    Some(Pong { element: format!("0x{element}"), reply: reply.parse().ok()? })
}

/// Waits until an element has answered `count` keep-alives since it began.
pub(super) fn await_keep_alives(program: &Program, identifier: &str, count: usize) -> Result<()> {
    let digits = identifier.trim_start_matches("0x");
    let answer = format!("Sending KeepAliveAck for pool element ${digits}");
    let answered = || program.output().matches(&answer).count();
    let patience = Duration::from_secs(45);
    await_some(patience, || Ok((answered() >= count).then_some(())))?
        .with_context(|| format!("{} in {} s", answered(), patience.as_secs()))
}

/// Waits until a pool has just these elements.
fn await_pool(lab: &Lab, pool: &str, elements: &[&str]) -> Result<()> {
    let mut table = String::new();
    let found = await_some(PATIENCE, || {
        let resolve = lab.rsp("resolve", &format!("resolve {pool} --registrar {AT}"))?;
        table = resolve.finish(PATIENCE).unwrap_or_else(|error| format!("{error:#}"));
        let mut listed: Vec<_> = table.lines().filter(|line| line.starts_with("0x")).collect();
        listed.sort_unstable();
        let same = listed.len() == elements.len()
            && listed.iter().zip(elements).all(|(line, element)| line.starts_with(element));
        Ok(same.then_some(()))
    })?;
    found.with_context(|| format!("rsp resolve says: {}", table.trim()))
}

fn rsplib_program(words: &str) -> String {
    format!("stdbuf -oL {words} -loglevel=9 -logcolor=off {RSPLIB_REGISTRAR}")
}

const SERVICES: [(&str, &str); 3] =
    [("-pingpong", "0x22220001"), ("-pingpong", "0x22220002"), ("-echo", "0x22220003")];

/// How our registrar says that the echo element is gone by its own wish.
const DEREGISTERED: &str =
    "ElementRemoved { pool: \"EchoPool\", element: PeId(0x22220003), reason: Deregistered";

/// Where our registrar is.
const AT: &str = "10.77.0.10:3863";

/// The same for RSPLIB's programs.
const RSPLIB_REGISTRAR: &str = "-registrar=10.77.0.10:3863 -asapannounce=off";
