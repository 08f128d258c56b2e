//! Our elements and our users at RSPLIB's registrar, which has the kernel's SCTP over UDP.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Case;
use super::ours::{self, AT, element};
use super::rsplib::{self, PATIENCE};
use crate::lab::Lab;

pub(super) const CASE: Case = Case {
    name: "our-element",
    what: "rsp serve and rsp run at rspregistrar, over UDP 9899",
    patience: Duration::from_secs(240),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.boot()?;
    rsplib::encapsulate(&mut guest)?;
    let started = rsplib::registrar(&mut guest);
    let registrar = lab.check("rspregistrar serves", started)?;
    let (mut first, first_id) = element(lab, "first", FIRST)?;
    let had = rsplib::must_have(&mut guest, &first_id, FIRST);
    lab.check("rspregistrar has it, at its address", had)?;
    let alive = rsplib::await_keep_alives(&registrar, &first_id, 3);
    lab.check("it answers three keep-alives", alive)?;
    let before = ours::registration_count(&registrar, &first_id);
    let renewal = ours::await_registration(&registrar, &first_id, before);
    lab.check("it renews its registration", renewal)?;
    let had = rsplib::must_have(&mut guest, &first_id, FIRST);
    lab.check("it is still registered", had)?;

    let (second, second_id) = element(lab, "second", SECOND)?;
    let listed = ours::must_resolve(lab, &[&first_id, &second_id]);
    lab.check("rsp resolve finds both through rspregistrar", listed)?;
    let job = lab.rsp("run", &format!("run load --work 1500000000 --packages 40 {AT}"))?;
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
    first.terminate();
    let gone = rsplib::await_gone(&mut guest, &first_id);
    lab.check("the first deregisters when it is stopped", gone)
}

/// Addresses of the two elements.
const FIRST: &str = "10.77.0.11";
const SECOND: &str = "10.77.0.12";
