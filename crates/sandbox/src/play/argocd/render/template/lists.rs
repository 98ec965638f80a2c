//! Functions on lists and maps, and on what is there at all.

use std::{collections::BTreeMap, sync::Arc};

use gotmpl::Value as Go;

use super::{Functions, Result, add, arg, number, text, wrong};

type Fields = BTreeMap<Arc<str>, Go>;

fn list<'a>(name: &str, value: &'a Go) -> Result<&'a [Go]> {
    match value {
        Go::List(all) => Ok(all),
        Go::Nil => Ok(&[]),
        other => Err(wrong(format!("{name}: cannot use type {} as a list", other.type_name()))),
    }
}

fn map<'a>(name: &str, value: &'a Go) -> Result<&'a Fields> {
    match value {
        Go::Map(all) => Ok(all),
        other => Err(wrong(format!("{name}: cannot use type {} as a map", other.type_name()))),
    }
}

fn is_empty(value: &Go) -> bool {
    !value.is_truthy()
}

/// Fields of `other` below those of `base`, or over them.
fn merge(base: &Fields, other: &Fields, over: bool) -> Fields {
    let mut merged = base.clone();
    for (key, value) in other {
        let new = match (merged.get(key), value) {
            (Some(Go::Map(old)), Go::Map(new)) => Go::Map(Arc::new(merge(old, new, over))),
            (Some(old), _) if !over && !is_empty(old) => continue,
            _ => value.clone(),
        };
        merged.insert(key.clone(), new);
    }
    merged
}

fn kind(value: &Go) -> &'static str {
    match value {
        Go::Nil => "invalid",
        Go::Bool(_) => "bool",
        Go::Int(_) => "int64",
        Go::Uint(_) => "uint64",
        Go::Float(_) => "float64",
        Go::String(_) => "string",
        Go::List(_) => "slice",
        Go::Map(_) => "map",
        Go::Function(_) => "func",
    }
}

fn add_dict(all: &mut Functions) {
    add(all, "dict", |args| {
        let pairs = args.chunks(2).map(|pair| {
            (text(&pair[0]).into(), pair.get(1).cloned().unwrap_or_else(|| Go::String("".into())))
        });
        Ok(Go::Map(Arc::new(pairs.collect())))
    });
    add(all, "get", |args| {
        let found = map("get", arg("get", args, 0)?)?.get(text(arg("get", args, 1)?).as_str()).cloned();
        Ok(found.unwrap_or_else(|| Go::String("".into())))
    });
    add(all, "hasKey", |args| {
        let there =
            map("hasKey", arg("hasKey", args, 0)?)?.contains_key(text(arg("hasKey", args, 1)?).as_str());
        Ok(Go::Bool(there))
    });
    add(all, "keys", |args| {
        let mut keys = Vec::new();
        for it in args {
            keys.extend(map("keys", it)?.keys().map(|key| Go::String(key.clone())));
        }
        Ok(keys.into())
    });
    add(all, "values", |args| {
        Ok(map("values", arg("values", args, 0)?)?.values().cloned().collect::<Vec<_>>().into())
    });
    for (name, keep) in [("pick", true), ("omit", false)] {
        add(all, name, move |args| {
            let wanted: Vec<String> = args[1..].iter().map(text).collect();
            let fields = map(name, arg(name, args, 0)?)?.iter();
            let left = fields.filter(|(key, _)| wanted.iter().any(|it| **it == ***key) == keep);
            Ok(Go::Map(Arc::new(left.map(|(key, value)| (key.clone(), value.clone())).collect())))
        });
    }
    for (name, over) in [("merge", false), ("mergeOverwrite", true)] {
        add(all, name, move |args| {
            let mut merged = map(name, arg(name, args, 0)?)?.clone();
            for other in &args[1..] {
                merged = merge(&merged, map(name, other)?, over);
            }
            Ok(Go::Map(Arc::new(merged)))
        });
    }
    add(all, "dig", |args| {
        let [keys @ .., otherwise, fields] = args else {
            return Err(wrong("dig needs at least three arguments"));
        };
        let mut at = fields;
        for key in keys {
            match at {
                Go::Map(all) => match all.get(text(key).as_str()) {
                    Some(value) => at = value,
                    None => return Ok(otherwise.clone()),
                },
                _ => return Ok(otherwise.clone()),
            }
        }
        Ok(at.clone())
    });
    add(all, "deepCopy", |args| Ok(arg("deepCopy", args, 0)?.clone()));
}

