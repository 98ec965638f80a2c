//! Where runs are remembered: SQLite behind the engine's store trait.
