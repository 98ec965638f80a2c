//! Behaviours of Kubernetes, by name: the same case against the sandbox's API and against the real components of the
//! bed, each in a namespace of its own, with the same result.
//!
//! | room | what it holds |
//! |---|---|
//! | `case` | what a case is; the table of all |
//! | `script`, `kubectl`, `kubectl/*.case` | cases that are `kubectl` commands, as text |
//! | `objects` … `sealed` | cases that are written against the `kube` crate |
//! | `history` | the same, for what is forgotten |
//! | `sides` | the two servers |
//! | `plain` | results without what differs by chance |
//! | `differences` | which cases differ, and why; the manual says the same |
//!
//! `SANDBOX_BEHAVIOURS=words` runs only the cases whose names hold one of the words.

mod ask;
mod case;
mod defined;
mod differences;
mod kubectl;
mod plain;
mod script;
mod sides;

mod definitions;
mod deletion;
mod history;
mod lists;
mod objects;
mod patches;
mod sealed;
mod watches;

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use platform_tests::Bed;

use self::{
    case::{Case, all},
    differences::DIFFERENT,
    sides::{Leaving, Side, Sides},
};

/// How many cases run at a time. Most of their time they wait for controllers, so more than there are cores.
const AT_A_TIME: usize = 8;

/// Cases that take longer are named.
const SLOW: Duration = Duration::from_secs(5);

/// How many behaviours are to be the same on both sides.
const PROMISED: usize = 300;

#[test]
fn every_behaviour_is_that_of_the_real_server_or_listed() {
    let Some(world) = Bed::world("sandbox-behaviours") else { return };
    let sides = Sides::start(&world);
    let (alone, together): (Vec<Case>, Vec<Case>) = chosen().into_iter().partition(|case| case.alone);
    let mut wrong = run(&together, AT_A_TIME, &sides);
    wrong.extend(run(&alone, 1, &sides));
    // past the capture of the test harness: how much was compared is half of what this test says
    let figures = format!("{} behaviours compared, {} wrong", alone.len() + together.len(), wrong.len());
    drop(writeln!(std::io::stderr(), "{figures}"));
    let words: Vec<String> = wrong.iter().map(|(name, why)| format!("== {name}\n{why}")).collect();
    assert!(words.is_empty(), "{figures}\n{}", words.join("\n"));
    sides.settle();
    drop(sides);
    world.assert_clean();
}

#[test]
fn there_are_as_many_behaviours_as_promised_and_each_has_a_name() {
    let cases = all();
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "a name is given twice");
    let fine = |name: &&str| name.len() <= 60 && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let odd: Vec<_> = names.iter().filter(|name| !fine(name)).collect();
    assert!(odd.is_empty(), "a name becomes a namespace: {odd:?}");
    let same = cases.len() - DIFFERENT.len();
    assert!(same >= PROMISED, "{same} of {PROMISED}");
}

/// The cases of this run.
fn chosen() -> Vec<Case> {
    let mut cases = all();
    if let Ok(words) = std::env::var("SANDBOX_BEHAVIOURS") {
        cases
            .retain(|case| words.is_empty() || words.split_whitespace().any(|word| case.name.contains(word)));
    }
    // Workloads stand last and wait longest. They begin first, and so what they leave is gone at the end.
    cases.reverse();
    cases.sort_by_key(|case| !case.waits_for_namespaces());
    cases
}

/// Runs cases, so many at a time; what is wrong, by their names.
fn run(cases: &[Case], at_a_time: usize, sides: &Sides) -> BTreeMap<String, String> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(BTreeMap::new());
    let leaving = Leaving::until(cases.iter().filter(|case| case.waits_for_namespaces()).count());
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let start = Instant::now();
                    let judged = judge(case, sides, &leaving);
                    let took = start.elapsed();
                    if case.waits_for_namespaces() {
                        leaving.one_is_over();
                    }
                    if took > SLOW {
                        drop(writeln!(std::io::stderr(), "slow: {} took {took:.1?}", case.name));
                    }
                    if let Err(why) = judged {
                        // past the capture of the test harness: who watches need not wait for the end
                        drop(writeln!(std::io::stderr(), "wrong: {}", case.name));
                        wrong.lock().expect("no case panics with it").insert(case.name.clone(), why);
                    }
                }
            });
        }
    });
    wrong.into_inner().expect("no case panics with it")
}

/// Runs a case on both sides; what is wrong with it.
fn judge(case: &Case, sides: &Sides, leaving: &Leaving) -> Result<(), String> {
    let (real, ours) = std::thread::scope(|scope| {
        let real = scope.spawn(|| outcome(case, &sides.real, leaving));
        let ours = outcome(case, &sides.ours, leaving);
        (real.join().unwrap_or_else(|_| "it panicked".into()), ours)
    });
    // documents are compared with their fields in order and on lines of their own; what must be shown is not
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    let shown = dense(&real);
    if let Some(missing) =
        case.shows.iter().find(|words| !shown.contains(&dense(&words.replace("@NS", &case.name))))
    {
        return Err(format!("the real server does not show {missing:?}:\n{real}"));
    }
    match (real == ours, DIFFERENT.iter().find(|(name, _)| *name == case.name)) {
        (true, None) | (false, Some(_)) => Ok(()),
        (true, Some(_)) => Err("is listed as differing, and does not".into()),
        (false, None) => Err(plain::difference(&real, &ours)),
    }
}

/// What a case yields on one side, without what differs by chance.
fn outcome(case: &Case, side: &Side, leaving: &Leaving) -> String {
    let place = side.place(&case.name);
    let outcome = plain::plain(&case.act.run(&place));
    leaving.leave(place);
    outcome
}
