//! The runner must not pass what it should not.

use rserpool_packetdrill::{Options, Verdict, run_script};

const OPENED: &str = "\
0.0  socket(..., SOCK_STREAM, IPPROTO_SCTP) = 3
+0.0 bind(3, ..., ...) = 0
+0.0 setsockopt(3, IPPROTO_SCTP, SCTP_RTOINFO,
                {srto_initial=200, srto_max=800, srto_min=200}, 16) = 0
+0.0 listen(3, 1) = 0
+0.1 < sctp: INIT[flgs=0, tag=7, a_rwnd=20000, os=4, is=4, tsn=50]
*    > sctp: INIT_ACK[flgs=0, tag=9, a_rwnd=..., os=4, is=..., tsn=40, ...]
+0.0 < sctp: COOKIE_ECHO[flgs=0, len=..., val=...]
+0.0 > sctp: COOKIE_ACK[flgs=0]
+0.0 accept(3, ..., ...) = 4
";

fn run(rest: &str) -> Verdict {
    run_script("negative", &format!("{OPENED}{rest}"), Options::default())
}

#[track_caller]
fn passes(rest: &str) {
    assert_eq!(run(rest), Verdict::Pass { system: None }, "{rest}");
}

#[track_caller]
fn fails(rest: &str, reason: &str) {
    match run(rest) {
        Verdict::Fail(error) => {
            assert!(error.reason.contains(reason), "{error} does not say {reason}");
        }
        other => panic!("{rest} gave {other:?}"),
    }
}

const SENT: &str = "+0.1 write(4, ..., 100) = 100\n";

#[test]
fn what_is_as_the_script_says_passes() {
    passes(&format!(
        "{SENT}+0.0 > sctp: DATA[flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=0]\n\
         +0.2 > sctp: DATA[flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=0]\n"
    ));
    passes(
        "+0.1 < sctp: DATA[flgs=BE, len=20, tsn=50, sid=0, ssn=0, ppid=0]\n\
         +0.0 > sctp: SACK[flgs=0, cum_tsn=50, a_rwnd=..., gaps=[], dups=[]]\n\
         +0.0 read(4, ..., 2) = 2\n+0.0 read(4, ..., 9) = 2\n\
         +0.0 read(4, ..., 9) = -1 EAGAIN\n",
    );
}

#[test]
fn an_unexpected_packet_fails() {
    fails(
        &format!("{SENT}+0.0 > sctp: SHUTDOWN[flgs=0, cum_tsn=49]\n"),
        "expected SHUTDOWN; sent was DATA",
    );
    let heard = "+0.0 < sctp: HEARTBEAT[flgs=0, HEARTBEAT_INFORMATION[len=12, val=...]]\n";
    fails(&format!("{SENT}{heard}+0.0 > sctp: HEARTBEAT_ACK[flgs=0, ...]\n"), "sent was DATA");
}

#[test]
fn a_missing_packet_fails() {
    fails("+0.1 > sctp: SHUTDOWN[flgs=0, cum_tsn=49]\n", "nothing was sent");
}

#[test]
fn a_wrong_number_fails() {
    for (chunk, reason) in [
        ("flgs=BE, len=116, tsn=41, sid=0, ssn=0, ppid=0", "tsn=41 expected, got 40"),
        ("flgs=B, len=116, tsn=40, sid=0, ssn=0, ppid=0", "flgs=2 expected, got 3"),
        ("flgs=BE, len=120, tsn=40, sid=0, ssn=0, ppid=0", "len=120 expected, got 116"),
        ("flgs=BE, len=116, tsn=40, sid=1, ssn=0, ppid=0", "sid=1 expected, got 0"),
        ("flgs=BE, len=116, tsn=40, sid=0, ssn=1, ppid=0", "ssn=1 expected, got 0"),
        ("flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=1", "ppid=1 expected, got 0"),
    ] {
        fails(&format!("{SENT}+0.0 > sctp: DATA[{chunk}]\n"), reason);
    }
}

#[test]
fn a_late_or_early_packet_fails() {
    let data = "> sctp: DATA[flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=0]\n";
    fails(&format!("{SENT}+0.0 {data}+0.1 {data}"), "nothing was sent");
    fails(&format!("{SENT}+0.0 {data}+0.4 {data}"), "too early");
    fails(&format!("{SENT}+0.1 {data}"), "too early");
    passes(&format!("{SENT}+0.0 {data}* {data}"));
}

#[test]
fn a_strict_run_allows_one_millisecond() {
    let script = format!(
        "--tolerance_usecs=500000\n{OPENED}{SENT}\
         +0.01 > sctp: DATA[flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=0]\n"
    );
    let verdict =
        |is_strict| run_script("strict", &script, Options { is_strict, ..Options::default() });
    assert_eq!(verdict(false), Verdict::Pass { system: None });
    assert!(matches!(verdict(true), Verdict::Fail(_)));
}