fn add_list(all: &mut Functions) {
    for name in ["list", "tuple"] {
        add(all, name, |args| Ok(args.to_vec().into()));
    }
    add(all, "first", |args| Ok(list("first", arg("first", args, 0)?)?.first().cloned().unwrap_or(Go::Nil)));
    add(all, "last", |args| Ok(list("last", arg("last", args, 0)?)?.last().cloned().unwrap_or(Go::Nil)));
    add(all, "rest", |args| {
        let all = list("rest", arg("rest", args, 0)?)?;
        Ok(all.get(1..).unwrap_or_default().to_vec().into())
    });
    add(all, "initial", |args| {
        let all = list("initial", arg("initial", args, 0)?)?;
        Ok(all[..all.len().saturating_sub(1)].to_vec().into())
    });
    add(all, "append", |args| {
        let mut all = list("append", arg("append", args, 0)?)?.to_vec();
        all.push(arg("append", args, 1)?.clone());
        Ok(all.into())
    });
    add(all, "prepend", |args| {
        let mut all = vec![arg("prepend", args, 1)?.clone()];
        all.extend_from_slice(list("prepend", &args[0])?);
        Ok(all.into())
    });
    add(all, "concat", |args| {
        let mut all = Vec::new();
        for it in args {
            all.extend_from_slice(list("concat", it)?);
        }
        Ok(all.into())
    });
    add(all, "reverse", |args| {
        Ok(list("reverse", arg("reverse", args, 0)?)?.iter().rev().cloned().collect::<Vec<_>>().into())
    });
    add(all, "has", |args| {
        let wanted = arg("has", args, 0)?;
        Ok(Go::Bool(list("has", arg("has", args, 1)?)?.contains(wanted)))
    });
    for (name, unwanted) in [("uniq", false), ("without", true)] {
        add(all, name, move |args| {
            let mut kept: Vec<Go> = Vec::new();
            for it in list(name, arg(name, args, 0)?)? {
                let drop = if unwanted { args[1..].contains(it) } else { kept.contains(it) };
                if !drop {
                    kept.push(it.clone());
                }
            }
            Ok(kept.into())
        });
    }
    add(all, "compact", |args| {
        let all = list("compact", arg("compact", args, 0)?)?;
        Ok(all.iter().filter(|it| !is_empty(it)).cloned().collect::<Vec<_>>().into())
    });
    add(all, "sortAlpha", |args| {
        let mut all: Vec<String> = list("sortAlpha", arg("sortAlpha", args, 0)?)?.iter().map(text).collect();
        all.sort();
        Ok(all.into_iter().map(Go::from).collect::<Vec<_>>().into())
    });
    add(all, "join", |args| {
        let by = text(arg("join", args, 0)?);
        let parts: Vec<String> = match arg("join", args, 1)? {
            Go::List(all) => all.iter().map(text).collect(),
            one => vec![text(one)],
        };
        Ok(parts.join(&by).into())
    });
    add(all, "until", |args| Ok((0..number(arg("until", args, 0)?)).map(Go::Int).collect::<Vec<_>>().into()));
}

fn add_rest(all: &mut Functions) {
    add(all, "default", |args| {
        let given = args.get(1).filter(|it| !is_empty(it));
        Ok(given.unwrap_or(arg("default", args, 0)?).clone())
    });
    add(all, "empty", |args| Ok(Go::Bool(is_empty(arg("empty", args, 0)?))));
    add(all, "coalesce", |args| Ok(args.iter().find(|it| !is_empty(it)).cloned().unwrap_or(Go::Nil)));
    add(all, "ternary", |args| {
        let at = if arg("ternary", args, 2)?.is_truthy() { 0 } else { 1 };
        Ok(args[at].clone())
    });
    add(all, "fail", |args| Err(wrong(text(arg("fail", args, 0)?))));
    add(all, "required", |args| match arg("required", args, 1)? {
        Go::Nil => Err(wrong(text(&args[0]))),
        Go::String(it) if it.is_empty() => Err(wrong(text(&args[0]))),
        given => Ok(given.clone()),
    });
    add(all, "kindOf", |args| Ok(kind(arg("kindOf", args, 0)?).into()));
    add(all, "kindIs", |args| Ok(Go::Bool(text(arg("kindIs", args, 0)?) == kind(arg("kindIs", args, 1)?))));
}

pub fn fill(all: &mut Functions) {
    add_dict(all);
    add_list(all);
    add_rest(all);
}
