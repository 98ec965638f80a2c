//! The provider passes the whole conformance suite, in process and in virtual time.

mod world;

platform_testkit::conformance_tests!(world::in_process());
