//! `docs/compliance/sctp.md`: rows that name what an endpoint does, each with its tests.

use std::collections::BTreeSet;
use std::path::Path;

use super::citations::{self, Code};
use crate::tidy::finding;

/// The scripts that must each be in a row.
pub(super) const SCRIPTS: &str = "tests/packetdrill/purposes";

/// Checks the tables in `text`: each row has tests, what is cited exists, and each of `scripts`
/// is cited.
pub(super) fn check(
    path: &Path,
    text: &str,
    code: &Code<'_>,
    scripts: &BTreeSet<String>,
    findings: &mut Vec<String>,
) {
    let mut uncited = scripts.clone();
    let mut names = BTreeSet::new();
    for (line, cells) in rows(text) {
        let mut say = |what: &str| findings.push(finding(path, line, what));
        let [name, what, tests] = cells[..] else {
            say("a row has a name, what happens, and tests");
            continue;
        };
        if name.is_empty() || what.is_empty() {
            say("it does not say what happens");
        }
        if !names.insert(name) {
            say(&format!("there are two rows {name}"));
        }
        let tests = citations::of(tests);
        if tests.is_empty() {
            say("no test is cited");
        }
        for test in tests {
            if test.ends_with(".pkt") {
                uncited.remove(test);
                if !scripts.contains(test) {
                    say(&format!("there is no script {test}"));
                }
            } else if let Some(fault) = code.fault_of_test(test) {
                say(&fault);
            }
        }
    }
    for script in uncited {
        findings.push(finding(path, 1, &format!("no row cites {script}")));
    }
}

/// The rows of all tables, without their heads: line and cells.
fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = text.lines().zip(1..);
    let cells = lines.filter_map(|(text, line)| {
        let cells = text.strip_prefix('|')?.strip_suffix('|')?;
        Some((line, cells.split('|').map(str::trim).collect::<Vec<_>>()))
    });
    cells.filter(|(_, cells)| cells[0] != "Row" && !cells[0].starts_with("---"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Source;

    fn said(rows: &str) -> Vec<String> {
        let text = "#[test]\nfn proves() {}\nfn helps() {}\n";
        let syntax = syn::parse_file(text).unwrap();
        let sources = [Source { path: "a.rs".into(), text: text.into(), syntax }];
        let scripts = BTreeSet::from(["s/a.pkt".to_owned()]);
        let text = format!("| Row | What happens | Tests |\n|---|---|---|\n{rows}\n");
        let mut findings = Vec::new();
        check(Path::new("t.md"), &text, &Code::new(&sources), &scripts, &mut findings);
        findings
    }

    const GOOD: &str = "| x | it happens | `a.rs: proves`, `s/a.pkt` |";

    #[test]
    fn a_good_row_is_not_complained_about() {
        assert_eq!(said(GOOD), [""; 0]);
    }

    #[test]
    fn every_row_has_tests_that_exist() {
        let with = |tests: &str| said(&format!("{GOOD}\n| y | it happens | {tests} |"));
        assert_eq!(with(""), ["t.md:4: no test is cited"]);
        assert_eq!(with("`a.rs: helps`"), ["t.md:4: `helps` in a.rs is no test"]);
        assert_eq!(with("`s/b.pkt`"), ["t.md:4: there is no script s/b.pkt"]);
        assert_eq!(said(&format!("{GOOD}\n{GOOD}")), ["t.md:4: there are two rows x"]);
    }

    #[test]
    fn every_script_has_a_row() {
        let row = GOOD.replace(", `s/a.pkt`", "");
        assert_eq!(said(&row), ["t.md:1: no row cites s/a.pkt"]);
    }
}
