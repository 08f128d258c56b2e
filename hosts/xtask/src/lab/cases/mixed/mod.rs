//! Our registrars and RSPLIB's in one scope, with elements of both kinds at each.

mod scope;
mod takeover_time;
mod wire;

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Case;
use super::rsplib::PATIENCE;
use crate::lab::{GUEST, Lab};
pub(super) use takeover_time::CASE as TAKEOVER_TIME;

use scope::{DETECTION, Registrar, Scope};

pub(super) const ONE_OF_OURS: Case = Case {
    name: "mixed-one-of-ours",
    what: "one rsp registrar and two rspregistrar in a scope, each killed and stopped",
    patience: Duration::from_secs(300),
    has_boards: false,
    run: |lab| {
        run(
            lab,
            vec![
                Registrar::rsplib(GUEST, 0x1111_1111),
                Registrar::ours("10.77.0.10", 0x2222_2222),
                Registrar::rsplib("10.77.0.3", 0x3333_3333),
            ],
        )
    },
};

pub(super) const TWO_OF_OURS: Case = Case {
    name: "mixed-two-of-ours",
    what: "two rsp registrar and one rspregistrar in a scope, each killed and stopped",
    patience: Duration::from_secs(300),
    has_boards: false,
    run: |lab| {
        run(
            lab,
            vec![
                Registrar::ours("10.77.0.10", 0x1111_1111),
                Registrar::rsplib(GUEST, 0x2222_2222),
                Registrar::ours("10.77.0.11", 0x3333_3333),
            ],
        )
    },
};

fn run(lab: &mut Lab, registrars: Vec<Registrar>) -> Result<()> {
    let mut scope = Scope::start(lab, registrars)?;
    scope.start_elements(lab)?;
    let homes = scope.first_homes();
    let known = scope.await_tables(PATIENCE, |table| *table == homes);
    lab.check("all registrars know elements of both kinds at each", known)?;
    let agreed = scope.must_agree(lab);
    lab.check("presences, checksums, tables and updates agree", agreed)?;
    let all = 0..scope.registrars.len();
    let returned = scope.return_elements(lab, all.clone());
    lab.check("all forget the elements that deregister at each, and know them again", returned)?;
    for index in all.clone() {
        kill(lab, &mut scope, index)?;
    }
    for index in all {
        stop(lab, &mut scope, index)?;
    }
    Ok(())
}

/// A registrar is killed and comes back.
fn kill(lab: &Lab, scope: &mut Scope, index: usize) -> Result<()> {
    let (name, id) = (scope.registrars[index].name(), scope.registrars[index].id);
    scope.return_elements(lab, index..index + 1)?;
    lab.check(&format!("{name} is killed"), scope.kill_registrar(index))?;
    if scope.has_running_of_ours() {
        let taken = scope.watch_takeover(id, DETECTION);
        let taken =
            lab.check("its elements stay resolvable and have other homes in time", taken)?;
        println!("   after {:.1} s", taken.as_secs_f32());
        let agreed = scope.must_agree(lab);
        lab.check("those that are left agree", agreed)?;
    }
    come_back(lab, scope, index)
}

fn come_back(lab: &Lab, scope: &mut Scope, index: usize) -> Result<()> {
    let (name, id) = (scope.registrars[index].name(), scope.registrars[index].id);
    let mark = scope.mark(lab)?;
    scope.start_registrar(lab, index)?;
    let agreed = scope.must_agree(lab).and_then(|()| {
        let said = scope.said_since(lab, &mark)?;
        let is_told = said.downloads.iter().any(|(sender, _)| *sender == id);
        ensure!(is_told, "it has asked no mentor for its table");
        Ok(())
    });
    lab.check(&format!("{name} comes back, asks a mentor, and all agree"), agreed)
}

/// A registrar is asked to end, and comes back. One of ours hands its elements over; RSPLIB's does
/// nothing of the kind, and takes none that are suggested to it.
fn stop(lab: &Lab, scope: &mut Scope, index: usize) -> Result<()> {
    let (name, id) = (scope.registrars[index].name(), scope.registrars[index].id);
    scope.return_elements(lab, index..index + 1)?;
    let mark = scope.mark(lab)?;
    let running = scope.ask_to_end(index)?;
    if scope.has_running_of_ours() {
        let taken = scope.watch_takeover(id, DETECTION);
        let what = format!("{name} is asked to end: its elements stay resolvable");
        let taken = lab.check(&what, taken)?;
        println!("   after {:.1} s", taken.as_secs_f32());
    }
    lab.check(&format!("{name} ends"), scope.await_end(running))?;
    if scope.has_running_of_ours() {
        let agreed = scope.must_agree(lab).and_then(|()| {
            let claims = scope.said_since(lab, &mark)?.claims;
            let is_claimed = claims.iter().any(|(_, target)| *target == id);
            ensure!(!is_claimed || !scope.registrars[index].is_ours, "nothing is handed over");
            Ok(())
        });
        lab.check("those that are left agree", agreed)?;
    }
    come_back(lab, scope, index)
}
