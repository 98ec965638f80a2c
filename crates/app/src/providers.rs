//! The providers that this program has.

use std::path::Path;

pub use platform_provider::Description;
use platform_spec::Failure;

use crate::doors;

/// What every provider says about itself, by kind.
///
/// # Errors
/// When one cannot be asked.
pub async fn describe() -> Result<Vec<Description>, Failure> {
    let mut descriptions = Vec::new();
    // Who describes itself reaches nobody, so where the sandbox is does not matter.
    for provider in doors::providers(Path::new("")) {
        descriptions.push(provider.describe().await?);
    }
    descriptions.sort_by(|a, b| a.kind.cmp(&b.kind));
    Ok(descriptions)
}
