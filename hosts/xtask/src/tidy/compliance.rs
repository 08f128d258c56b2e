//! The tables of `docs/compliance`: each requirement word of an RFC is in exactly one row, and
//! what a row cites exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Source, finding};
use crate::process::root;

mod citations;
mod rows;
mod table;

use citations::Code;
use table::{Row, Status, Table};

const FOLDER: &str = "docs/compliance";
/// Rows of another kind: what the SCTP endpoint does.
const ROWS: &str = "sctp.md";
/// What the RFCs have: `cargo xtask requirement-words` printed it.
const WORDS: &str = "words.txt";

/// The requirement words of an RFC by section, in their order.
type Words = BTreeMap<String, Vec<String>>;

/// Checks all tables.
///
/// # Errors
///
/// If the folder or one of its files cannot be read.
pub(super) fn check(sources: &[Source], findings: &mut Vec<String>) -> Result<()> {
    let folder = root().join(FOLDER);
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name));
        text.with_context(|| format!("cannot read {FOLDER}/{name}"))
    };
    let words = parse_words(&read(WORDS)?);
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {FOLDER}"))?;
    for file in files {
        let name = file?.file_name().to_string_lossy().into_owned();
        let rfc = name.strip_prefix("rfc").and_then(|name| name.strip_suffix(".md"));
        if rfc.is_some_and(|rfc| !words.contains_key(rfc)) {
            findings.push(finding(
                &Path::new(FOLDER).join(&name),
                1,
                "no words of it in words.txt",
            ));
        }
    }
    let code = Code::new(sources);
    for (rfc, words) in &words {
        let name = format!("rfc{rfc}.md");
        let path = Path::new(FOLDER).join(&name);
        check_table(&path, &read(&name)?, words, &code, findings);
    }
    let scripts = scripts()?;
    rows::check(&Path::new(FOLDER).join(ROWS), &read(ROWS)?, &code, &scripts, findings);
    Ok(())
}

/// The scripts that must each be in a row, as rows cite them.
fn scripts() -> Result<BTreeSet<String>> {
    let folder = root().join(rows::SCRIPTS);
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", rows::SCRIPTS))?;
    let name =
        |file: fs::DirEntry| format!("{}/{}", rows::SCRIPTS, file.file_name().to_string_lossy());
    files.map(|file| Ok(name(file?))).collect()
}

fn parse_words(text: &str) -> BTreeMap<String, Words> {
    let mut words: BTreeMap<String, Words> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split_whitespace().map(String::from);
        if let (Some(rfc), Some(section)) = (fields.next(), fields.next()) {
            words.entry(rfc).or_default().insert(section, fields.collect());
        }
    }
    words
}

fn check_table(
    path: &Path,
    text: &str,
    words: &Words,
    code: &Code<'_>,
    findings: &mut Vec<String>,
) {
    let table = Table::parse(text);
    for (line, what) in &table.faults {
        findings.push(finding(path, *line, what));
    }
    for row in &table.rows {
        for what in faults_of(row, code) {
            findings.push(finding(path, row.line, &what));
        }
    }
    check_coverage(path, &table, words, findings);
    check_head(path, &table, words, findings);
}

/// What is wrong with a row, its place in the RFC aside.
fn faults_of(row: &Row<'_>, code: &Code<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let (items, tests) = (citations::of(row.code), citations::of(row.proof));
    for citation in &items {
        faults.extend(code.fault_of_item(citation));
    }
    for citation in &tests {
        faults.extend(code.fault_of_test(citation));
    }
    let has_reason = citations::prose(row.proof).chars().any(char::is_alphabetic);
    let needed = match row.status {
        Status::Obeyed if items.is_empty() || tests.is_empty() => "obeyed needs code and a test",
        Status::Deviates if items.is_empty() || !has_reason => {
            "a deviation needs the code that deviates and a reason"
        }
        Status::DoesNotApply | Status::Missing if !has_reason => "a reason is needed",
        _ => "",
    };
    if !needed.is_empty() {
        faults.push(needed.into());
    }
    if row.asks.is_empty() {
        faults.push("it does not say what is asked".into());
    }
    faults
}

/// Each word is in exactly one row, which says which words it covers.
fn check_coverage(path: &Path, table: &Table<'_>, words: &Words, findings: &mut Vec<String>) {
    let mut covered: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for row in &table.rows {
        let section = words.get(row.section);
        let mut named = Vec::new();
        for &ordinal in &row.ordinals {
            match section.and_then(|words| words.get(ordinal.wrapping_sub(1))) {
                Some(word) if !named.contains(word) => named.push(word.clone()),
                Some(_) => {}
                None => {
                    let what = format!("§{} has no word #{ordinal}", row.section);
                    findings.push(finding(path, row.line, &what));
                }
            }
            if let Some(line) = covered.insert((row.section, ordinal), row.line) {
                let what = format!("§{} #{ordinal} is in line {line}, too", row.section);
                findings.push(finding(path, row.line, &what));
            }
        }
        let named = match named.is_empty() {
            true => "-".into(),
            false => named.join(", ").replace('-', " "),
        };
        if named != row.word {
            let what = format!("the words are `{named}`, not `{}`", row.word);
            findings.push(finding(path, row.line, &what));
        }
    }
    for (section, words) in words {
        for ordinal in 1..=words.len() {
            if !covered.contains_key(&(section.as_str(), ordinal)) {
                findings.push(finding(path, 1, &format!("no row for §{section} #{ordinal}")));
            }
        }
    }
}