#[test]
fn a_wrong_verification_tag_is_dropped_by_the_endpoint() {
    let heartbeat = "HEARTBEAT[flgs=0, HEARTBEAT_INFORMATION[len=12, val=...]]\n";
    let answer = "+0.0 > sctp: HEARTBEAT_ACK[flgs=0, ...]\n";
    passes(&format!("+0.1 < sctp: {heartbeat}{answer}"));
    passes(&format!("+0.1 < sctp(tag=9): {heartbeat}{answer}"));
    fails(&format!("+0.1 < sctp(tag=10): {heartbeat}{answer}"), "nothing was sent");
    fails(&format!("+0.1 < sctp(bad_crc32c): {heartbeat}{answer}"), "nothing was sent");
}

#[test]
fn a_wrong_result_of_a_call_fails() {
    fails("+0.0 read(4, ..., 10) = 10\n", "expected 10, got EAGAIN");
    fails("+0.0 read(4, ..., 10) = -1 EPIPE\n", "expected EPIPE, got EAGAIN");
    fails("+0.0 write(4, ..., 10) = 11\n", "expected 11, got 10");
    fails("+0.0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ETIMEDOUT], [4]) = 0\n", "SO_ERROR");
    fails(
        "+0.0 getsockopt(4, IPPROTO_SCTP, SCTP_STATUS, {sstat_outstrms=5}, [176]) = 0\n",
        "sstat_outstrms",
    );
}

#[test]
fn what_the_runner_does_not_know_fails() {
    for (rest, reason) in [
        ("+0.0 > sctp: DATUM[flgs=0]\n", "unknown chunk"),
        ("+0.0 < sctp: ABORT[flgs=0, BAD_MOOD[]]\n", "unknown error cause"),
        ("+0.0 < sctp: INIT_ACK[flgs=0, tag=1, a_rwnd=1, os=1, is=1, tsn=1, FOO[len=4]]\n", "FOO"),
        ("+0.0 < sctp(ecn=1): SHUTDOWN_ACK[flgs=0]\n", "unknown option"),
        ("+0.0 < sctp: SHUTDOWN[cum_tsn=1]\n", "expected flgs="),
        ("+0.0 < sctp: SHUTDOWN[flgs=X, cum_tsn=1]\n", "no flags X"),
        ("+0.0 < sctp: SHUTDOWN[flgs=0, cum_tsn=4294967296]\n", "too large"),
        ("+0.0 < sctp: SHUTDOWN_ACK[flgs=0, len=4]\n", "more fields"),
        ("+0.0 < tcp: SHUTDOWN_ACK[flgs=0]\n", "sctp"),
        ("+0.0 peel_off(4) = 5\n", "unknown call"),
        ("+0.0 read(8, ..., 1) = 1\n", "not open"),
        ("+0.0 setsockopt(4, IPPROTO_SCTP, SCTP_NODELAY, {value=1}, 4) = 0\n", "SCTP_NODELAY"),
        ("* < sctp: SHUTDOWN_ACK[flgs=0]\n", "'*'"),
        ("#if Linux\n", "unknown directive"),
        ("+0.0 close(4) = 0 (graceful\n", "')'"),
    ] {
        fails(rest, reason);
    }
    let unknown = run_script("option", &format!("--local_ip=1\n{OPENED}"), Options::default());
    assert!(matches!(unknown, Verdict::Fail(_)));
    assert!(matches!(run_script("empty", "// nothing\n", Options::default()), Verdict::Fail(_)));
}

#[test]
fn what_is_not_understood_is_named_by_line_and_column() {
    let lines = OPENED.lines().count() as u32;
    for (rest, column) in [
        ("+0.0 > sctp: DATUM[flgs=0]\n", 14),
        ("+0.0 < sctp: SHUTDOWN[flgs=0, tsn=1]\n", 31),
        ("+0.0 < sctp: SHUTDOWN_ACK[flgs=0, len=4]\n", 35),
        ("+0.0 < sctp(ecn=1): SHUTDOWN_ACK[flgs=0]\n", 13),
        ("+0.0 < sctp(tag=4294967296): SHUTDOWN_ACK[flgs=0]\n", 17),
        ("+0.0 < sctp: [1, 256]\n", 18),
        ("+0.0 < udp: SHUTDOWN_ACK[flgs=0]\n", 8),
        ("+0.0 peel_off(4) = 5\n", 6),
        ("+0.0 read(4, ..., 1) 1\n", 22),
        ("+0.0 > sctp: []\n", 8),
        ("+0.0 > sctp(bad_crc32c): SHUTDOWN_ACK[flgs=0]\n", 8),
        ("  #else\n", 3),
        ("+0.0 close(4) = 0 @\n", 19),
        ("+0.0 close(4) = 0\n/* C */\n+0.0 close(3) = 0\n", 1),
        ("%{ assert tcpi_state == 1 }%\n", 1),
        ("+0.0~+0.1 close(4) = 0\n", 5),
    ] {
        let Verdict::Fail(error) = run(rest) else { panic!("{rest} passes") };
        let line = lines + 1 + u32::from(rest.contains("/*"));
        assert_eq!((error.line, error.column), (line, column), "{rest}: {error}");
    }
}

