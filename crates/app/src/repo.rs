//! A repository of people's, held against the rules that rendered trees keep as well.

use std::{io, path::Path};

use jiff::{Timestamp, tz::TimeZone};
pub use platform_blueprint::lint::{Accepted, Finding, RULES, Unjudged};
use platform_blueprint::{File, Tree, lint};
use platform_spec::{Class, Code, Failure};
use serde::Serialize;

/// Folders that hold nothing that anybody wrote.
const LEFT_OUT: [&str; 4] = [".git", ".terraform", "node_modules", ".direnv"];

/// Files beyond this are no manifests: archives, pictures, dumps.
const MAX_BYTES: u64 = 8 << 20;

/// What the rules say about a folder. Field names are a contract with scripts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Always `platform.repo/v1`.
    pub schema: &'static str,
    /// The folder as it was named.
    pub directory: String,
    /// Whether nothing breaks a rule, but for what was accepted.
    pub passed: bool,
    /// The ids of the rules that were asked.
    pub rules: Vec<&'static str>,
    /// What was found.
    #[serde(flatten)]
    pub said: lint::Report,
}

/// Holds a folder against every rule. Changes nothing, and asks nothing outside the folder.
///
/// # Errors
/// `P0318` when the folder, or a file in it, cannot be read.
pub fn verify(folder: &Path) -> Result<Report, Failure> {
    let mut found = Found::default();
    let refuse = |error: io::Error| {
        let message = format!("could not read `{}`", folder.display());
        Failure::new(Code::new("P0318"), Class::Config, message)
            .caused_by(&error)
            .hint("name the folder of a checkout: `platform verify repo DIR`")
    };
    collect(folder, "", &mut found).map_err(refuse)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let mut said = lint::check(&found.tree, Some(today));
    said.unjudged.extend(found.left_out);
    said.unjudged.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(Report {
        schema: "platform.repo/v1",
        directory: folder.to_string_lossy().into_owned(),
        passed: said.passed(),
        rules: RULES.iter().map(|rule| rule.id).collect(),
        said,
    })
}

#[derive(Default)]
struct Found {
    tree: Tree,
    left_out: Vec<Unjudged>,
}

impl Found {
    fn leave_out(&mut self, file: String, why: &str) {
        self.left_out.push(Unjudged { file, why: why.to_owned() });
    }
}

/// Links are not followed: they lead to what is read where it lies, or out of the repository.
fn collect(folder: &Path, below: &str, found: &mut Found) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name().to_string_lossy().into_owned());
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if kind.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                collect(&entry.path(), &path, found)?;
            }
        } else if !kind.is_file() {
            found.leave_out(path, "it is a link, or no file");
        } else if entry.metadata()?.len() > MAX_BYTES {
            found.leave_out(path, "it is larger than 8 MiB");
        } else {
            found.tree.files.insert(path, File::new(fs_err::read(entry.path())?));
        }
    }
    Ok(())
}
