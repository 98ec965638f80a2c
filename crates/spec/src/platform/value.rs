//! The small values of the spec: names, durations, quantities, networks.
//!
//! Each carries its form in its JSON Schema, and that is the only place where the form is said: the parser checks the
//! text of the file against the schema, an editor does the same while a person types.

use std::{borrow::Cow, fmt, ops::Deref, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A free-form map: Helm values, blueprint parameters, provider configuration.
pub type Values = serde_json::Map<String, serde_json::Value>;

/// RFC 1123 label: lower-case letters, digits and `-`, at most 63 characters.
pub const LABEL: &str = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$";
/// The value of a Kubernetes label.
pub const LABEL_VALUE: &str = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// `MAJOR.MINOR.PATCH` with an optional pre-release.
pub const SEMVER: &str = r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$";
/// `MAJOR.MINOR` of Kubernetes, with an optional patch.
pub const KUBERNETES_VERSION: &str = r"^1\.[0-9]+(\.[0-9]+)?$";
/// A calendar date.
pub const DATE: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is; the parser has checked its form.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text! {
    /// A name or a reference to one: an RFC 1123 label.
    Name, {"type": "string", "format": "rfc1123-label", "pattern": LABEL}
}
text! {
    /// A network, `10.0.0.0/16`.
    Cidr, {"type": "string", "format": "cidr"}
}
text! {
    /// A cron expression of five fields.
    Cron, {"type": "string", "format": "cron"}
}
text! {
    /// A calendar date, `2027-03-31`.
    Date, {"type": "string", "format": "date", "pattern": DATE}
}
text! {
    /// A naming template such as `{tenant}-{app}-{cell}`.
    Template, {"type": "string", "format": "template"}
}
text! {
    /// How long something is kept: a duration that may also use `w` (7 d), `mo` (30 d) and `y` (365 d).
    Retention, {"type": "string", "format": "retention", "pattern": "^([0-9]+(s|m|h|d|w|mo|y))+$"}
}
text! {
    /// A platform of images, `linux/arm64`.
    ImagePlatform, {"type": "string", "pattern": "^linux/(amd64|arm64)$"}
}
text! {
    /// A tenant's name, or `*` for every tenant not named elsewhere.
    TenantSelector, {"type": "string", "pattern": r"^(\*|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)$"}
}
text! {
    /// Why a change is taken back: `health-failed`, `analysis-failed`, `error-budget-burn>10%`.
    RollbackTrigger, {
        "type": "string",
        "pattern": "^(health-failed|analysis-failed|error-budget-burn>[0-9]{1,3}%)$",
    }
}

impl Retention {
    /// In whole days, rounded down.
    pub fn days(&self) -> u64 {
        let mut seconds = 0_u64;
        let mut rest = self.as_str();
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let unit = rest[digits..].bytes().take_while(|b| !b.is_ascii_digit()).count();
            let each: u64 = match &rest[digits..digits + unit] {
                "y" => 365 * 86_400,
                "mo" => 30 * 86_400,
                "w" => 7 * 86_400,
                "d" => 86_400,
                "h" => 3600,
                "m" => 60,
                _ => 1,
            };
            seconds = seconds.saturating_add(rest[..digits].parse().unwrap_or(u64::MAX).saturating_mul(each));
            rest = &rest[digits + unit..];
        }
        seconds / 86_400
    }
}

/// A Kubernetes quantity, `100m`, `8Gi` or a bare number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(String);

impl Quantity {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "quantity",
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        })
    }
}

/// A length of time, in milliseconds; written as `30s`, `24h`, `1h30m`, `7d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    ms: u64,
}

/// A text that is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write numbers with d, h, m or s, such as 168h or 1h30m")]
pub struct NotADuration;

const SECOND_MS: u64 = 1000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

impl Duration {
    /// That many milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    /// That many hours.
    pub const fn from_hours(hours: u64) -> Self {
        Self { ms: hours * HOUR_MS }
    }

    /// In milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.ms
    }

    /// In whole seconds, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.ms / SECOND_MS
    }
}

impl FromStr for Duration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let mut rest = text;
        let mut ms = 0_u64;
        if rest.is_empty() {
            return Err(NotADuration);
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number: u64 = rest[..digits].parse().map_err(|_| NotADuration)?;
            let unit = match rest.as_bytes().get(digits) {
                Some(b'd') => DAY_MS,
                Some(b'h') => HOUR_MS,
                Some(b'm') => MINUTE_MS,
                Some(b's') => SECOND_MS,
                _ => return Err(NotADuration),
            };
            ms = number.checked_mul(unit).and_then(|part| ms.checked_add(part)).ok_or(NotADuration)?;
            rest = &rest[digits + 1..];
        }
        Ok(Self { ms })
    }
}

impl TryFrom<String> for Duration {
    type Error = NotADuration;

    fn try_from(text: String) -> Result<Self, NotADuration> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(length: Duration) -> Self {
        length.to_string()
    }
}

impl fmt::Display for Duration {
    /// In hours, minutes and seconds, as Kubernetes and Velero read it (they know no days): `168h`, `1h30m`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) =
            (self.ms / HOUR_MS, self.ms % HOUR_MS / MINUTE_MS, self.ms % MINUTE_MS / SECOND_MS);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || (hours == 0 && minutes == 0) {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "duration-hms", "pattern": "^([0-9]+[dhms])+$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up_their_parts_and_print_without_days() {
        assert_eq!("1h30m".parse(), Ok(Duration::from_ms(90 * MINUTE_MS)));
        assert_eq!("7d".parse::<Duration>().map(|d| d.to_string()), Ok("168h".to_owned()));
        assert_eq!(Duration::from_ms(90_061_000).to_string(), "25h1m1s");
        assert_eq!(Duration::from_ms(0).to_string(), "0s");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "h", "5", "5 h", "5w", "-1h", "99999999999999999999d", "5µs"] {
            assert_eq!(text.parse::<Duration>(), Err(NotADuration), "{text}");
        }
    }
}
