//! Diagnostics on stderr, for `-v`.

use std::io;

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{args::Common, printer::Printer};

/// What each `-v` adds.
///
/// Libraries that carry credentials in what they trace (`h2` and `hyper` write header frames, `rustls` handshakes)
/// never go below `info`: a log is pasted into tickets.
const LEVELS: [&str; 4] = [
    "off",
    "warn,platform=debug",
    "warn,platform=trace,kube=info,sqlx=warn",
    "info,platform=trace,kube=debug,sqlx=debug",
];

/// Starts logging as loud as asked.
pub fn start(common: &Common, printer: &Printer) {
    let level = LEVELS[usize::from(common.verbose).min(LEVELS.len() - 1)];
    if level == "off" {
        return;
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(level))
        .with_ansi(printer.colours_stderr())
        .with_writer(BesideProgress(printer.clone()))
        .init();
}

/// Writes whole records between two drawings of the progress bars.
struct BesideProgress(Printer);

impl<'a> MakeWriter<'a> for BesideProgress {
    type Writer = Record<'a>;

    fn make_writer(&'a self) -> Record<'a> {
        Record { printer: &self.0, text: Vec::new() }
    }
}

/// One record; written when it is dropped.
struct Record<'a> {
    printer: &'a Printer,
    text: Vec<u8>,
}

impl io::Write for Record<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        self.printer.diagnostic(text.trim_end_matches('\n'));
    }
}
