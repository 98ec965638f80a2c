//! Every error code has a page, and every page a code (`platform explain CODE` prints the page).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}

/// Every `*.rs` below the `src` folders of the program's own crates.
fn sources() -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = vec![root().join("state/src")];
    for family in ["crates", "providers"] {
        let crates = fs_err::read_dir(root().join(family)).expect("a crate family is a folder");
        open.extend(crates.map(|entry| entry.expect("a readable entry").path().join("src")));
    }
    let mut found = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs_err::read_dir(&dir).expect("a crate has src") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The codes that `text` makes, comments and the test module at its end left out.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    let shipped = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    shipped
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("Code::new(\"").skip(1))
        .filter_map(|rest| rest.split('"').next())
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut used: BTreeMap<String, PathBuf> = BTreeMap::new();
    for path in sources() {
        for code in codes(&fs_err::read_to_string(&path).expect("a readable source file")) {
            used.entry(code.to_owned()).or_insert_with(|| path.clone());
        }
    }
    let mut wrong = Vec::new();
    for (code, path) in &used {
        let shaped =
            code.len() == 5 && code.starts_with('P') && code[1..].bytes().all(|b| b.is_ascii_digit());
        let page = root().join(format!("docs/errors/{code}.md"));
        if !shaped {
            wrong.push(format!("{code} in {}: a code is P and four digits", path.display()));
        } else if !page.exists() {
            wrong.push(format!("{code} in {}: docs/errors/{code}.md is missing", path.display()));
        }
    }
    if let Ok(pages) = fs_err::read_dir(root().join("docs/errors")) {
        for page in pages.map(|entry| entry.expect("a readable entry").path()) {
            let code = page.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let text = fs_err::read_to_string(&page).expect("a readable page");
            if !used.contains_key(&code) {
                wrong.push(format!("docs/errors/{code}.md explains a code that nothing uses"));
            }
            if !text.starts_with(&format!("# {code}: ")) {
                wrong.push(format!("docs/errors/{code}.md does not begin with `# {code}: `"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn codes_are_found_in_code_and_not_in_comments() {
    let text = "// Code::new(\"P0001\")\nlet a = Code::new(\"P0002\");\n#[cfg(test)]\nmod tests { Code::new(\"P0003\") }";
    assert_eq!(codes(text).collect::<Vec<_>>(), ["P0002"]);
}
