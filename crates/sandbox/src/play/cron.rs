//! Cron expressions as Go programs read them (github.com/robfig/cron, `ParseStandard`): five fields, names of months and
//! days, `@daily` and its like, `@every 1h30m`. Moments are in UTC.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Time, tz::TimeZone};

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cron {
    /// At moments of a calendar.
    Calendar(Box<Calendar>),
    /// Again and again after a time.
    Every(SignedDuration),
}

/// Which values each field takes; one bit for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    any_day: bool,
    any_weekday: bool,
}

/// A day that comes once in four years, and no four years without one but around 2100: nothing is further away.
const DAYS: usize = 9 * 366;

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// In the words of the Go library.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(every) = text.strip_prefix("@every ") {
            let every = go_duration(every).ok_or_else(|| format!("failed to parse duration {text}"))?;
            // Less than a second is a second.
            return Ok(Self::Every(SignedDuration::from_secs(every.as_secs().max(1))));
        }
        if text.starts_with('@') {
            return Err(format!("unrecognized descriptor: {text}"));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        let any =
            |field: &str| field.split(',').any(|part| matches!(part.split('/').next(), Some("*" | "?")));
        Ok(Self::Calendar(Box::new(Calendar {
            minutes: field(minutes, 0, 59, &[])?,
            hours: field(hours, 0, 23, &[])?,
            days: field(days, 1, 31, &[])?,
            months: field(months, 1, 12, MONTHS)?,
            weekdays: field(weekdays, 0, 6, WEEKDAYS)?,
            any_day: any(days),
            any_weekday: any(weekdays),
        })))
    }

    /// The first moment after another.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let calendar = match self {
            Self::Every(every) => return (whole(after) + *every).into(),
            Self::Calendar(calendar) => calendar,
        };
        let start = after.to_zoned(TimeZone::UTC).datetime();
        for (number, day) in start.date().series(1.day()).take(DAYS).enumerate() {
            if !calendar.has(day) {
                continue;
            }
            for hour in (0..24_i8).filter(|hour| calendar.hours >> hour & 1 == 1) {
                if number == 0 && hour < start.hour() {
                    continue;
                }
                for minute in (0..60_i8).filter(|minute| calendar.minutes >> minute & 1 == 1) {
                    let moment = day.to_datetime(Time::constant(hour, minute, 0, 0));
                    if moment > start {
                        return moment.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp());
                    }
                }
            }
        }
        None
    }
}

impl Calendar {
    fn has(&self, day: jiff::civil::Date) -> bool {
        let of_month = self.days >> day.day() & 1 == 1;
        let of_week = self.weekdays >> day.weekday().to_sunday_zero_offset() & 1 == 1;
        // When day and weekday are both restricted, either of them is enough.
        let today = if self.any_day || self.any_weekday { of_month && of_week } else { of_month || of_week };
        today && self.months >> day.month() & 1 == 1
    }
}

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let number = |word: &str| -> Result<u32, String> {
        if let Some(at) = names.iter().position(|name| word.eq_ignore_ascii_case(name)) {
            return Ok(low + u32::try_from(at).unwrap_or(0));
        }
        word.parse().map_err(|_| {
            format!("failed to parse int from {word}: strconv.Atoi: parsing \"{word}\": invalid syntax")
        })
    };
    let mut bits = 0;
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((_, step)) if step.contains('/') => return Err(format!("too many slashes: {part}")),
            Some((range, step)) => (range, Some(number(step)?)),
        };
        let (from, to) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (low, high),
            Some((_, to)) if to.contains('-') => return Err(format!("too many hyphens: {part}")),
            Some((from, to)) => (number(from)?, number(to)?),
            // `5/15` is from the fifth on.
            None if step.is_some() => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from < low {
            return Err(format!("beginning of range ({from}) below minimum ({low}): {part}"));
        }
        if to > high {
            return Err(format!("end of range ({to}) above maximum ({high}): {part}"));
        }
        if from > to {
            return Err(format!("beginning of range ({from}) beyond end of range ({to}): {part}"));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        for value in (from..=to).step_by(step as usize) {
            bits |= 1_u64 << value;
        }
    }
    Ok(bits)
}

/// A duration as Go writes it: `720h0m0s`, `1h30m`, `90s`.
pub fn go_duration(text: &str) -> Option<SignedDuration> {
    if text == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, unit) = rest.split_at(digits);
        let unit_end = unit.find(|letter: char| letter.is_ascii_digit()).unwrap_or(unit.len());
        let number: f64 = number.parse().ok()?;
        seconds += number
            * match &unit[..unit_end] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &unit[unit_end..];
    }
    (!text.is_empty()).then(|| SignedDuration::try_from_secs_f64(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_one_another() {
        for (expression, after, expected) in [
            ("0 3 * * *", "2026-11-21T03:00:00Z", "2026-11-22T03:00:00Z"),
            ("0 3 * * *", "2026-11-21T02:59:59Z", "2026-11-21T03:00:00Z"),
            ("*/15 * * * *", "2026-11-21T23:50:00Z", "2026-11-22T00:00:00Z"),
            ("0 0 29 feb *", "2026-11-21T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 1 1 * mon", "2026-11-21T00:00:00Z", "2026-11-23T01:30:00Z"),
            ("@daily", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("@every 1h30m", "2026-11-21T00:00:00.5Z", "2026-11-21T01:30:00Z"),
        ] {
            let next = Cron::parse(expression).expect(expression).next(after.parse().expect("a time"));
            assert_eq!(next, expected.parse().ok(), "{expression}");
        }
        assert_eq!(Cron::parse("0 0 31 2 *").expect("well-formed").next(Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn what_is_none_is_refused_in_the_known_words() {
        for (expression, words) in [
            ("nonsense", "expected exactly 5 fields, found 1: [nonsense]"),
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@never", "unrecognized descriptor: @never"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
        ] {
            assert_eq!(Cron::parse(expression).expect_err(expression), words);
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!(go_duration("720h0m0s"), Some(SignedDuration::from_hours(720)));
        assert_eq!(go_duration("1h30m"), Some(SignedDuration::from_mins(90)));
        assert_eq!((go_duration(""), go_duration("5"), go_duration("1d")), (None, None, None));
    }
}
