//! What a plain scalar means, said once and without guessing.

use serde_json::Value;

/// What an unquoted text is.
#[derive(Debug, PartialEq)]
pub(super) enum Meaning {
    /// Nothing: empty, `~` or `null`.
    Nothing,
    /// A truth value, an integer, a fraction.
    Value(Value),
    /// A text.
    Text,
    /// YAML 1.1 and 1.2 read it differently; quoting or rewriting it settles the matter.
    Ambiguous(&'static str),
}

/// Reads an unquoted text by the core schema of YAML 1.2, and refuses what YAML 1.1 (Helm, kubectl) reads otherwise.
pub(super) fn meaning(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Nothing,
        "true" => return Meaning::Value(Value::Bool(true)),
        "false" => return Meaning::Value(Value::Bool(false)),
        "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Meaning::Ambiguous("write `true`, or put the text in quotes");
        }
        "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Meaning::Ambiguous("write `false`, or put the text in quotes");
        }
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Meaning::Text;
    }
    let all_digits = digits.bytes().all(|b| b.is_ascii_digit());
    if all_digits && digits.len() > 1 && digits.starts_with('0') {
        return Meaning::Ambiguous("leave the leading zero out, or put the text in quotes");
    }
    let radix = digits.starts_with("0x") || digits.starts_with("0o") || digits.starts_with("0b");
    if radix && digits.len() > 2 && digits[2..].bytes().all(|b| b.is_ascii_hexdigit()) {
        return Meaning::Ambiguous("write the number in decimal, or put the text in quotes");
    }
    if all_digits {
        return match (text.trim_start_matches('+').parse::<i64>(), digits.parse::<u64>()) {
            (Ok(number), _) => Meaning::Value(number.into()),
            (_, Ok(number)) if !text.starts_with('-') => Meaning::Value(number.into()),
            _ => Meaning::Ambiguous("the number is too large; put the text in quotes"),
        };
    }
    let fraction =
        digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(number) if fraction && number.is_finite() => Meaning::Value(number.into()),
        _ => Meaning::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_holds_and_nothing_is_guessed() {
        assert_eq!(meaning("true"), Meaning::Value(true.into()));
        assert_eq!(meaning("-17"), Meaning::Value((-17).into()));
        assert_eq!(meaning("1.5"), Meaning::Value(1.5.into()));
        assert_eq!(meaning("~"), Meaning::Nothing);
        for text in ["1.2.3", "10Gi", "2027-03-31", "dev", "-", ".", "1e", "0x", "10.0.0.0/16", "1-2"] {
            assert_eq!(meaning(text), Meaning::Text, "{text}");
        }
        for text in ["no", "Yes", "off", "0755", "0x1F", "0o17", "99999999999999999999"] {
            assert!(matches!(meaning(text), Meaning::Ambiguous(_)), "{text}");
        }
    }
}
