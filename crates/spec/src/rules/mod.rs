//! What must hold beyond the form: references, uniqueness, and whether the wish can come true.
//!
//! | room | what it checks |
//! |---|---|
//! | [`names`] | names that are there twice, references that lead nowhere |
//! | [`places`] | Git, providers, clusters, networks, Argo CD |
//! | [`promotion`] | the chain of environments, the waves of a rollout, deliveries |
//! | [`recovery`] | whether backups can meet their objectives; limits on secrets and logs |
//! | [`addons`] | add-ons: order, versions, contracts, and who needs one |
//! | [`apart`] | tenants with clusters of their own; shares of traffic |
//! | [`trust`] | images, logins, secrets, versions of Kubernetes |
//! | [`collisions`] | derived names and hosts that more than one thing would have |

use crate::{platform::Platform, source::Issue};

mod addons;
mod apart;
mod collisions;
mod names;
mod places;
mod promotion;
mod recovery;
mod trust;

pub use places::ARGOCD_VERSIONS;

/// Everything that is wrong with a spec, in no particular order.
///
/// `whole` says that the form was right everywhere. Otherwise something harmless stands where something wrong was
/// written, and rules about what is derived from many places together would find what nobody wrote: they wait.
pub(crate) fn check(platform: &Platform, whole: bool) -> Vec<Issue> {
    let spec = &platform.spec;
    let mut issues = names::check(spec);
    let sound = whole && issues.is_empty();
    issues.extend(places::check(spec));
    issues.extend(promotion::check(spec));
    issues.extend(recovery::check(spec));
    issues.extend(addons::check(spec));
    issues.extend(trust::check(spec));
    if sound {
        issues.extend(promotion::coverage(spec));
        issues.extend(addons::needed(spec));
        issues.extend(apart::check(spec));
        issues.extend(collisions::check(platform));
    }
    issues
}
