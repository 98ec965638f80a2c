//! The provider as a program of its own: `platform-provider-sandbox CONNECTION`, where CONNECTION is the `connection.json`
//! of a running sandbox. `platform` has the provider built in; this is how a plugin is written, and how plugins are tested.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use platform_provider::process;
use platform_provider_sandbox::{Connect, Connection, Place, Sandbox};
use platform_spec::Failure;

/// The sandbox that a file leads to. Read whenever a line has broken: one that was started anew is at another place.
struct File(PathBuf);

#[async_trait]
impl Connect for File {
    async fn connect(&self) -> Result<Connection, Failure> {
        Place::read(&self.0)?.connect().await
    }
}

#[expect(clippy::print_stderr, reason = "a plugin's standard error is its log")]
#[tokio::main]
async fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: platform-provider-sandbox CONNECTION");
        return ExitCode::from(2);
    };
    match process::serve(Sandbox::new(Arc::new(File(file)))).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("{cause}");
            ExitCode::FAILURE
        }
    }
}
