//! A real BIND 9 for tests: on loopback, a port of its own, a folder of its own.

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
};

use platform_dns::{Dns, Tsig, Zone};

/// Secret of the key that may do everything.
pub const SECRET: &str = "c4naryc4naryc4naryc4naryc4naryc4naryc4naryc=";

/// A running `named`; it ends when dropped.
pub struct Bind {
    /// Where it listens.
    pub port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Bind {
    /// Starts one, or says why not: `None` when `named` is missing on a person's machine.
    pub fn start() -> Option<Self> {
        if Command::new("named").arg("-v").stdout(Stdio::null()).status().is_err() {
            assert!(
                std::env::var_os("CI").is_none(),
                "named is missing: apt-get install bind9 bind9-dnsutils"
            );
            #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
            {
                eprintln!("skipped: named is missing (apt-get install bind9 bind9-dnsutils)");
            }
            return None;
        }
        // Between finding a free port and named taking it somebody else may; then it ends, and we try another.
        (0..5).find_map(|_| Self::on(free_port()))
    }

    fn on(port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().expect("temp folder");
        let at = folder.path().display();
        let config = format!(
            r#"
            options {{
                directory "{at}"; pid-file none; session-keyfile none; recursion no; notify no;
                listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
                dnssec-validation no; empty-zones-enable no;
            }};
            controls {{ }};
            key "platform-key" {{ algorithm hmac-sha256; secret "{SECRET}"; }};
            key "reader-key" {{ algorithm hmac-sha512; secret "cmVhZGVy"; }};
            zone "example.test" {{
                type primary; file "zone.db"; allow-query {{ any; }};
                allow-update {{ key "platform-key"; }}; allow-transfer {{ key "platform-key"; }};
            }};
            "#
        );
        let zone = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n\
                    foreign A 198.51.100.1\nmail MX 10 ns\n*.wild A 198.51.100.2\n*.wild TXT \"anything\"\n";
        std::fs::write(folder.path().join("named.conf"), config).expect("written");
        std::fs::write(folder.path().join("zone.db"), zone).expect("written");
        let mut child = Command::new("named")
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("named starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let running = lines.any(|line| {
            said.push(line.clone());
            line.ends_with(" running") || line.contains("address in use")
        });
        let bind = Self { port, child, _folder: folder };
        assert!(running, "named: {}", said.join("\n"));
        if said.iter().any(|line| line.contains("address in use")) {
            return None;
        }
        // Read on, or named would stop at a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(bind)
    }

    /// The zone with the key that may do everything.
    pub fn zone(&self) -> Zone {
        Zone {
            name: "example.test".into(),
            server: format!("127.0.0.1:{}", self.port),
            tsig: Tsig {
                name: "platform-key".into(),
                algorithm: "hmac-sha256".into(),
                secret: SECRET.into(),
            },
            ttl: 60,
        }
    }

    /// For an owner.
    pub fn dns(&self, owner: &str) -> Dns {
        Dns::new(self.zone(), owner).expect("a good zone")
    }

    /// What `dig +short` says.
    pub fn dig(&self, name: &str, kind: &str) -> Vec<String> {
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &self.port.to_string(), "+short", "+norecurse", name, kind])
            .output()
            .expect("dig runs");
        assert!(output.status.success(), "dig {name} {kind}");
        let mut lines: Vec<_> =
            String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The zone's serial.
    pub fn serial(&self) -> u32 {
        let soa = self.dig("example.test", "SOA");
        soa[0].split(' ').nth(2).and_then(|serial| serial.parse().ok()).expect("a serial")
    }

    /// Changes the zone as somebody else would, with `nsupdate`.
    pub fn nsupdate(&self, commands: &str) {
        let mut child = Command::new("nsupdate")
            .args(["-y", &format!("hmac-sha256:platform-key:{SECRET}")])
            .stdin(Stdio::piped())
            .spawn()
            .expect("nsupdate starts");
        let script = format!("server 127.0.0.1 {}\nzone example.test\n{commands}\nsend\n", self.port);
        std::io::Write::write_all(&mut child.stdin.take().expect("piped"), script.as_bytes())
            .expect("written");
        assert!(child.wait().expect("ends").success(), "nsupdate: {commands}");
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free for both protocols.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("bound").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
