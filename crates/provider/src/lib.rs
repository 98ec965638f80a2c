//! The contract of a provider, in process and as a child process.
