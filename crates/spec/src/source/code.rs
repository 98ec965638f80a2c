//! The codes of findings about the spec. Each has a page in `docs/errors`.

use crate::Code;

/// The file is not YAML as it is read here.
pub(crate) const SYNTAX: Code = Code::new("P0001");
/// A key is there twice.
pub(crate) const TWICE_KEY: Code = Code::new("P0002");
/// A key is not known.
pub(crate) const UNKNOWN_KEY: Code = Code::new("P0003");
/// A key is missing.
pub(crate) const MISSING_KEY: Code = Code::new("P0004");
/// A value is of the wrong type.
pub(crate) const WRONG_TYPE: Code = Code::new("P0005");
/// A value does not have the form or size that is needed.
pub(crate) const NOT_ALLOWED: Code = Code::new("P0006");
/// A name is not an RFC 1123 label.
pub(crate) const BAD_NAME: Code = Code::new("P0007");
/// A secret stands in the clear.
pub(crate) const SECRET: Code = Code::new("P0008");
/// The apiVersion is not supported.
pub(crate) const API_VERSION: Code = Code::new("P0009");
/// A technology is not supported.
pub(crate) const REFUSED: Code = Code::new("P0010");
/// A reference leads nowhere.
pub(crate) const DANGLING: Code = Code::new("P0011");
/// A name is there twice.
pub(crate) const TWICE_NAME: Code = Code::new("P0012");
/// Networks overlap.
pub(crate) const OVERLAP: Code = Code::new("P0013");
/// Derived names collide.
pub(crate) const COLLISION: Code = Code::new("P0014");
/// A host name is wrong or wanted twice.
pub(crate) const HOST: Code = Code::new("P0015");
/// The promotion chain is unsafe.
pub(crate) const CHAIN: Code = Code::new("P0016");
/// The waves do not reach everything exactly once.
pub(crate) const WAVES: Code = Code::new("P0017");
/// A recovery objective cannot be met.
pub(crate) const INFEASIBLE: Code = Code::new("P0018");
/// A template has an unknown placeholder.
pub(crate) const PLACEHOLDER: Code = Code::new("P0019");
/// Argo CD cannot reach the Git URL.
pub(crate) const LOCAL_GIT: Code = Code::new("P0020");
/// Two clusters have the same cell.
pub(crate) const TWICE_CELL: Code = Code::new("P0021");
/// A tenant's data would leave its place.
pub(crate) const RESIDENCY: Code = Code::new("P0022");
/// A provider or cluster cannot be as described.
pub(crate) const PLACE: Code = Code::new("P0023");
/// The Argo CD asked for does not fit.
pub(crate) const ARGOCD: Code = Code::new("P0024");
/// A DNS zone cannot serve what is asked.
pub(crate) const ZONE: Code = Code::new("P0025");
/// An unquoted value means different things to different programs.
pub(crate) const AMBIGUOUS: Code = Code::new("P0026");
/// The schema and the types disagree.
pub(crate) const DISAGREE: Code = Code::new("P0027");
/// A limit on age or support is passed.
pub(crate) const LIMIT: Code = Code::new("P0028");
/// A delivery contradicts itself.
pub(crate) const DELIVERY: Code = Code::new("P0029");
