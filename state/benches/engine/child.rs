//! Measurements that want a process of their own: this program again, which prints numbers.

use std::{path::Path, process::Command};

use crate::{memory, resume};

/// Marks the arguments as those of a child.
const MARK: &str = "--child";

/// Starts a child for `what` on `dir` and returns what it printed.
pub fn ask(what: &str, dir: &Path, number: usize) -> Vec<u64> {
    let out = Command::new(std::env::current_exe().expect("this program"))
        .args([MARK, what])
        .arg(dir)
        .arg(number.to_string())
        .output()
        .expect("this program starts again");
    assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("numbers");
    text.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

/// Whether this process is a child; if so it has done its work.
pub async fn answered(args: &[String]) -> bool {
    let [mark, what, dir, number] = args else { return false };
    if mark != MARK {
        return false;
    }
    let (dir, number) = (Path::new(dir), number.parse().expect("a number"));
    let numbers = match what.as_str() {
        "resume" => resume::child(dir).await,
        "memory" => memory::child(dir, number).await,
        other => panic!("no child does `{other}`"),
    };
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    println!("{}", words.join(" "));
    true
}
