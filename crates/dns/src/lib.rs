//! Publishes names by RFC 2136 and proves them at the authoritative server.
