//! Commented specs to begin with: what `platform init` writes.

use std::path::Path;

/// Providers that have a starter spec.
pub const STARTERS: [&str; 3] = ["sandbox", "kind", "existing"];

/// A commented `platform.yaml` for the blueprint `starter` on that provider, or nothing when there is none for it.
/// `state` is the state directory: its Git repositories are below it.
///
/// # Guarantees
/// It passes [`crate::parse`] without findings.
pub fn starter(provider: &str, state: &Path) -> Option<String> {
    match provider {
        "sandbox" => Some(within(include_str!("sandbox.yaml"), &state.join("sandbox"))),
        "kind" => Some(within(include_str!("kind.yaml"), state)),
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
        "kind" => starter(provider, &state.join("sandbox")),
        other => starter(other, state),
    }
}

fn within(text: &str, folder: &Path) -> String {
    text.replace("{folder}", &folder.display().to_string())
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
