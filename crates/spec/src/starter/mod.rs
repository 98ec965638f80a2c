//! Commented specs to begin with: what `platform init` writes.

use std::path::Path;

/// Providers that have a starter spec.
pub const STARTERS: [&str; 2] = ["sandbox", "existing"];

/// A commented `platform.yaml` for the blueprint `starter` on that provider, or nothing when there is none for it.
/// `state` is the state directory: the sandbox has its Git repositories below it.
///
/// # Guarantees
/// It passes [`crate::parse`] without findings.
pub fn starter(provider: &str, state: &Path) -> Option<String> {
    match provider {
        "sandbox" => {
            let folder = state.join("sandbox").display().to_string();
            Some(include_str!("sandbox.yaml").replace("{sandbox}", &folder))
        }
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
            let text = starter(provider, Path::new("/var/lib/platform")).expect("listed");
            let parsed = crate::parse("platform.yaml", &text).expect("a starter has no errors");
            assert_eq!(parsed.findings, [], "{provider}");
        }
        assert_eq!(starter("moon", Path::new("/")), None);
    }
}
