//! What we do: up, down, as lists of steps.
