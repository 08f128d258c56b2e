//! Every script of ours passes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rserpool_packetdrill::{Line, Options, Verdict, run_script};

/// How many test purposes can be written as a script, and how many say too little to be run.
const PURPOSE_COUNT: usize = 115;
const SKIPPED: [&str; 2] = ["as-i-1-15", "rt-i-11-3"];

/// Runs the scripts in a folder; their names, and lines about those that do not end as they
/// should.
fn run_all(folder: &str, options: Options) -> (BTreeSet<String>, Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names = BTreeSet::new();
    let mut failures = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let verdict = run_script(&name, &fs::read_to_string(&path).unwrap(), options);
        let is_right = match verdict {
            Verdict::Pass { .. } => true,
            Verdict::Skip { .. } => SKIPPED.contains(&name.as_str()),
            Verdict::Fail(_) => false,
        };
        if !is_right {
            failures.push(Line(&name, &verdict).to_string());
        }
        names.insert(name);
    }
    failures.sort();
    (names, failures)
}

#[test]
fn every_test_purpose_passes() {
    let (names, failures) = run_all("purposes", Options::default());
    assert_eq!(failures, [""; 0]);
    assert_eq!(names.len(), PURPOSE_COUNT);
}

/// Same purposes otherwise spelt, and what no purpose asks for. They say when things happen to the
/// millisecond.
#[test]
fn every_variant_passes() {
    let (_, failures) = run_all("variants", Options { is_strict: true, ..Options::default() });
    assert_eq!(failures, [""; 0]);
}
