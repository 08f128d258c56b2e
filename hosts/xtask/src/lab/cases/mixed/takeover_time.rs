//! How long it takes until the elements of a dead registrar have another home, among registrars of
//! ours and among RSPLIB's.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::scope::{DETECTION, Registrar, Scope};
use crate::lab::cases::Case;
use crate::lab::cases::rsplib::PATIENCE;
use crate::lab::process::await_some;
use crate::lab::{GUEST, Lab};

pub(in super::super) const CASE: Case = Case {
    name: "takeover-time",
    what: "from a registrar's death to another home for all, ours and RSPLIB's, 2 and 3 of each",
    patience: Duration::from_secs(300),
    has_boards: false,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    let registrars = vec![
        Registrar::ours("10.77.0.10", 0x1111_1111),
        Registrar::ours("10.77.0.11", 0x2222_2222),
        Registrar::ours("10.77.0.12", 0x3333_3333),
        Registrar::rsplib(GUEST, 0x1111_1111),
        Registrar::rsplib("10.77.0.3", 0x2222_2222),
        Registrar::rsplib("10.77.0.5", 0x3333_3333),
    ];
    let mut scope = Scope::prepare(lab, registrars)?;
    let mut lines = Vec::new();
    for (number, indices) in [0..2, 0..3, 3..5, 3..6].into_iter().enumerate() {
        let is_ours = scope.registrars[indices.start].is_ours;
        let whose = if is_ours { "ours" } else { "RSPLIB's" };
        let what = format!("{} of {whose}", indices.len());
        let taken = takeover(lab, &mut scope, number, indices);
        let Taken { element_count, time } = taken.with_context(|| what.clone())?;
        lines.push(match element_count {
            ELEMENT_COUNT => format!("{what}: all {ELEMENT_COUNT} elements in {time:.1?}"),
            count => {
                let lost = ELEMENT_COUNT - count;
                format!("{what}: gave up after {time:.1?}: {lost} of {ELEMENT_COUNT} are lost")
            }
        });
        println!("   {}", lines[number]);
        let is_in_time = element_count == ELEMENT_COUNT && time <= DETECTION;
        if is_ours {
            let verdict = is_in_time.then_some(()).context("not all in time");
            lab.check(&format!("{what} re-home all in {DETECTION:?}"), verdict)?;
        }
    }
    Ok(())
}

/// How many elements have another home, and after which time nothing changes any more.
struct Taken {
    element_count: usize,
    time: Duration,
}

/// Starts registrars, with elements at the first one, and kills that.
fn takeover(lab: &Lab, scope: &mut Scope, number: usize, indices: Range<usize>) -> Result<Taken> {
    let dead = scope.registrars[indices.start].id;
    for index in indices.clone() {
        scope.start_registrar(lab, index)?;
    }
    let words = scope.words_of_elements(indices.start, ELEMENTS);
    let elements = format!("serve --elements {ELEMENT_COUNT} {words}");
    let elements = lab.rsp(&format!("elements{number}"), &elements)?;
    let is_full = |table: &super::scope::Table| {
        table.len() == ELEMENT_COUNT && table.values().all(|home| *home == dead)
    };
    scope.await_tables(PATIENCE, is_full)?;
    scope.kill_registrar(indices.start)?;
    let start = Instant::now();
    let mut probe = scope.probe(PROBE, indices.start + 1)?;
    let settled = await_some(GIVE_UP, || {
        let table = super::scope::table(&mut probe)?;
        Ok(table.values().all(|home| *home != dead).then_some((table, start.elapsed())))
    })?;
    probe.shut_down()?;
    let (table, time) = settled.context("elements keep a dead home for ever")?;
    ensure!(table.len() <= ELEMENT_COUNT, "there are {} elements", table.len());
    elements.ask_to_end();
    elements.finish(PATIENCE)?;
    for index in indices.skip(1) {
        scope.kill_registrar(index)?;
    }
    Ok(Taken { element_count: table.len(), time })
}

const ELEMENT_COUNT: usize = 10;

/// Where they are, and where tables are asked for from.
const ELEMENTS: &str = "10.77.0.14";
const PROBE: &str = "10.77.0.13";

/// Longer than a registration holds.
const GIVE_UP: Duration = Duration::from_secs(20);
