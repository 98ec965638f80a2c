//! Behaviours on bad days. Most need a subject with faults.

use std::collections::BTreeMap;

use crate::{Observation, Removed, ResourceCall, Retry};
use platform_spec::{Class, report::Severity};
use serde_json::Value;

use super::fault::{Fault, Verb, What};
use super::{
    Broken, Verdict, bring_up, ensure_that,
    subject::{Subject, counted, inject, look_until_settled, make_one, ordered, own, token},
};

const CLASSES: [Class; 11] = [
    Class::Retryable,
    Class::Throttled,
    Class::Capacity,
    Class::Quota,
    Class::AuthExpired,
    Class::Forbidden,
    Class::ConflictInProgress,
    Class::DependencyViolation,
    Class::NotFound,
    Class::Config,
    Class::Bug,
];

/// Every refusal arrives with its class and its original words, at every verb, and nothing has changed by it.
pub async fn refusals_are_classified(subject: &dyn Subject) -> Verdict {
    let Some(first) = ordered(subject).await?.into_iter().next() else { return Ok(()) };
    let call = subject.cluster().call(&first.id, &token(&first.id), 1);
    let before = counted(subject)?;
    for class in CLASSES {
        for verb in [Verb::Observe, Verb::Ensure, Verb::Remove] {
            inject(subject, Fault::on(verb, &first.id, What::Refuse(class)))?;
            let provider = subject.provider();
            let refused = match verb {
                Verb::Observe => provider.observe(&call).await.err(),
                Verb::Ensure => provider.ensure(&call).await.err(),
                _ => provider.remove(&call).await.err(),
            };
            let Some(failure) = refused else {
                return Err(Broken(format!("{verb:?} was refused as {class}, and says that all is well")));
            };
            ensure_that!(
                failure.class == class,
                "{verb:?} was refused as {class} and reported as {}",
                failure.class
            );
            ensure_that!(!failure.causes.is_empty(), "the original words of {class} are lost: {failure:?}");
            ensure_that!(failure.code.as_str().starts_with('P'), "`{}` is no code", failure.code);
            if class == Class::DependencyViolation {
                ensure_that!(!failure.blockers.is_empty(), "a dependency violation names no blockers");
            }
        }
    }
    let after = counted(subject)?;
    ensure_that!(before == after, "refused calls have changed something: {before:?}, {after:?}");
    Ok(())
}

/// A process that is killed before it has recorded what it began: the next one finds it without being told, and asking
/// again makes no second.
pub async fn killed_before_it_was_recorded(subject: &dyn Subject) -> Verdict {
    let mut outputs: BTreeMap<String, Value> = BTreeMap::new();
    for resource in ordered(subject).await? {
        let mut call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        call.outputs =
            resource.needs.iter().filter_map(|need| outputs.get_key_value(need)).map(own).collect();
        let before = subject.made_and_changed();
        // What it answers dies with the process.
        drop(subject.provider().ensure(&call).await?);
        match subject.provider().observe(&call).await? {
            Observation::Present { .. } | Observation::InProgress(_) => {}
            other => return Err(Broken(format!("`{}` was begun, and looking says {other:?}", resource.id))),
        }
        let (output, _) = make_one(subject, &call).await?;
        outputs.insert(resource.id.clone(), output);
        if let (Some(before), Some(after)) = (before, subject.made_and_changed()) {
            let made = after.0 - before.0;
            ensure_that!(made == 1, "`{}` was made {made} times", resource.id);
        }
    }
    Ok(())
}

