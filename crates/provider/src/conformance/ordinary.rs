//! Behaviours on ordinary days.

use crate::{Ensured, ExposeSecret, Observation, Ownership, Removed, resource::CONTROL_PLANE};
use platform_spec::{Class, report::Severity};

use super::{
    Broken, Verdict, bring_up, ensure_that,
    subject::{Subject, make_one, ordered, take_down, token},
};

/// The description says what it is, and the same each time.
pub async fn describes_itself(subject: &dyn Subject) -> Verdict {
    let first = subject.provider().describe().await?;
    ensure_that!(
        !first.kind.is_empty() && !first.summary.is_empty(),
        "it does not say what it is: {first:?}"
    );
    let second = subject.provider().describe().await?;
    ensure_that!(first == second, "two descriptions differ: {first:?} and {second:?}");
    Ok(())
}

/// The graph has ids, needs and an order, and is the same each time.
pub async fn graph_is_sound(subject: &dyn Subject) -> Verdict {
    let first = ordered(subject).await?;
    let second = ordered(subject).await?;
    ensure_that!(first == second, "two graphs of one request differ");
    for resource in &first {
        ensure_that!(!resource.title.is_empty(), "`{}` has no title", resource.id);
        ensure_that!(
            resource.deadline_ms >= resource.typical_ms,
            "`{}` ends before it usually ends",
            resource.id
        );
        ensure_that!(resource.call_timeout_ms > 0, "`{}` gives a call no time", resource.id);
    }
    Ok(())
}

/// Preflight on a good outside finds no error and changes nothing.
pub async fn preflight_changes_nothing(subject: &dyn Subject) -> Verdict {
    let before = subject.made_and_changed();
    let findings = subject.provider().preflight(&subject.cluster()).await?;
    if let Some(error) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(Broken(format!("a good outside was found wrong: {}", error.message)));
    }
    ensure_that!(subject.made_and_changed() == before, "preflight has changed something");
    Ok(())
}

/// Looking changes nothing and says the same twice, before anything is made and after.
pub async fn observe_is_pure(subject: &dyn Subject) -> Verdict {
    look_twice(subject).await?;
    bring_up(subject).await?;
    look_twice(subject).await
}

async fn look_twice(subject: &dyn Subject) -> Verdict {
    for resource in ordered(subject).await? {
        let call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        let before = subject.made_and_changed();
        let first = subject.provider().observe(&call).await?;
        let second = subject.provider().observe(&call).await?;
        ensure_that!(first == second, "looking twice at `{}`: {first:?}, then {second:?}", resource.id);
        ensure_that!(
            subject.made_and_changed() == before,
            "looking at `{}` has changed something",
            resource.id
        );
    }
    Ok(())
}

/// What was not made is absent.
pub async fn absent_before_it_is_made(subject: &dyn Subject) -> Verdict {
    for resource in ordered(subject).await? {
        let call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        let seen = subject.provider().observe(&call).await?;
        ensure_that!(
            seen == Observation::Absent,
            "`{}` was never made, and looking says {seen:?}",
            resource.id
        );
    }
    Ok(())
}

/// A long operation is begun, not waited for, and looked at by its operation until it is done.
pub async fn in_progress_is_polled(subject: &dyn Subject) -> Verdict {
    let mut ever = false;
    for resource in ordered(subject).await? {
        let call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        ever |= make_one(subject, &call).await?.1;
    }
    ensure_that!(ever, "nothing was ever in progress: give this subject transitions that take time");
    Ok(())
}

/// Ensuring what is as asked changes nothing, also in a later run with a token of its own.
pub async fn ensure_twice_changes_once(subject: &dyn Subject) -> Verdict {
    let calls = bring_up(subject).await?;
    let before = subject.made_and_changed();
    for call in calls {
        for token in [call.token.clone(), format!("{}-of-a-later-run", call.token)] {
            let mut call = call.clone();
            call.token = token;
            match subject.provider().ensure(&call).await? {
                Ensured::Done { changed: false, .. } => {}
                other => {
                    return Err(Broken(format!(
                        "`{}` is as asked, and ensuring says {other:?}",
                        call.resource
                    )));
                }
            }
        }
    }
    let after = subject.made_and_changed();
    ensure_that!(before == after, "made and changed were {before:?} and are {after:?}");
    Ok(())
}

/// Removing what is not there is done.
pub async fn remove_of_absent_is_ok(subject: &dyn Subject) -> Verdict {
    for resource in ordered(subject).await? {
        let call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        let removed = subject.provider().remove(&call).await?;
        ensure_that!(
            removed == Removed::Done,
            "`{}` is not there, and removing says {removed:?}",
            resource.id
        );
    }
    Ok(())
}

/// Down in reverse leaves nothing, and the cluster can be made again.
pub async fn down_leaves_nothing(subject: &dyn Subject) -> Verdict {
    for round in 1..=2 {
        let mut calls = bring_up(subject).await?;
        take_down(subject, &calls).await?;
        let left = subject.provider().list_owned(&subject.cluster().inventory()).await?;
        ensure_that!(left.is_empty(), "after down number {round} there is {left:?}");
        for call in &mut calls {
            call.operation = serde_json::Value::Null;
            let seen = subject.provider().observe(call).await?;
            ensure_that!(
                seen == Observation::Absent,
                "after down, looking at `{}` says {seen:?}",
                call.resource
            );
        }
    }
    Ok(())
}

