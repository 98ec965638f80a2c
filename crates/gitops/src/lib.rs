//! Puts rendered trees into Git repositories.
