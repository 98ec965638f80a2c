//! Numbers that look random and are a function of a seed and a name: whoever asks in whatever order gets the same.

use sha2::{Digest, Sha256};

/// Where chance comes from. The same seed gives the same numbers, in any order of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    seed: u64,
}

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// 32 bytes that belong to a name.
    pub fn bytes(&self, name: &[&str]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        for part in name {
            // The length keeps ["a", "bc"] and ["ab", "c"] apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// A number of 64 bits that belongs to a name.
    pub fn number(&self, name: &[&str]) -> u64 {
        let bytes = self.bytes(name);
        u64::from_be_bytes(std::array::from_fn(|at| bytes[at]))
    }

    /// A number from 0 up to, and without, 1 that belongs to a name.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a double holds exactly")]
    pub fn fraction(&self, name: &[&str]) -> f64 {
        (self.number(name) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gives_the_same_number_and_others_give_others() {
        let chance = Chance::new(7);
        assert_eq!(chance.number(&["a", "bc"]), Chance::new(7).number(&["a", "bc"]));
        assert_ne!(chance.number(&["a", "bc"]), chance.number(&["ab", "c"]));
        assert_ne!(chance.number(&["a"]), Chance::new(8).number(&["a"]));
    }

    #[test]
    fn fractions_are_spread_over_the_whole_range() {
        let chance = Chance::new(1);
        let fractions: Vec<f64> = (0..1000).map(|n: i32| chance.fraction(&[&n.to_string()])).collect();
        assert!(fractions.iter().all(|f| (0.0..1.0).contains(f)));
        let below = fractions.iter().filter(|f| **f < 0.25).count();
        assert!((200..300).contains(&below), "{below} of 1000 are below a quarter");
    }
}
