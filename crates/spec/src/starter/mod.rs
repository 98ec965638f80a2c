//! Commented specs to begin with: what `platform init` writes.

/// Providers that have a starter spec.
pub const STARTERS: [&str; 1] = ["existing"];

/// A commented `platform.yaml` for the blueprint `starter` on that provider, or nothing when there is none for it.
///
/// # Guarantees
/// It passes [`crate::parse`] without findings.
pub fn starter(provider: &str) -> Option<String> {
    match provider {
        "existing" => Some(include_str!("existing.yaml").to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_starter_validates_without_findings() {
        for provider in STARTERS {
            let text = starter(provider).expect("listed");
            let parsed = crate::parse("platform.yaml", &text).expect("a starter has no errors");
            assert_eq!(parsed.findings, [], "{provider}");
        }
        assert_eq!(starter("moon"), None);
    }
}
