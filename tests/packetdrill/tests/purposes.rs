//! Every script of ours passes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rserpool_packetdrill::{Line, Options, Verdict, run_script};

/// How many test purposes can be written as a script, and how many say too little to be run.
const PURPOSE_COUNT: usize = 115;
const SKIPPED: [&str; 2] = ["as-i-1-15", "rt-i-11-3"];

#[test]
fn every_test_purpose_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("purposes");
    let mut names = BTreeSet::new();
    let mut failures = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let verdict = run_script(&name, &fs::read_to_string(&path).unwrap(), Options::default());
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
    assert_eq!(failures, [""; 0]);
    assert_eq!(names.len(), PURPOSE_COUNT);
}
