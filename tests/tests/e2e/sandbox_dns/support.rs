//! The sandbox's zones on loopback, with what the suite expects of a server.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::{Arc, mpsc},
};

use k8s_openapi::jiff::Timestamp;
use platform_dns::{Dns, Tsig, Zone};
use platform_sandbox::zone::{Key, RecordSet, Server, Settings, Transfers, Zones};
use platform_tests::{Output, components::which};

/// Secret of the key that may do everything.
pub const SECRET: &str = "c4naryc4naryc4naryc4naryc4naryc4naryc4naryc=";

/// A running server; it ends when dropped. The suite calls whatever it judges by the name of the original.
pub struct Bind {
    /// Where it listens.
    pub port: u16,
    _server: Server,
    /// The server lives on a thread of its own: tests wait for programs that ask it.
    _runtime: tokio::runtime::Handle,
    _end: mpsc::Sender<()>,
}

impl Bind {
    /// Starts one, or says why not: `None` when `dig` or `nsupdate` is missing on a person's machine.
    pub fn start() -> Option<Self> {
        if which("dig").is_none() || which("nsupdate").is_none() {
            let missing = "dig or nsupdate is missing: apt-get install bind9-dnsutils";
            assert!(std::env::var("CI").map_or(true, |ci| ci != "true"), "{missing}");
            #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
            {
                eprintln!("skipped: {missing}");
            }
            return None;
        }
        let (end, ended) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            let runtime = runtime.expect("a runtime");
            let server = runtime.block_on(Server::start(Arc::new(zones()), ([127, 0, 0, 1], 0).into()));
            tell.send((server.expect("it starts"), runtime.handle().clone())).expect("somebody waits");
            // Until the other end is dropped.
            let _ended = ended.recv();
        });
        let (server, runtime) = told.recv().expect("it starts");
        Some(Self { port: server.address.port(), _server: server, _runtime: runtime, _end: end })
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

    /// What `dig +short` says, sorted.
    pub fn dig(&self, name: &str, kind: &str) -> Vec<String> {
        let said = self.dig_all(&["+short", "+norecurse", name, kind]);
        let mut lines: Vec<_> = said.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// What `dig` says.
    pub fn dig_all(&self, args: &[&str]) -> String {
        let mut dig = Command::new("dig");
        Output::of(dig.args(["@127.0.0.1", "-p", &self.port.to_string()]).args(args)).stdout
    }

    /// The zone's serial.
    pub fn serial(&self) -> u32 {
        let soa = self.dig("example.test", "SOA");
        soa[0].split(' ').nth(2).and_then(|serial| serial.parse().ok()).expect("a serial")
    }

    /// Changes the zone as somebody else would, with `nsupdate`.
    pub fn nsupdate(&self, commands: &str) {
        let said = self.nsupdate_with(&format!("hmac-sha256:platform-key:{SECRET}"), commands);
        assert_eq!(said, "", "nsupdate: {commands}");
    }

    /// What `nsupdate` complains of.
    pub fn nsupdate_with(&self, key: &str, commands: &str) -> String {
        let mut nsupdate = Command::new("nsupdate");
        nsupdate.args(["-y", key]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = nsupdate.spawn().expect("nsupdate starts");
        let script = format!("server 127.0.0.1 {}\nzone example.test\n{commands}\nsend\n", self.port);
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        String::from_utf8(output.stderr).expect("text")
    }
}

fn zones() -> Zones {
    let zones = Zones::new(Arc::new(Timestamp::now));
    let key = |name: &str, algorithm: &str, secret: &str| Key {
        name: name.into(),
        algorithm: algorithm.into(),
        secret: secret.into(),
    };
    zones.put_key(&key("platform-key", "hmac-sha256", SECRET)).expect("a good key");
    zones.put_key(&key("reader-key", "hmac-sha512", "cmVhZGVy")).expect("a good key");
    let all = vec!["platform-key".to_owned()];
    let settings = Settings { server: None, updates: all.clone(), transfers: Transfers::Keys(all) };
    let record = |name: &str, kind: &str, value: &str| RecordSet {
        name: format!("{name}.example.test"),
        kind: kind.into(),
        ttl: 300,
        values: vec![value.into()],
    };
    let records = [
        record("foreign", "A", "198.51.100.1"),
        record("mail", "MX", "10 ns.example.test"),
        record("*.wild", "A", "198.51.100.2"),
        record("*.wild", "TXT", "anything"),
    ];
    zones.create("example.test", settings, &records).expect("a good zone");
    zones
}
