//! The demo, small.

use nix::sys::signal::Signal;

use crate::process::{Process, is_alive};

fn pids(output: &str) -> Vec<String> {
    let lines = output.lines().filter_map(|line| line.split_once("process "));
    lines.filter_map(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_demo_survives_a_death_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("picture.png");
    let arguments = ["demo", "--size", "320x200", "--elements", "3", "--kill", "1"];
    let out_flag = ["--out", out.to_str().unwrap()];
    let ended = Process::start(&[&arguments[..], &out_flag].concat()).end();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.output, ended.errors);
    assert!(ended.output.contains("equal to the local render"), "{}", ended.output);
    assert!(ended.errors.contains("kill -9"), "{}", ended.errors);
    let file = std::io::BufReader::new(std::fs::File::open(&out).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    assert_eq!((reader.info().width, reader.info().height), (320, 200));
    let pids = pids(&ended.output);
    assert_eq!(pids.len(), 4, "{}", ended.output);
    assert!(!pids.iter().any(|pid| is_alive(pid)));
}

#[test]
fn boards_take_part_in_the_demo_and_one_dies() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("picture.png");
    let arguments = ["demo", "--size", "480x320", "--elements", "1", "--boards", "2"];
    let out_flag = ["--out", out.to_str().unwrap()];
    let ended = Process::start(&[&arguments[..], &out_flag].concat()).end();
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.output, ended.errors);
    assert!(ended.output.contains("equal to the local render"), "{}", ended.output);
    let is_killed = |line: &str| line.contains("kill -9") && line.contains(": board ");
    assert_eq!(ended.errors.lines().filter(|line| is_killed(line)).count(), 1, "{}", ended.errors);
    for board in ["board 1", "board 2"] {
        assert!(ended.errors.contains(&format!("+ {board} takes part")), "{}", ended.errors);
    }
    let pids = pids(&ended.output);
    assert_eq!(pids.len(), 4, "{}", ended.output);
    assert!(!pids.iter().any(|pid| is_alive(pid)));
}

#[test]
fn a_killed_demo_leaves_no_boards_behind() {
    let demo = Process::start(&["demo", "--elements", "1", "--boards", "1", "--out", "/dev/null"]);
    let output: Vec<String> = (0..4).map(|_| demo.line()).collect();
    drop(demo);
    let pids = pids(&output.join("\n"));
    assert_eq!(pids.len(), 3, "{output:?}");
    while pids.iter().any(|pid| is_alive(pid)) {
        std::thread::yield_now();
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("picture.png");
    let arguments = ["demo", "--size", "4000x3000", "--out", out.to_str().unwrap()];
    let demo = Process::start(&arguments);
    let output: Vec<String> = (0..4).map(|_| demo.line()).collect();
    demo.signal(Signal::SIGINT);
    assert_eq!(demo.end().code, Some(130));
    let pids = pids(&output.join("\n"));
    assert_eq!(pids.len(), 4, "{output:?}");
    assert!(!pids.iter().any(|pid| is_alive(pid)));
    assert!(!out.exists());
}

#[test]
fn a_killed_demo_leaves_nothing_behind() {
    let demo = Process::start(&["demo", "--size", "4000x3000", "--out", "/dev/null"]);
    let output: Vec<String> = (0..4).map(|_| demo.line()).collect();
    drop(demo);
    let pids = pids(&output.join("\n"));
    assert_eq!(pids.len(), 4, "{output:?}");
    // Their standard input has ended, and so do they, by themselves.
    while pids.iter().any(|pid| is_alive(pid)) {
        std::thread::yield_now();
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}
