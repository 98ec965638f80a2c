//! Amounts, as `500m`, `64Mi` and `1e3` write them.

use std::{cmp::Ordering, fmt, ops};

use serde_json::Value;

/// An amount, exact to a billionth.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    billionths: i128,
    form: Form,
}

/// In which family of suffixes it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `m`, `k`, `M`.
    Decimal,
    /// `Ki`, `Mi`.
    Binary,
    /// `e3`.
    Exponent,
}

const ONE: i128 = 1_000_000_000;
const BINARY: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: &[&str] = &["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { billionths: 0, form: Form::Decimal };

    /// So many.
    pub fn count(count: usize) -> Self {
        Self { billionths: i128::try_from(count).unwrap_or(i128::MAX / ONE) * ONE, form: Form::Decimal }
    }

    /// Reads a text; `None` for what is no amount, or larger than any.
    pub fn parse(text: &str) -> Option<Self> {
        let number =
            text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(number);
        let (negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && part.is_empty())
            || !(whole.to_owned() + part).bytes().all(|it| it.is_ascii_digit())
        {
            return None;
        }
        let (form, numerator, denominator) = scale(suffix)?;
        let mantissa: i128 = format!("{whole}{part}").parse().ok()?;
        let numerator = mantissa.checked_mul(numerator)?.checked_mul(ONE)?;
        let denominator = denominator.checked_mul(10_i128.checked_pow(u32::try_from(part.len()).ok()?)?)?;
        // What is finer than a billionth is rounded up, as the real server does.
        let billionths = numerator / denominator + i128::from(numerator % denominator != 0);
        Some(Self { billionths: if negative { -billionths } else { billionths }, form })
    }

    /// Reads a field: a text or a number. What is not there, or is no amount, is `None`.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    /// In thousandths, rounded up, of a field; what is no amount is nothing.
    pub fn thousandths(value: &Value) -> i128 {
        Self::of(value).map_or(0, |it| -(-it.billionths).div_euclid(1_000_000))
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.billionths == 0
    }

    /// How many times `other` goes into it.
    pub fn ratio(&self, other: &Self) -> f64 {
        // Amounts that people write down are far below where this loses anything they would see.
        self.billionths as f64 / other.billionths as f64
    }
}

/// A suffix as its family and the fraction that it stands for.
fn scale(suffix: &str) -> Option<(Form, i128, i128)> {
    if let Some(at) = BINARY.iter().skip(1).position(|it| *it == suffix) {
        return Some((Form::Binary, 1_i128.checked_shl(10 * (u32::try_from(at).ok()? + 1))?, 1));
    }
    if let Some(at) = DECIMAL.iter().position(|it| *it == suffix) {
        let power = 3 * (i32::try_from(at).ok()? - 3);
        let factor = 10_i128.checked_pow(power.unsigned_abs())?;
        return Some(if power < 0 { (Form::Decimal, 1, factor) } else { (Form::Decimal, factor, 1) });
    }
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let factor = 10_i128.checked_pow(power.unsigned_abs())?;
    Some(if power < 0 { (Form::Exponent, 1, factor) } else { (Form::Exponent, factor, 1) })
}

impl fmt::Display for Quantity {
    /// The shortest form without a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.billionths == 0 {
            return f.write_str("0");
        }
        let large = self.billionths.abs() >= 1024 * ONE;
        if self.form == Form::Binary && large && self.billionths % ONE == 0 {
            let (mut number, mut at) = (self.billionths / ONE, 0);
            while number % 1024 == 0 && at + 1 < BINARY.len() {
                number /= 1024;
                at += 1;
            }
            return write!(f, "{number}{}", BINARY[at]);
        }
        let (mut number, mut at) = (self.billionths, 0);
        while number % 1000 == 0 && at + 1 < DECIMAL.len() {
            number /= 1000;
            at += 1;
        }
        match (self.form, at) {
            (Form::Exponent, 3) => write!(f, "{number}"),
            (Form::Exponent, at) => write!(f, "{number}e{}", 3 * (i64::try_from(at).unwrap_or(0) - 3)),
            _ => write!(f, "{number}{}", DECIMAL[at]),
        }
    }
}

impl ops::Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let form = if self.is_zero() { other.form } else { self.form };
        Self { billionths: self.billionths.saturating_add(other.billionths), form }
    }
}

impl ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + Self { billionths: -other.billionths, form: other.form }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.billionths == other.billionths
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.billionths.cmp(&other.billionths)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_written_in_their_shortest_form() {
        for (text, shown) in [
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024", "1024"),
            ("1000", "1k"),
            ("512", "512"),
            ("0Gi", "0"),
            ("1e3", "1e3"),
            ("2E", "2E"),
            ("100Mi", "100Mi"),
            ("0.5Ki", "512"),
            ("-2", "-2"),
        ] {
            assert_eq!(Quantity::parse(text).map(|it| it.to_string()).as_deref(), Some(shown), "{text}");
        }
        for wrong in ["", "x", "1x", "1..2", "Mi", "--1", "1e", "99999999999999999999999999999999999E"] {
            assert!(Quantity::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn thousandths_are_rounded_up() {
        for (text, wanted) in [
            ("500m", 500),
            ("2", 2_000),
            ("1.5", 1_500),
            ("1Gi", 1_073_741_824_000),
            ("100u", 1),
            ("-2", -2_000),
            ("", 0),
        ] {
            assert_eq!(Quantity::thousandths(&text.into()), wanted, "{text}");
        }
        assert_eq!(Quantity::thousandths(&serde_json::json!(2)), 2_000);
    }

    #[test]
    fn sums_keep_the_form_of_what_was_there() {
        let of = |text: &str| Quantity::parse(text).expect("an amount");
        assert_eq!((of("1Gi") + of("512Mi")).to_string(), "1536Mi");
        assert_eq!((Quantity::ZERO + of("1Gi")).to_string(), "1Gi");
        assert_eq!((of("1") - of("250m")).to_string(), "750m");
        assert!(of("1Gi") > of("1G") && of("1000m") == of("1"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_reads_the_same(number in 0_u64..5_000_000, suffix in prop::sample::select(vec!["", "m", "u", "k", "M", "Ki", "Mi", "Gi", "e3", "e-3"])) {
            let read = Quantity::parse(&format!("{number}{suffix}")).expect("an amount");
            prop_assert_eq!(Quantity::parse(&read.to_string()), Some(read));
        }
    }
}
