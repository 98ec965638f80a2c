//! The keys of a cluster, and what is made with them.
//!
//! All of them come from one secret of 32 bytes: who keeps that keeps the identity, and the same secret makes the same
//! certificate authority, the same key for tokens, the same token of the owner and (at the same time) the same tokens,
//! byte for byte. Keys are P-256, since signatures of RFC 6979 need no chance.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePrivateKey,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::User;

/// Names under which the API server is reached, beyond those a caller adds.
const NAMES: &[&str] = &[
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "::1",
    "10.96.0.1",
];

/// A certificate is good from a little before it was asked for: clocks differ.
const BEFORE: i64 = 300;

/// Who a cluster is: its certificate authority, its key for tokens, the token of its owner.
pub struct Identity {
    /// 32 bytes, in hexadecimal.
    secret: SecretString,
    owner: SecretString,
    authority: OnceLock<CertifiedIssuer<'static, Key>>,
    tokens: OnceLock<Key>,
    /// Digests of tokens whose signatures are known to be good: to check one takes longer than all the rest.
    verified: Mutex<BTreeSet<[u8; 32]>>,
}

/// Verified tokens that are remembered.
const REMEMBERED: usize = 1_000;

/// With what a kubeconfig says who asks.
pub enum Credential<'a> {
    /// A certificate of the cluster's own authority, good until then.
    Certificate {
        /// Who. At most one group can stand in it, the first.
        user: &'a User,
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// A token.
    Token(&'a SecretString),
}

/// A key could not be used, or a certificate not be written.
#[derive(Debug, thiserror::Error)]
#[error("a certificate could not be made")]
pub struct NotMade(#[from] rcgen::Error);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// From 32 bytes that nobody else knows.
    pub fn new(secret: [u8; 32]) -> Self {
        Self::of_text(hex::encode(secret))
    }

    /// From a number: for simulations and tests.
    pub fn seeded(seed: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"identity");
        hash.update(seed.to_be_bytes());
        Self::new(hash.finalize().into())
    }

    /// From what [`Self::keep`] gave.
    ///
    /// # Errors
    /// When it is not that; the text is not repeated.
    pub fn kept(text: &SecretString) -> Result<Self, hex::FromHexError> {
        let mut secret = [0; 32];
        hex::decode_to_slice(text.expose_secret().trim(), &mut secret)?;
        Ok(Self::new(secret))
    }

    fn of_text(secret: String) -> Self {
        let owner = hex::encode(derived(&secret, "owner", 0)).into();
        Self {
            secret: secret.into(),
            owner,
            authority: OnceLock::new(),
            tokens: OnceLock::new(),
            verified: Mutex::default(),
        }
    }

    /// Whether the signature of a token is good, as `verify` says once.
    pub(super) fn is_verified(&self, token: &str, verify: impl FnOnce() -> bool) -> bool {
        let digest = Sha256::digest(token).into();
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().contains(&digest) {
            return true;
        }
        let good = verify();
        if good {
            let mut verified = verified();
            if verified.len() >= REMEMBERED {
                verified.clear();
            }
            verified.insert(digest);
        }
        good
    }

    /// With another token for the owner.
    pub fn with_owner_token(mut self, token: SecretString) -> Self {
        self.owner = token;
        self
    }

    /// Everything there is to keep, as text. Whoever has it can do everything in the cluster.
    pub fn keep(&self) -> &SecretString {
        &self.secret
    }

    /// The token of the owner, who may do everything. It never expires.
    pub fn owner_token(&self) -> &SecretString {
        &self.owner
    }

    /// The certificate of the authority, PEM.
    pub fn authority(&self) -> String {
        self.issuer().pem()
    }

    /// The certificate of the authority, DER.
    pub fn authority_der(&self) -> CertificateDer<'static> {
        self.issuer().der().clone()
    }

    /// A certificate for the server, and its key. `names` are names and addresses beyond those of every API server.
    ///
    /// # Errors
    /// For what is no name.
    pub fn server(
        &self,
        names: &[String],
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), NotMade> {
        let names: Vec<String> =
            NAMES.iter().map(|it| (*it).to_owned()).chain(names.iter().cloned()).collect();
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = self.key("server");
        let certificate = server.signed_by(&key, self.issuer())?;
        Ok((certificate.der().clone(), key.pkcs8().into()))
    }

    /// A certificate of a client and its key, both PEM.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn client(
        &self,
        user: &User,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<(String, SecretString), NotMade> {
        let mut client = CertificateParams::default();
        client.distinguished_name.push(DnType::CommonName, user.name.as_str());
        if let Some(group) = user.groups.iter().find(|group| *group != super::user::AUTHENTICATED) {
            client.distinguished_name.push(DnType::OrganizationName, group.as_str());
        }
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        client.not_before = epoch + since_epoch(from, -BEFORE);
        client.not_after = epoch + since_epoch(until, 0);
        // The same user has the same key: what makes a certificate worth something is that it ends.
        let key = self.key(&format!("client {}", user.name));
        let certificate = client.signed_by(&key, self.issuer())?;
        let private = pem("PRIVATE KEY", key.pkcs8().secret_pkcs8_der());
        Ok((certificate.pem(), private.into()))
    }

    /// A token by which somebody is `user` until then.
    pub fn user_token(&self, user: &User, from: Timestamp, until: Timestamp) -> SecretString {
        super::token::for_user(self, user, from, until)
    }

    /// A kubeconfig that leads to a server of this identity.
    ///
    /// # Errors
    /// When a certificate cannot be written.
    pub fn kubeconfig(
        &self,
        name: &str,
        address: SocketAddr,
        credential: &Credential<'_>,
    ) -> Result<SecretString, NotMade> {
        let (who, proof) = match credential {
            Credential::Token(token) => ("owner", json!({ "token": token.expose_secret() })),
            Credential::Certificate { user, from, until } => {
                let (certificate, key) = self.client(user, *from, *until)?;
                let proof = json!({
                    "client-certificate-data": STANDARD.encode(certificate),
                    "client-key-data": STANDARD.encode(key.expose_secret()),
                });
                (user.name.as_str(), proof)
            }
        };
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{ "name": name, "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": STANDARD.encode(self.authority()),
            } }],
            "users": [{ "name": who, "user": proof }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": who } }],
        });
        // A document of texts alone always has a form in YAML.
        Ok(yaml_serde::to_string(&config).unwrap_or_else(|_| config.to_string()).into())
    }

    /// The key that signs tokens.
    pub(super) fn tokens(&self) -> &SigningKey {
        &self.tokens.get_or_init(|| self.key("tokens")).key
    }

    /// The name of that key: its digest.
    pub(super) fn tokens_name(&self) -> String {
        let key = self.tokens.get_or_init(|| self.key("tokens"));
        URL_SAFE_NO_PAD.encode(Sha256::digest(&key.public))
    }

    fn issuer(&self) -> &CertifiedIssuer<'static, Key> {
        self.authority.get_or_init(|| {
            let mut authority = CertificateParams::default();
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
            authority.distinguished_name.push(DnType::CommonName, "kubernetes");
            CertifiedIssuer::self_signed(authority, self.key("authority"))
                .expect("a certificate of fixed names can be written")
        })
    }

    fn key(&self, purpose: &str) -> Key {
        // Nearly every number of 32 bytes is a key; the first one that is.
        let keys = (0_u32..).filter_map(|count| {
            SigningKey::from_slice(&derived(self.secret.expose_secret(), purpose, count)).ok()
        });
        let key = keys.into_iter().next().expect("one of all numbers is a key");
        let public = key.verifying_key().to_encoded_point(false).as_bytes().to_vec();
        Key { key, public }
    }
}

