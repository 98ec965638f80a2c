//! The sandbox's zones, judged by `dig`, by `nsupdate`, and by the suite that BIND 9 is judged by.

mod support;

#[path = "../../../crates/dns/tests/suite/mod.rs"]
mod suite;

use support::Bind;

/// What only the tools ask: the suite asks the rest.
#[test]
fn dig_and_nsupdate_work() {
    let Some(server) = Bind::start() else { return };
    assert_eq!(server.dig("anything.wild.example.test", "A"), ["198.51.100.2"]);
    assert_eq!(server.dig("mail.example.test", "MX"), ["10 ns.example.test."]);
    server.nsupdate(
        "update add new.example.test. 60 TXT \"one two\"\nupdate add new.example.test. 60 A 192.0.2.7",
    );
    assert_eq!(server.dig("new.example.test", "TXT"), ["\"one two\""]);
    assert_eq!(server.serial(), 2);
    server.nsupdate("prereq yxrrset new.example.test. A\nupdate delete new.example.test. A");
    assert_eq!(server.dig("new.example.test", "A"), Vec::<String>::new());

    let said = server.nsupdate_with("hmac-sha256:platform-key:d3Jvbmc=", "update delete new.example.test.");
    assert!(said.contains("NOTAUTH(BADSIG)") || said.contains("BADSIG"), "{said}");
    let said = server.nsupdate_with("hmac-sha256:nobody:d3Jvbmc=", "update delete new.example.test.");
    assert!(said.contains("NOTAUTH(BADKEY)") || said.contains("BADKEY"), "{said}");
    let said = server.nsupdate_with("hmac-sha512:reader-key:cmVhZGVy", "update delete new.example.test.");
    assert!(said.contains("REFUSED"), "{said}");
    let key = format!("hmac-sha256:platform-key:{}", support::SECRET);
    let said =
        server.nsupdate_with(&key, "prereq nxdomain new.example.test.\nupdate delete new.example.test.");
    assert!(said.contains("YXDOMAIN"), "{said}");
    assert_eq!(server.serial(), 3);

    assert!(server.dig_all(&["www.example.org", "A"]).contains("status: REFUSED"));
    assert!(server.dig_all(&["nowhere.example.test", "A"]).contains("status: NXDOMAIN"));
    assert!(server.dig_all(&["example.test", "SOA"]).contains("flags: qr aa"));
    assert!(server.dig_all(&["example.test", "AXFR"]).contains("Transfer failed"));
    let whole = server.dig_all(&["-y", &key, "example.test", "AXFR"]);
    assert!(whole.contains("XFR size") && whole.contains("foreign.example.test"), "{whole}");
    // Longer than a packet: dig asks again by TCP.
    let many: String =
        (0..120).map(|it| format!("update add many.example.test. 60 A 192.0.2.{it}\n")).collect();
    server.nsupdate(many.trim_end());
    assert_eq!(server.dig("many.example.test", "A").len(), 120);
}
