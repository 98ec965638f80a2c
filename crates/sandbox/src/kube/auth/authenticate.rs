//! From credentials to a user.

use std::time::Duration;

use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::WebPkiClientVerifier,
};
use sha2::{Digest, Sha256};

use super::{User, token};
use crate::kube::{api::Api, refusal::Refusal};

/// What a client shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kube) struct Credentials<'a> {
    /// Its certificate, and those between it and an authority.
    pub certificates: &'a [CertificateDer<'static>],
    /// The header `Authorization`.
    pub authorization: &'a str,
}

/// Says who shows these.
///
/// A certificate counts before a token; whoever shows neither is anonymous.
///
/// # Errors
/// 401 for what is shown and not good.
pub(in crate::kube) fn authenticate(api: &Api, shown: &Credentials<'_>) -> Result<User, Refusal> {
    let unknown = || Refusal::new(401, "Unauthorized", "Unauthorized");
    if let [first, rest @ ..] = shown.certificates {
        match by_certificate(api, first, rest) {
            Some(user) => return Ok(user),
            None if bearer(shown.authorization).is_none() => return Err(unknown()),
            None => {}
        }
    }
    match bearer(shown.authorization) {
        Some(token) => token::user_or_owner(api, token, &[]).map(|(user, _)| user).map_err(|_| unknown()),
        None => Ok(User::anonymous()),
    }
}

/// Whether a bearer token is good for this API server.
pub fn is_good(api: &Api, token: &str) -> bool {
    token::user_or_owner(api, token, &[]).is_ok()
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn by_certificate(api: &Api, first: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Option<User> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(api.identity.authority_der()).ok()?;
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().ok()?;
    let now = u64::try_from((api.now)().as_second()).ok()?;
    verifier.verify_client_cert(first, rest, UnixTime::since_unix_epoch(Duration::from_secs(now))).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(first).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups = subject.iter_organization().filter_map(|it| it.as_str().ok());
    let mut user = User::new(name, groups);
    let digest = hex::encode(Sha256::digest(first));
    user.extra
        .insert("authentication.kubernetes.io/credential-id".into(), vec![format!("X509SHA256={digest}")]);
    Some(user)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::kube::object::later;

    fn api() -> Api {
        Api::new(Arc::new(|| Timestamp::from_second(1_800_000_000).expect("a time")), 1)
    }

    fn by(api: &Api, authorization: &str) -> Result<User, u16> {
        let shown = Credentials { certificates: &[], authorization };
        authenticate(api, &shown).map_err(|refusal| refusal.code)
    }

    #[test]
    fn tokens() {
        let api = api();
        let owner = api.identity.owner_token().expose_secret().to_owned();
        assert_eq!(by(&api, &format!("Bearer {owner}")), Ok(User::default()));
        assert_eq!(by(&api, &format!("bearer {owner}")), Ok(User::default()));
        assert_eq!(by(&api, "Bearer wrong"), Err(401));
        assert_eq!(by(&api, ""), Ok(User::anonymous()));
    }

    #[test]
    fn certificates() {
        let api = api();
        let user = User::new("jane", ["devs"]);
        let shown = |identity: &super::super::Identity, hours: (u64, u64)| {
            let at = |hours: u64| later(Timestamp::from_second(1_799_990_000).expect("a time"), hours * 3600);
            let (pem, _) = identity.client(&user, at(hours.0), at(hours.1)).expect("made");
            let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).expect("PEM");
            let certificates = [CertificateDer::from(pem.contents)];
            let shown = Credentials { certificates: &certificates, authorization: "" };
            authenticate(&api, &shown).map_err(|refusal| refusal.code)
        };
        let known = shown(&api.identity, (0, 24)).expect("known");
        assert_eq!((known.name, known.groups), (user.name.clone(), user.groups.clone()));
        assert_eq!(shown(&api.identity, (0, 1)), Err(401), "it has ended");
        assert_eq!(shown(&super::super::Identity::seeded(9), (0, 24)), Err(401), "another authority's");
    }
}
