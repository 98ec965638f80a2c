//! Checksums and entity tags.

use base64::{Engine, engine::general_purpose::STANDARD};
use s3s::{
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Md5},
};
use serde::{Deserialize, Serialize};

use super::refusal::{Refusal, Result};

/// A kind of checksum, by the name it has in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// 32 bits.
    CRC32,
    /// 32 bits, Castagnoli.
    CRC32C,
    /// 64 bits; what objects get that come with none.
    CRC64NVME,
    /// 160 bits.
    SHA1,
    /// 256 bits.
    SHA256,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::CRC32, Self::CRC32C, Self::CRC64NVME, Self::SHA1, Self::SHA256];

    /// As requests and answers name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CRC32 => "CRC32",
            Self::CRC32C => "CRC32C",
            Self::CRC64NVME => "CRC64NVME",
            Self::SHA1 => "SHA1",
            Self::SHA256 => "SHA256",
        }
    }

    /// By its name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The checksum of some bytes, in base64.
    pub fn of(self, bytes: &[u8]) -> String {
        let mut hasher = ChecksumHasher::default();
        match self {
            Self::CRC32 => hasher.crc32 = Some(s3s::crypto::Crc32::new()),
            Self::CRC32C => hasher.crc32c = Some(s3s::crypto::Crc32c::new()),
            Self::CRC64NVME => hasher.crc64nvme = Some(s3s::crypto::Crc64Nvme::new()),
            Self::SHA1 => hasher.sha1 = Some(s3s::crypto::Sha1::new()),
            Self::SHA256 => hasher.sha256 = Some(s3s::crypto::Sha256::new()),
        }
        hasher.update(bytes);
        let sums = hasher.finalize();
        let one = [
            sums.checksum_crc32,
            sums.checksum_crc32c,
            sums.checksum_crc64nvme,
            sums.checksum_sha1,
            sums.checksum_sha256,
        ];
        one.into_iter().flatten().next().unwrap_or_default()
    }
}

/// The checksum of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Its kind.
    pub kind: Kind,
    /// Base64; of a composite one with `-PARTS`.
    pub value: String,
    /// A checksum of the parts' checksums, and not of the bytes.
    pub composite: bool,
}

/// What a writer says of the bytes it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// MD5 in base64.
    pub md5: Option<String>,
    /// Checksums in base64.
    pub sums: Vec<(Kind, String)>,
    /// The kind that it wants to be kept, though it says no value.
    pub wanted: Option<Kind>,
}

/// The MD5 of some bytes, in hex: the entity tag of what is uploaded in one piece.
pub fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::checksum(bytes))
}

/// Holds bytes against what was said of them, and gives the checksum to keep.
///
/// # Errors
/// `InvalidDigest`, `BadDigest`, `InvalidRequest`.
pub fn check(bytes: &[u8], claim: &Claim) -> Result<Sum> {
    if let Some(claimed) = &claim.md5 {
        let claimed = STANDARD.decode(claimed).ok().filter(|digest| digest.len() == 16);
        let claimed = claimed
            .ok_or_else(|| Refusal::saying("InvalidDigest", "The Content-MD5 you specified was invalid."))?;
        if claimed != Md5::checksum(bytes) {
            return Err(Refusal::of("BadDigest"));
        }
    }
    if claim.sums.len() > 1 {
        let why = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        return Err(Refusal::saying("InvalidRequest", why));
    }
    for (kind, claimed) in &claim.sums {
        if *claimed != kind.of(bytes) {
            let why = format!("The {} you specified did not match the calculated checksum.", kind.name());
            return Err(Refusal::saying("BadDigest", why));
        }
    }
    let kind = claim.sums.first().map(|(kind, _)| *kind).or(claim.wanted).unwrap_or(Kind::CRC64NVME);
    Ok(Sum { kind, value: kind.of(bytes), composite: false })
}

/// The entity tag of parts put together: the MD5 of their MD5s, and how many they are.
pub fn tag_of_parts<'a>(tags: impl IntoIterator<Item = &'a str>) -> String {
    let digests: Vec<Vec<u8>> = tags.into_iter().map(|tag| hex::decode(tag).unwrap_or_default()).collect();
    format!("{}-{}", md5(&digests.concat()), digests.len())
}

/// The checksum of parts' checksums.
pub fn composite<'a>(kind: Kind, sums: impl IntoIterator<Item = &'a str>) -> Sum {
    let sums: Vec<Vec<u8>> = sums.into_iter().map(|sum| STANDARD.decode(sum).unwrap_or_default()).collect();
    Sum { kind, value: format!("{}-{}", kind.of(&sums.concat()), sums.len()), composite: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the catalogue of CRC algorithms, for the nine bytes `123456789`.
    #[test]
    fn checksums_are_the_published_ones() {
        let of = |kind: Kind| hex::encode(STANDARD.decode(kind.of(b"123456789")).expect("base64"));
        assert_eq!(of(Kind::CRC32), "cbf43926");
        assert_eq!(of(Kind::CRC32C), "e3069283");
        assert_eq!(of(Kind::CRC64NVME), "ae8b14860a799888");
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(of(Kind::SHA1).starts_with("f7c3bc1d") && of(Kind::SHA256).starts_with("15e2b0d3"));
    }

    #[test]
    fn a_wrong_claim_is_refused() {
        let claim = |md5: Option<&str>, sums: &[(Kind, &str)]| Claim {
            md5: md5.map(str::to_owned),
            sums: sums.iter().map(|(kind, sum)| (*kind, (*sum).to_owned())).collect(),
            wanted: None,
        };
        let said = |claim| check(b"123456789", &claim).map(|sum| sum.kind).map_err(|refusal| refusal.code);
        assert_eq!(said(claim(None, &[])), Ok(Kind::CRC64NVME));
        assert_eq!(said(claim(None, &[(Kind::CRC32, "y/Q5Jg==")])), Ok(Kind::CRC32));
        assert_eq!(said(claim(None, &[(Kind::CRC32, "AAAAAA==")])), Err("BadDigest"));
        assert_eq!(said(claim(Some("1B2M2Y8AsgTpgAmY7PhCfg=="), &[])), Err("BadDigest"));
        assert_eq!(said(claim(Some("short"), &[])), Err("InvalidDigest"));
    }
}
