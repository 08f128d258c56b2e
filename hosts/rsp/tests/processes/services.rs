//! RSPLIB's services: the element in the session is killed, and another goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::process::{Ended, Process, rsp};

/// An element of a service, ready.
fn element(registrar: &str, service: &[&str]) -> Process {
    let common = ["--listen", "127.0.0.1:0/0", "--registrar", registrar, "--log", "debug"];
    let element = Process::start(&[&["serve"], service, &common[..]].concat());
    element.place();
    element
}

/// A user of a service.
fn caller(registrar: &str, service: &[&str]) -> Process {
    let common = ["--registrar", registrar, "--log", "debug"];
    Process::start(&[&["call"], service, &common[..]].concat())
}

/// The summary of a call that must succeed.
fn summary(call: Ended) -> Value {
    assert_eq!(call.code, Some(0), "{}\n{}", call.output, call.errors);
    serde_json::from_str(&call.output).unwrap_or_else(|error| panic!("{error}: {}", call.output))
}

/// Lets a call begin at one element, and kills that when another is ready and the call has come
/// as far as the log line with `words` says, so many times.
fn killed_in_session(
    registrar: &str,
    service: &[&str],
    call: &[&str],
    (words, count): (&[&str], usize),
) -> Ended {
    let first = element(registrar, service);
    let call = caller(registrar, call);
    first.logs(&["Opened"]);
    let _second = element(registrar, service);
    for _ in 0..count {
        call.logs(words);
    }
    first.signal(Signal::SIGKILL);
    call.end()
}

#[test]
fn replies_go_on_from_the_cookie_when_an_element_is_killed() {
    let (_registrar, place) = Process::registrar(&[]);
    let call = ["pingpong", "--count", "150", "--interval", "20ms"];
    let ended = killed_in_session(&place, &["pingpong"], &call, (&["cookie"], 3));
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert!(ended.output.contains("1 resumed by cookie"), "{}", ended.output);
    let pongs = ended.output.lines().filter_map(|line| line.strip_prefix("pong "));
    let (mut count, mut last) = (0, 0);
    for pong in pongs {
        let (number, rest) = pong.split_once(": reply ").unwrap();
        let (reply, _) = rest.split_once(',').unwrap();
        let reply: u64 = reply.parse().unwrap();
        count += 1;
        assert_eq!(number.parse(), Ok(count));
        // A reply whose cookie was lost with the element is numbered once more.
        assert!(reply == last + 1 || reply == last, "reply {reply} after {last}");
        last = reply;
    }
    assert_eq!(count, 150);
    assert!(last >= 149, "{last}");
}

#[test]
fn a_session_that_an_element_ends_goes_on_at_the_other() {
    let (_registrar, place) = Process::registrar(&[]);
    let service = ["pingpong", "--failure-after", "4"];
    let _elements = [element(&place, &service), element(&place, &service)];
    let call = ["call", "pingpong", "--count", "10", "--interval", "1ms", "--json"];
    let summary = summary(rsp(&[&call[..], &["--registrar", &place]].concat()));
    assert_eq!(summary["result"]["last_reply"], 10);
    assert_eq!(summary["result"]["out_of_order"], 0);
    assert_eq!(summary["resumed"], 2);
}

#[test]
fn all_jobs_are_done_when_an_element_is_killed() {
    let (_registrar, place) = Process::registrar(&[]);
    let service = ["calcapp", "--cookie-interval", "200ms"];
    let call = ["calcapp", "--jobs", "2", "--size", "2000000", "--interval", "1ms", "--json"];
    let ended = killed_in_session(&place, &service, &call, (&["cookie"], 2));
    let summary = summary(ended);
    assert_eq!(summary["result"]["complete"], 2);
    assert_eq!(summary["result"]["calculations"], 4_000_000);
    assert_eq!(summary["resumed"], 1);
}

#[test]
fn a_business_card_names_the_next_element_when_there_is_no_registrar_any_more() {
    let (registrar, place) = Process::registrar(&[]);
    let service = ["pingpong", "--business-cards", "on"];
    let first = element(&place, &service);
    let call = ["pingpong", "--count", "100", "--interval", "20ms", "--json"];
    let call = caller(&place, &call);
    // That it is alone is what the first card says.
    call.logs(&["business card"]);
    let _second = element(&place, &service);
    call.logs(&["business card"]);
    call.logs(&["cookie"]);
    drop(registrar);
    first.signal(Signal::SIGKILL);
    let summary = summary(call.end());
    assert_eq!(summary["result"]["pongs"], 100, "{summary}");
    assert_eq!((&summary["failovers"], &summary["resumed"]), (&1.into(), &1.into()), "{summary}");
}

