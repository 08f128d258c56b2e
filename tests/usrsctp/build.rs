//! Finds the static library. Without it this package builds, and what uses it does not link.

use std::path::Path;
use std::process::Command;

const LIBRARY: &str = "libusrsctp.a";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The C compiler knows where libraries are; it gives the bare name of one that is not there.
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let asked = Command::new(compiler).arg(format!("-print-file-name={LIBRARY}")).output();
    let Ok(answer) = asked else { return };
    let text = String::from_utf8_lossy(&answer.stdout);
    let path = Path::new(text.trim());
    println!("cargo::rerun-if-changed={}", path.display());
    if let (true, Some(folder)) = (path.is_absolute(), path.parent()) {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=static=usrsctp");
    }
}
