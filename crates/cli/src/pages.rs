//! The page of every error code, built into the program.

use include_dir::{Dir, include_dir};

static PAGES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../../docs/errors");

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// `P0203`.
    pub code: &'static str,
    /// Its first line, without `# P0203: `.
    pub title: &'static str,
    /// All of it, Markdown.
    pub text: &'static str,
}

/// Every page, in order of the codes.
pub fn all() -> Vec<Page> {
    let mut pages: Vec<Page> = PAGES
        .files()
        .filter_map(|file| {
            let code = file.path().file_stem()?.to_str()?;
            let text = file.contents_utf8()?;
            let title = text.lines().next()?.strip_prefix(&format!("# {code}: "))?;
            Some(Page { code, title, text })
        })
        .collect();
    pages.sort_by_key(|page| page.code);
    pages
}

/// The page of one code; `p203` and `203` mean `P0203`.
pub fn find(code: &str) -> Option<Page> {
    let number: u16 = code.trim_start_matches(['p', 'P']).parse().ok()?;
    let code = format!("P{number:04}");
    all().into_iter().find(|page| page.code == code)
}
