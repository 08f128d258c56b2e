//! Runs the checks on the host, so that the board can compare its digests with the host's, and
//! names the linker scripts.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let mut digests = String::from("&[\n");
    for (name, check) in rserpool_vectors::CHECKS {
        writeln!(digests, "    ({name:?}, {:#018x}),", check()).expect("a string takes all");
    }
    digests.push(']');
    let directory = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(directory.join("digests.rs"), digests).expect("the directory is writable");
    for argument in ["-Tlink.x", "-Tembedded-test.x", "--nmagic"] {
        println!("cargo::rustc-link-arg-tests={argument}");
    }
    println!("cargo::rustc-check-cfg=cfg(rust_analyzer)");
    println!("cargo::rerun-if-changed=build.rs");
}
