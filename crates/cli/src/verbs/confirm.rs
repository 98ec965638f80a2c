//! Asking before something is removed.

use std::io::{self, BufRead, IsTerminal};

use platform_app::{App, status};
use platform_spec::{Class, Code, Failure, PlatformName};

use crate::{printer::Printer, table};

/// Shows what will be lost, and asks a person to type the platform's name.
///
/// # Errors
/// `P0903` when nobody can be asked, `P0909` when something else was typed.
pub async fn removal(app: &App, platform: &PlatformName, printer: &Printer) -> Result<(), Failure> {
    let deed = format!("remove platform `{platform}`");
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Code::new("P0903"), Class::Config, format!("will not {deed} unasked"))
            .because("standard input is no terminal, so nobody can be asked")
            .hint("see what would be lost with `platform plan down`, then give `--yes`"));
    }
    let losses = status::ledger(app, platform).await?;
    let rows: Vec<_> = losses
        .iter()
        .map(|entry| {
            let fate = if entry.owned { "removed" } else { "let go" };
            vec![entry.key.clone(), entry.kind.clone(), fate.to_owned(), entry.external_id.clone()]
        })
        .collect();
    if rows.is_empty() {
        printer.diagnostic(
            "nothing is recorded as ours; what carries our ownership labels will still be removed",
        );
    } else {
        printer.diagnostic(table::render(&["RESOURCE", "KIND", "WILL BE", "NAME OUTSIDE"], &rows));
    }
    printer.ask(format_args!("this cannot be undone. To {deed}, type its name:"));
    let mut typed = String::new();
    io::stdin().lock().read_line(&mut typed).map_err(|error| {
        Failure::new(Code::new("P0903"), Class::Config, format!("will not {deed} unasked")).caused_by(&error)
    })?;
    if typed.trim() == platform.as_str() {
        return Ok(());
    }
    Err(Failure::new(Code::new("P0909"), Class::Config, format!("did not {deed}: the name typed is another"))
        .hint(format!("the name is `{platform}`; run the command again and type it")))
}
