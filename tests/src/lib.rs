//! Drives the built binary; the bed of real components.
