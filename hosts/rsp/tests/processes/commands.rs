//! Every command, what it says when something is wrong, and its exit code.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::process::{Process, command, rsp};

#[test]
fn a_resolved_pool_is_printed_and_an_unknown_one_is_named() {
    let (_registrar, place) = Process::registrar(&[]);
    let _element = Process::element(&place, &["--identifier", "0x00c0ffee"]);
    let table = rsp(&["resolve", "ComputePool", "--registrar", &place]);
    assert_eq!(table.code, Some(0), "{}", table.errors);
    assert!(table.output.contains("0x00c0ffee"), "{}", table.output);
    let json = rsp(&["resolve", "ComputePool", "--registrar", &place, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!(json["elements"][0]["identifier"], "0x00c0ffee");
    assert_eq!(json["elements"][0]["addresses"][0], "127.0.0.1");

    let unknown = rsp(&["resolve", "Nonesuch", "--registrar", &place]);
    assert_eq!(unknown.code, Some(4));
    assert!(unknown.errors.contains("no pool \"Nonesuch\""), "{}", unknown.errors);
    assert!(unknown.errors.contains("rsp serve"), "{}", unknown.errors);
    let unknown = rsp(&["run", "--pool", "Nonesuch", "--registrar", &place, "--patience", "1s"]);
    assert_eq!(unknown.code, Some(4), "{}", unknown.errors);
}

#[test]
fn a_pool_is_resolved_by_tcp_unless_the_registrar_does_without() {
    let (registrar, place) = Process::registrar(&["--tcp", "on"]);
    assert!(registrar.line().contains("serves pool users by TCP"));
    let _element = Process::element(&place, &["--identifier", "0x00c0ffee"]);
    let table = rsp(&["resolve", "ComputePool", "--registrar", &place, "--tcp"]);
    assert_eq!(table.code, Some(0), "{}", table.errors);
    assert!(table.output.contains("0x00c0ffee"), "{}", table.output);

    let (_registrar, place) = Process::registrar(&["--tcp", "off"]);
    let none = ["resolve", "ComputePool", "--registrar", &place, "--tcp", "--patience", "1s"];
    let none = rsp(&none);
    assert_eq!(none.code, Some(3), "{}", none.errors);
}

#[test]
fn jobs_and_calls_speak_tcp_with_the_registrar_if_they_should() {
    let (_registrar, place) = Process::registrar(&["--tcp", "on"]);
    let _worker = Process::element(&place, &[]);
    let _server = Process::element(&place, &["echo"]);
    let (_other, without) = Process::registrar(&["--tcp", "off"]);
    let calls: [&[&str]; 2] = [&["run", "load", "--work", "10000"], &["call", "echo", "hello"]];
    for call in calls {
        let done = rsp(&[call, &["--tcp", "--registrar", &place]].concat());
        assert_eq!(done.code, Some(0), "{}", done.errors);
        let none = ["--tcp", "--registrar", &without, "--patience", "1s"];
        let none = rsp(&[call, &none].concat());
        assert_eq!(none.code, Some(3), "{}", none.errors);
    }
}

#[test]
fn changes_of_a_watched_pool_are_printed_as_they_come() {
    for tcp in [&[][..], &["--tcp"]] {
        let (_registrar, place) = Process::registrar(&["--tcp", "on"]);
        let _first = Process::element(&place, &["--identifier", "0x00000001"]);
        let watch = ["resolve", "ComputePool", "--registrar", &place, "--watch"];
        let watch = Process::start(&[&watch, tcp].concat());
        assert!(watch.line().starts_with("+ 0x00000001"));
        let second = Process::element(&place, &["--identifier", "0x00000002"]);
        assert!(watch.line().starts_with("+ 0x00000002"));
        second.signal(Signal::SIGTERM);
        assert!(watch.line().starts_with("- 0x00000002"));
        watch.signal(Signal::SIGINT);
        assert_eq!(watch.end().code, Some(0));
    }
}

#[test]
fn a_process_runs_as_many_elements_as_the_help_says() {
    let (_registrar, place) = Process::registrar(&[]);
    let element = Process::element(&place, &["--elements", "8"]);
    for _ in 1..8 {
        assert!(element.line().contains("ready at"));
    }
    let many = rsp(&["serve", "--registrar", &place, "--elements", "17"]);
    assert_eq!(many.code, Some(2), "{}", many.errors);
    assert!(many.errors.contains("several `rsp serve`"), "{}", many.errors);
}

#[test]
fn a_resolved_policy_is_printed_as_it_is_written() {
    let (_registrar, place) = Process::registrar(&[]);
    let _element = Process::element(&place, &["--policy", "WeightedRandom:50"]);
    let table = rsp(&["resolve", "ComputePool", "--registrar", &place]);
    assert!(table.output.contains(" WeightedRandom:50\n"), "{}", table.output);
    let json = rsp(&["resolve", "ComputePool", "--registrar", &place, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!(json["elements"][0]["policy"], "WeightedRandom:50");
}

#[test]
fn a_registrar_at_all_addresses_names_one_that_users_can_use() {
    let listen = ["registrar", "--listen", "0.0.0.0:0/0", "--announces", "off"];
    let registrar = Process::start(&listen);
    let place = registrar.place();
    assert!(!place.starts_with("0.0.0.0"), "{place}");
    let resolved = rsp(&["resolve", "Nonesuch", "--registrar", &place]);
    assert_eq!(resolved.code, Some(4), "{place}: {}", resolved.errors);
}

#[test]
fn without_a_registrar_users_say_what_to_do() {
    // A registrar that was there a moment ago: its port is free again.
    let (registrar, place) = Process::registrar(&[]);
    drop(registrar);
    for arguments in [
        &["resolve", "ComputePool", "--patience", "5s", "--registrar", &place][..],
        &["run", "load", "--patience", "1s", "--registrar", &place],
        &["serve", "--patience", "1s", "--listen", "127.0.0.1:0/0", "--registrar", &place],
    ] {
        let ended = rsp(arguments);
        assert_eq!(ended.code, Some(3), "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.contains("rsp registrar"), "{}", ended.errors);
    }
}

#[test]
fn an_address_in_use_is_named() {
    let (_registrar, place) = Process::registrar(&[]);
    let second = rsp(&["registrar", "--listen", &place]);
    assert_eq!(second.code, Some(5), "{}", second.errors);
    assert!(second.errors.contains("belongs to another program"), "{}", second.errors);
}

#[test]
fn the_kernels_sctp_is_not_used_where_there_is_none() {
    let (_registrar, place) = Process::registrar(&["--transport", "udp"]);
    let kernel = ["--transport", "kernel"];
    for arguments in [
        &["registrar", "--listen", "127.0.0.1:0", "--announces", "off"][..],
        &["serve", "--patience", "1s", "--listen", "127.0.0.1:0", "--registrar", &place],
        &["run", "load", "--patience", "1s", "--registrar", &place],
        &["resolve", "ComputePool", "--patience", "1s", "--registrar", &place],
        &["hsdump", &place, "--patience", "1s"],
    ] {
        if linux_sctp::is_available() {
            println!("skipped: this kernel has SCTP");
            return;
        }
        let ended = rsp(&[arguments, &kernel[..]].concat());
        assert_eq!(ended.code, Some(1), "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.contains("kernel has no SCTP"), "{}", ended.errors);
        assert!(ended.errors.contains("--transport udp"), "{}", ended.errors);
    }
}

#[test]
fn a_udp_port_where_nothing_goes_by_udp_is_a_usage_error() {
    let own = "nothing listens at a UDP port of ours";
    for (arguments, flag, reason) in [
        (&["registrar", "--listen", "127.0.0.1:0/9899"][..], "--listen", own),
        (
            &["resolve", "ComputePool", "--registrar", "127.0.0.1:3863/9899"],
            "--registrar",
            "nothing goes by UDP",
        ),
        (&["hsdump", "127.0.0.1:9901/9899"], "the registrar", "nothing goes by UDP"),
    ] {
        let ended = rsp(&[arguments, &["--transport", "raw"]].concat());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.errors);
        assert!(ended.errors.contains(flag), "{}", ended.errors);
        assert!(ended.errors.contains(reason), "{}", ended.errors);
    }
}

#[test]
fn a_daemon_goes_on_when_nobody_reads_what_it_prints() {
    let mut command = command(&["registrar", "--listen", "127.0.0.1:0/0", "--enrp-port", "0"]);
    let mut registrar = command.args(["--announces", "off"]).spawn().unwrap();
    let mut line = String::new();
    // The reader is dropped before the other lines.
    BufReader::new(registrar.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let place = line.trim_end().rsplit_once("ready at ").unwrap().1;
    let unknown = rsp(&["resolve", "Nonesuch", "--registrar", place]);
    assert_eq!(unknown.code, Some(4), "{}", unknown.errors);
    registrar.kill().unwrap();
    registrar.wait().unwrap();
}

#[test]
fn what_cannot_be_printed_is_an_error_and_what_nobody_reads_is_none() {
    let (_registrar, place) = Process::registrar(&[]);
    let _element = Process::element(&place, &[]);
    let resolve = ["resolve", "ComputePool", "--registrar", &place];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = command(&resolve).stdout(full).output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{errors}");
    assert!(errors.starts_with("rsp: standard output: "), "{errors}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = command(&resolve).stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), &ended.stderr[..]), (Some(0), &b""[..]));
}

#[test]
fn an_element_at_several_addresses_registers_all_of_them() {
    let (_registrar, place) = Process::registrar(&["--local", "127.0.0.2"]);
    let _element = Process::element(&place, &["--local", "127.0.0.3"]);
    let table = rsp(&["resolve", "ComputePool", "--registrar", &place, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&table.output).unwrap();
    let addresses = json["elements"][0]["addresses"].to_string();
    assert_eq!(addresses, r#"["127.0.0.1","127.0.0.3"]"#, "{json}");
}

#[test]
fn a_udp_port_for_the_kernels_sctp_is_a_usage_error() {
    let arguments = ["registrar", "--transport", "kernel", "--listen", "127.0.0.1:0/9899"];
    let ended = rsp(&arguments);
    assert_eq!(ended.code, Some(2), "{}", ended.errors);
    assert!(ended.errors.contains("net.sctp.udp_port"), "{}", ended.errors);
}

#[test]
fn a_full_registrar_says_what_to_do() {
    let (_registrar, place) = Process::registrar(&["--max-elements", "1"]);
    let _first = Process::element(&place, &[]);
    let second = Process::starting_element(&place, &[]).end();
    assert_eq!(second.code, Some(6), "{}", second.errors);
    assert!(second.errors.contains("--max-elements"), "{}", second.errors);
}

#[test]
fn another_policy_in_a_pool_is_refused() {
    let (_registrar, place) = Process::registrar(&[]);
    let _first = Process::element(&place, &["--policy", "RoundRobin"]);
    let second = Process::starting_element(&place, &["--policy", "WeightedRandom:7"]).end();
    assert_eq!(second.code, Some(6), "{}", second.errors);
    assert!(second.errors.contains("--policy"), "{}", second.errors);
}

#[test]
fn a_bad_configuration_is_named_with_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsp.toml");
    std::fs::write(&path, "[serve]\npool = \"ComputePool\"\nslotz = 3\n").unwrap();
    let path = path.to_str().unwrap();
    let ended = rsp(&["serve", "--config", path]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.errors.contains(&format!("{path}:3: ")), "{}", ended.errors);
    assert!(ended.errors.contains("slotz"), "{}", ended.errors);

    let nothing = rsp(&["run", "montecarlo", "--samples", "0"]);
    assert!(nothing.errors.contains("--samples 0: there is nothing to compute"));

    for arguments in [
        &["serve", "--config", "/nowhere/rsp.toml"][..],
        &["serve", "--slots", "33"],
        &["serve", "--kernels", "nonesuch"],
        &["serve", "--pool", "a-pool-handle-of-more-than-32-bytes"],
        &["run", "fractal", "--bits", "20"],
        &["run", "load", "--silence", "0s"],
        &["run", "load", "--work", "0"],
        &["run", "montecarlo", "--samples", "0"],
        &["run", "sha-prefix", "--bits", "0"],
        &["run", "--packages", "0"],
        &["run", "--size", "0x5"],
        &["run", "--iterations", "0"],
        &["resolve", "ComputePool", "--items", "0"],
        &["registrar", "--max-elements", "4294967295"],
        &["registrar", "--max-associations", "4294967295"],
        &["demo", "--elements", "2", "--kill", "2"],
        &["nonsense"],
    ] {
        assert_eq!(rsp(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_picture_that_could_not_be_written_is_not_computed() {
    let out = ["--out", "/nowhere/picture.png"];
    // Nobody is asked for: there is no registrar at this port.
    let run = ["run", "fractal", "--registrar", "127.0.0.1:1/1"];
    for arguments in [&run[..], &["demo"]] {
        let ended = rsp(&[arguments, &out].concat());
        assert_eq!(ended.code, Some(1), "{}", ended.errors);
        assert!(ended.errors.contains("/nowhere/picture.png"), "{}", ended.errors);
        assert_eq!(ended.output, "");
    }
}

#[test]
fn elements_at_one_host_take_free_ports() {
    let (_registrar, place) = Process::registrar(&[]);
    let listen = ["serve", "--listen", "127.0.0.1", "--registrar", &place];
    let elements = [Process::start(&listen), Process::start(&listen)];
    assert_ne!(elements[0].place(), elements[1].place());
}

#[test]
fn flags_override_the_configuration_file() {
    let (_registrar, place) = Process::registrar(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsp.toml");
    let text = format!(
        "[scope]\nregistrars = [\"{place}\"]\n\
         [serve]\npool = \"FilePool\"\nlisten = \"127.0.0.1:0/0\"\nidentifier = 7\n"
    );
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let element = Process::start(&["serve", "--config", path, "--identifier", "9"]);
    assert!(element.line().starts_with("element 0x00000009 in FilePool ready at 127.0.0.1:"));
}

#[test]
fn sigterm_and_sigint_deregister_and_end_cleanly() {
    let (registrar, place) = Process::registrar(&[]);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let element = Process::element(&place, &[]);
        element.signal(signal);
        let ended = element.end();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        let resolved = rsp(&["resolve", "ComputePool", "--registrar", &place]);
        assert_eq!(resolved.code, Some(4), "{}", resolved.output);
    }
    registrar.signal(Signal::SIGTERM);
    assert_eq!(registrar.end().code, Some(0));
}

#[test]
fn a_dead_element_leaves_the_pool() {
    let (_registrar, place) = Process::registrar(&[]);
    let element = Process::element(&place, &[]);
    drop(element);
    // The registrar learns of it with its next keep-alive, by ICMP.
    loop {
        let resolved = rsp(&["resolve", "ComputePool", "--registrar", &place]);
        match resolved.code {
            Some(0) => {}
            code => break assert_eq!(code, Some(4), "{}", resolved.errors),
        }
    }
}

#[test]
fn every_job_gives_its_result() {
    let (_registrar, place) = Process::registrar(&[]);
    let _elements =
        [Process::element(&place, &[]), Process::element(&place, &["--elements", "2"])];
    let run = |arguments: &[&str]| {
        let ended = rsp(&[&["run", "--json", "--registrar", &place], arguments].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.errors);
        serde_json::from_str::<serde_json::Value>(&ended.output).unwrap()
    };
    let monte_carlo = run(&["montecarlo", "--samples", "100000"]);
    assert!((monte_carlo["result"]["pi"].as_f64().unwrap() - std::f64::consts::PI).abs() < 0.05);
    let sha = run(&["sha-prefix", "--bits", "12", "--packages", "20"]);
    assert!(sha["result"]["hash"].as_str().unwrap().starts_with("000"));
    let load = run(&["load", "--work", "1000000"]);
    assert_eq!(load["result"]["calculations"], 1_000_000);
    assert_eq!(load["packages"], 240);
}

#[test]
fn packages_go_to_elements_that_offer_their_kernel() {
    let (_registrar, place) = Process::registrar(&[]);
    let flags = ["--kernels", "fractal,sha-prefix", "--identifier", "7"];
    let _other = Process::element(&place, &flags);
    let _able = Process::element(&place, &["--kernels", "synthetic", "--slots", "3"]);
    let ended = rsp(&["run", "load", "--work", "1000000", "--json", "--registrar", &place]);
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let json: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
    let elements = json["elements"].as_array().unwrap();
    let done = |id: &str| {
        let element = elements.iter().find(|element| element["identifier"] == id);
        element.map_or(0, |element| element["packages"].as_u64().unwrap())
    };
    assert_eq!(done("0x00000007"), 0, "{json}");
    assert_eq!(json["packages"], 240, "{json}");
}

#[test]
fn many_short_packages_do_not_flood_the_registrar() {
    let (registrar, place) = Process::registrar(&[]);
    let _element = Process::element(&place, &["--slots", "2"]);
    let job = ["run", "load", "--work", "500000000", "--packages", "500"];
    let ended = rsp(&[&job[..], &["--registrar", &place]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    registrar.signal(Signal::SIGTERM);
    let ended = registrar.end();
    assert!(!ended.errors.contains("a limit was met"), "{}", ended.errors);
}

#[test]
fn an_interrupted_job_ends_with_130() {
    let (_registrar, place) = Process::registrar(&[]);
    let element = Process::element(&place, &[]);
    let mut run = Process::start(&["run", "load", "--registrar", &place]);
    // Much more work than a second's.
    assert!(run.ends_within(std::time::Duration::from_secs(1)).is_none());
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().code, Some(130));
    element.signal(Signal::SIGTERM);
    assert_eq!(element.end().code, Some(0));
}

#[test]
fn parameters_of_sctp_can_be_set_and_nonsense_is_refused() {
    // Somebody who never answers, and counts.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let place = format!("127.0.0.1:3863/{}", silent.local_addr().unwrap().port());
    let resolve = ["resolve", "ComputePool", "--transport", "udp", "--patience", "1s"];
    let resolve = [&resolve[..], &["--registrar", &place]].concat();
    let packets = |flags: &[&str]| {
        let ended = rsp(&[&resolve[..], flags].concat());
        assert_eq!(ended.code, Some(3), "{}", ended.errors);
        std::iter::from_fn(|| silent.recv_from(&mut [0; 1_500]).ok()).count()
    };
    let patient = packets(&[]);
    let impatient = packets(&["--rto-initial", "50ms", "--rto-min", "50ms", "--rto-max", "50ms"]);
    assert!(impatient >= patient + 5, "{impatient} INITs instead of {patient}");

    for (flags, reason) in [
        (["--rto-min", "2s"], "2s at least, 1s at first"),
        (["--rto-max", "900ms"], "900ms at most"),
        (["--association-retransmissions", "0"], "0 retransmissions"),
        (["--path-retransmissions", "11"], "outlives its association"),
        (["--heartbeat-interval", "never"], "no span of time"),
    ] {
        for command in [&["registrar"][..], &["serve"], &["run"], &["call", "echo"], &["hsdump"]] {
            let refused = rsp(&[command, &flags].concat());
            assert_eq!(refused.code, Some(2), "{command:?} {flags:?}: {}", refused.errors);
            assert!(refused.errors.contains(reason), "{}", refused.errors);
        }
    }
}
