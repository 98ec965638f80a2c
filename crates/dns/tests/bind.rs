//! The calls against a real BIND 9.

mod suite;
mod support;
