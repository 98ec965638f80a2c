//! The kept corpus of the fuzzers, through the properties that they search against; so that every run of the tests looks
//! at what was once found. `./dev fuzz` searches for more.

use std::{
    panic::catch_unwind,
    path::{Path, PathBuf},
};

#[path = "../../fuzz/src/lib.rs"]
mod properties;

/// What is kept for a target. Spec files are elsewhere too; `./dev fuzz` begins with the same.
fn kept(name: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout");
    let own = format!("fuzz/corpus/{name}");
    let folders = match name {
        "spec" => vec![own.as_str(), "tests/fixtures/specs", "tests/fixtures/bad-specs"],
        _ => vec![own.as_str()],
    };
    let entries = folders.iter().flat_map(|folder| fs_err::read_dir(root.join(folder)).expect("a corpus"));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_kept_holds() {
    for (name, holds) in properties::TARGETS {
        let files = kept(name);
        assert!(files.len() > 3, "{name}: the corpus is all but empty");
        for file in files {
            let data = fs_err::read(&file).expect("a readable file");
            assert!(catch_unwind(|| holds(&data)).is_ok(), "{} does not hold", file.display());
        }
    }
}

/// Bytes that nobody has chosen, so that the functions are tried with more than what is kept.
#[test]
fn what_chance_makes_holds() {
    for (name, holds) in properties::TARGETS {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..200_usize {
            let data: Vec<u8> = (0..round % 90)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[3]
                })
                .collect();
            assert!(catch_unwind(|| holds(&data)).is_ok(), "{name} does not hold for {data:?}");
        }
    }
}
