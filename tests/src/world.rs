//! One test's corner of a bed.

use std::{
    ffi::OsStr,
    path::PathBuf,
    process::Command,
    sync::{
        MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    date_time_ymd,
};

use crate::{
    Bed, BoxError, Output, Started,
    bed::binary,
    facts::{API_USER, DNS, GIT_USER, S3, S3_REGION, TSIG_NAME, write_private},
    inventory,
    supervisor::{zone_options, zone_text},
};

/// The starter platform, as a person would write it for this bed.
const SPEC: &str = include_str!("../fixtures/bed/platform.yaml");
/// The name of the one repository in it.
pub const REPOSITORY: &str = "platform";

/// One test's corner of a bed: a Git repository, a DNS zone and a bucket of its own, an empty home, a state folder and
/// a spec file that names them all. While it lives no other test has one, for there is only one cluster.
///
/// # Guarantees
/// At its beginning the cluster is as it was when the bed was new, whatever an earlier test did.
pub struct World<'b> {
    bed: &'b Bed,
    name: String,
    dir: PathBuf,
    _turn: Option<MutexGuard<'b, ()>>,
}

impl<'b> World<'b> {
    pub(crate) fn new(bed: &'b Bed, name: &str) -> Result<Self, BoxError> {
        let turn = bed.turn();
        inventory::clear(bed)?;
        Self::made(bed, name, Some(turn))
    }

    /// One that takes no turn and must leave the cluster alone.
    pub(crate) fn aside(bed: &'b Bed, name: &str) -> Result<Self, BoxError> {
        Self::made(bed, name, None)
    }

    fn made(bed: &'b Bed, name: &str, turn: Option<MutexGuard<'b, ()>>) -> Result<Self, BoxError> {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        // beds outlive test binaries when they are shared by PLATFORM_BED, so the process is part of the name
        let name = format!("{name}-{}-{}", std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let world = Self { bed, dir: bed.facts().dir.join("worlds").join(&name), name, _turn: turn };
        world.furnish()?;
        Ok(world)
    }

    /// The one corner of a bed that people share (`platform-bed env`); furnished by the first who asks, never cleared.
    pub fn of_people(bed: &'b Bed) -> Result<Self, BoxError> {
        let name = "demo".to_owned();
        let world = Self { bed, dir: bed.facts().dir.join("worlds").join(&name), name, _turn: None };
        if !world.spec().exists() {
            world.furnish()?;
        }
        Ok(world)
    }

    fn furnish(&self) -> Result<(), BoxError> {
        for folder in ["home", "state", "tmp"] {
            fs_err::create_dir_all(self.dir.join(folder))?;
        }
        self.make_repository(REPOSITORY)?;
        self.make_zone(&self.zone())?;
        self.make_bucket(&self.bucket())?;
        fs_err::write(self.spec(), self.spec_text())?;
        Ok(())
    }

    /// The bed around it.
    pub fn bed(&self) -> &'b Bed {
        self.bed
    }

    /// Its folder. The program starts in it, with `home`, `state` and `tmp` below it.
    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// Its spec file, `platform.yaml`; a test may write another text into it.
    pub fn spec(&self) -> PathBuf {
        self.dir.join("platform.yaml")
    }

    /// The text that [`World::spec`] holds in the beginning.
    pub fn spec_text(&self) -> String {
        let facts = self.bed.facts();
        let values = [
            ("@KUBECONFIG@", facts.kubeconfig().display().to_string()),
            ("@GIT_URL@", self.git_url()),
            ("@GIT_USER@", GIT_USER.to_owned()),
            ("@S3_ENDPOINT@", facts.s3_endpoint()),
            ("@S3_REGION@", S3_REGION.to_owned()),
            ("@BUCKET@", self.bucket()),
            ("@ZONE@", self.zone()),
            ("@DNS@", DNS.to_owned()),
            ("@TSIG_NAME@", TSIG_NAME.to_owned()),
        ];
        values.iter().fold(SPEC.to_owned(), |text, (key, value)| text.replace(key, value))
    }

    /// Base URL of its repositories; [`REPOSITORY`] is one, and empty.
    pub fn git_url(&self) -> String {
        format!("{}/{}", self.bed.facts().git_url(), self.name)
    }

