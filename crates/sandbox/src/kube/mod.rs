//! A Kubernetes API server, version 1.36.
//!
//! | room | what it holds |
//! |---|---|
//! | [`merge`] | patches, server-side apply, and who owns which field |
//! | [`published`] | what the Kubernetes project publishes about its API: kinds, OpenAPI documents |
//! | [`schema`] | shapes of objects, as merging, defaulting and validation need them |

pub mod merge;
pub mod published;
pub mod schema;
