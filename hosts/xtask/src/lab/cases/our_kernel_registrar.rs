//! Our registrar on the kernel's SCTP and on our own at once, with elements, users and peers of
//! either.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::our_registrar::{await_keep_alives, await_pong};
use super::rsplib::PATIENCE;
use super::{Case, ours};
use crate::lab::guest::{Guest, Program};
use crate::lab::process::await_some;
use crate::lab::{GUEST, Lab};
use crate::process::root;

/// Kernel SCTP and UDP at the same registrar, without any encapsulation in the kernel.
pub(crate) const CASE: Case = Case {
    name: "our-kernel-registrar",
    what: "rsp registrar on kernel SCTP and UDP at once, with peers of either, and of RSPLIB",
    patience: Duration::from_secs(400),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    let words = format!("registrar --listen {GUEST}:3863 --enrp-port 9901 --announces off");
    let words = format!("{words} {PARAMETERS}");
    let registrar = guest.spawn(&rsp(&format!("{words} --log debug")))?;
    // What it prints is to be copied, by those who have either SCTP.
    let ready = registrar.await_text(&format!("ready at {GUEST}:3863\n"), PATIENCE);
    lab.check("our registrar serves in the guest", ready)?;
    let endpoints = guest.must("cat /proc/net/sctp/eps")?;
    let listens = endpoints.contains(" 3863 ").then_some(()).context(endpoints);
    lab.check("it does so by the kernel's SCTP", listens)?;

    let (mut outer, outer_id) = ours::element_by(lab, "outer", "10.77.0.11", BY_UDP)?;
    let (inner, inner_id) = inner_element(lab, &mut guest)?;
    let servers = ["0x22220001", "0x22220002"];
    let mut elements = Vec::new();
    for identifier in servers {
        elements.push(guest.spawn(&format!(
            "stdbuf -oL rspserver -pingpong -identifier={identifier} -policy=RoundRobin \
             -loglevel=9 -logcolor=off {RSPLIB_REGISTRAR}"
        ))?);
    }
    let pool = await_pool(&mut guest, "PingPongPool", BY_KERNEL, &servers);
    lab.check("two rspserver register by the kernel's SCTP", pool)?;
    let parameters = has_parameters(&mut guest);
    lab.check("the kernel has the parameters of the registrar's command line", parameters)?;
    let both = [outer_id.as_str(), inner_id.as_str()];
    let pool = await_pool(&mut guest, "ComputePool", BY_KERNEL, &both);
    lab.check("rsp resolve in the guest has the elements of both SCTPs", pool)?;
    let pool = must_resolve_outside(lab, &both);
    lab.check("rsp resolve outside has them, too", pool)?;
    for (element, identifier) in elements.iter().zip(servers) {
        let alive = await_keep_alives(element, identifier, 3);
        lab.check(&format!("{identifier} answers three keep-alives"), alive)?;
    }
    let pool = must_resolve_outside(lab, &both);
    lab.check("our elements are still registered", pool)?;

    fail_over(lab, &mut guest, &elements)?;
    lose_at_work(lab, &mut guest, (inner, &inner_id), &outer_id)?;
    meet_peers(lab, &mut guest, &outer_id)?;
    outer.terminate();
    let gone = await_pool(&mut guest, "ComputePool", BY_KERNEL, &[]);
    lab.check("the outer element deregisters when it is stopped", gone)
}

/// What the kernel's SCTP is told.
const PARAMETERS: &str = "--rto-min 300ms --path-retransmissions 3 \
                          --association-retransmissions 7 --heartbeat-interval 4s";

/// Whether an association and a path of the guest have [`PARAMETERS`].
fn has_parameters(guest: &mut Guest) -> Result<()> {
    let paths = guest.must("cat /proc/net/sctp/remaddr")?;
    let associations = guest.must("cat /proc/net/sctp/assocs")?;
    // RTO in ticks of 10 ms (measured, and not less than RTO.Min), and MAX_PATH_RTX.
    let is_path = |line: &str| line.split_whitespace().skip(3).take(2).eq(["30", "3"]);
    // MAXRT and HBINT, from the end, since addresses vary in number.
    let is_association = |line: &str| {
        let mut fields = line.split_whitespace().rev();
        fields.nth(7) == Some("7") && fields.nth(2) == Some("400")
    };
    let is_told = paths.lines().any(is_path) && associations.lines().any(is_association);
    is_told.then_some(()).with_context(|| format!("{paths}\n{associations}"))
}

/// RSPLIB's user finds another server when one dies.
fn fail_over(lab: &Lab, guest: &mut Guest, elements: &[Program]) -> Result<()> {
    let client = guest.spawn(&format!(
        "stdbuf -oL pingpongclient -interval=200 -loglevel=9 -logcolor=off {RSPLIB_REGISTRAR}"
    ))?;
    let pong = await_pong(&client, |pong| pong.reply >= 5);
    let pong = lab.check("pingpongclient finds one of them through our registrar", pong)?;
    let (served, other) = match pong.element.as_str() {
        "0x22220001" => (&elements[0], "0x22220002"),
        _ => (&elements[1], "0x22220001"),
    };
    lab.check("that one is killed", guest.signal(served, "KILL"))?;
    let next = await_pong(&client, |next| next.element == other && next.reply > pong.reply);
    lab.check("pingpongclient goes on with the other, from the cookie", next)?;
    let pool = await_pool(guest, "PingPongPool", BY_KERNEL, &[other]);
    lab.check("our registrar has the other only", pool)
}

