//! The in-memory provider as a plugin: `platform-provider-memory FILE` keeps its cloud in FILE.
//!
//! A crash of the fault script is an exit with 137, as after `kill -9` or out of memory.

use std::{path::PathBuf, process::ExitCode};

use platform_provider::process;
use platform_testkit::memory::{MemoryCloud, MemoryProvider, Pace};

#[expect(clippy::print_stderr, reason = "a plugin's standard error is its log")]
#[tokio::main]
async fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: platform-provider-memory FILE");
        return ExitCode::from(2);
    };
    let served = match MemoryCloud::in_file(&file, Pace::BRISK) {
        Ok(cloud) => {
            cloud.on_crash(|| std::process::exit(137));
            process::serve(MemoryProvider::new(&cloud)).await
        }
        Err(cause) => Err(cause),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("{cause}");
            ExitCode::FAILURE
        }
    }
}
