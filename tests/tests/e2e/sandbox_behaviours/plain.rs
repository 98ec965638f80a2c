//! Results without what differs by chance: ids, versions, times, ages, addresses, random endings.

use std::{fmt::Write, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

/// What is replaced, in this order. The alphabet of random endings has no vowels, so that it makes no words.
static CHANCE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let replaced = [
        (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
        (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+", "TOKEN"),
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z| [+-]\d{4})?", "TIME"),
        (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "TIME"),
        (r"(?m)^[IWE]\d{4} \d\d:\d\d:.*\n", ""),
        (r#"("?[rR]esourceVersion"?: *"?)\d+"#, "${1}VERSION"),
        (r#"(resourceVersion\\+":\\+")\d+"#, "${1}VERSION"),
        (r#"("continue": *")[^"]+"#, "${1}MORE"),
        (r"too old resource version: \d+ \(\d+\)", "too old resource version"),
        (r"/tmp/(LIVE|MERGED)-\d+/", "$1/"),
        (r"/tmp/kubectl-edit-\d+", "/tmp/kubectl-edit"),
        (r"(pod-template-hash[=:] *)[0-9a-z]+", "${1}HASH"),
        (r"(controller-revision-hash[=:] *)[0-9a-z-]+", "${1}HASH"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{8,10}\b", "-HASH"),
        (r"-[bcdfghjklmnpqrstvwxz2456789]{5}\b", "-RANDOM"),
        (r"\b10\.\d+\.\d+\.\d+\b", "ADDRESS"),
        (r"https://127\.0\.0\.1:\d+", "https://SERVER"),
        (r#"(:|[nN]odePort"?: *)3\d{4}\b"#, "${1}PORT"),
        (r"\bnode-[0-2]\b", "NODE"),
        // ages, in columns and in descriptions
        (r"(?m)(\s)(\d+m)?\d+(\.\d+)?m?s(\s|\)|$)", "${1}AGE$4"),
        (r#""(\d+m)?\d+(\.\d+)?m?s""#, "\"AGE\""),
        (r"(?m)(\S) {2,}", "$1  "),
        (r"(?m)[ \t]+$", ""),
    ];
    replaced.into_iter().map(|(from, to)| (Regex::new(from).expect("an expression"), to)).collect()
});

/// How many lines before a difference say where it is.
const CONTEXT: usize = 6;

/// Longer lines are not shown whole.
const WIDTH: usize = 600;

/// A text without what differs by chance.
pub(super) fn plain(text: &str) -> String {
    CHANCE.iter().fold(text.to_owned(), |text, (from, to)| from.replace_all(&text, *to).into_owned())
}

/// Brings the fields of all objects into one order: it means nothing.
pub(super) fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort);
            if let Some(Value::Array(managed)) = map.get_mut("managedFields") {
                order(managed);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

/// Brings owners of fields into an order that does not depend on whether they wrote in the same second, after seeing that
/// they are in the order that depends on it.
fn order(managed: &mut Vec<Value>) {
    let place = |it: &Value, time: bool| {
        let fields = ["operation", if time { "time" } else { "" }, "manager", "apiVersion", "subresource"];
        fields.map(|field| it[field].as_str().unwrap_or_default().to_owned())
    };
    let ordered = managed.is_sorted_by_key(|it| place(it, true));
    managed.sort_by_cached_key(|it| place(it, false));
    if !ordered {
        managed.push("not in their order".into());
    }
}

/// Both results between the lines that are the same at the beginning and at the end.
pub(super) fn difference(real: &str, ours: &str) -> String {
    let (real, ours): (Vec<&str>, Vec<&str>) = (real.lines().collect(), ours.lines().collect());
    let same = real.iter().zip(&ours).take_while(|(real, ours)| real == ours).count();
    let rest = real.len().min(ours.len()) - same;
    let tail = real.iter().rev().zip(ours.iter().rev()).take(rest).take_while(|(real, ours)| real == ours);
    let tail = tail.count();
    let mut text = String::new();
    for line in &real[same.saturating_sub(CONTEXT)..same] {
        let _ = writeln!(text, "        {line:.WIDTH$}");
    }
    for (word, side) in [("real:", &real), ("ours:", &ours)] {
        for line in &side[same..side.len() - tail] {
            let _ = writeln!(text, "  {word} {line:.WIDTH$}");
        }
    }
    text
}

#[test]
fn owners_of_fields_have_an_order() {
    let by = |manager: &str, second: u32| serde_json::json!({"manager": manager, "operation": "Update", "time": format!("2026-11-21T15:46:0{second}Z")});
    let ordered = |managed: [Value; 2]| {
        let mut object = serde_json::json!({"managedFields": managed});
        sort(&mut object);
        let managers = object["managedFields"].as_array().into_iter().flatten();
        managers.map(|it| it["manager"].as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    };
    let both = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(ordered([by("a", 1), by("b", 1)]), both);
    assert_eq!(ordered([by("b", 1), by("a", 2)]), both);
    assert_eq!(ordered([by("b", 1), by("a", 1)]), None);
}

#[test]
fn chance_is_taken_out_and_words_stay() {
    for (text, without) in [
        ("web-5d8f9c7b4f-x2x5q   1/1   12s", "web-HASH-RANDOM  1/1  AGE"),
        ("80:31234/TCP  10.96.3.4  2m3s\n", "80:PORT/TCP  ADDRESS  AGE\n"),
        ("\"resourceVersion\": \"17\"", "\"resourceVersion\": \"VERSION\""),
        ("at 2026-11-21T15:46:01Z, cpu 100m", "at TIME, cpu 100m"),
        ("kube-root-ca.crt three words", "kube-root-ca.crt three words"),
    ] {
        assert_eq!(plain(text), without);
    }
}
