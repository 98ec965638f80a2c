//! Patches, server-side apply, and who owns which field. Pure: no clock, no storage.
//!
//! | room | what it holds |
//! |---|---|
//! | [`update`] | who owns what after a create, an update or a patch |
//! | [`apply`] | server-side apply, its conflicts |
//! | [`json`], [`merge`], [`strategic`] | the three kinds of patches |
//! | [`patch`] | why a patch is refused |
//! | [`managed`] | `metadata.managedFields` |
//! | [`fields`] | sets of fields, as managedFields hold them |
//! | [`element`] | paths to fields |
//! | [`reset`] | what an endpoint does not let anybody write |
//! | [`decode`](mod@decode) | what Go makes of an object of a built-in kind |
//! | `last_applied` | how `kubectl apply --server-side` takes over from `kubectl apply` |
//! | `check` | whether a value has its shape |
//! | `compare`, `combine` | which fields differ; one object laid over another |
//! | `order` | the order of lists that strategic merge patches merge |
//! | `shapes`, `value` | values seen through their shapes, and as Go sees them |
//!
//! Managers of other versions than the one that is written are compared in that one: no fields are renamed.

pub mod apply;
pub mod decode;
pub mod element;
pub mod fields;
pub mod json;
pub mod managed;
#[expect(clippy::module_inception, reason = "the format is called JSON merge patch")]
pub mod merge;
pub mod patch;
pub mod reset;
pub mod strategic;
pub mod update;

mod check;
mod combine;
mod compare;
mod last_applied;
mod order;
mod shapes;
#[cfg(test)]
mod tests;
mod value;

pub use self::{
    apply::{Applied, ApplyError, Conflict},
    decode::{blank, decode},
    json::json_patch,
    managed::{keep_managers, keep_times},
    merge::merge_patch,
    patch::PatchError,
    reset::reset_fields,
    strategic::strategic_patch,
    update::Write,
};
