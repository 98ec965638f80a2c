//! Wiring: configuration, providers, and the calls both user interfaces make.