/// The numbers in the head are those of the table.
fn check_head(path: &Path, table: &Table<'_>, words: &Words, findings: &mut Vec<String>) {
    let count = |status| table.rows.iter().filter(|row| row.status == status).count();
    let expected = format!(
        "{} requirement words, {} rows: {} obeyed, {} deviates, {} does not apply, {} missing.",
        words.values().map(Vec::len).sum::<usize>(),
        table.rows.len(),
        count(Status::Obeyed),
        count(Status::Deviates),
        count(Status::DoesNotApply),
        count(Status::Missing),
    );
    if table.head != Some(expected.as_str()) {
        findings.push(finding(path, 1, &format!("the head should say: {expected}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "
        fn obeys() {}
        #[test]
        fn proves() {}
        fn helps() {}
    ";

    /// What is said about a table with these lines below the head, where §2 has MUST and MAY.
    fn said(head: &str, rows: &[&str]) -> Vec<String> {
        let syntax = syn::parse_file(CODE).unwrap();
        let sources = [Source { path: "a.rs".into(), text: CODE.into(), syntax }];
        let words = parse_words("# comment\n1 2 MUST MAY\n").remove("1").unwrap();
        let header = "| Where | Word | What is asked | Status | Code | Proof, or why not |";
        let rule = "|---|---|---|---|---|---|";
        let text = format!("# RFC 1\n\n{head}\n\n{header}\n{rule}\n{}\n", rows.join("\n"));
        let mut findings = Vec::new();
        check_table(Path::new("t.md"), &text, &words, &Code::new(&sources), &mut findings);
        findings
    }

    const BOTH: &str =
        "2 requirement words, 1 rows: 1 obeyed, 0 deviates, 0 does not apply, 0 missing.";
    const GOOD: &str = "| §2 #1-2 | MUST, MAY | x | obeyed | `a.rs: obeys` | `a.rs: proves` |";

    #[test]
    fn a_good_table_is_not_complained_about() {
        assert_eq!(said(BOTH, &[GOOD]), [""; 0]);
    }

    #[test]
    fn the_head_adds_up() {
        let expected = format!("t.md:1: the head should say: {BOTH}");
        assert_eq!(said(&BOTH.replace('2', "3"), &[GOOD]), [expected.as_str()]);
        assert_eq!(said("", &[GOOD]), [expected]);
    }

    #[test]
    fn each_word_is_covered_once() {
        let one = GOOD.replace("#1-2", "#1").replace("MUST, MAY", "MUST");
        assert_eq!(said(BOTH, &[&one]), ["t.md:1: no row for §2 #2"]);
        let head = BOTH.replace("1 rows: 1", "2 rows: 2");
        assert_eq!(said(&head, &[GOOD, &one]), ["t.md:8: §2 #1 is in line 7, too"]);
        let three = GOOD.replace("#1-2", "#1-3");
        assert_eq!(said(BOTH, &[&three]), ["t.md:7: §2 has no word #3"]);
    }

    #[test]
    fn the_words_are_those_of_the_rfc() {
        let what = "t.md:7: the words are `MUST, MAY`, not `MUST`";
        assert_eq!(said(BOTH, &[&GOOD.replace("MUST, MAY", "MUST")]), [what]);
    }

    #[test]
    fn what_is_cited_exists() {
        let item = said(BOTH, &[&GOOD.replace("obeys", "obey")]);
        assert_eq!(item, ["t.md:7: a.rs has no item `obey`"]);
        let file = said(BOTH, &[&GOOD.replace("a.rs: obeys", "b.rs: obeys")]);
        assert_eq!(file, ["t.md:7: there is no file b.rs"]);
        let test = said(BOTH, &[&GOOD.replace("proves", "helps")]);
        assert_eq!(test, ["t.md:7: `helps` in a.rs is no test"]);
        let none = said(BOTH, &[&GOOD.replace("a.rs: proves", "a.rs proves")]);
        assert_eq!(none, ["t.md:7: `a.rs proves` is not of the form `path/file.rs: item`"]);
    }

    #[test]
    fn each_status_has_what_it_needs() {
        let with = |status: &str, code: &str, proof: &str| {
            let head = BOTH.replace("1 obeyed", "0 obeyed");
            let head = head.replace(&format!("0 {status}"), &format!("1 {status}"));
            said(&head, &[&format!("| §2 #1-2 | MUST, MAY | x | {status} | {code} | {proof} |")])
        };
        let (item, test) = ("`a.rs: obeys`", "`a.rs: proves`");
        assert_eq!(with("obeyed", "", test), ["t.md:7: obeyed needs code and a test"]);
        assert_eq!(with("obeyed", item, "it is so"), ["t.md:7: obeyed needs code and a test"]);
        assert_eq!(with("missing", "", ""), ["t.md:7: a reason is needed"]);
        assert_eq!(with("missing", "", "later"), [""; 0]);
        assert_eq!(with("does not apply", item, test), ["t.md:7: a reason is needed"]);
        assert_eq!(with("deviates", item, "on purpose"), [""; 0]);
        assert_eq!(with("deviates", item, test).len(), 1);
        assert_eq!(with("deviates", "", "on purpose").len(), 1);
    }

    #[test]
    fn a_row_that_covers_no_word_says_so() {
        let head = BOTH.replace("1 rows: 1", "2 rows: 2");
        let more = GOOD.replace("§2 #1-2 | MUST, MAY", "§2.1 | -");
        assert_eq!(said(&head, &[GOOD, &more]), [""; 0]);
    }
}
