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
/// An add-on cannot be as described.
pub(crate) const ADDON: Code = Code::new("P0031");
/// Something needs an add-on that is not there.
pub(crate) const NEEDS_ADDON: Code = Code::new("P0032");
/// A tenant would not be kept apart as it asks.
pub(crate) const ISOLATION: Code = Code::new("P0033");
/// Traffic cannot be shared out as described.
pub(crate) const TRAFFIC: Code = Code::new("P0034");
/// Backups would be lost together with what they save.
pub(crate) const STORE: Code = Code::new("P0035");
/// Where images come from contradicts itself, or is no longer kept.
pub(crate) const TRUST: Code = Code::new("P0036");
/// Who may log in is said too widely.
pub(crate) const LOGIN: Code = Code::new("P0037");
/// The way of secrets contradicts itself.
pub(crate) const SECRET_WAY: Code = Code::new("P0038");
/// A version of Kubernetes is not supported.
pub(crate) const KUBERNETES: Code = Code::new("P0039");
/// A contract would not be the same everywhere.
pub(crate) const CONTRACT: Code = Code::new("P0040");
