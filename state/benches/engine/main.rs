//! How fast the engine and its store are, as one table: `just bench [PART…]`.
//!
//! Durable means WAL with `synchronous=FULL` in the temporary directory (`TMPDIR`). Figures depend on the machine and on
//! what else it does; ratios are of things measured in turns in the same minutes. Never part of the tests.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]

mod chain;
mod child;
#[path = "../../tests/common/mod.rs"]
mod common;
mod memory;
mod overhead;
mod resume;
mod store;
mod table;
mod work;

use std::process::ExitCode;

const PARTS: [&str; 7] = ["chain", "linear", "resume", "status", "memory", "overhead", "store"];

fn main() -> ExitCode {
    // What cargo passes to every bench.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    if runtime.block_on(child::answered(&args)) {
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = args.iter().find(|arg| !PARTS.contains(&arg.as_str())) {
        eprintln!("there is no part `{unknown}`; the parts are {}", PARTS.join(", "));
        return ExitCode::from(2);
    }
    println!("{}\n", machine());
    table::begin();
    for part in PARTS.into_iter().filter(|part| args.is_empty() || args.iter().any(|arg| arg == part)) {
        match part {
            "chain" => runtime.block_on(chain::chains()),
            "linear" => runtime.block_on(chain::linear()),
            "resume" => runtime.block_on(resume::resume()),
            "status" => runtime.block_on(resume::status()),
            "memory" => memory::memory(),
            // It brings its own runtime, with its own time.
            "overhead" => overhead::overhead(),
            _ => runtime.block_on(store::store()),
        }
    }
    ExitCode::SUCCESS
}

/// What it ran on, as far as a reader of the table needs it.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    format!(
        "{cores} cores, load {} at the start, state in {}",
        load.join(" "),
        std::env::temp_dir().display()
    )
}
