//! Boards compute, alone and beside processes, and die at it.

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

fn picture() -> FractalJob {
    FractalJob::new(VIEW, 16, 8)
}

#[test]
fn two_boards_and_a_process_make_one_picture() {
    let bench = Bench::new();
    let (_registrar, place) = Process::registrar();
    let boards = TRANSPORTS.map(|transport| bench.registered_board(&place, transport));
    let (_element, element) = Process::element(&place, KEY);
    let done = Running::start(&place, picture()).finish();
    assert_eq!(done.job.pixels(), computed_locally(picture()).pixels());
    for id in [&boards[0].id, &boards[1].id, &element] {
        assert!(done.packages_of(id) > 0, "{id} has done nothing: {:?}", done.last.elements);
    }
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

/// One package of that many calculations.
fn load(count: u64) -> SyntheticJob {
    SyntheticJob::new(count, count)
}

/// Where the package went on, and how much needed not be done again.
fn resumption(events: &[Event]) -> Option<(String, String, u64)> {
    events.iter().find_map(|event| match event {
        Event::Resumed { from, to, done, .. } => Some((from.to_string(), to.to_string(), *done)),
        _ => None,
    })
}

#[test]
fn a_package_of_a_dead_board_goes_on_at_a_process() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        // It hands out its state so often that there is one when it dies.
        let mut board = bench.board(&[&place], transport, &[("cookie", "100")]);
        await_listed(&place, &board.id);
        let mut running = Running::start(&place, load(BOARD_LOAD));
        running.until("work at the board", |snapshot, _| snapshot.progress > 0.05);
        let (_element, element) = Process::element(&place, KEY);
        let up = |event: &Event| matches!(event, Event::ElementUp { element: it } if it.to_string() == element);
        running.until("the element", |_, events| events.iter().any(up));
        assert!(running.progress() < 1.0);
        board.board.kill().unwrap();
        let done = running.finish();
        let (from, to, units) = resumption(&done.events).expect("the package goes on");
        assert_eq!((&from, &to), (&board.id, &element));
        assert!(units > 0);
        assert_eq!(done.job.sum(), computed_locally(load(BOARD_LOAD)).sum());
    }
}

#[test]
fn a_package_of_a_dead_process_goes_on_at_a_board() {
    let bench = Bench::new();
    for transport in TRANSPORTS {
        let (_registrar, place) = Process::registrar();
        let (process, element) = Process::element(&place, KEY);
        let mut running = Running::start(&place, load(PROCESS_LOAD));
        running.until("work at the process", |snapshot, _| snapshot.progress > 0.05);
        let board = bench.board(&[&place], transport, &[]);
        let up = |event: &Event| matches!(event, Event::ElementUp { element: it } if it.to_string() == board.id);
        running.until("the board", |_, events| events.iter().any(up));
        assert!(running.progress() < 1.0);
        process.kill();
        let done = running.finish();
        let (from, to, units) = resumption(&done.events).expect("the package goes on");
        assert_eq!((&from, &to), (&element, &board.id));
        assert!(units > 0);
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

/// Many seconds of a board.
const BOARD_LOAD: u64 = 30_000_000;

/// Many seconds of a process, and not too many of a board.
const PROCESS_LOAD: u64 = 300_000_000;
