//! Puts rendered trees into Git repositories, and says how a repository differs from what was rendered.
//!
//! The `git` program does the talking. It is started with an argument list and never through a shell, sees none of the
//! caller's environment but what it needs, and gets its password through that one child's environment. Work happens in a
//! scratch repository that lives for one call, so nothing that a killed process left behind can be in the way.
//!
//! | room | what it holds |
//! |---|---|
//! | [`tree`] | files to publish, and the manifest that says which files in a repository are ours |
//! | [`remote`] | where a repository is and how to log in |
//! | [`compare`] | what stands in the branch against what should: a pure function |
//! | [`publish`] | the two calls: [`Git::observe`] and [`Git::publish`] |
//! | `program` | one run of `git`: environment, time limit, redaction |
//! | `scratch` | the repository of one call: fetch, read, commit, push |
//! | [`refusal`] | what went wrong, classified from the words of `git` |

pub mod compare;
mod program;
pub mod publish;
pub mod refusal;
pub mod remote;
mod scratch;
pub mod tree;

pub use publish::{CommitInfo, Git, History, Published, Repositories, Seen};
pub use refusal::GitError;
pub use remote::Remote;
pub use tree::{File, MANIFEST, Tree};