fn derived(secret: &str, purpose: &str, count: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [secret.as_bytes(), purpose.as_bytes(), &count.to_be_bytes()] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A certificate's time: whole seconds, within what a certificate can say.
fn since_epoch(at: Timestamp, by: i64) -> Duration {
    const LAST: i64 = 253_402_300_799;
    Duration::from_secs(at.as_second().saturating_add(by).clamp(0, LAST).unsigned_abs())
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A key as certificates need it.
struct Key {
    key: SigningKey,
    public: Vec<u8>,
}

impl Key {
    fn pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        let document = p256::SecretKey::from(&self.key).to_pkcs8_der().expect("a key has a form in PKCS #8");
        PrivatePkcs8KeyDer::from(document.as_bytes().to_vec())
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_everything() {
        let identity = Identity::seeded(4);
        let again = Identity::kept(identity.keep()).expect("what was kept");
        assert_eq!(identity.authority(), again.authority());
        assert_eq!(identity.owner_token().expose_secret(), again.owner_token().expose_secret());
        let (from, until) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let user = User::new("jane", ["devs"]);
        let client = |identity: &Identity| identity.client(&user, from, until).expect("made").0;
        assert_eq!(client(&identity), client(&again));
        assert_ne!(Identity::seeded(5).authority(), identity.authority());
        assert!(Identity::kept(&"short".into()).is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let identity = Identity::seeded(4);
        let shown = format!("{identity:?}");
        assert!(
            !shown.contains(identity.keep().expose_secret())
                && !shown.contains(identity.owner_token().expose_secret())
        );
    }
}
