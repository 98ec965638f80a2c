//! The words of the program: the spec file, ids, events and failures. No I/O.
//!
//! Everything a viewer needs is here, so a screen can show a run without being able to perform one.
//!
//! | room | what it holds |
//! |---|---|
//! | [`id`] | names of runs, steps and platforms |
//! | [`failure`] | what went wrong: code, class, causes, hints |
//! | [`event`] | the closed set of things that can happen to a run |
//! | [`life`] | how long something is to live |
//! | [`report`] | what a command says at its end (`platform.run/v1`) |
//! | [`secret`] | handles of secrets; never the secrets |
//! | [`platform`] | `platform.yaml` as it was written |
//! | [`parse`] | from its text to that, or to everything that is wrong with it |
//! | [`section`] | a part of it by a schema that others wrote: a provider's `config` |
//! | [`model`] | what it means: cells, applications, hosts, … |
//! | [`catalogue`] | what is known about add-ons |
//! | [`schema`] | its JSON Schema |

pub mod catalogue;
pub mod cron;
pub mod event;
pub mod failure;
pub mod id;
pub mod life;
pub mod model;
pub mod parse;
pub mod platform;
pub mod report;
mod rules;
pub mod schema;
pub mod secret;
pub mod section;
mod source;
pub mod starter;

pub use event::{Event, LedgerChange, Outcome, StepEvent};
pub use failure::{Class, Code, Failure};
pub use id::{PlatformName, RunId, StepId};
pub use life::Life;
pub use model::{Model, derive};
pub use parse::{Parsed, parse, parse_emulated, place};
pub use platform::Platform;
pub use rules::ARGOCD_VERSIONS;
pub use section::section;
pub use source::did_you_mean;
