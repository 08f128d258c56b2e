//! Our elements and our users at RSPLIB's registrar, which has the kernel's SCTP over UDP.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;
use crate::lab::process::Process;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let started = rsplib::registrar(&mut guest);
    let registrar = lab.check("rspregistrar serves", started)?;
    let (first, first_id) = element(lab, "first", FIRST)?;
    let had = rsplib::must_have(&mut guest, &first_id, FIRST);
    lab.check("rspregistrar has it, at its address", had)?;
    let alive = rsplib::await_keep_alives(&registrar, &first_id, 3);
    lab.check("it answers three keep-alives", alive)?;
    let renewed = registrations_of(&registrar.output(), &first_id);
    let renewal = await_renewal(&registrar, &first_id, renewed);
    lab.check("it renews its registration", renewal)?;
    let had = rsplib::must_have(&mut guest, &first_id, FIRST);
    lab.check("it is still registered", had)?;

    let (second, second_id) = element(lab, "second", SECOND)?;
    let listed = resolve(lab, &[&first_id, &second_id]);
    lab.check("rsp resolve finds both through rspregistrar", listed)?;
    let job = lab.rsp("run", &format!("run load --work 4000000000 --packages 40 {AT}"))?;
    let taken = second.await_text("event=Accepted", PATIENCE);
    lab.check("rsp run gives both work", taken.map(drop))?;
    lab.check("the second element is killed at work", second.kill())?;
    let done = job.finish(Duration::from_secs(90)).and_then(|summary| {
        summary.lines().any(|line| line.starts_with("packages")).then_some(()).context(summary)
    });
    lab.check("the job is done all the same", done)?;
    let gone = rsplib::await_gone(&mut guest, &second_id);
    lab.check("rspregistrar notices that the second is dead", gone)?;
    let had = rsplib::must_have(&mut guest, &first_id, FIRST);
    lab.check("the first is still registered", had)?;
    drop(stop(first));
    let gone = rsplib::await_gone(&mut guest, &first_id);
    lab.check("the first deregisters when it is stopped", gone)
}

/// Starts an element and waits until it says that it is registered; it and its identifier.
fn element(lab: &Lab, name: &str, address: &str) -> Result<(Process, String)> {
    let element = lab.rsp(
        name,
        &format!(
            "serve --listen {address}:0/9899 --reregistration-interval 9s --log debug {AT} \
             --slots 1 --pool-key {KEY}"
        ),
    )?;
    let ready = element.await_text("ready at", PATIENCE);
    let line = lab.check(&format!("the {name} element registers"), ready)?;
    let identifier = line.split_whitespace().nth(1).context("a line without identifier")?;
    Ok((element, identifier.to_owned()))
}

/// Asks an element to end.
fn stop(mut element: Process) -> Process {
    element.terminate();
    element
}

/// How many registrations of an element the registrar has read.
fn registrations_of(output: &str, element: &str) -> usize {
    let digits = element.trim_start_matches("0x");
    output.matches(&format!("Registration request for ComputePool/${digits}")).count()
}

fn await_renewal(
    registrar: &crate::lab::guest::Program,
    element: &str,
    before: usize,
) -> Result<()> {
    let more = || Ok((registrations_of(&registrar.output(), element) > before).then_some(()));
    crate::lab::process::await_some(PATIENCE, more)?.context("no further registration")
}

/// Resolves the pool through RSPLIB's registrar; all of `elements` must be there.
fn resolve(lab: &Lab, elements: &[&str]) -> Result<()> {
    let resolve = lab.rsp("resolve", &format!("resolve ComputePool {AT}"))?;
    let table = resolve.finish(PATIENCE)?;
    for element in elements {
        let line = table.lines().find(|line| line.starts_with(element));
        let Some(line) = line else { bail!("{element} is not in the answer") };
        if !line.contains(rsplib::IDENTIFIER) {
            bail!("another home than {}: {line}", rsplib::IDENTIFIER);
        }
    }
    Ok(())
}

/// Where our programs look for the registrar.
const AT: &str = "--registrar 10.77.0.2:3863/9899";

/// Addresses of the two elements.
const FIRST: &str = "10.77.0.11";
const SECOND: &str = "10.77.0.12";

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