    /// A repository of it on disk, bare; its reflogs tell every push.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.bed.facts().dir.join("git").join(&self.name).join(format!("{name}.git"))
    }

    /// Its zone, with a SOA and an NS record and nothing else in the beginning.
    pub fn zone(&self) -> String {
        format!("{}.test", self.name)
    }

    /// Its bucket.
    pub fn bucket(&self) -> String {
        self.name.clone()
    }

    /// Runs the built `platform` to its end, as [`World::platform_command`] prepares it.
    pub fn platform<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        Output::of(self.platform_command(args).args(["--output", "json"]))
    }

    /// The built `platform`, in the bed's network, with an environment of its own: home, state, the artifact mirror and
    /// the secrets that the spec names. For tests that start it and kill it; [`World::platform`] is for all others.
    pub fn platform_command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let program = binary("platform").unwrap_or_else(|trouble| panic!("{trouble}"));
        let mut command = self.bed.command(program);
        command.args(args).envs(self.environment()).current_dir(&self.dir);
        command
    }

    /// Starts the built `platform`, as [`World::platform_command`] prepares it, with its result as JSON.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Started {
        Started::new(self.platform_command(args).args(["--output", "json"]))
    }

    /// The environment of [`World::platform_command`].
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let facts = self.bed.facts();
        let below = |name: &str| self.dir.join(name).display().to_string();
        vec![
            ("HOME", below("home")),
            ("TMPDIR", below("tmp")),
            ("PLATFORM_STATE", below("state")),
            ("PLATFORM_ARTIFACT_MIRROR", format!("file://{}", self.bed.components().mirror().display())),
            ("BED_GIT_PASSWORD", facts.git_password.clone()),
            ("BED_S3_CREDENTIALS", facts.s3_credentials()),
            ("BED_TSIG_SECRET", facts.tsig_secret.clone()),
            ("NO_COLOR", "1".to_owned()),
            ("RUST_BACKTRACE", "0".to_owned()),
        ]
    }

    /// What a person's shell needs beyond its own environment to work with the bed, the program included.
    pub fn shell_environment(&self) -> Vec<(&'static str, String)> {
        let facts = self.bed.facts();
        let built = binary("platform-bed").ok().and_then(|path| Some(path.parent()?.display().to_string()));
        let path = [
            built.unwrap_or_default(),
            self.bed.components().built("argocd", "").display().to_string(),
            self.bed.components().built("velero", "").display().to_string(),
            self.bed.components().path(),
            std::env::var("PATH").unwrap_or_default(),
        ];
        let own = ["HOME", "TMPDIR", "NO_COLOR", "RUST_BACKTRACE"];
        let mut environment = self.environment();
        environment.retain(|(name, _)| !own.contains(name));
        environment.extend([
            ("PATH", path.join(":")),
            ("PLATFORM_BED", facts.dir.display().to_string()),
            ("KUBECONFIG", facts.kubeconfig().display().to_string()),
            ("BED_SPEC", self.spec().display().to_string()),
            ("BED_GIT_URL", self.git_url()),
            ("BED_GIT_USER", GIT_USER.to_owned()),
            ("BED_ZONE", self.zone()),
            ("BED_DNS", DNS.to_owned()),
            ("BED_TSIG_NAME", TSIG_NAME.to_owned()),
            ("AWS_ENDPOINT_URL", facts.s3_endpoint()),
            ("AWS_REGION", S3_REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", facts.s3_access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", facts.s3_secret_key.clone()),
            ("BED_BUCKET", self.bucket()),
        ]);
        environment
    }

    /// Makes an empty bare repository.
    pub fn make_repository(&self, name: &str) -> Result<(), BoxError> {
        let path = self.repository(name);
        let git = |args: &[&str]| {
            Output::of(
                Command::new("git")
                    .args(args)
                    .env_clear()
                    .env("PATH", self.bed.components().path())
                    .env("HOME", &self.dir),
            )
        };
        let text = path.display().to_string();
        succeeded("git init", git(&["init", "--quiet", "--bare", "--initial-branch=main", &text]))?;
        for (key, value) in [("http.receivepack", "true"), ("core.logAllRefUpdates", "true")] {
            succeeded("git config", git(&["-C", &text, "config", key, value]))?;
        }
        Ok(())
    }

    /// Runs git on a bare repository of it, from the outside: `["log", "--format=%H", "main"]`.
    pub fn git<'a>(&self, repository: &str, args: impl IntoIterator<Item = &'a str>) -> Output {
        let mut command = self.bed.command("git");
        Output::of(command.arg("-C").arg(self.repository(repository)).args(args).env("HOME", &self.dir))
    }

    /// Makes a zone that [`TSIG_NAME`] may update.
    pub fn make_zone(&self, zone: &str) -> Result<(), BoxError> {
        let home = self.bed.facts().dir.join("dns");
        fs_err::write(home.join(format!("{zone}.zone")), zone_text(zone))?;
        let mut rndc = self.bed.command("rndc");
        rndc.args(["-s", "127.0.0.1", "-p", "953", "-k"]).arg(home.join("rndc.key"));
        succeeded("rndc addzone", Output::of(rndc.args(["addzone", zone, &zone_options(zone)])))
    }

    /// Every record of a zone, one per line, sorted; without SOA and NS and the address of the name server.
    ///
    /// # Panics
    /// When the zone cannot be transferred.
    #[track_caller]
    pub fn records(&self, zone: &str) -> Vec<String> {
        let out = self.dig(["+noall", "+answer", "AXFR", zone]).ok().stdout;
        assert!(out.contains("SOA"), "no zone {zone}: {out}");
        let mut records: Vec<_> = out
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| {
                !line.contains(" IN SOA ") && !line.contains(" IN NS ") && !line.starts_with("ns.")
            })
            .collect();
        records.sort();
        records
    }

    /// The zone's serial, which every update raises.
    ///
    /// # Panics
    /// When the zone is not served.
    #[track_caller]
    pub fn zone_serial(&self, zone: &str) -> u32 {
        let out = self.dig(["+short", "SOA", zone]).ok().stdout;
        out.split_whitespace().nth(2).and_then(|serial| serial.parse().ok()).expect("a SOA record")
    }

    /// Runs dig against the bed's DNS server.
    pub fn dig<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Output {
        Output::of(self.bed.command("dig").arg("@127.0.0.1").args(args).env("HOME", &self.dir))
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, bucket: &str) -> Result<(), BoxError> {
        let facts = self.bed.facts();
        let made = self.s3("PUT", bucket, &facts.s3_access_key, &facts.s3_secret_key);
        match made.stdout.trim() {
            "200" => Ok(()),
            status => Err(format!("bucket {bucket}: the S3 server says {status} {}", made.stderr).into()),
        }
    }

    /// One signed call without a body to the S3 server; standard output is the HTTP status.
    pub fn s3(&self, method: &str, path: &str, access_key: &str, secret_key: &str) -> Output {
        // keys go through a file: arguments can be read by everyone
        let config = self.dir.join("curl.conf");
        write_private(&config, format!("user = \"{access_key}:{secret_key}\"\n").as_bytes())
            .expect("curl.conf");
        let mut curl = self.bed.command("curl");
        curl.args(["--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--aws-sigv4", &format!("aws:amz:{S3_REGION}:s3"), "--request", method, "--config"])
            .arg(config)
            // SHA-256 of an empty body, which the signature covers
            .args([
                "--header",
                "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ])
            .arg(format!("http://{S3}/{path}"));
        Output::of(&mut curl)
    }

    /// Writes a kubeconfig like the program's with other parts, and returns its path: `edit` gets its text.
    pub fn kubeconfig_with(&self, name: &str, edit: impl FnOnce(String) -> String) -> PathBuf {
        let text = fs_err::read_to_string(self.bed.facts().kubeconfig()).expect("the bed has a kubeconfig");
        let path = self.dir.join(name);
        write_private(&path, edit(text).as_bytes()).expect("a kubeconfig");
        path
    }

    /// A kubeconfig like the program's, but with a client certificate that ran out long ago; everything else about it
    /// is right: its names, and the authority that signed it.
    ///
    /// # Panics
    /// When the bed's authority cannot be read.
    pub fn expired_kubeconfig(&self) -> PathBuf {
        let (certificate, key) = self.expired_certificate().unwrap_or_else(|trouble| panic!("{trouble}"));
        let line = |name: &str, pem: &str| format!("    {name}: {}", STANDARD.encode(pem));
        self.kubeconfig_with("expired.conf", |text| {
            let lines = text.lines().map(|old| match old.trim_start().split(':').next() {
                Some(name @ "client-certificate-data") => line(name, &certificate),
                Some(name @ "client-key-data") => line(name, &key),
                _ => old.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n") + "\n"
        })
    }

    fn expired_certificate(&self) -> Result<(String, String), BoxError> {
        let authority = KeyPair::from_pem(&fs_err::read_to_string(self.bed.facts().dir.join("pki/ca.key"))?)?;
        let mut name = DistinguishedName::new();
        // written as kubeadm writes it: names are compared byte by byte
        name.push(DnType::CommonName, DnValue::PrintableString("kubernetes".try_into()?));
        let issuer = Issuer::new(named(name), authority);
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, "kubeadm:cluster-admins");
        name.push(DnType::CommonName, API_USER);
        let mut wanted = named(name);
        wanted.not_before = date_time_ymd(2020, 1, 1);
        wanted.not_after = date_time_ymd(2021, 1, 1);
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((wanted.signed_by(&key, &issuer)?.pem(), key.serialize_pem()))
    }

    /// Every object in the cluster that bears a label, of every kind that can be listed.
    ///
    /// # Panics
    /// When the cluster cannot be listed.
    pub fn labelled(&self, selector: &str) -> Vec<String> {
        let found = inventory::Inventory::labelled(self.bed, selector);
        found.unwrap_or_else(|trouble| panic!("{trouble}")).names()
    }

    /// What the cluster holds beyond what a new bed does; controllers get a minute to finish.
    ///
    /// # Panics
    /// When the cluster cannot be listed.
    pub fn left_over(&self) -> Vec<String> {
        let objects = inventory::left_over(self.bed).unwrap_or_else(|trouble| panic!("{trouble}"));
        objects.iter().map(ToString::to_string).collect()
    }

    /// Fails unless the cluster is as it was when the bed was new, and the zone is empty.
    ///
    /// # Panics
    /// With the names of what is left.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert_eq!(self.left_over(), [] as [String; 0], "left in the cluster");
        assert_eq!(self.records(&self.zone()), [] as [String; 0], "left in the zone");
    }
}

fn named(name: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params
}

fn succeeded(deed: &str, output: Output) -> Result<(), BoxError> {
    match output.status {
        0 => Ok(()),
        code => Err(format!("{deed} ended with {code}: {}{}", output.stdout, output.stderr).into()),
    }
}