/// When the reply is lost after the effect, looking finds the thing, and a repeated call makes no second one; the same
/// going down.
pub async fn lost_reply_makes_no_second_object(subject: &dyn Subject) -> Verdict {
    let mut calls = Vec::new();
    for resource in ordered(subject).await? {
        let call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        let before = counted(subject)?.0;
        inject(subject, Fault::on(Verb::Ensure, &resource.id, What::LoseReply))?;
        let lost = subject.provider().ensure(&call).await;
        ensure_that!(
            lost.is_err(),
            "the reply about `{}` was lost, and yet there is one: {lost:?}",
            resource.id
        );
        match subject.provider().observe(&call).await? {
            Observation::Present { .. } => {}
            Observation::InProgress(wait) => {
                look_until_settled(subject, &call, wait).await?;
            }
            other => return Err(Broken(format!("`{}` was made, and looking says {other:?}", resource.id))),
        }
        make_one(subject, &call).await?;
        let made = counted(subject)?.0 - before;
        ensure_that!(made == 1, "`{}` was made {made} times", resource.id);
        calls.push(call);
    }
    for call in calls.iter().rev() {
        inject(subject, Fault::on(Verb::Remove, &call.resource, What::LoseReply))?;
        let lost = subject.provider().remove(call).await;
        ensure_that!(
            lost.is_err(),
            "the reply about `{}` was lost, and yet there is one: {lost:?}",
            call.resource
        );
        match subject.provider().observe(call).await? {
            Observation::Absent => {}
            Observation::InProgress(wait) => {
                look_until_settled(subject, call, wait).await?;
            }
            other => {
                return Err(Broken(format!("`{}` was removed, and looking says {other:?}", call.resource)));
            }
        }
        let removed = subject.provider().remove(call).await?;
        ensure_that!(removed == Removed::Done, "`{}` is gone, and removing says {removed:?}", call.resource);
    }
    Ok(())
}

/// When looking does not see yet what was made, the client token still keeps a repeated call from making a second one.
pub async fn stale_look_makes_no_second_object(subject: &dyn Subject) -> Verdict {
    let first = ordered(subject).await?.remove(0);
    let call = subject.cluster().call(&first.id, &token(&first.id), 1);
    let before = counted(subject)?.0;
    inject(subject, Fault::on(Verb::Ensure, &first.id, What::LoseReply))?;
    let lost = subject.provider().ensure(&call).await;
    ensure_that!(lost.is_err(), "the reply was lost, and yet there is one: {lost:?}");
    inject(subject, Fault::on(Verb::Ensure, &first.id, What::Stale))?;
    make_one(subject, &call).await?;
    let made = counted(subject)?.0 - before;
    ensure_that!(made == 1, "`{}` was made {made} times", first.id);
    Ok(())
}

/// A resource of class R3 that finds no room is made at a later attempt, once.
pub async fn capacity_is_tried_elsewhere(subject: &dyn Subject) -> Verdict {
    let graph = ordered(subject).await?;
    ensure_that!(
        graph.iter().any(|resource| resource.retry == Retry::R3),
        "this subject has nothing of class R3"
    );
    for resource in graph {
        let mut call = subject.cluster().call(&resource.id, &token(&resource.id), 1);
        if resource.retry == Retry::R3 {
            inject(subject, Fault::on(Verb::Ensure, &resource.id, What::NoCapacityUntil(3)).always())?;
            let before = counted(subject)?.0;
            for attempt in 1..3 {
                call.attempt = attempt;
                let class = subject.provider().ensure(&call).await.err().map(|failure| failure.class);
                ensure_that!(
                    class == Some(Class::Capacity),
                    "attempt {attempt} without room gives {class:?}"
                );
            }
            call.attempt = 3;
            make_one(subject, &call).await?;
            let made = counted(subject)?.0 - before;
            ensure_that!(made == 1, "`{}` was made {made} times", resource.id);
        } else {
            make_one(subject, &call).await?;
        }
    }
    Ok(())
}

/// A call of somebody who has lost the lease changes nothing.
pub async fn older_epoch_is_refused(subject: &dyn Subject) -> Verdict {
    let calls = bring_up(subject).await?;
    let Some(last) = calls.last() else { return Ok(()) };
    let newer = ResourceCall { epoch: 7, ..last.clone() };
    subject.provider().ensure(&newer).await?;
    let before = subject.made_and_changed();
    let older = ResourceCall { epoch: 6, ..last.clone() };
    let class = subject.provider().remove(&older).await.err().map(|failure| failure.class);
    ensure_that!(class == Some(Class::ConflictInProgress), "an older epoch gives {class:?}");
    ensure_that!(subject.made_and_changed() == before, "an older epoch has changed something");
    Ok(())
}

/// A quota that is too small is a finding, and nothing is made.
pub async fn quota_is_found_before_anything_is_made(subject: &dyn Subject) -> Verdict {
    ensure_that!(subject.use_up_quota(), "this subject has no quota");
    let findings = subject.provider().preflight(&subject.cluster()).await?;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    ensure_that!(errors > 0, "there is no room for anything, and preflight finds {findings:?}");
    ensure_that!(counted(subject)?.0 == 0, "preflight has made something");
    Ok(())
}
