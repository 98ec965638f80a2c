//! Commented specs to begin with: what `platform init` writes.

use std::path::Path;

/// Providers that have a starter spec.
pub const STARTERS: [&str; 3] = ["sandbox", "kind", "existing"];

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
        "kind" => Some(include_str!("kind.yaml").to_owned()),
        "existing" => Some(include_str!("existing.yaml").to_owned()),
        _ => None,
    }
}

/// The same for a provider whose cloud is emulated, where that differs: nothing of it is outside of the sandbox.
///
/// # Guarantees
/// It passes [`crate::parse_emulated`] without findings.
pub fn emulated(provider: &str, state: &Path) -> Option<String> {
    match provider {
        "kind" => {
            let folder = state.join("sandbox").display().to_string();
            Some(include_str!("kind-emulated.yaml").replace("{sandbox}", &folder))
        }
        other => starter(other, state),
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
            let text = emulated(provider, Path::new("/var/lib/platform")).expect("listed");
            let parsed = crate::parse_emulated("platform.yaml", &text).expect("a starter has no errors");
            assert_eq!(parsed.findings, [], "{provider} emulated");
        }
        assert_eq!(starter("moon", Path::new("/")), None);
    }
}
