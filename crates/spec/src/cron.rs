//! Cron expressions of five fields: whether one is well-formed, its moments, and how far apart they can be.

use jiff::{
    ToSpan,
    civil::{Date, DateTime, date},
};

use crate::platform::Duration;

/// Lowest and highest value of each field: minute, hour, day, month, weekday (0 and 7 are Sunday).
const BOUNDS: [(u8, u8); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
/// Long enough to see every month of a normal and a leap year twice.
const DAYS_LOOKED_AT: usize = 4 * 366;
const MINUTES_A_DAY: u64 = 24 * 60;

/// A cron expression. The words that some parsers also take (`@daily`, names of days) are refused, so that a schedule
/// reads the same everywhere it is used.
pub struct Schedule {
    fields: [Vec<bool>; 5],
    any_day: bool,
    any_weekday: bool,
}

impl Schedule {
    /// Reads an expression; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let parts: [&str; 5] = parts.try_into().ok()?;
        let mut fields = std::array::from_fn(|_| vec![false; 60]);
        for ((field, text), bounds) in fields.iter_mut().zip(parts).zip(BOUNDS) {
            for part in text.split(',') {
                set(field, part, bounds)?;
            }
        }
        fields[4][0] |= fields[4][7];
        Some(Self { fields, any_day: parts[2] == "*", any_weekday: parts[4] == "*" })
    }

    /// The first moment after a time, on the clock of the place whose time it is; `None` when there is none within
    /// eight years (29 February can be that far away).
    pub fn next_after(&self, time: DateTime) -> Option<DateTime> {
        let days = time.date().series(1.day()).take(2 * DAYS_LOOKED_AT);
        days.filter(|day| self.on(*day)).find_map(|day| self.moments(day).find(|moment| *moment > time))
    }

    /// The last moment that is not after a time; as [`Self::next_after`].
    pub fn last_until(&self, time: DateTime) -> Option<DateTime> {
        let days = time.date().series(-1.day()).take(2 * DAYS_LOOKED_AT);
        days.filter(|day| self.on(*day))
            .find_map(|day| self.moments(day).filter(|moment| *moment <= time).last())
    }

    fn moments(&self, day: Date) -> impl Iterator<Item = DateTime> {
        let hours = (0..24_i8).filter(|hour| self.fields[1][hour.unsigned_abs() as usize]);
        hours.flat_map(move |hour| {
            let minutes = (0..60_i8).filter(|minute| self.fields[0][minute.unsigned_abs() as usize]);
            minutes.map(move |minute| day.at(hour, minute, 0, 0))
        })
    }

    fn on(&self, day: Date) -> bool {
        let of_month = self.fields[2][day.day() as usize];
        let of_week = self.fields[4][day.weekday().to_sunday_zero_offset() as usize];
        // Cron's old rule: when day and weekday are both restricted, either of them is enough.
        let today = if self.any_day || self.any_weekday { of_month && of_week } else { of_month || of_week };
        today && self.fields[3][day.month() as usize]
    }

    /// The longest time between two of its moments, in UTC; nothing when it has fewer than two in four years.
    pub(crate) fn longest_gap(&self) -> Option<Duration> {
        let moments: Vec<u64> = (0..24_u64)
            .filter(|hour| self.fields[1][*hour as usize])
            .flat_map(|hour| (0..60_u64).map(move |minute| (hour, minute)))
            .filter(|(_, minute)| self.fields[0][*minute as usize])
            .map(|(hour, minute)| hour * 60 + minute)
            .collect();
        let mut before: Option<u64> = None;
        let mut longest = None;
        let days = date(2024, 1, 1).series(1.day()).take(DAYS_LOOKED_AT);
        for (start, day) in (0_u64..).step_by(MINUTES_A_DAY as usize).zip(days) {
            if !self.on(day) {
                continue;
            }
            for moment in &moments {
                let now = start + moment;
                longest = longest.max(before.map(|before| now - before));
                before = Some(now);
            }
        }
        longest.map(|minutes| Duration::from_ms(minutes * 60_000))
    }
}

fn set(field: &mut [bool], part: &str, (low, high): (u8, u8)) -> Option<()> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u8>().ok().filter(|n| digits && (low..=high).contains(n))
    };
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0)?),
        None => (part, 1),
    };
    let (from, to) = match range.split_once('-') {
        _ if range == "*" => (low, high),
        Some((from, to)) => (number(from)?, number(to)?),
        None if part.contains('/') => (number(range)?, high),
        None => (number(range)?, number(range)?),
    };
    if from > to {
        return None;
    }
    for value in (from..=to).step_by(usize::from(step)) {
        field[usize::from(value)] = true;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_checked_field_by_field() {
        for good in
            ["0 2 * * *", "0 */4 * * *", "0 0 1 */3 *", "0 6 * * 1-5", "0,30 10 * * 6", "5/10 * * * 7"]
        {
            assert!(Schedule::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "0 2 * *",
            "60 2 * * *",
            "@daily",
            "0 2 * * MON",
            "a b c d e",
            "0 2 0 * *",
            "*/0 * * * *",
            "5-1 * * * *",
        ] {
            assert!(Schedule::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn moments_before_and_after_a_time() {
        let of = |text: &str, at: &str| {
            let (schedule, at) = (Schedule::parse(text).expect("well-formed"), at.parse().expect("a time"));
            let text = |it: Option<DateTime>| it.map(|it| it.to_string()).unwrap_or_default();
            (text(schedule.last_until(at)), text(schedule.next_after(at)))
        };
        let pair = |last: &str, next: &str| (last.to_owned(), next.to_owned());
        assert_eq!(
            of("*/15 * * * *", "2026-03-01T10:15:00"),
            pair("2026-03-01T10:15:00", "2026-03-01T10:30:00")
        );
        assert_eq!(
            of("0 2 * * 1", "2026-03-01T10:15:30"),
            pair("2026-02-23T02:00:00", "2026-03-02T02:00:00")
        );
        assert_eq!(
            of("0 0 29 2 *", "2026-01-01T00:00:00"),
            pair("2024-02-29T00:00:00", "2028-02-29T00:00:00")
        );
        assert_eq!(of("0 0 31 2 *", "2026-01-01T00:00:00"), pair("", ""));
    }

    #[test]
    fn the_longest_gap_is_the_one_that_counts() {
        let minutes = |text: &str| Schedule::parse(text)?.longest_gap().map(|gap| gap.as_ms() / 60_000);
        assert_eq!(minutes("0 2 * * *"), Some(1440));
        assert_eq!(minutes("0 * * * *"), Some(60));
        assert_eq!(minutes("0 */4 * * *"), Some(240));
        assert_eq!(minutes("*/7 * * * *"), Some(7));
        assert_eq!(minutes("0 6 * * 1-5"), Some(3 * 1440), "over the weekend");
        assert_eq!(minutes("0 0 1 */3 *"), Some(92 * 1440));
        assert_eq!(minutes("0 0 1,15 * 6"), Some(7 * 1440), "day or weekday");
        assert_eq!(minutes("0 0 31 2 *"), None, "never");
    }
}
