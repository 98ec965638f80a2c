//! CronJobs: a Job whenever it is time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use platform_spec::cron::Schedule;
use serde_json::{Value, json};

use super::{
    job,
    objects::{AGAIN, age, at, is_controlled_by, items, key_of, owned_by, text},
};
use crate::{
    kube::{
        object::{is_going, meta, time},
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "cronjob-controller";
const KIND: &str = "batch/cronjobs";
const JOBS: &str = "batch/jobs";

/// Keeps CronJobs.
pub struct CronJobs;

impl Controller for CronJobs {
    fn watches(&self) -> &'static [&'static str] {
        &[KIND, JOBS]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            KIND => vec![change.key.clone()],
            _ => Cluster::controller_of(change.latest(), "CronJob", KIND).into_iter().collect(),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let cron = cluster.get(key)?;
        if is_going(&cron) {
            return None;
        }
        let mut jobs = cluster.list(JOBS, Some(&key.namespace));
        jobs.retain(|it| is_controlled_by(it, &cron));
        jobs.sort_by(|one, two| age(one).cmp(&age(two)));
        let outcome = clean(cluster, key, &cron, &jobs).and_then(|cron| match cron {
            Some(cron) => start(cluster, key, &cron, &jobs),
            None => Ok(None),
        });
        outcome.unwrap_or(Some(AGAIN))
    }
}

/// Takes jobs that are over off the list of those that run, and deletes old ones. Gives the CronJob as it is then.
fn clean(
    cluster: &Cluster,
    key: &Key,
    cron: &Value,
    jobs: &[Arc<Value>],
) -> Result<Option<Arc<Value>>, Refused> {
    let running: Vec<Value> = items(&cron["status"]["active"])
        .filter(|it| {
            let job = jobs.iter().find(|job| job["metadata"]["uid"] == it["uid"]);
            let over = job.and_then(|job| job::finished(job));
            if let Some((how, _)) = over {
                let words = format!("Saw completed job: {}, condition: {how}", text(&it["name"]));
                cluster.event(BY, cron, "Normal", "SawCompletedJob", &words);
            }
            job.is_some() && over.is_none()
        })
        .cloned()
        .collect();
    let successes = jobs.iter().filter(|job| job::finished(job).is_some_and(|it| it.0 == "Complete"));
    let last = successes.clone().map(|job| text(&job["status"]["completionTime"])).max().unwrap_or_default();
    let changed = cluster.change_status(BY, key, |it| {
        let status = &mut it["status"];
        if running.is_empty() {
            drop(status.as_object_mut().map(|it| it.shift_remove("active")));
        } else {
            status["active"] = running.clone().into();
        }
        if text(&status["lastSuccessfulTime"]) < last {
            status["lastSuccessfulTime"] = last.into();
        }
    })?;
    let failures = jobs.iter().filter(|job| job::finished(job).is_some_and(|it| it.0 == "Failed"));
    let limits = ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"];
    for (limit, over) in limits.into_iter().zip([successes.collect::<Vec<_>>(), failures.collect()]) {
        let Some(kept) = cron["spec"][limit].as_u64() else { continue };
        let old = over.len().saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
        for job in over.into_iter().take(old) {
            cluster.delete(BY, &key_of(JOBS, job))?;
            let words = format!("Deleted job {}", meta(job, "name"));
            cluster.event(BY, cron, "Normal", "SuccessfulDelete", &words);
        }
    }
    Ok(changed)
}

/// Starts a job if one is due; how long until the next.
fn start(
    cluster: &Cluster,
    key: &Key,
    cron: &Value,
    jobs: &[Arc<Value>],
) -> Result<Option<SignedDuration>, Refused> {
    let spec = &cron["spec"];
    if spec["suspend"] == true {
        return Ok(None);
    }
    let zone = match text(&spec["timeZone"]) {
        "" => TimeZone::UTC,
        name => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(why) => {
                let words = format!("invalid timeZone: {name:?}: {why}");
                cluster.event(BY, cron, "Warning", "UnknownTimeZone", &words);
                return Ok(None);
            }
        },
    };
    let Some(schedule) = Schedule::parse(&plain(text(&spec["schedule"]))) else {
        let words = format!("unparseable schedule: {:?}", text(&spec["schedule"]));
        cluster.event(BY, cron, "Warning", "UnparseableSchedule", &words);
        return Ok(None);
    };
    let now = cluster.now();
    let local = zone.to_datetime(now);
    let moment = |at: Option<jiff::civil::DateTime>| at.and_then(|at| zone.to_timestamp(at).ok());
    let wait = moment(schedule.next_after(local))
        .map(|next| now.duration_until(next).max(SignedDuration::from_millis(1)));
    let since =
        at(&cron["status"]["lastScheduleTime"]).or_else(|| at(&cron["metadata"]["creationTimestamp"]));
    let Some(due) = moment(schedule.last_until(local)).filter(|due| since.is_none_or(|since| *due > since))
    else {
        return Ok(wait);
    };
    let late = due.duration_until(now);
    if spec["startingDeadlineSeconds"].as_i64().is_some_and(|it| late > SignedDuration::from_secs(it)) {
        let words = format!("Missed scheduled time to start a job: {}", time(due));
        cluster.event(BY, cron, "Warning", "MissSchedule", &words);
        return Ok(wait);
    }
    let running: Vec<_> = jobs.iter().filter(|job| job::finished(job).is_none() && !is_going(job)).collect();
    match text(&spec["concurrencyPolicy"]) {
        "Forbid" if !running.is_empty() => {
            let words =
                "Not starting job because prior execution is running and concurrency policy is Forbid";
            cluster.event(BY, cron, "Normal", "JobAlreadyActive", words);
            return Ok(wait);
        }
        "Replace" => {
            for job in &running {
                cluster.delete(BY, &key_of(JOBS, job))?;
                let words = format!("Deleted job {}", meta(job, "name"));
                cluster.event(BY, cron, "Normal", "SuccessfulDelete", &words);
            }
        }
        _ => {}
    }
    let made = match cluster.create(BY, JOBS, &job_of(cron, due, &zone)) {
        Ok(made) => made,
        // It was made before this process died.
        Err(refused) if refused.code == 409 => {
            cluster.change_status(BY, key, |it| it["status"]["lastScheduleTime"] = time(due).into())?;
            return Ok(wait);
        }
        Err(refused) => {
            cluster.event(BY, cron, "Warning", "FailedCreate", &format!("Error creating job: {refused}"));
            return Err(refused);
        }
    };
    cluster.event(BY, cron, "Normal", "SuccessfulCreate", &format!("Created job {}", meta(&made, "name")));
    let reference = json!({
        "apiVersion": "batch/v1", "kind": "Job", "namespace": key.namespace, "name": meta(&made, "name"),
        "uid": meta(&made, "uid"), "resourceVersion": meta(&made, "resourceVersion"),
    });
    cluster.change_status(BY, key, |it| {
        let status = &mut it["status"];
        if !status["active"].is_array() {
            status["active"] = json!([]);
        }
        if let Some(active) = status["active"].as_array_mut() {
            active.push(reference.clone());
        }
        status["lastScheduleTime"] = time(due).into();
    })?;
    Ok(wait)
}

