//! The controllers together, in worlds whose clock is turned by hand.

mod deployments;
mod world;
