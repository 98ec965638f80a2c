//! A provider for clusters that exist already: observes, adopts, never deletes.
