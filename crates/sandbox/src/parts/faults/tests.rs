use std::sync::atomic::{AtomicI64, Ordering};

use jiff::SignedDuration;
use platform_spec::Class;

use super::*;

const CREATE: Point = Point { service: "cloud", operation: "create_cluster", target: "demo-eu" };

fn at_ms() -> (Arc<AtomicI64>, Now) {
    let ms = Arc::new(AtomicI64::new(0));
    let clock = ms.clone();
    (ms, Arc::new(move || Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).expect("a time")))
}

fn faults(seed: u64) -> Faults {
    Faults::new(seed, at_ms().1)
}

fn struck(faults: &Faults, calls: usize) -> Vec<usize> {
    (1..=calls).filter(|_| !faults.next(&CREATE).is_nothing()).collect()
}

#[test]
fn rules_count_the_calls_they_are_about() {
    let rule = || Rule::at("cloud", "create_*", "demo-*").fault(Fault::Quota);
    let cases = [
        (rule(), vec![1, 2, 3, 4, 5, 6]),
        (rule().nth(2), vec![2]),
        (rule().every(3), vec![3, 6]),
        (rule().times(2), vec![1, 2]),
        (rule().every(2).times(2), vec![2, 4]),
        (Rule::at("kube", "*", "*").fault(Fault::Quota), vec![]),
        (Rule::at("cloud", "*", "other").fault(Fault::Quota), vec![]),
    ];
    for (rule, want) in cases {
        let faults = faults(1);
        faults.add(rule.clone());
        assert_eq!(struck(&faults, 6), want, "{rule:?}");
    }
}

#[test]
fn rules_hold_between_their_times() {
    let (ms, now) = at_ms();
    let faults = Faults::new(1, now);
    ms.store(5_000, Ordering::SeqCst);
    let (after, until) = (SignedDuration::from_secs(10), SignedDuration::from_secs(20));
    faults.add(Rule::at("*", "*", "*").between(after, until).nth(2).fault(Fault::Quota));
    let seen: Vec<bool> = [0, 10_000, 15_000, 24_999, 25_000]
        .into_iter()
        .map(|at| {
            ms.store(at, Ordering::SeqCst);
            faults.next(&CREATE).is_nothing()
        })
        .collect();
    assert_eq!(seen, [true, true, true, false, true], "the second call within the times");
}

