//! When two texts or numbers say the same to Kubernetes.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

/// Whether a wished value and a live one say the same at this place of an object.
pub(super) fn same(wish: &Value, have: &Value, path: &[String], secret: bool) -> bool {
    if wish == have {
        return true;
    }
    let free_text = matches!(path.first().map(String::as_str), Some("data" | "binaryData" | "metadata"));
    match (wish, have) {
        (Value::Number(wish), Value::Number(have)) => wish.as_f64() == have.as_f64(),
        (Value::String(wish), Value::String(have)) if free_text => {
            let encoded = secret || path[0] == "binaryData";
            encoded && path[0] != "metadata" && decode(wish).is_some_and(|wish| decode(have) == Some(wish))
        }
        (Value::String(wish), Value::String(have)) => {
            (is_quantity(path) && quantity(wish).is_some_and(|wish| Some(wish) == quantity(have)))
                || go_duration(wish).is_some_and(|wish| Some(wish) == go_duration(have))
                || instant(wish).is_some_and(|wish| Some(wish) == instant(have))
        }
        // `cpu: 1` is written back as `cpu: "1"`.
        (Value::Number(wish), Value::String(have)) => {
            is_quantity(path) && quantity(&wish.to_string()).is_some_and(|wish| Some(wish) == quantity(have))
        }
        _ => false,
    }
}

/// Whether the API keeps quantities at this place. Elsewhere `1000m` is a text like any other.
fn is_quantity(path: &[String]) -> bool {
    const MAPS: &[&str] = &[
        "limits",
        "requests",
        "capacity",
        "hard",
        "default",
        "defaultRequest",
        "max",
        "min",
        "podFixed",
        "allocatable",
        "maxLimitRequestRatio",
    ];
    const FIELDS: &[&str] = &["sizeLimit", "divisor", "averageValue"];
    let mut back = path.iter().rev().map(String::as_str);
    let (last, parent) = (back.next(), back.next());
    last.is_some_and(|last| FIELDS.contains(&last)) || parent.is_some_and(|parent| MAPS.contains(&parent))
}

/// A quantity in thousandths of its base unit.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
fn quantity(text: &str) -> Option<i128> {
    let split =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(split);
    let nano: i128 = 1_000_000_000;
    let scale: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => nano,
        "k" => nano * 1_000,
        "M" => nano * 1_000_000,
        "G" => nano * 1_000_000_000,
        "T" => nano * 1_000_000_000_000,
        "P" => nano * 1_000_000_000_000_000,
        "E" => nano * 1_000_000_000_000_000_000,
        "Ki" => nano << 10,
        "Mi" => nano << 20,
        "Gi" => nano << 30,
        "Ti" => nano << 40,
        "Pi" => nano << 50,
        "Ei" => nano << 60,
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            nano.checked_mul(10_i128.checked_pow(power)?)?
        }
    };
    decimal(digits, scale)
}

/// `1.5` times a scale, if that is a whole number.
fn decimal(digits: &str, scale: i128) -> Option<i128> {
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let unit = 10_i128.checked_pow(part.len().try_into().ok()?)?;
    let total = number(whole)?.checked_mul(scale)?.checked_add(number(part)?.checked_mul(scale)? / unit)?;
    Some(if negative { -total } else { total })
}

/// A duration as Go writes it (`720h0m0s`), in nanoseconds.
fn go_duration(text: &str) -> Option<i128> {
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (digits, tail) = rest.split_at(split);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => return None,
        };
        total += decimal(digits, scale)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

fn instant(text: &str) -> Option<jiff::Timestamp> {
    // Only what has the shape of RFC 3339: a version such as `2024-01` is no time.
    (text.len() >= 20 && text.as_bytes()[10] == b'T').then(|| text.parse().ok()).flatten()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64.decode(packed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(path: &str, wish: Value, have: Value) -> bool {
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        same(&wish, &have, &path, true)
    }

    #[test]
    fn quantities_are_numbers_where_the_api_keeps_them() {
        for (wish, have) in [
            (json!("1000m"), json!("1")),
            (json!(1), json!("1")),
            (json!(0.5), json!("500m")),
            (json!("1024Mi"), json!("1Gi")),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!("1e3"), json!("1k")),
        ] {
            assert!(at("spec.resources.limits.cpu", wish.clone(), have.clone()), "{wish} {have}");
            assert!(!at("spec.image", wish, have));
        }
        assert!(!at("spec.resources.limits.cpu", json!("1000m"), json!("2")));
        assert!(!at("spec.resources.limits.memory", json!("1G"), json!("1Gi")));
        assert!(!at("data.limits.cpu", json!("1000m"), json!("1")));
    }

    #[test]
    fn durations_times_and_base64_have_many_spellings() {
        assert!(at("spec.ttl", json!("720h"), json!("720h0m0s")));
        assert!(!at("spec.ttl", json!("720h"), json!("721h")));
        assert!(at("spec.at", json!("2026-01-01T00:00:00Z"), json!("2026-01-01T01:00:00+01:00")));
        assert!(at("data.key", json!("aGVs\nbG8="), json!("aGVsbG8=")));
        assert!(!at("data.key", json!("aGVsbG8="), json!("aGVsbG9v")));
        assert!(at("spec.max", json!(1.0), json!(1)));
        assert!(!at("spec.port", json!("80"), json!(80)));
    }
}
