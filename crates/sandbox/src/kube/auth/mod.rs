//! Who asks, and what they may.
//!
//! | room | what it holds |
//! |---|---|
//! | [`user`] | who asks |
//! | [`identity`] | the keys of a cluster, and credentials and kubeconfigs made with them |
//! | `token` | tokens of service accounts and of people |
//! | `authenticate`, `impersonate` | from credentials to a user, and from one user to another |
//! | [`rules`], [`rbac`], `escalation` | one rule; roles and bindings; nobody gives away what they do not have |
//! | `review` | questions about access |
//! | [`bootstrap`] | roles and bindings that every cluster begins with |

mod authenticate;
pub mod bootstrap;
mod escalation;
pub mod identity;
mod impersonate;
pub mod rbac;
mod review;
pub mod rules;
#[cfg(test)]
mod tests;
mod token;
pub mod user;

pub use authenticate::is_good;
pub(super) use authenticate::{Credentials, authenticate};
pub(super) use escalation::{check, is_about_rights};
pub use identity::{Credential, Identity};
pub(super) use impersonate::{Wanted, impersonate};
pub(super) use review::{answer, is_review};
pub(super) use token::{issuer_documents, of_secret, request};
pub use user::User;
