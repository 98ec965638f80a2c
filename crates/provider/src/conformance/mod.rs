//! The behaviours that every provider shows, one function each, run against a [`Subject`].
//!
//! ```text
//! platform_provider::conformance_tests!(sandbox::cloud());
//! platform_provider::conformance_tests!(gke::recorded() => ensure_twice_changes_once, remove_of_absent_is_ok);
//! ```
//!
//! A subject that cannot show a behaviour (it has no faults to inject, it makes no clusters) lists those it can show; a
//! behaviour that is listed all the same fails. [`report`] runs all of them and says which hold; [`examine`] does so by
//! levels, cleans up behind each, and makes a report of it. [`Outside`] is any provider with whatever it leads to.

mod examine;
pub mod fault;
mod hardship;
mod lives;
mod ordinary;
mod outside;
mod subject;

use std::{fmt, future::Future, pin::Pin};

pub use examine::{Checked, Examined, Level, Sum, Verdicts, examine};
pub use hardship::*;
pub use lives::*;
pub use ordinary::*;
pub use outside::Outside;
pub use subject::{Need, Subject, bring_up, look_until_settled, take_down};

/// Why a behaviour does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<platform_spec::Failure> for Broken {
    fn from(failure: platform_spec::Failure) -> Self {
        Self(format!(
            "{} [{} {}] because {}",
            failure.message,
            failure.code,
            failure.class,
            failure.causes.join("; ")
        ))
    }
}

/// What a behaviour says.
pub type Verdict = Result<(), Broken>;

/// A behaviour, ready to run.
pub type Behaviour = for<'a> fn(&'a dyn Subject) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Fails a behaviour unless the condition holds.
macro_rules! ensure_that {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::conformance::Broken(format!($($why)+)));
        }
    };
}
pub(crate) use ensure_that;

/// Calls another macro with what is given and the names of all behaviours: `for_all_behaviours!(callback!(a, b))` is
/// `callback!(a, b => describes_itself, …)`. The one place that lists them.
#[macro_export]
macro_rules! for_all_behaviours {
    ($($callback:ident)::+ !($($given:tt)*)) => {
        $($callback)::+! { $($given)* =>
            describes_itself,
            graph_is_sound,
            preflight_changes_nothing,
            observe_is_pure,
            absent_before_it_is_made,
            in_progress_is_polled,
            ensure_twice_changes_once,
            remove_of_absent_is_ok,
            down_leaves_nothing,
            blockers_are_named,
            list_owned_sees_everything,
            claims_live_as_long_as_told,
            permanent_stays_permanent,
            reaping_leaves_nothing,
            adopted_is_never_deleted,
            access_works,
            refusals_are_classified,
            killed_before_it_was_recorded,
            lost_reply_makes_no_second_object,
            stale_look_makes_no_second_object,
            capacity_is_tried_elsewhere,
            older_epoch_is_refused,
            quota_is_found_before_anything_is_made,
        }
    };
}

macro_rules! by_name {
    (=> $($name:ident),+ $(,)?) => {
        /// Every behaviour by its name.
        pub const ALL: &[(&str, Behaviour)] = &[$((stringify!($name), |subject| Box::pin($name(subject)))),+];
    };
}
for_all_behaviours!(by_name!());

/// Runs every behaviour, each on a subject of its own, and says which hold.
pub async fn report<F, S>(make: impl Fn() -> F) -> Vec<(&'static str, Verdict)>
where
    F: Future<Output = S>,
    S: Subject,
{
    let mut verdicts = Vec::with_capacity(ALL.len());
    for (name, behaviour) in ALL {
        let subject = make().await;
        verdicts.push((*name, behaviour(&subject).await));
    }
    verdicts
}

/// Makes one test per behaviour: `conformance_tests!(make)` of all, `conformance_tests!(make => a, b, c)` of some, where
/// `make` is an expression whose value is a future of a [`Subject`](crate::conformance::Subject).
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::for_all_behaviours!($crate::conformance_tests!($make));
    };
    ($make:expr => $($behaviour:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let subject = $make.await;
                if let Err(broken) = $crate::conformance::$behaviour(&subject).await {
                    panic!("{}: {broken}", stringify!($behaviour));
                }
            }
        )+
    };
}
