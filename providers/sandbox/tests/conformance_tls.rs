//! The same over real TLS and in real time: what a socket could change.

mod world;

platform_testkit::conformance_tests!(world::over_tls() =>
    preflight_changes_nothing,
    in_progress_is_polled,
    ensure_twice_changes_once,
    down_leaves_nothing,
    blockers_are_named,
    list_owned_sees_everything,
    access_works,
    refusals_are_classified,
    lost_reply_makes_no_second_object,
    older_epoch_is_refused,
);
