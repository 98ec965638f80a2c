//! Functions on texts and numbers.

use base64::{Engine, prelude::BASE64_STANDARD};
use gotmpl::Value as Go;
use sha2::{Digest, Sha256};

use super::{Functions, add, arg, from_go, number, text, to_go, to_json, to_yaml, wrong};

fn add_one(all: &mut Functions, name: &'static str, act: impl Fn(&str) -> String + Send + Sync + 'static) {
    add(all, name, move |args| Ok(act(&text(arg(name, args, 0)?)).into()));
}

/// A function of an option and a text: `trunc 5 "text"`.
fn add_two(all: &mut Functions, name: &'static str, act: impl Fn(&str, &str) -> Go + Send + Sync + 'static) {
    add(all, name, move |args| Ok(act(&text(arg(name, args, 0)?), &text(arg(name, args, 1)?))));
}

fn indent(by: &str, lines: &str) -> String {
    let pad = " ".repeat(by.parse().unwrap_or(0));
    lines.split('\n').map(|line| format!("{pad}{line}")).collect::<Vec<_>>().join("\n")
}

fn quoted(value: &Go) -> String {
    to_json(&text(value).into()).replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&")
}

fn trunc(by: &str, all: &str) -> String {
    let by: i64 = by.parse().unwrap_or(0);
    let count = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    let length = all.chars().count();
    if by < 0 {
        all.chars().skip(length.saturating_sub(count)).collect()
    } else {
        all.chars().take(count).collect()
    }
}

