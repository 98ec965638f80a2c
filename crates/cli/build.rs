//! Tells cargo that the pages of the error codes are part of the program: `include_dir` itself cannot on stable.

fn main() {
    println!("cargo::rerun-if-changed=../../docs/errors");
}