/// A job of the guest has elements of both SCTPs; the one inside dies at work.
fn lose_at_work(
    lab: &Lab,
    guest: &mut Guest,
    (inner, inner_id): (Program, &str),
    outer_id: &str,
) -> Result<()> {
    let words = format!("run load --work 1500000000 --packages 40 {BY_EITHER}");
    let job = guest.spawn(&rsp(&words))?;
    let taken = inner.await_text("event=Accepted", PATIENCE);
    lab.check("rsp run gives the inner element work, by the kernel's SCTP", taken)?;
    lab.check("it is killed at work", guest.signal(&inner, "KILL"))?;
    let done = job.await_text("packages", Duration::from_secs(120));
    let done = done.with_context(|| job.output().trim().to_owned());
    lab.check("the outer element does the rest, by UDP", done)?;
    let pool = await_pool(guest, "ComputePool", BY_KERNEL, &[outer_id]);
    lab.check(&format!("our registrar notices that {inner_id} is dead"), pool)
}

/// Registrars that have one SCTP each learn of the element through the one that has both.
fn meet_peers(lab: &Lab, guest: &mut Guest, outer_id: &str) -> Result<()> {
    let words = format!("registrar --transport kernel --listen {GUEST}:4863 --announces off");
    let by_kernel =
        guest.spawn(&rsp(&format!("{words} --enrp-port 4901 --peer {GUEST}:9901 --log debug")))?;
    let met = by_kernel.await_text("meets peers at", PATIENCE);
    lab.check("a peer comes by the kernel's SCTP", met)?;
    let by_udp = lab.rsp(
        "peer",
        &format!(
            "registrar --transport udp --listen 10.77.0.10:3863/9899 --enrp-port 9901/9899 \
             --peer {GUEST}:9901/9899 --announces off --log debug"
        ),
    )?;
    let met = by_udp.await_text("meets peers at", PATIENCE);
    lab.check("another one comes by UDP", met.map(drop))?;
    let words = format!("--transport kernel --registrar {GUEST}:4863");
    let pool = await_pool(guest, "ComputePool", &words, &[outer_id]);
    lab.check("the former has the outer element from our registrar", pool)?;
    let words = "--transport udp --registrar 10.77.0.10:3863/9899";
    let found = await_some(PATIENCE, || {
        let lines = ours::resolve(lab, words).unwrap_or_default();
        Ok(lines.iter().any(|line| line.starts_with(outer_id)).then_some(()))
    })?;
    lab.check("the latter has it, too", found.context("it does not"))
}

/// Starts an element on the kernel's SCTP and waits until it is registered; it and its identifier.
fn inner_element(lab: &Lab, guest: &mut Guest) -> Result<(Program, String)> {
    let element = guest.spawn(&rsp(&format!(
        "serve --listen {GUEST}:0 --reregistration-interval 9s --log debug {BY_KERNEL} --slots 1 \
         --pool-key {}",
        ours::KEY
    )))?;
    let ready = element.await_text("ready at", PATIENCE);
    lab.check("the inner element registers by the kernel's SCTP", ready)?;
    let output = element.output();
    let line = output.lines().find(|line| line.contains("ready at"));
    let identifier = line.and_then(|line| line.split_whitespace().nth(1));
    let identifier = identifier.context("a line without identifier")?.to_owned();
    Ok((element, identifier))
}

/// Waits until a user in the guest sees just these elements in a pool.
fn await_pool(guest: &mut Guest, pool: &str, words: &str, elements: &[&str]) -> Result<()> {
    let mut table = String::new();
    let found = await_some(PATIENCE, || {
        let outcome = guest.run(PATIENCE, &rsp(&format!("resolve {pool} {words}")))?;
        table = outcome.text;
        let listed: Vec<_> = table.lines().filter(|line| line.starts_with("0x")).collect();
        let has = |element: &&str| listed.iter().any(|line| line.starts_with(*element));
        // Exit code 4: no such pool, which is what is left of one without elements.
        let is_answer = matches!(outcome.code, 0 | 4);
        let same = listed.len() == elements.len() && elements.iter().all(has);
        Ok((is_answer && same).then_some(()))
    })?;
    found.with_context(|| format!("rsp resolve says: {}", table.trim()))
}

/// Resolves the pool from outside; all of `elements` must be there.
fn must_resolve_outside(lab: &Lab, elements: &[&str]) -> Result<()> {
    let lines = ours::resolve(lab, BY_UDP)?;
    let missing =
        elements.iter().find(|element| !lines.iter().any(|line| line.starts_with(**element)));
    missing.map_or(Ok(()), |element| Err(anyhow!("{element} is not in the answer")))
}

/// Our program with these words, as the guest runs it.
fn rsp(words: &str) -> String {
    format!("{} {words}", root().join("target/debug/rsp").display())
}

/// How the registrar is found.
const BY_UDP: &str = "--transport udp --registrar 10.77.0.2:3863";
const BY_KERNEL: &str = "--transport kernel --registrar 10.77.0.2:3863";
const BY_EITHER: &str = "--registrar 10.77.0.2:3863";
const RSPLIB_REGISTRAR: &str = "-registrar=10.77.0.2:3863 -asapannounce=off";
