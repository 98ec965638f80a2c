//! Who asks: access keys, and what their holders may do.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{policy::Policy, refusal::Refusal};

/// An access key.
#[derive(Clone, Debug)]
pub struct Key {
    /// The public part.
    pub id: String,
    /// The secret.
    pub secret: SecretString,
    /// The session token of temporary credentials; requests must carry it.
    pub token: Option<SecretString>,
    /// When temporary credentials end.
    pub expires: Option<Timestamp>,
    /// Whose it is.
    pub asker: Asker,
}

/// An identity that asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Asker {
    /// The account, twelve digits on AWS. It owns the buckets that it makes.
    pub account: String,
    /// The identity as bucket policies name it: `arn:aws:iam::ACCOUNT:user/NAME`.
    pub arn: String,
    /// What the identity may do; without one, everything that its account may.
    pub policy: Option<Arc<Policy>>,
}

impl Asker {
    /// The root of an account: it may do all that the account may.
    pub fn root(account: &str) -> Self {
        Self { account: account.to_owned(), arn: format!("arn:aws:iam::{account}:root"), policy: None }
    }
}

/// Where access keys are looked up, at every request.
pub trait Keys: Send + Sync + 'static {
    /// The key of that id, also when it has expired.
    fn find(&self, id: &str) -> Option<Key>;
}

/// Keys in memory.
#[derive(Default)]
pub struct KeyTable(std::sync::RwLock<BTreeMap<String, Key>>);

impl KeyTable {
    /// Adds or replaces a key.
    pub fn put(&self, key: Key) {
        let mut keys = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        keys.insert(key.id.clone(), key);
    }

    /// Takes a key away.
    pub fn remove(&self, id: &str) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(id);
    }
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        to.debug_set().entries(keys.keys()).finish()
    }
}

impl Keys for KeyTable {
    fn find(&self, id: &str) -> Option<Key> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(id).cloned()
    }
}

/// Holds what a caller shows against what is known, without HTTP: for callers in process.
///
/// # Errors
/// As S3: `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `InvalidToken`, `ExpiredToken`.
pub fn sign_in(
    keys: &dyn Keys,
    now: Timestamp,
    id: &str,
    secret: &SecretString,
    token: Option<&str>,
) -> Result<Asker, Refusal> {
    let key = keys.find(id).ok_or_else(|| Refusal::of("InvalidAccessKeyId"))?;
    if key.secret.expose_secret() != secret.expose_secret() {
        return Err(Refusal::of("SignatureDoesNotMatch"));
    }
    key.admit(now, token)
}

impl Key {
    /// Whether temporary credentials are whole and still good.
    ///
    /// # Errors
    /// `InvalidToken`, `ExpiredToken`; `InvalidAccessKeyId` when the token is missing, as S3 has it.
    pub fn admit(self, now: Timestamp, token: Option<&str>) -> Result<Asker, Refusal> {
        match (&self.token, token) {
            (None, None) => {}
            (Some(_), None) => return Err(Refusal::of("InvalidAccessKeyId")),
            (Some(known), Some(shown)) if known.expose_secret() == shown => {}
            _ => return Err(Refusal::of("InvalidToken")),
        }
        if self.expires.is_some_and(|end| end <= now) {
            return Err(Refusal::of("ExpiredToken"));
        }
        Ok(self.asker)
    }
}
