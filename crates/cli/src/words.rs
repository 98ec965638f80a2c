//! Durations, moments and sums as people read them.

use jiff::Timestamp;
use platform_spec::report::Counts;

/// A duration in milliseconds, two units at most: `812 ms`, `3.2 s`, `3 m 12 s`, `2 h 5 m`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => two(ms / 60_000, "m", ms % 60_000 / 1_000, "s"),
        _ => two(ms / 3_600_000, "h", ms % 3_600_000 / 60_000, "m"),
    }
}

/// The second unit only when there is something of it.
fn two(whole: u64, unit: &str, rest: u64, small: &str) -> String {
    if rest == 0 { format!("{whole} {unit}") } else { format!("{whole} {unit} {rest} {small}") }
}

/// Words of others as a terminal may show them: without escape sequences and other control characters, which could
/// rewrite what stands above. Line breaks stay.
pub fn harmless(text: &str) -> String {
    let plain = anstream::adapter::strip_str(text).to_string();
    plain.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// How long the words of others may be within a line that is one of many.
const BRIEF: usize = 200;

/// The words of others in one line of moderate length: runs of blanks and line breaks become one blank, and what is too
/// long is cut. Whole they stand in the journal (`platform run events`) and in the causes of failures.
pub fn brief(text: &str) -> String {
    let line = harmless(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(BRIEF) {
        None => line,
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
    }
}

/// `1 error`, `2 errors`.
pub fn many(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A moment, to the second, UTC.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The sums that are not zero: `14 changed, 2 unchanged`.
pub fn counts(counts: &Counts) -> String {
    let sums = [
        (counts.changed, "changed"),
        (counts.unchanged, "unchanged"),
        (counts.skipped, "skipped"),
        (counts.failed, "failed"),
        (counts.pending, "pending"),
    ];
    let words: Vec<String> =
        sums.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if words.is_empty() { "nothing to do".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_of_others_cannot_draw_on_the_screen() {
        assert_eq!(super::harmless("a\u{1b}[2Jb\rc\nd\u{7}"), "ab c\nd");
    }

    #[test]
    fn words_of_others_in_one_line_are_brief() {
        assert_eq!(super::brief(" git failed:\n\n   remote: \u{1b}[31mno\t"), "git failed: remote: no");
        let cut = super::brief(&"é".repeat(300));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (201, true));
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let shown = [0, 999, 1_000, 59_999, 60_000, 3_599_999, 3_600_000, 90_000_000].map(super::duration);
        assert_eq!(shown, ["0 ms", "999 ms", "1.0 s", "59.9 s", "1 m", "59 m 59 s", "1 h", "25 h"]);
    }
}
