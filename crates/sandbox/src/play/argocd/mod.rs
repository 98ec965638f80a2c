//! Argo CD 3: Applications, their projects, and sets of them.
//!
//! It acts in a namespace as soon as the real one could: its definitions are there, and its application controller and
//! repository server are available. It reads the repositories that the Applications name, renders them, compares them with
//! what is there and brings one to the other, with the same states, phases and words as the real one.
//!
//! | room | what it holds |
//! |---|---|
//! | [`application`] | the controller of Applications: when to look, what to write |
//! | `work` | one Application while it is looked at, and the words of its status |
//! | `compare` | what is wanted against what is there |
//! | `operation`, `sync` | operations and their retries; tasks, phases, waves, hooks |
//! | `deletion` | Applications that take their resources along |
//! | `elsewhere` | clusters beside its own |
//! | `memory` | what is known of earlier looks |
//! | `project` | what an AppProject permits |
//! | `home` | the installation: settings, credentials, clusters |
//! | `health` | how well an object is |
//! | [`render`] | from files to objects: directories, Kustomize, Helm |
//! | [`sets`] | the controller of ApplicationSets |
//! | `model` | names that all of them use |

pub mod application;
mod compare;
mod deletion;
mod elsewhere;
mod health;
mod home;
mod memory;
mod model;
mod operation;
mod project;
pub mod render;
pub mod sets;
mod sync;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;

use super::Controller;

pub use render::{Programs, Renderer};

/// Argo CD's controllers for one cluster. A [`Renderer`] may be shared by any number of clusters: what one has rendered
/// none renders again.
pub fn controllers(renderer: Arc<Renderer>) -> Vec<Box<dyn Controller>> {
    vec![Box::new(application::Applications::new(renderer)), Box::new(sets::Sets)]
}
