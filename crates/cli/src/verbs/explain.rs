use platform_app::Refusal;
use platform_spec::{Class, Code, Failure};
use serde_json::json;

use crate::{exit::Exit, pages, printer::Printer, table};

/// Explain an error code
///
/// Every error carries a stable code such as P0101. Its page says what happened, why it happens, and what to do.
/// Without a code, lists all codes with their titles.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform explain P0101\n  platform explain")]
pub struct Args {
    /// The code, such as P0101
    code: Option<String>,
}

pub fn run(args: &Args, printer: &Printer) -> Result<Exit, Refusal> {
    let Some(code) = &args.code else {
        let pages = pages::all();
        if printer.wants_json() {
            let codes: Vec<_> = pages.iter().map(|p| json!({"code": p.code, "title": p.title})).collect();
            printer.json(&json!({"schema": "platform.codes/v1", "codes": codes}));
        } else {
            let rows: Vec<_> = pages.iter().map(|p| vec![p.code.to_owned(), p.title.to_owned()]).collect();
            printer.text(table::render(&["CODE", "WHAT"], &rows));
        }
        return Ok(Exit::Ok);
    };
    let page = pages::find(code).ok_or_else(|| {
        Failure::new(Code::new("P0905"), Class::NotFound, format!("there is no error code `{code}`"))
            .hint("`platform explain` lists all codes")
    })?;
    if printer.wants_json() {
        let document =
            json!({"schema": "platform.code/v1", "code": page.code, "title": page.title, "text": page.text});
        printer.json(&document);
    } else {
        printer.text(page.text);
    }
    Ok(Exit::Ok)
}
