//! A job while its elements are killed, stopped and restarted at random.

use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use rserpool_core::entropy::{Entropy, SplitMix64};

use crate::process::Process;

const ELEMENT_COUNT: usize = 4;

/// Seconds of work, with packages of unequal size.
const JOB: [&str; 8] = [
    "--size",
    "320x180",
    "--iterations",
    "20000",
    "--center",
    "-0.743644786,0.1318252536",
    "--span",
    "0.0000029336",
];

fn run(registrar: &str, out: &Path) -> Process {
    let flags = ["run", "fractal", "--registrar", registrar, "--out", out.to_str().unwrap()];
    Process::start(&[&flags[..], &JOB].concat())
}

fn element(registrar: &str) -> Process {
    let key = ["--pool-key", "a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5"];
    Process::starting_element(registrar, &key)
}

#[test]
fn a_job_completes_while_elements_are_killed_stopped_and_restarted() {
    // A seed that failed is given back by RSP_CHAOS_SEED.
    let seed = std::env::var("RSP_CHAOS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros() as u64
    });
    println!("RSP_CHAOS_SEED={seed}");
    let mut random = SplitMix64::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let (calm, wild) = (folder.path().join("calm.png"), folder.path().join("wild.png"));
    let (_registrar, place) = Process::registrar(&[]);
    let mut elements: Vec<Process> = (0..ELEMENT_COUNT).map(|_| element(&place)).collect();
    let mut is_stopped = [false; ELEMENT_COUNT];
    let ended = run(&place, &calm).end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);

    let mut job = run(&place, &wild);
    for step in 0.. {
        let pause = Duration::from_millis(20 + random.below(400));
        if job.ends_within(pause).is_some() {
            println!("the job was over after {step} blows");
            break;
        }
        let victim = random.below(ELEMENT_COUNT as u64) as usize;
        match (random.below(3), is_stopped[victim]) {
            (0, _) => {
                elements[victim] = element(&place);
                is_stopped[victim] = false;
            }
            (_, false) => {
                elements[victim].signal(Signal::SIGSTOP);
                is_stopped[victim] = true;
            }
            (_, true) => {
                elements[victim].signal(Signal::SIGCONT);
                is_stopped[victim] = false;
            }
        }
    }
    let ended = job.end();
    assert_eq!(ended.code, Some(0), "seed {seed}: {}", ended.errors);
    assert_eq!(std::fs::read(&wild).unwrap(), std::fs::read(&calm).unwrap(), "seed {seed}");
    println!("{}", ended.output);
}