#[test]
fn chance_is_the_seeds_and_does_not_depend_on_others() {
    let rule = || Rule::at("*", "*", "*").chance(0.3).fault(Fault::Quota);
    let run = |seed| {
        let faults = faults(seed);
        faults.add(rule());
        struck(&faults, 200)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert!((40..80).contains(&run(1).len()), "{} of 200", run(1).len());
}

#[test]
fn a_script_says_everything_and_may_be_written_back() {
    let text = "
faults:
- {service: cloud, operation: create_cluster, target: demo-*, when: {nth: 2}, do: {reset: after}}
- {operation: 'get*', when: {chance: 0.25, after: 10s, until: 1h30m, times: 4}, do: {latency: 250ms, throttle: 2s}}
- {service: s3, when: {every: 3}, do: {error: 503, code: SlowDown, message: Please reduce your request rate.}}
- {do: {lose_reply: true, slow: 5m, stuck: true, fail: out of luck, capacity: true, quota: true, expired: true}}
- {do: {skew: -10m, stale: 30s, reset: before}}
- {service: docker, do: {machine: {memory_mib: 700, cgroup: 1}}}
- {service: docker, do: {machine: {memory_mib: 900, version: 19.03.1, root: /mnt, rootless: true}}}
";
    let script = script::read("f.yaml", text).expect("a script");
    let words: Vec<Vec<&str>> =
        script.faults.iter().map(|rule| rule.faults.iter().map(Fault::word).collect()).collect();
    assert_eq!(
        words,
        [
            vec!["reset_after"],
            vec!["latency", "throttle"],
            vec!["error"],
            vec!["lose_reply", "slow", "stuck", "fail", "capacity", "quota", "expired"],
            vec!["reset_before", "skew", "stale"],
            vec!["machine"],
            vec!["machine"],
        ]
    );
    assert_eq!(script.faults[1].when.until, Some(SignedDuration::from_mins(90)));
    let json = serde_json::to_string(&script).expect("JSON");
    assert_eq!(script::read("f.json", &json).expect("a script"), script, "{json}");

    let machines = faults(1);
    machines.set(Script { faults: script.faults[5..].to_vec() });
    let (version, root) = (Some("19.03.1".to_owned()), Some("/mnt".to_owned()));
    let machine = Machine { memory_mib: Some(700), version, root, cgroup: Some(1), rootless: true };
    let info = Point { service: "docker", operation: "info", target: "" };
    assert_eq!(machines.next(&info).machine(), machine, "the first of the rules wins");
    assert_eq!(machines.next(&CREATE).machine(), Machine::default());
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let cases = [
        ("faults:\n- do: {quota: true}\n  wen: {nth: 1}", "f.yaml:3:3: ", "unknown field `wen`"),
        ("faults:\n- do: {qota: true}", "f.yaml:2:", "unknown field `qota`"),
        ("faults:\n- do: {latency: soon}", "f.yaml:2:", "latency"),
        ("faults:\n- do: {latency: -1s}", "f.yaml:2:", "cannot be negative"),
        ("faults:\n- do: {error: 200}", "f.yaml:2:", "from 400 to 599"),
        ("faults:\n- do: {code: x, quota: true}", "f.yaml:2:", "`error`, which is missing"),
        ("faults:\n- do: {reset: around}", "f.yaml:2:", "around"),
        ("faults:\n- do: {machine: {memory: 1}}", "f.yaml:2:", "unknown field `memory`"),
        ("faults:\n- do: {}", "f.yaml:2:", "nothing that happens"),
        ("faults:\n- {service: clod, do: {quota: true}}", "f.yaml:2:", "`clod` is no service"),
        ("faults:\n- {when: {chance: 1.5}, do: {quota: true}}", "f.yaml:2:", "at most 1"),
        ("faults:\n- {when: {nth: 0}, do: {quota: true}}", "f.yaml:2:", "counts from 1"),
        ("faults:\n- {when: {after: 2s, until: 1s}, do: {quota: true}}", "f.yaml:2:", "not later"),
        ("faults:\n- do: {quota: true, quota: true}", "f.yaml:2:", "duplicate field"),
        ("faults: [", "f.yaml:", ""),
    ];
    for (text, place, why) in cases {
        let failure = script::read("f.yaml", text).expect_err(text);
        assert_eq!((failure.code.as_str(), failure.class), ("P0917", Class::Config));
        let cause = &failure.causes[0];
        assert!(cause.starts_with(place) && cause.contains(why), "{text}: {cause}");
    }
}

#[test]
fn several_rules_strike_together_and_the_first_refusal_wins() {
    let faults = faults(1);
    faults.add(Rule::at("*", "*", "*").fault(Fault::Latency(SignedDuration::from_millis(20))));
    faults.add(
        Rule::at("*", "*", "*").fault(Fault::Throttle { retry_after: SignedDuration::from_millis(1500) }),
    );
    faults.add(Rule::at("*", "*", "*").fault(Fault::error(500)).fault(Fault::Fail("no".into())));
    let struck = faults.next(&CREATE);
    assert_eq!(struck.latency().as_millis(), 20);
    assert_eq!(struck.refusal(), Some(Refuses::Throttled { retry_after_s: 2 }));
    assert_eq!(struck.fails(), Some("no"));
    assert_eq!(struck.words().as_deref(), Some("latency throttle error fail"));
    faults.clear();
    assert_eq!(faults.next(&CREATE).words(), None);
}
