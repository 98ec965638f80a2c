//! Renders a blueprint into the trees of GitOps repositories.
//!
//! A blueprint is a folder: `blueprint.toml`, `params.schema.json`, `files/<repository role>/…` and `golden/`. A file
//! `*.tera` is rendered and loses the suffix; every other file is copied as it is, so a Helm chart stays a Helm chart.
//! Rendering sees the derived model, the parameters and pinned artifacts; never the clock, the network or chance, so
//! equal inputs give equal bytes.
//!
//! | room | what it holds |
//! |---|---|
//! | [`blueprint`] | [`Blueprint`]: loading one, [`Blueprint::render`] |
//! | [`manifest`] | `blueprint.toml` |
//! | [`tree`] | what comes out: [`Trees`], [`Tree`], digests |
//! | [`leaf`] | the Argo CD Applications that a tree asks for |
//! | [`lint`] | the rules that every tree must keep, rendered or not (G-10 …, X-08) |
//! | `scan` | the search for literal credentials (X-08) |

pub mod blueprint;
mod context;
pub mod error;
pub mod leaf;
pub mod lint;
mod lock;
pub mod manifest;
mod params;
mod paths;
mod render;
mod scan;
mod source;
pub mod tree;
mod yaml;

pub use blueprint::Blueprint;
pub use error::BlueprintError;
pub use leaf::{LeafApplication, leaf_applications};
pub use manifest::Manifest;
pub use tree::{File, Tree, Trees};