/// Whether a version fits a condition of Masterminds' semver, as far as single comparisons and their lists go.
fn version_fits(condition: &str, version: &str) -> Result<bool, String> {
    let parse = |text: &str| {
        let text = text.trim().trim_start_matches('v');
        let plain = text.split(['-', '+']).next().unwrap_or_default();
        let mut parts = plain.split('.').map(str::parse::<u64>);
        let mut next = || parts.next().transpose().map_err(|_| format!("Invalid Semantic Version: {text}"));
        let major = next()?.ok_or("Invalid Semantic Version")?;
        Ok::<_, String>((major, next()?.unwrap_or(0), next()?.unwrap_or(0)))
    };
    let have = parse(version)?;
    for part in condition.split(',').flat_map(str::split_whitespace) {
        let end = part.find(|c: char| c.is_ascii_digit() || c == 'v').unwrap_or(part.len());
        let wanted = parse(&part[end..])?;
        let fits = match &part[..end] {
            ">=" => have >= wanted,
            ">" => have > wanted,
            "<=" => have <= wanted,
            "<" => have < wanted,
            "" | "=" => have == wanted,
            "!=" => have != wanted,
            "^" => have.0 == wanted.0 && have >= wanted,
            "~" => (have.0, have.1) == (wanted.0, wanted.1) && have >= wanted,
            other => return Err(format!("the sandbox does not know the comparison {other}")),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

fn add_regex(all: &mut Functions) {
    let compile = |pattern: &str| {
        regex::Regex::new(pattern).map_err(|error| wrong(format!("error parsing regexp: {error}")))
    };
    add(all, "regexMatch", move |args| {
        let found = compile(&text(arg("regexMatch", args, 0)?))?.is_match(&text(arg("regexMatch", args, 1)?));
        Ok(Go::Bool(found))
    });
    add(all, "regexReplaceAll", move |args| {
        let (pattern, all, by) = (
            arg("regexReplaceAll", args, 0)?,
            arg("regexReplaceAll", args, 1)?,
            arg("regexReplaceAll", args, 2)?,
        );
        Ok(compile(&text(pattern))?.replace_all(&text(all), text(by).as_str()).into_owned().into())
    });
    add(all, "regexFind", move |args| {
        let (pattern, all) = (text(arg("regexFind", args, 0)?), text(arg("regexFind", args, 1)?));
        let found = compile(&pattern)?.find(&all).map(|it| it.as_str().to_owned());
        Ok(found.unwrap_or_default().into())
    });
}

pub fn fill(all: &mut Functions) {
    add_regex(all);
    add_one(all, "trim", |it| it.trim().to_owned());
    add_one(all, "upper", str::to_uppercase);
    add_one(all, "lower", str::to_lowercase);
    add_one(all, "nospace", |it| it.split_whitespace().collect());
    add_one(all, "title", |it| {
        let mut start = true;
        it.chars()
            .map(|c| {
                let new = if start { c.to_ascii_uppercase() } else { c };
                start = c.is_whitespace();
                new
            })
            .collect()
    });
    add_one(all, "b64enc", |it| BASE64_STANDARD.encode(it));
    add_one(all, "b64dec", |it| {
        let bytes = BASE64_STANDARD.decode(it).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    add_one(all, "sha256sum", |it| hex::encode(Sha256::digest(it)));
    add_one(all, "toString", str::to_owned);
    add_two(all, "indent", |by, it| indent(by, it).into());
    add_two(all, "nindent", |by, it| format!("\n{}", indent(by, it)).into());
    add_two(all, "trimSuffix", |cut, it| it.strip_suffix(cut).unwrap_or(it).into());
    add_two(all, "trimPrefix", |cut, it| it.strip_prefix(cut).unwrap_or(it).into());
    add_two(all, "trimAll", |cut, it| it.trim_matches(|c| cut.contains(c)).into());
    add_two(all, "trunc", |by, it| trunc(by, it).into());
    add_two(all, "contains", |part, it| Go::Bool(it.contains(part)));
    add_two(all, "hasPrefix", |part, it| Go::Bool(it.starts_with(part)));
    add_two(all, "hasSuffix", |part, it| Go::Bool(it.ends_with(part)));
    add_two(all, "repeat", |count, it| it.repeat(count.parse().unwrap_or(0)).into());
    add_two(all, "splitList", |by, it| it.split(by).map(Go::from).collect::<Vec<_>>().into());
    add(all, "split", |args| {
        let (by, it) = (text(arg("split", args, 0)?), text(arg("split", args, 1)?));
        let parts = it.split(by.as_str()).enumerate().map(|(at, part)| (format!("_{at}"), Go::from(part)));
        Ok(parts.collect::<std::collections::BTreeMap<_, _>>().into())
    });
    add(all, "replace", |args| {
        let (old, new) = (text(arg("replace", args, 0)?), text(arg("replace", args, 1)?));
        Ok(text(arg("replace", args, 2)?).replace(&old, &new).into())
    });
    add(all, "quote", |args| {
        let shown: Vec<String> = args.iter().filter(|it| !matches!(it, Go::Nil)).map(quoted).collect();
        Ok(shown.join(" ").into())
    });
    add(all, "squote", |args| {
        let shown: Vec<String> =
            args.iter().filter(|it| !matches!(it, Go::Nil)).map(|it| format!("'{}'", text(it))).collect();
        Ok(shown.join(" ").into())
    });
    add(all, "cat", |args| Ok(args.iter().map(text).collect::<Vec<_>>().join(" ").into()));
    add(all, "toYaml", |args| Ok(to_yaml(arg("toYaml", args, 0)?).into()));
    add(all, "toJson", |args| Ok(to_json(&from_go(arg("toJson", args, 0)?)).into()));
    for name in ["fromYaml", "fromJson", "fromYamlArray"] {
        add(all, name, move |args| {
            let read: Result<serde_json::Value, _> = yaml_serde::from_str(&text(arg(name, args, 0)?));
            read.map(|it| to_go(&it)).map_err(|error| wrong(error.to_string()))
        });
    }
    add(all, "semverCompare", |args| {
        let (condition, version) =
            (text(arg("semverCompare", args, 0)?), text(arg("semverCompare", args, 1)?));
        version_fits(&condition, &version).map(Go::Bool).map_err(wrong)
    });
    for name in ["int", "int64"] {
        add(all, name, move |args| Ok(Go::Int(number(arg(name, args, 0)?))));
    }
    add(all, "float64", |args| {
        let given = arg("float64", args, 0)?;
        Ok(Go::Float(given.as_float().unwrap_or_else(|| text(given).parse().unwrap_or(0.0))))
    });
    add(all, "add1", |args| Ok(Go::Int(number(arg("add1", args, 0)?).wrapping_add(1))));
    add_fold(all, "add", i64::wrapping_add);
    add_fold(all, "sub", i64::wrapping_sub);
    add_fold(all, "mul", i64::wrapping_mul);
    add_fold(all, "max", i64::max);
    add_fold(all, "min", i64::min);
    for (name, act) in [("div", i64::checked_div as fn(i64, i64) -> Option<i64>), ("mod", i64::checked_rem)] {
        add(all, name, move |args| {
            let done = act(number(arg(name, args, 0)?), number(arg(name, args, 1)?));
            done.map(Go::Int).ok_or_else(|| wrong("runtime error: integer divide by zero"))
        });
    }
}

fn add_fold(all: &mut Functions, name: &'static str, act: fn(i64, i64) -> i64) {
    add(all, name, move |args| {
        let first = number(arg(name, args, 0)?);
        Ok(Go::Int(args[1..].iter().map(number).fold(first, act)))
    });
}
