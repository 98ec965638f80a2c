//! The controllers together, in worlds whose clock is turned by hand.

mod chaos;
mod deployments;
mod jobs;
mod services;
mod sets;
mod volumes;
mod world;
