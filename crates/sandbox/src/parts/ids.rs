//! Ids as clouds give them.

use super::chance::Chance;

/// An id: a prefix, a `-` and so many hexadecimal digits (64 at most): `net-0f3a9c1d2e`. The nth of a prefix is always the
/// same one for a seed, and two are not the same as long as `digits` leaves room.
pub fn hex_id(chance: Chance, prefix: &str, nth: u64, digits: usize) -> String {
    let all = hex::encode(chance.bytes(&["id", prefix, &nth.to_string()]));
    format!("{prefix}-{}", all.get(..digits).unwrap_or(&all))
}

/// A UUID of version 4: the nth of its kind.
pub fn uuid(chance: Chance, kind: &str, nth: u64) -> String {
    let hex = hex::encode(chance.bytes(&["uuid", kind, &nth.to_string()]));
    // Version and variant stand at fixed places (RFC 9562, section 5.4).
    format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// A secret of 64 hexadecimal digits: the nth of its kind. Whoever knows the seed knows it; it guards an emulator only.
pub fn secret(chance: Chance, kind: &str, nth: u64) -> String {
    hex::encode(chance.bytes(&["secret", kind, &nth.to_string()]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_have_their_form_and_differ() {
        let chance = Chance::new(1);
        assert_eq!(hex_id(chance, "net", 1, 10).len(), "net-0123456789".len());
        assert_eq!(hex_id(chance, "net", 1, 100).len(), 4 + 64);
        let ids: BTreeSet<String> = (0..1000).map(|n| hex_id(chance, "net", n, 10)).collect();
        assert_eq!(ids.len(), 1000);
        assert_eq!(uuid(chance, "x", 1).len(), 36);
        assert_ne!(secret(chance, "key", 1), secret(chance, "key", 2));
    }
}
