//! The providers that this program has.

pub use platform_provider::Description;
use platform_spec::Failure;

use crate::doors;

/// What every provider says about itself, by kind.
///
/// # Errors
/// When one cannot be asked.
pub async fn describe() -> Result<Vec<Description>, Failure> {
    let mut descriptions = Vec::new();
    for provider in doors::providers() {
        descriptions.push(provider.describe().await?);
    }
    descriptions.sort_by(|a, b| a.kind.cmp(&b.kind));
    Ok(descriptions)
}
