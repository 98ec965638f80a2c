//! BIND with TSIG. Zones are added while it runs (`rndc addzone`), one per test.

use std::{path::Path, time::Duration};

use super::Site;
use crate::{
    BoxError,
    components::which,
    facts::{DNS, Facts, TSIG_NAME, TSIG_STRANGER, write_private},
    process::{Running, listens},
};

pub(super) async fn start(site: &Site) -> Result<Running, BoxError> {
    let home = site.dir().join("dns");
    fs_err::create_dir_all(&home)?;
    write_private(&home.join("named.conf"), configuration(&home, &site.facts).as_bytes())?;
    write_private(&home.join("rndc.key"), key("rndc", &site.facts.tsig_secret).as_bytes())?;
    // Debian and Ubuntu confine /usr/sbin/named (AppArmor) to its own folders; a copy is not confined.
    let named = site.dir().join("bin/named");
    fs_err::copy(which("named").ok_or("named is not installed")?, &named)?;
    site.launch("named", named)
        .args(["-g", "-c"])
        .arg(home.join("named.conf"))
        .start()?
        .until(Duration::from_secs(30), || listens(DNS))
        .await
}

fn key(name: &str, secret: &str) -> String {
    format!("key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n")
}

fn configuration(home: &Path, facts: &Facts) -> String {
    let keys = key(TSIG_NAME, &facts.tsig_secret)
        + &key(TSIG_STRANGER, &facts.tsig_stranger_secret)
        + &key("rndc", &facts.tsig_secret);
    let (address, port) = DNS.rsplit_once(':').unwrap_or_default();
    format!(
        "{keys}options {{ directory \"{}\"; pid-file none; session-keyfile none; lock-file none;\n\
           listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }}; allow-new-zones yes;\n\
           recursion no; dnssec-validation no; notify no; empty-zones-enable no; allow-transfer {{ {address}; }}; }};\n\
         controls {{ inet {address} port 953 allow {{ {address}; }} keys {{ \"rndc\"; }}; }};\n",
        home.display()
    )
}

/// The text of a new zone, to be written where [`zone_options`] says.
pub(crate) fn zone_text(zone: &str) -> String {
    format!(
        "$TTL 60\n@ IN SOA ns.{zone}. admin.{zone}. 1 60 60 3600 60\n@ IN NS ns.{zone}.\nns IN A 127.0.0.1\n"
    )
}

/// What `rndc addzone` is told about a zone: who may update it, and its file in the DNS server's folder.
pub(crate) fn zone_options(zone: &str) -> String {
    format!("{{ type primary; file \"{zone}.zone\"; allow-update {{ key \"{TSIG_NAME}\"; }}; }};")
}
