//! SHA-256, written in lower-case hexadecimal everywhere.

use sha2::{Digest, Sha256};

/// The digest of some bytes, 64 lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Where a file with this digest lies in the cache and in a bundle, relative to its root.
pub(crate) fn place(sha256: &str) -> String {
    format!("sha256/{sha256}")
}
