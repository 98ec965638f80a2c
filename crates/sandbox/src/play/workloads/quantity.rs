//! Quantities: `500m`, `2`, `1Gi`.

/// A quantity in thousandths: `500m` is 500, `2` is 2000. What is none is nothing.
///
/// Source: the API reference, "Quantity". Finer parts than a thousandth are rounded up, as everywhere in Kubernetes.
pub fn thousandths(text: &str) -> i128 {
    let text = text.trim();
    let (number, factor) = split(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let negative = whole.starts_with('-');
    let digits = |text: &str| text.trim_start_matches(['-', '+']).parse::<i128>().unwrap_or(0);
    // Nine places are as many as any quantity has.
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let billionths = (digits(whole) * 1_000_000_000 + digits(&fraction)) * factor.0;
    let divisor = 1_000_000 * factor.1;
    let rounded = (billionths + divisor - 1).div_euclid(divisor);
    if negative { -rounded } else { rounded }
}

/// The number, and what it is multiplied with and divided by.
fn split(text: &str) -> (&str, (i128, i128)) {
    const UNITS: &[(&str, i128, i128)] = &[
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
        ("n", 1, 1_000_000_000),
        ("u", 1, 1_000_000),
        ("m", 1, 1_000),
        ("k", 1_000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
    ];
    for (unit, times, by) in UNITS {
        if let Some(number) = text.strip_suffix(unit) {
            return (number, (*times, *by));
        }
    }
    match text.split_once(['e', 'E']) {
        Some((number, power)) => {
            let power: i32 = power.parse().unwrap_or(0);
            let ten = |power: i32| 10_i128.pow(power.clamp(0, 18).unsigned_abs());
            (number, (ten(power), ten(-power)))
        }
        None => (text, (1, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        for (text, wanted) in [
            ("500m", 500),
            ("2", 2_000),
            ("1.5", 1_500),
            ("0.1", 100),
            ("1Gi", 1_073_741_824_000),
            ("1k", 1_000_000),
            ("1e3", 1_000_000),
            ("100u", 1),
            ("-2", -2_000),
            ("", 0),
        ] {
            assert_eq!(thousandths(text), wanted, "{text}");
        }
    }
}
