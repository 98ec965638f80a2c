//! A blueprint file that is added must rebuild this crate; `include_dir!` alone only watches the files it saw.

fn main() {
    println!("cargo::rerun-if-changed=../../blueprints");
}
