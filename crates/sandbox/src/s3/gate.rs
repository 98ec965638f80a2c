//! Who may do what with which bucket.

use std::sync::Arc;

use secrecy::SecretString;

use super::{
    keys::{Asker, Keys, sign_in},
    policy::{Policy, Verdict},
    refusal::{Refusal, Result},
    store::Store,
};

/// A store, and the keys that open it.
#[derive(Clone)]
pub struct Gate {
    /// What is stored.
    pub store: Arc<Store>,
    /// Who may ask.
    pub keys: Arc<dyn Keys>,
}

impl Gate {
    /// Who the holder of these credentials is; for callers in process.
    ///
    /// # Errors
    /// As S3: `InvalidAccessKeyId`, `SignatureDoesNotMatch`, `InvalidToken`, `ExpiredToken`.
    pub fn sign_in(&self, id: &str, secret: &SecretString, token: Option<&str>) -> Result<Asker> {
        sign_in(&*self.keys, (self.store.now)(), id, secret, token)
    }

    /// Whether somebody may do this. The owner's account may, unless the bucket's policy or the identity's own forbids
    /// it; other accounts may what the bucket's policy and their own allow; nobody may what the policy allows to all.
    ///
    /// A bucket that does not exist is nobody's: then the store itself refuses.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn admit(
        &self,
        asker: Option<&Asker>,
        action: &str,
        bucket: Option<&str>,
        key: Option<&str>,
    ) -> Result<()> {
        let denied = || {
            let Some(asker) = asker else { return Refusal::of("AccessDenied") };
            let resource = resource(bucket, key);
            Refusal::saying(
                "AccessDenied",
                format!(
                    "User: {} is not authorized to perform: {action} on resource: \"{resource}\"",
                    asker.arn
                ),
            )
        };
        let resource = resource(bucket, key);
        let own = asker.and_then(|asker| asker.policy.as_deref());
        let own = own.map(|policy| policy.verdict(asker, action, &resource));
        if own.is_some_and(|verdict| verdict != Verdict::Allowed) {
            return Err(denied());
        }
        let about = bucket.and_then(|name| self.store.bucket(name).ok());
        let Some(about) = about else {
            // Making and listing buckets is for those who have an account.
            return if asker.is_some() { Ok(()) } else { Err(denied()) };
        };
        let policy = about.settings.get("policy").and_then(|text| Policy::parse(text).ok());
        let verdict = policy.map_or(Verdict::Silent, |it| it.verdict(asker, action, &resource));
        let owner = asker.is_some_and(|asker| asker.account == about.owner);
        // The root of the owning account can always mend the policy; it could lock itself out otherwise.
        let mends = owner && action.ends_with("BucketPolicy");
        // That a name is taken is for the store to say, in its own words.
        let makes = action == "s3:CreateBucket" && asker.is_some();
        match verdict {
            Verdict::Denied if !mends => Err(denied()),
            Verdict::Allowed => Ok(()),
            _ if owner || makes => Ok(()),
            _ => Err(denied()),
        }
    }
}

fn resource(bucket: Option<&str>, key: Option<&str>) -> String {
    match (bucket, key) {
        (Some(bucket), Some(key)) => format!("arn:aws:s3:::{bucket}/{key}"),
        (Some(bucket), None) => format!("arn:aws:s3:::{bucket}"),
        _ => "arn:aws:s3:::*".to_owned(),
    }
}