/// The job of a moment: its name follows from it, so that none is made twice.
fn job_of(cron: &Value, due: Timestamp, zone: &TimeZone) -> Value {
    let template = &cron["spec"]["jobTemplate"];
    let mut metadata = json!({
        "name": format!("{}-{}", meta(cron, "name"), due.as_second() / 60), "namespace": meta(cron, "namespace"),
        "ownerReferences": [owned_by(cron)],
    });
    for key in ["labels", "annotations"] {
        if let Some(value) = template["metadata"].get(key) {
            metadata[key] = value.clone();
        }
    }
    let local = due.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    metadata["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] =
        local.replace("+00:00", "Z").into();
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"] })
}

/// A schedule in numbers: what Kubernetes also takes are names of days and months, and words for common schedules.
fn plain(schedule: &str) -> String {
    let numbers = match schedule.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    const MONTHS: [&str; 12] =
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let mut plain = numbers.to_uppercase().replace('?', "*");
    for (number, day) in DAYS.iter().enumerate() {
        plain = plain.replace(day, &number.to_string());
    }
    for (number, month) in MONTHS.iter().enumerate() {
        plain = plain.replace(month, &(number + 1).to_string());
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_become_numbers() {
        assert_eq!(plain("@daily"), "0 0 * * *");
        assert_eq!(plain("0 6 * jan mon-FRI"), "0 6 * 1 1-5");
    }
}
