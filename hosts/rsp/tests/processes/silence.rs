//! An element that falls silent without a word to anybody.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::Process;

#[test]
fn a_stopped_element_is_noticed_within_3_s_by_default() {
    let (_registrar, place) = Process::registrar(&[]);
    let element = Process::element(&place, &["--identifier", "7", "--log", "debug"]);
    let run = ["run", "load", "--registrar", &place, "--log", "debug"];
    let run = Process::start(&run);
    run.logs(&["ElementUp", "0x00000007"]);
    element.logs(&["Accepted"]);
    let stopped_at = Instant::now();
    element.signal(Signal::SIGSTOP);
    // By its silence, or by a package that it did not accept: both take 3 s.
    let noticed_at = run.logs(&["ElementLost", "0x00000007"]);
    let noticed_after = noticed_at - stopped_at;
    println!("noticed after {noticed_after:?}");
    // 3 s, and as much again for a machine that has other things to do. That it is 3 s to the
    // millisecond is tested in virtual time.
    assert!(noticed_after < Duration::from_secs(6), "{noticed_after:?}");
    // What was said before the stop counts: at most an alive interval, and what is under way.
    assert!(noticed_after > Duration::from_secs(1), "silence was noticed, and nothing else");
}