#[test]
fn what_was_not_as_the_script_says_is_named_by_line() {
    let Verdict::Fail(error) = run(&format!("{SENT}+0.3 close(4) = 5\n")) else { panic!() };
    assert_eq!((error.line, error.column), (OPENED.lines().count() as u32 + 2, 0));
    assert!(error.to_string().starts_with("12: close: expected 5"), "{error}");
}

#[test]
fn a_script_cannot_go_back_in_time() {
    fails("1.0 read(4, ..., 1) = -1 EAGAIN\n0.5 read(4, ..., 1) = -1 EAGAIN\n", "later than this");
    passes("1.0 read(4, ..., 1) = -1 EAGAIN\n1.0 read(4, ..., 1) = -1 EAGAIN\n");
}

#[test]
fn tag_and_addresses_of_what_is_sent_are_compared_if_they_are_given() {
    let data = "DATA[flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=0]\n";
    passes(&format!("{SENT}+0.0 > sctp(tag=7): {data}"));
    fails(&format!("{SENT}+0.0 > sctp(tag=8): {data}"), "tag=8 expected, got 7");
    passes(&format!("{SENT}+0.0 > 192.0.2.1 > 198.51.100.1 sctp: {data}"));
    for wrong in ["192.0.2.1 > 198.51.100.2", "192.0.2.2 > 198.51.100.1"] {
        fails(&format!("{SENT}+0.0 > {wrong} sctp: {data}"), &format!("{wrong} expected"));
    }
}

#[test]
fn the_tag_of_another_init_is_no_tag_of_the_association() {
    let init = "+0.1 < sctp: INIT[flgs=0, tag=8, a_rwnd=20000, os=4, is=4, tsn=50]\n\
                +0.0 > sctp: INIT_ACK[flgs=0, tag=..., a_rwnd=..., os=..., is=..., tsn=..., \
                ...]\n";
    let data = "DATA[flgs=BE, len=116, tsn=40, sid=0, ssn=0, ppid=0]\n";
    passes(&format!("{init}{SENT}+0.0 > sctp(tag=7): {data}"));
    fails(&format!("{init}{SENT}+0.0 > sctp(tag=8): {data}"), "tag=8 expected, got 7");
}

#[test]
fn whoever_has_sent_an_init_answers_with_its_tag_and_tsn() {
    let crossing = |tag: u32, tsn: u32| {
        let text = format!(
            "0.0  socket(..., SOCK_STREAM, IPPROTO_SCTP) = 3\n\
             +0.0 bind(3, ..., ...) = 0\n\
             +0.0 connect(3, ..., ...) = -1 EINPROGRESS\n\
             +0.0 > sctp: INIT[flgs=0, tag=1, a_rwnd=..., os=..., is=..., tsn=1, ...]\n\
             +0.0 < sctp: INIT[flgs=0, tag=2, a_rwnd=1500, os=1, is=1, tsn=3]\n\
             +0.0 > sctp: INIT_ACK[flgs=0, tag={tag}, a_rwnd=..., os=..., is=..., tsn={tsn}, \
             ...]\n"
        );
        run_script("crossing", &text, Options::default())
    };
    assert_eq!(crossing(1, 1), Verdict::Pass { system: None });
    for (tag, tsn) in [(7, 1), (1, 7), (7, 7)] {
        assert!(matches!(crossing(tag, tsn), Verdict::Fail(_)), "tag={tag}, tsn={tsn}");
    }
}

#[test]
fn a_peer_that_begins_anew_is_offered_another_tag() {
    let again = |tag: u32| {
        format!(
            "+0.1 < sctp: INIT[flgs=0, tag=8, a_rwnd=20000, os=4, is=4, tsn=50]\n\
             +0.0 > sctp: INIT_ACK[flgs=0, tag={tag}, a_rwnd=..., os=..., is=..., tsn=..., ...]\n"
        )
    };
    passes(&again(10));
    fails(&again(9), "tag=9 was");
}

#[test]
fn the_flags_of_a_descriptor_are_those_of_a_socket() {
    passes("+0.0 fcntl(4, F_GETFL) = 0x802 (O_RDWR|O_NONBLOCK)\n+0.0 fcntl(4, F_SETFL, 2) = 0\n");
    fails("+0.0 fcntl(4, F_GETFL) = 7\n", "expected 7, got 2");
    fails("+0.0 fcntl(4, F_SETFL, O_RDWR | O_SYNC) = 0\n", "unknown call");
}
