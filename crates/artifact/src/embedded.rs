//! Files that are part of this program, so that the starter platform comes up without a network.
//!
//! `embedded/NAME-VERSION.zst` is the pinned file, compressed by `zstd -19`; both projects publish theirs under the Apache
//! License 2.0. Their digests are checked like those of any other place.

use std::io;

use include_dir::{Dir, include_dir};

use crate::Artifact;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/embedded");

/// The bytes of an artifact, when they are part of this program.
pub(crate) fn read(artifact: &Artifact) -> io::Result<Option<Vec<u8>>> {
    let name = format!("{}-{}.zst", artifact.name, artifact.version);
    FILES.get_file(name).map(|file| zstd::decode_all(file.contents())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalogue;

    #[test]
    fn every_embedded_file_is_a_pinned_one() {
        let catalogue = Catalogue::embedded();
        let mut found = 0;
        for artifact in catalogue.iter() {
            if let Some(bytes) = read(artifact).expect("zstd") {
                artifact.check(&bytes, "embedded").expect("the pinned digest");
                found += 1;
            }
        }
        assert_eq!(found, FILES.files().count(), "a file that no artifact names");
        assert!(found > 1);
    }
}
