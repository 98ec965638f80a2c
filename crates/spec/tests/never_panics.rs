//! Whatever a file holds, the parser answers with findings: it never panics and never hangs.

use platform_spec::{derive, parse};
use proptest::prelude::*;

const SEEDS: [&str; 3] = [
    include_str!("../../../tests/fixtures/specs/s0-enterprise.yaml"),
    include_str!("../../../tests/fixtures/specs/s3-saas-rollouts.yaml"),
    include_str!("../../../tests/fixtures/specs/s4-opsera-mcp.yaml"),
];

/// Reads a text, and when it is a spec, works out what it means.
fn read(text: &str) {
    if let Ok(parsed) = parse("platform.yaml", text) {
        derive(&parsed.platform);
    }
}

/// Pieces that YAML gives a meaning to, so that random text gets past the first line.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("apiVersion: platform.dev/v1alpha1\n".to_owned()),
        Just("kind: Platform\n".to_owned()),
        Just("spec:\n  ".to_owned()),
        Just("clusters: ".to_owned()),
        prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            ": ",
            ", ",
            "- ",
            "\n",
            "\n  ",
            "\"",
            "'",
            "|",
            ">",
            "&a ",
            "*a",
            "!t ",
            "---\n",
            "? ",
            "#",
            "\t",
            "~",
            "<<: ",
            "%YAML 1.2\n",
            "\u{feff}",
            "\0",
            "é",
        ])
        .prop_map(str::to_owned),
        "[a-z]{1,8}",
        "[0-9.:/-]{1,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_text_is_survived(text in ".{0,400}") {
        read(&text);
    }

    #[test]
    fn random_yaml_is_survived(pieces in prop::collection::vec(piece(), 0..60)) {
        read(&pieces.concat());
    }

    /// A good spec with a piece cut out and another put in: close enough to reach the rules and the derivation.
    #[test]
    fn a_damaged_spec_is_survived(
        seed in prop::sample::select(SEEDS.to_vec()),
        cut in 0.0..1.0_f64,
        length in 0..40_usize,
        put in piece(),
    ) {
        let from = seed.floor_char_boundary((cut * seed.len() as f64) as usize);
        let to = seed.floor_char_boundary((from + length).min(seed.len()));
        read(&format!("{}{put}{}", &seed[..from], &seed[to.max(from)..]));
    }

    /// What satisfies the schema satisfies the types: their disagreement (P0027) is never reported.
    #[test]
    fn schema_and_types_agree(
        seed in prop::sample::select(SEEDS.to_vec()),
        line in 0..110_usize,
        word in prop::sample::select(vec!["dev", "3", "-1", "99999999999", "true", "\"text\"", "[]", "{}", "[x]", "{a: b}", "1.5", "~", "10.0.0.0/8", "30s"]),
        nth in 0..12_usize,
    ) {
        // Puts the word in the place of the n-th value of a line.
        let text: Vec<String> = seed
            .lines()
            .enumerate()
            .map(|(at, text)| {
                let Some((start, _)) = text.match_indices(": ").nth(nth).filter(|_| at == line) else {
                    return text.to_owned();
                };
                let rest = &text[start + 2..];
                let end = rest.find([',', '}', ']', '{', '[', '#']).unwrap_or(rest.len());
                format!("{}: {word}{}", &text[..start], &rest[end..])
            })
            .collect();
        if let Err(findings) = parse("platform.yaml", &text.join("\n")) {
            prop_assert!(findings.iter().all(|finding| finding.code.as_str() != "P0027"), "{findings:#?}");
        }
    }
}

/// A file that is nested without end is refused and does not exhaust the stack.
#[test]
fn endless_nesting_is_refused() {
    for open in ["[", "{a: ", "- "] {
        let text = open.repeat(100_000);
        assert!(parse("platform.yaml", &text).is_err());
    }
}
