//! Boards compute, alone and beside processes, and die at it.

use std::cell::Cell;

use rserpool::job::{Event, FractalJob, FractalView, SyntheticJob};
use rserpool_qemu::Impairment;

use crate::bench::{Bench, KEY, TRANSPORTS, await_listed};
use crate::job::{Running, computed_locally};
use crate::process::{Process, rsp};

/// The whole Mandelbrot set, small.
const VIEW: FractalView = FractalView {
    kind: rserpool_core::compute::kernels::FractalKind::Mandelbrot,
    width: 64,
    height: 48,
    center: (-0.75, 0.0),
    span: 4.0,
    iterations_max: 200,
};

pub(crate) fn picture() -> FractalJob {
    FractalJob::new(VIEW, 16, 8)
}

#[test]
fn two_boards_and_a_process_make_one_picture() {
    let bench = Bench::new();
    let (_registrar, place) = Process::registrar();
    let boards = TRANSPORTS.map(|transport| bench.registered_board(&place, transport));
    // Work for many seconds of a board, so that it is not over before the process is there.
    let job = || FractalJob::new(FractalView { iterations_max: 4_000, ..VIEW }, 8, 8);
    let mut running = Running::start(&place, job());
    for board in &boards {
        await_done(&mut running, &board.id);
    }
    let (_process, process) = Process::element(&place, KEY);
    await_done(&mut running, &process);
    let done = running.finish();
    assert!(done.job.pixels() == computed_locally(job()).pixels(), "seed {}", bench.seed);
}

/// Waits until `id` has computed a package.
fn await_done(running: &mut Running<FractalJob>, id: &str) {
    running.until("a package is done", |snapshot, _| {
        let element = snapshot.elements.iter().find(|it| it.element.to_string() == id);
        element.is_some_and(|element| element.package_count > 0)
    });
}

#[test]
fn rsp_run_makes_the_same_picture_with_boards_as_without() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let run = |place: &str, name: &str| {
        let out = folder.path().join(name);
        let size = format!("{}x{}", VIEW.width, VIEW.height);
        let view = ["--size", &size, "--iterations", "200", "--packages", "24", "--json"];
        let place = ["run", "--registrar", place, "--out", out.to_str().unwrap()];
        let ended = rsp(&[&place[..], &view].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        let summary: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
        (std::fs::read(out).unwrap(), summary)
    };
    let (_registrar, place) = Process::registrar();
    let boards = TRANSPORTS.map(|transport| bench.registered_board(&place, transport));
    let (with_boards, summary) = run(&place, "boards.png");
    for board in &boards {
        let elements = summary["elements"].as_array().unwrap();
        let element = elements.iter().find(|it| it["identifier"] == board.id.as_str()).unwrap();
        assert!(element["packages"].as_u64().unwrap() > 0, "{summary}");
    }
    let (_registrar, place) = Process::registrar();
    let (_element, _) = Process::element(&place, KEY);
    let (without, _) = run(&place, "processes.png");
    assert!(with_boards == without, "the pictures differ");
}

/// More packages than anybody takes at once, so that none is doubled early.
fn load((package_count, package_len): (u64, u64)) -> SyntheticJob {
    SyntheticJob::new(package_count * package_len, package_len)
}

/// Waits until a package is half-way at `id`: its state has come in a cookie, its result not.
fn await_cookie(running: &mut Running<SyntheticJob>, id: &str) {
    let (done, cookies) = (Cell::new(0), Cell::new(u64::MAX));
    running.until("a cookie", |snapshot, _| {
        let element = snapshot.elements.iter().find(|it| it.element.to_string() == id);
        let Some(element) = element else { return false };
        if done.replace(element.package_count) != element.package_count {
            cookies.set(element.cookie_count);
        }
        cookies.set(cookies.get().min(element.cookie_count));
        element.cookie_count > cookies.get()
    });
}

/// Waits until `id` takes part in the job.
fn await_up(running: &mut Running<SyntheticJob>, id: &str) {
    running.until("an element", |_, events| {
        let is_it = |event: &Event| match event {
            Event::ElementUp { element } => element.to_string() == id,
            _ => false,
        };
        events.iter().any(is_it)
    });
}

/// Waits until a package of `dead` goes on at `heir` from where it was.
fn await_resumption(running: &mut Running<SyntheticJob>, dead: &str, heir: &str) {
    running.until("a package goes on", |_, events| {
        let is_it = |event: &Event| match event {
            Event::Resumed { from, to, done, .. } => {
                (from.to_string().as_str(), to.to_string().as_str(), *done > 0)
                    == (dead, heir, true)
            }
            _ => false,
        };
        events.iter().any(is_it)
    });
}

#[test]
fn a_package_of_a_dead_board_goes_on_at_a_process() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        let mut board = bench.board(&[&place], transport, &[("cookie", "200")]);
        await_listed(&place, &board.id);
        let mut running = Running::start(&place, load(BOARD_LOAD));
        await_up(&mut running, &board.id);
        let (_process, process) = Process::element(&place, KEY);
        await_up(&mut running, &process);
        await_cookie(&mut running, &board.id);
        board.board.kill().unwrap();
        await_resumption(&mut running, &board.id, &process);
        let done = running.finish();
        assert_eq!(done.job.sum(), computed_locally(load(BOARD_LOAD)).sum());
    }
}

#[test]
fn a_package_of_a_dead_process_goes_on_at_a_board() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        // Both are there from the start: a process that is alone would soon be done.
        let board = bench.registered_board(&place, transport);
        let (mortal, dead) = Process::element(&place, KEY);
        let mut running = Running::start(&place, load(PROCESS_LOAD));
        await_up(&mut running, &dead);
        await_up(&mut running, &board.id);
        await_cookie(&mut running, &dead);
        mortal.kill();
        await_resumption(&mut running, &dead, &board.id);
        // The board would take its time with all the rest.
        let (_process, _) = Process::element(&place, KEY);
        let done = running.finish();
        assert_eq!(done.job.sum(), computed_locally(load(PROCESS_LOAD)).sum());
    }
}

#[test]
fn a_board_computes_over_a_bad_link() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        let board = bench.registered_board(&place, transport);
        board.board.link().impair(Impairment::drop(100).duplicate(50).reorder(50));
        let done = Running::start(&place, picture()).finish();
        assert_eq!(done.job.pixels(), computed_locally(picture()).pixels());
        assert!(done.packages_of(&board.id) > 0, "{:?}", done.last.elements);
        assert!(board.board.link().counters().dropped > 0);
    }
}

/// Packages, each of calculations that take a board some seconds; so many that a process still
/// has some before it when a board has been silent for too long.
const BOARD_LOAD: (u64, u64) = (100, 20_000_000);

/// Packages, each of calculations that take a process some seconds, as it is built for tests.
const PROCESS_LOAD: (u64, u64) = (8, 300_000_000);
