//! What a case is, and all of them.

use std::{future::Future, pin::Pin};

use platform_tests::BoxError;
use serde_json::Value;

use super::{
    definitions, deletion, history, kubectl, lists, objects, patches, plain,
    script::{self, Script},
    sealed,
    sides::Place,
    watches,
};

/// One behaviour.
pub(super) struct Case {
    /// Says what is so; also the name of its namespace.
    pub name: String,
    /// What the result of the real server must hold, so that two equal results that mean nothing are none.
    pub shows: Vec<String>,
    pub act: Act,
    /// It runs alone, when all others are over: it takes away what they may rely on.
    pub alone: bool,
}

/// What a case does on a server.
pub(super) enum Act {
    /// `kubectl` commands.
    Kubectl(Script),
    /// Calls through the `kube` crate.
    Kube(fn(Place) -> Running),
}

pub(super) type Running = Pin<Box<dyn Future<Output = Result<Value, BoxError>> + Send>>;

/// A row of a room's table: a function of it, by name, and what it must show on the real server.
pub(super) struct Row(pub &'static str, pub &'static [&'static str], pub fn(Place) -> Running);

/// The table of a room: `rows![a_function shows "words", "more words"; …]`.
macro_rules! rows {
    ($($name:ident shows $($words:literal),+;)+) => {
        &[$($crate::sandbox_behaviours::case::Row(
            stringify!($name),
            &[$($words),+],
            |place| Box::pin($name(place)),
        )),+]
    };
}
pub(super) use rows;

/// Every case.
pub(super) fn all() -> Vec<Case> {
    let rooms: [&[Row]; 7] = [
        objects::CASES,
        lists::CASES,
        watches::CASES,
        patches::CASES,
        deletion::CASES,
        definitions::CASES,
        sealed::CASES,
    ];
    let together = rooms.into_iter().flatten().map(|row| written(row, false));
    let scripts = script::all().into_iter().map(|script| Case {
        name: script.name.clone(),
        shows: script.shows(),
        act: Act::Kubectl(script),
        alone: false,
    });
    together.chain(scripts).chain(history::CASES.iter().map(|row| written(row, true))).collect()
}

fn written(Row(name, shows, act): &Row, alone: bool) -> Case {
    Case {
        name: name.replace('_', "-"),
        shows: shows.iter().map(|words| (*words).to_owned()).collect(),
        act: Act::Kube(*act),
        alone,
    }
}

impl Case {
    /// Whether it waits for namespaces to be removed.
    pub(super) fn waits_for_namespaces(&self) -> bool {
        self.name.contains("namespace")
    }
}

impl Act {
    /// Does it, and gives the result as text.
    pub(super) fn run(&self, place: &Place) -> String {
        match self {
            Self::Kubectl(script) => kubectl::run(script, place),
            Self::Kube(act) => match place.wait(act(place.clone())) {
                Ok(mut value) => {
                    plain::sort(&mut value);
                    serde_json::to_string_pretty(&value).expect("text")
                }
                Err(error) => format!("not expected: {error}"),
            },
        }
    }
}
