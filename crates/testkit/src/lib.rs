//! Test machinery: an in-memory provider with faults, the conformance suite, clocks.
