//! What we do: `up` and `down`, as lists that can be read like a table of contents.
//!
//! | room | what it holds |
//! |---|---|
//! | [`up`], [`down`] | the lists |
//! | [`wish`] | what a plan is made from, gathered before anything is decided |
//! | [`steps`] | what the lists are made of |
//! | [`inventory`] | the search that `down` ends with |
//! | [`doors`] | what steps reach the world through |
//! | [`handles`] | the secrets that a model uses, followed before a run |
//! | [`installs`] | what installs Argo CD, read once |
//! | [`trees`] | rendered trees on disk, by digest |

mod draft;

pub mod doors;
pub mod down;
pub mod handles;
pub mod installs;
pub mod inventory;
pub mod steps;
pub mod trees;
pub mod up;
pub mod wish;

pub use doors::Doors;
pub use down::down;
pub use installs::Installs;
pub use steps::registry;
pub use up::up;
pub use wish::Wish;
