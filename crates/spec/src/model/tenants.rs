//! Tenants, as they are kept apart.

use serde::{Deserialize, Serialize};

use super::{
    Cell,
    build::{push_new, words},
};
use crate::platform::{Spec, tenancy::Pattern};

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// How it is kept apart: its own way, else the platform's.
    pub isolation: Pattern,
    /// Its size.
    pub tier: Option<String>,
    /// Where its data may be; empty: anywhere.
    pub residency: Vec<String>,
    /// Its cells.
    pub cells: Vec<String>,
    /// The clusters of these.
    pub clusters: Vec<String>,
}

pub(super) fn tenants(spec: &Spec, cells: &[Cell]) -> Vec<Tenant> {
    let Some(tenancy) = &spec.tenancy else { return Vec::new() };
    let of = |tenant: &crate::platform::tenancy::Tenant| {
        let mut clusters = Vec::new();
        for cell in cells.iter().filter(|cell| tenant.cells.iter().any(|name| **name == *cell.name)) {
            push_new(&mut clusters, cell.cluster.clone());
        }
        Tenant {
            name: tenant.name.to_string(),
            isolation: tenant.isolation.unwrap_or(tenancy.pattern),
            tier: tenant.tier.as_ref().map(ToString::to_string),
            residency: words(&tenant.residency),
            cells: words(&tenant.cells),
            clusters,
        }
    };
    tenancy.tenants.iter().map(of).collect()
}
