//! Pinned files from outside: cache, bundle, mirror, URL, digest.