#[test]
fn users_get_no_business_cards_unless_the_profile_or_a_flag_says_so() {
    for (arguments, is_given) in [
        (&["--profile", "rsplib"][..], false),
        (&["--profile", "rfc", "--business-cards", "off"], false),
        (&["--profile", "rfc"], true),
    ] {
        let (_registrar, place) = Process::registrar(&arguments[..2]);
        let _element = element(&place, &[&["echo"], arguments].concat());
        let profile = [&["echo", "--count", "100000", "hello"], &arguments[..2]].concat();
        let call = caller(&place, &profile);
        if is_given {
            call.logs(&["business card"]);
        } else {
            let call = ["call", "echo", "--count", "2000", "hello", "--json"];
            let call = [&call[..], &arguments[..2], &["--registrar", &place]].concat();
            assert_eq!(summary(rsp(&call))["business_cards"], 0);
        }
    }
}

#[test]
fn an_element_that_is_stopped_hands_its_jobs_on() {
    let (_registrar, place) = Process::registrar(&[]);
    let service = ["calcapp", "--grace", "1ms"];
    let first = element(&place, &service);
    let call = caller(&place, &["calcapp", "--jobs", "1", "--size", "3000000", "--json"]);
    first.logs(&["Opened"]);
    let _second = element(&place, &service);
    first.signal(Signal::SIGTERM);
    assert_eq!(first.end().code, Some(0));
    // The only cookie is the one of the farewell.
    let summary = summary(call.end());
    assert_eq!(summary["result"]["complete"], 1);
    assert_eq!(summary["resumed"], 1);
    assert_eq!(summary["cookies"], 1);
}

#[test]
fn what_is_in_the_cache_needs_no_registrar() {
    let (registrar, place) = Process::registrar(&[]);
    let elements = [element(&place, &["calcapp"]), element(&place, &["calcapp"])];
    let call = ["calcapp", "--jobs", "3", "--size", "300000", "--interval", "300ms", "--json"];
    let call = caller(&place, &[&call[..], &["--stale-cache", "10m"]].concat());
    call.logs(&["session"]);
    drop(registrar);
    let summary = summary(call.end());
    assert_eq!(summary["result"]["complete"], 3, "{summary}");
    assert_eq!(summary["failovers"], 0, "{summary}");
    // They had their turns.
    for element in elements {
        element.logs(&["Opened"]);
    }
}

#[test]
fn who_is_rejected_gets_its_turn() {
    let (_registrar, place) = Process::registrar(&[]);
    let _element = element(&place, &["calcapp", "--max-sessions", "1"]);
    let call = ["calcapp", "--jobs", "1", "--size", "1500000", "--json"];
    let calls = [caller(&place, &call), caller(&place, &call)];
    let mut rejections = 0;
    for call in calls {
        let summary = summary(call.end());
        assert_eq!(summary["result"]["complete"], 1);
        rejections += summary["result"]["rejections"].as_u64().unwrap();
    }
    assert!(rejections > 0);
}

#[test]
fn a_picture_is_right_when_an_element_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (killed, calm) = (folder.path().join("killed.png"), folder.path().join("calm.png"));
    let (_registrar, place) = Process::registrar(&[]);
    let view = ["--size", "200x150", "--span", "3", "--iterations", "12000", "--json"];
    let out = ["fractal", "--check", "--out", killed.to_str().unwrap()];
    let call = [&out[..], &view].concat();
    // The first cookie comes before the first pixel.
    let ended = killed_in_session(&place, &["fractal"], &call, (&["cookie"], 2));
    let summary_of_killed = summary(ended);
    assert_eq!(summary_of_killed["result"]["pixels"], 30_000);
    assert_eq!(summary_of_killed["result"]["checked"], true);
    assert_eq!(summary_of_killed["resumed"], 1);

    let _element = element(&place, &["fractal"]);
    let out = ["call", "fractal", "--registrar", &place, "--out", calm.to_str().unwrap()];
    let summary_of_calm = summary(rsp(&[&out[..], &view].concat()));
    assert_eq!(summary_of_calm["resumed"], 0);
    assert_eq!(std::fs::read(killed).unwrap(), std::fs::read(calm).unwrap());
}

