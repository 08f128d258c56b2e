//! The `rsp` command-line program.

fn main() {}
