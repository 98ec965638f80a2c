//! Drives the built binary in an empty environment, and looks at what it says on which channel.

mod bed;
mod conformance;
mod engine;
mod exit_codes;
mod explain;
mod help;
mod plan;
mod state;
mod usage;
mod validate;
mod verify_repo;
