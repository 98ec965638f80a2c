use std::path::PathBuf;

use clap_mangen::Man;
use platform_app::Refusal;
use serde_json::json;

use crate::{args, exit::Exit, printer::Printer};

/// Print the manual
///
/// Without --out, the page platform(1) goes to stdout. With --out, a page for the program and one for every verb is
/// written into that directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform man | man -l -\n  platform man --out ~/.local/share/man/man1")]
pub struct Args {
    /// Write all pages into this directory, which is made if need be
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, printer: &Printer) -> Result<Exit, Refusal> {
    let Some(dir) = &args.out else {
        let mut page = Vec::new();
        Man::new(args::command())
            .render(&mut page)
            .map_err(|error| crate::exit::out_of_order("render the manual page").caused_by(&error))?;
        printer.text(String::from_utf8_lossy(&page));
        return Ok(Exit::Ok);
    };
    fs_err::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(args::command(), dir))
        .map_err(|error| super::cannot_write(dir, &error))?;
    if printer.wants_json() {
        printer.json(&json!({"schema": "platform.man/v1", "out": dir.to_string_lossy()}));
    } else {
        printer.say(format_args!("wrote the manual to {}", dir.display()));
    }
    Ok(Exit::Ok)
}