#[test]
fn no_echo_is_lost_when_an_element_is_killed() {
    let (_registrar, place) = Process::registrar(&[]);
    let first = element(&place, &["echo"]);
    let call = caller(&place, &["echo", "hello", "--count", "3000"]);
    for _ in 0..10 {
        assert_eq!(call.line(), "hello");
    }
    let _second = element(&place, &["echo"]);
    first.signal(Signal::SIGKILL);
    let ended = call.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let echoes = ended.output.lines().filter(|line| *line == "hello").count();
    assert_eq!(echoes, 2_990);
    assert!(ended.output.contains("sessions    2, 1 failovers"), "{}", ended.output);
}

#[test]
fn dead_elements_are_left_out() {
    let (_registrar, place) = Process::registrar(&[]);
    for (service, call) in [("daytime", &["daytime"][..]), ("discard", &["discard", "a", "b"])] {
        let (dead, _alive) = (element(&place, &[service]), element(&place, &[service]));
        dead.signal(Signal::SIGKILL);
        // The registrar may not know yet, and then names the dead one every other time.
        for _ in 0..2 {
            let call = [&["call"], call, &["--json", "--registrar", &place]].concat();
            let summary = summary(rsp(&call));
            match service {
                "daytime" => {
                    assert!(summary["result"]["time"].as_str().unwrap().contains("day, "))
                }
                _ => assert_eq!(summary["result"]["discarded"], 2),
            }
        }
    }
}

/// A package whose script is `text`.
fn package(folder: &Path, text: &str) -> PathBuf {
    let script = folder.join("ssrun");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let package = folder.join("package.tar");
    let mut tar = std::process::Command::new("tar");
    let status = tar.arg("--create").arg("--file").arg(&package).arg("ssrun").current_dir(folder);
    assert!(status.status().unwrap().success());
    package
}

#[test]
fn a_script_runs_again_when_its_element_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    // The first run waits for ever: its element dies before it.
    let been = folder.path().join("been");
    let text = format!(
        "#!/bin/sh\nif mkdir {0}; then exec sleep 1000; fi\necho done >\"$1\"\n",
        been.display()
    );
    let package = package(folder.path(), &text);
    let out = folder.path().join("out");
    let (_registrar, place) = Process::registrar(&[]);
    let service = ["scripting", "--scripts", "anyone"];
    let call = ["scripting", package.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let first = element(&place, &service);
    let call = caller(&place, &call);
    loop {
        if call.line() == "the script runs" {
            break;
        }
    }
    while !been.exists() {
        std::thread::yield_now();
    }
    let _second = element(&place, &service);
    first.signal(Signal::SIGKILL);
    let ended = call.end();
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    assert_eq!(std::fs::read(out).unwrap(), b"done\n");
    assert!(ended.output.contains("sessions    2, 1 failovers"), "{}", ended.output);
}

#[test]
fn a_script_that_fails_ends_the_call_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let package = package(folder.path(), "#!/bin/sh\necho why\nexit 7\n");
    let out = folder.path().join("out");
    let (_registrar, place) = Process::registrar(&[]);
    let _element = element(&place, &["scripting", "--scripts", "anyone"]);
    let (package, out_name) = (package.to_str().unwrap(), out.to_str().unwrap());
    let call = ["call", "scripting", package, "--out", out_name, "--retries", "1"];
    let more = ["--retry-delay", "1ms", "--registrar", &place];
    let ended = rsp(&[&call[..], &more].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("status 7"), "{}", ended.errors);
    assert_eq!(ended.output.matches("ends with 7").count(), 2, "{}", ended.output);
    assert_eq!(std::fs::read(out).unwrap(), b"why\n");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [
        &["serve", "scripting"][..],
        &["serve", "scripting", "--scripts", "signed"],
        &["serve", "pingpong", "--capacity", "7"],
        &["serve", "pingpong", "--slots", "2"],
        &["serve", "--max-sessions", "2"],
        &["serve", "nonesuch"],
        &["call"],
        &["call", "calcapp", "--jobs", "0"],
        &["call", "fractal", "--sessions", "0"],
        &["call", "fractal", "--iterations", "1000001"],
        &["call", "scripting", "/nowhere/package.tar"],
    ] {
        assert_eq!(rsp(arguments).code, Some(2), "{arguments:?}");
    }
    let (_registrar, place) = Process::registrar(&[]);
    let unknown = rsp(&["call", "pingpong", "--patience", "1s", "--registrar", &place]);
    assert_eq!(unknown.code, Some(4), "{}", unknown.errors);
    let (registrar, place) = Process::registrar(&[]);
    drop(registrar);
    let nobody = rsp(&["call", "pingpong", "--patience", "1s", "--registrar", &place]);
    assert_eq!(nobody.code, Some(3), "{}", nobody.errors);
}
