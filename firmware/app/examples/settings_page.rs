//! Writes a page of settings for a board's flash to standard output:
//!
//! ```text
//! cargo run --example settings_page -- pool=ComputePool registrar=10.77.0.1:3863 > page.bin
//! ```

use std::io::Write as _;
use std::process::ExitCode;

use rserpool_firmware::settings::{PAGE_LEN, Settings};

fn main() -> ExitCode {
    let mut settings = Settings::at_build();
    for argument in std::env::args().skip(1) {
        if let Err(error) = settings.apply(&argument) {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
    // What is not written stays as erased flash is.
    let mut page = [0xff; PAGE_LEN];
    let written = settings.write_page(&mut page).map_err(|error| error.to_string());
    let sent = |_| std::io::stdout().write_all(&page).map_err(|error| error.to_string());
    if let Err(error) = written.and_then(sent) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
