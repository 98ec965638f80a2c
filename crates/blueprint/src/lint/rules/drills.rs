//! G-17 (golden rule 8, S2-43): a backup that nobody has restored is a hope.
//!
//! A tree shows whether a drill is scheduled; whether it went well, `platform` cannot see there.

use yaml_serde::Value;

use super::Check;
use crate::{
    Tree,
    lint::{
        Found,
        sheet::{Part, Sheet, entries, is, items, name},
    },
};

/// By these words a schedule is known as one of drills.
const WORDS: [&str; 4] = ["drill", "restore", "rehears", "recovery-test"];

/// What is backed up, and whether a restore is tried often enough.
#[derive(Default)]
pub(super) struct Drills {
    backups: Vec<(String, u64, String)>,
    drilled: bool,
}

impl Check for Drills {
    fn sheet(&mut self, sheet: &Sheet<'_>, _found: &mut Found<'_>) {
        for object in sheet.objects() {
            let spec = &object["spec"];
            let rests = ["paused", "suspend"].iter().any(|key| spec[*key].as_bool() == Some(true));
            let backs_up =
                is(object, "velero.io", "Schedule") || is(object, "postgresql.cnpg.io", "ScheduledBackup");
            if backs_up && !rests {
                let name = name(object).to_owned();
                self.backups.push((sheet.path.to_owned(), sheet.line(&object["metadata"]["name"]), name));
            }
            let tries = is(object, "batch", "CronJob") || is(object, "argoproj.io", "CronWorkflow");
            if tries && !rests && is_drill(name(object)) {
                let several = items(&spec["schedules"]).chain([&spec["schedule"]]);
                self.drilled |= several.filter_map(Value::as_str).any(is_often_enough);
            }
            if object["apiVersion"].as_str().is_some_and(|version| version.starts_with("platform.dev/")) {
                let drills = items(&spec["backup"]["drills"]);
                self.drilled |= drills.filter_map(|drill| drill["cron"].as_str()).any(is_often_enough);
            }
        }
        if sheet.part == Part::Pipeline && is_drill(sheet.path) {
            self.drilled |= sheet.documents.iter().any(runs_often_enough);
        }
    }

    fn end(&mut self, _tree: &Tree, found: &mut Found<'_>) {
        for (path, line, name) in self.backups.iter().filter(|_| !self.drilled) {
            let message = format!("`{name}` makes backups, and no restore is tried every 92 days");
            found.at(path, *line, message);
        }
    }
}

fn is_drill(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Whether a pipeline has a schedule, as `on.schedule[].cron` of GitHub's, that is often enough.
fn runs_often_enough(value: &Value) -> bool {
    entries(value).any(|(key, inner)| match inner.as_str() {
        Some(cron) => key == "cron" && is_often_enough(cron),
        None => runs_often_enough(inner),
    }) || items(value).any(runs_often_enough)
}

/// Whether two times of a schedule never lie more than 92 days apart. Only the months can make it so: whatever the days,
/// three months from the first of one are 92 days at most.
fn is_often_enough(cron: &str) -> bool {
    match cron.trim() {
        "@hourly" | "@daily" | "@midnight" | "@weekly" | "@monthly" => return true,
        text if text.starts_with('@') => return false,
        _ => {}
    }
    let Some(months) = cron.split_whitespace().nth(3) else { return false };
    let mut named: Vec<u32> = Vec::new();
    for part in months.split(',') {
        let (range, step) = part.split_once('/').unwrap_or((part, "1"));
        let Ok(step) = step.parse::<u32>() else { return false };
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (month(from), month(to)),
            None if range == "*" => (Some(1), Some(12)),
            None => (month(range), month(range)),
        };
        let (Some(from), Some(to)) = (from, to) else { return false };
        named.extend((from..=to).step_by(step.max(1) as usize));
    }
    named.sort_unstable();
    let Some(first) = named.first().copied() else { return false };
    let next = named.iter().skip(1).copied().chain([first + 12]);
    named.iter().zip(next).all(|(month, next)| next - month <= 3)
}

fn month(text: &str) -> Option<u32> {
    const NAMES: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let text = text.to_ascii_lowercase();
    let named = NAMES.iter().position(|name| *name == text).map(|at| at as u32 + 1);
    named.or_else(|| text.parse().ok()).filter(|month| (1..=12).contains(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_often_enough_or_not() {
        for cron in
            ["0 2 * * *", "0 0 1 */3 *", "0 10 * * 6", "0 0 1 jan,apr,jul,oct *", "0 0 1 1-12/2 *", "@weekly"]
        {
            assert!(is_often_enough(cron), "{cron}");
        }
        for cron in ["0 0 1 */4 *", "0 0 1 1 *", "0 0 1 1,4,7 *", "@yearly", "0 0 1 13 *", "never", ""] {
            assert!(!is_often_enough(cron), "{cron}");
        }
    }
}
