//! Replays the inputs that are kept for the fuzz targets.

use std::fs;
use std::path::Path;

use rserpool_tests::fuzz_targets::TARGETS;

#[test]
fn every_kept_input_of_every_target_passes() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, body) in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(corpora.join(name)).expect(name) {
            let path = entry.expect(name).path();
            let input = fs::read(&path).expect(name);
            println!("{}", path.display());
            body(&input);
            count += 1;
        }
        assert!(count > 0, "the corpus of {name} is empty");
    }
}
