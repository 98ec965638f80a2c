//! Tells cargo that the pages of the error codes are part of the program: `include_dir` itself cannot on stable.

#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo::rerun-if-changed=../../docs/errors");
}
