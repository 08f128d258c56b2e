//! RSPLIB's services in a matrix: a registrar a column; each element, ours and rspserver, with
//! each client, ours and RSPLIB's.
//!
//! A cell is a story: two elements register and answer keep-alives, a client resolves the pool and
//! has a session with one of them, that one is killed, and the client goes on with the other: from
//! the last cookie, where the service has any. Then the registrar knows only the other. Several
//! cells are told at the same time, each in a pool of its own.

mod column;
mod row;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::Case;
use crate::lab::Lab;
use column::{Column, RegistrarKind};
use row::{Cell, Made, ROWS};

/// A column of the matrix.
macro_rules! column {
    ($name:literal, $registrar:literal, $kind:ident) => {
        Case {
            name: $name,
            what: concat!(
                "each service of RSPLIB's, theirs and ours on both sides, at ",
                $registrar
            ),
            patience: Duration::from_secs(600),
            has_boards: false,
            run: |lab| run(lab, RegistrarKind::$kind),
        }
    };
}

/// Our registrar, which RSPLIB's programs reach by the kernel's SCTP over UDP.
pub(super) const UDP: Case = column!("services-udp", "rsp registrar over UDP", OursByUdp);

/// Our registrar, and all of ours with it, on the kernel's SCTP.
pub(super) const KERNEL: Case =
    column!("services-kernel", "rsp registrar on kernel SCTP", OursByKernel);

/// RSPLIB's registrar.
pub(super) const RSPLIB: Case = column!("services-rsplib", "rspregistrar", Rsplib);

/// Tells the stories of a column, all of them even if one ends badly, and prints it.
fn run(lab: &mut Lab, kind: RegistrarKind) -> Result<()> {
    let column = Column::start(lab, kind)?;
    let lab = &*lab;
    let cells: Vec<_> = Cell::all().collect();
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(vec![String::new(); cells.len()]));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(cell) = cells.get(index) else { return };
            let start = Instant::now();
            let told = lab.check(&cell.to_string(), column.tell(lab, cell, index));
            let word = if told.is_ok() { "PASS" } else { "FAIL" };
            let verdict = format!("{word} {:>2} s", start.elapsed().as_secs());
            verdicts.lock().expect("no cell panics")[index] = verdict;
        }
    };
    std::thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let verdicts = verdicts.into_inner().expect("no cell panics");
    print_column(&cells, &verdicts);
    match verdicts.iter().filter(|verdict| verdict.starts_with("FAIL")).count() {
        0 => Ok(()),
        count => Err(anyhow!("{count} of {} cells", cells.len())),
    }
}

fn print_column(cells: &[Cell], verdicts: &[String]) {
    print!("   {:<12}{:<12}", "element", "client");
    ROWS.iter().for_each(|row| print!("{:<12}", row.service));
    println!();
    for element in Made::BOTH {
        for client in Made::BOTH {
            let of_rsplib = |made, ours, theirs| if made == Made::Ours { ours } else { theirs };
            let element_name = of_rsplib(element, "rsp serve", "rspserver");
            print!("   {element_name:<12}{:<12}", of_rsplib(client, "rsp call", "RSPLIB's"));
            for (cell, verdict) in cells.iter().zip(verdicts) {
                if (cell.element, cell.client) == (element, client) {
                    print!("{verdict:<12}");
                }
            }
            println!();
        }
    }
}

/// How many cells are told at the same time: they mostly wait.
const AT_A_TIME: usize = 7;
