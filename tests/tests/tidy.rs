//! What must not be in the repository.

use std::{path::Path, process::Command};

/// Folders of one person's machine; split, so that this file does not name them either.
const MACHINE: [(&str, &str); 3] = [("/ro", "ot/"), ("/wo", "rk/"), ("/Us", "ers/")];

#[test]
fn tracked_files_name_no_folder_of_one_machine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout");
    let out = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output().expect("git runs");
    assert!(out.status.success(), "git ls-files: {}", String::from_utf8_lossy(&out.stderr));
    let names = String::from_utf8(out.stdout).expect("file names are UTF-8");
    let mut wrong = Vec::new();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // a deleted or binary file has nothing to read
        let Ok(text) = fs_err::read_to_string(root.join(name)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for needle in MACHINE.map(|(head, tail)| format!("{head}{tail}")) {
                // within an address or a relative path the same words are something else: only an absolute path counts
                let starts =
                    |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}*".contains(c));
                if line.match_indices(&needle).any(|(at, _)| starts(at)) {
                    wrong.push(format!("{name}:{}: {needle}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