/// What is used is not removed, and its users are named; a load balancer that the cluster made counts.
pub async fn blockers_are_named(subject: &dyn Subject) -> Verdict {
    let calls = bring_up(subject).await?;
    let before = subject.made_and_changed();
    let graph = ordered(subject).await?;
    for call in
        calls.iter().filter(|call| graph.iter().any(|resource| resource.needs.contains(&call.resource)))
    {
        let by = match subject.provider().remove(call).await {
            Ok(Removed::Blocked { by }) => by,
            Err(failure) if failure.class == Class::DependencyViolation => failure.blockers,
            other => return Err(Broken(format!("`{}` is used, and removing says {other:?}", call.resource))),
        };
        ensure_that!(!by.is_empty(), "`{}` is blocked by nobody in particular", call.resource);
    }
    let after = subject.made_and_changed();
    ensure_that!(before == after, "being blocked has changed something: {before:?}, {after:?}");
    Ok(())
}

/// The inventory finds every resource, and what hangs on them.
pub async fn list_owned_sees_everything(subject: &dyn Subject) -> Verdict {
    let calls = bring_up(subject).await?;
    let balancer = subject.put_load_balancer();
    let owned = subject.provider().list_owned(&subject.cluster().inventory()).await?;
    for call in &calls {
        let Observation::Present { thing, .. } = subject.provider().observe(call).await? else {
            return Err(Broken(format!("`{}` has gone by itself", call.resource)));
        };
        ensure_that!(
            owned.iter().any(|o| o.id == thing.external_id),
            "`{}` is not in {owned:?}",
            call.resource
        );
    }
    if let Some(name) = balancer {
        ensure_that!(owned.iter().any(|o| o.name == name), "the load balancer `{name}` is not in {owned:?}");
        let keeps = |o: &crate::Owned| o.blocked_by.iter().any(|by| by.contains(&name));
        ensure_that!(owned.iter().any(keeps), "nobody says that `{name}` keeps it: {owned:?}");
    }
    let mut everything = subject.cluster().inventory();
    everything.cluster = None;
    let all = subject.provider().list_owned(&everything).await?;
    ensure_that!(all.len() >= owned.len(), "the whole platform has less than one of its clusters");
    Ok(())
}

/// What was there before us is used, listed nowhere, and kept.
pub async fn adopted_is_never_deleted(subject: &dyn Subject) -> Verdict {
    ensure_that!(subject.put_foreign(CONTROL_PLANE), "this subject cannot hold anything foreign");
    let call = subject.cluster().call(CONTROL_PLANE, &token(CONTROL_PLANE), 1);
    let seen = |observation: &Observation| match observation {
        Observation::Present { thing, .. } => Some((thing.external_id.clone(), thing.ownership)),
        _ => None,
    };
    let before = seen(&subject.provider().observe(&call).await?);
    let Some((id, Ownership::Adopted)) = before.clone() else {
        return Err(Broken(format!("a foreign control plane is seen as {before:?}")));
    };
    match subject.provider().ensure(&call).await? {
        Ensured::Done { thing, changed: false } if thing.external_id == id => {}
        other => return Err(Broken(format!("ensuring a foreign control plane says {other:?}"))),
    }
    let owned = subject.provider().list_owned(&subject.cluster().inventory()).await?;
    ensure_that!(owned.iter().all(|o| o.id != id), "what is foreign is listed as ours: {owned:?}");
    match subject.provider().remove(&call).await? {
        Removed::Kept { why } => ensure_that!(!why.is_empty(), "it is kept without a reason"),
        other => return Err(Broken(format!("removing a foreign control plane says {other:?}"))),
    }
    let after = seen(&subject.provider().observe(&call).await?);
    ensure_that!(before == after, "a foreign control plane was {before:?} and is {after:?}");
    Ok(())
}

/// There is a kubeconfig once there is a control plane, and `Debug` does not show it.
pub async fn access_works(subject: &dyn Subject) -> Verdict {
    bring_up(subject).await?;
    let access = subject.provider().access(&subject.cluster()).await?;
    let yaml = access.kubeconfig().await?;
    let text = yaml.expose_secret();
    for key in ["clusters:", "contexts:", "users:"] {
        ensure_that!(text.contains(key), "the kubeconfig has no `{key}`");
    }
    let shown = format!("{access:?}");
    let secrets =
        text.lines().filter(|line| ["token:", "key-data:", "password:"].iter().any(|k| line.contains(k)));
    for secret in secrets.filter_map(|line| line.rsplit(' ').next()) {
        let secret = secret.trim_matches(['}', '"', '\'']);
        ensure_that!(
            !secret.is_empty() && !shown.contains(secret),
            "`Debug` shows a secret of the kubeconfig"
        );
    }
    Ok(())
}
