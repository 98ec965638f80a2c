//! The keys of an S3 store, in the two forms in which people have them.

use platform_spec::{Class, Code, Failure};
use secrecy::{ExposeSecret as _, SecretString};

/// Turns what a handle gave into the credentials file that Velero's plugin for S3 reads: such a file is left as it is,
/// `KEY:SECRET` becomes one with the profile `default`.
///
/// # Errors
/// `P0432` for what is neither. No error repeats any of it.
pub fn aws_file(given: SecretString) -> Result<SecretString, Failure> {
    let text = given.expose_secret().trim();
    if is_file(text) {
        return Ok(given);
    }
    let pair = text.split_once(':').filter(|(key, secret)| {
        let one_word =
            |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == '=');
        // Secrets of S3 are base64 and may end in `=`.
        one_word(key) && !key.starts_with(['[', '{', '"']) && one_word(secret.trim_end_matches('='))
    });
    match pair {
        Some((key, secret)) => Ok(SecretString::from(format!(
            "[default]\naws_access_key_id={key}\naws_secret_access_key={secret}\n"
        ))),
        None => Err(Failure::new(
            Code::new("P0432"),
            Class::Config,
            "could not use the credentials of the backup store",
        )
        .because(
            "they are neither an AWS credentials file (`[default]`, `aws_access_key_id=…`) nor `KEY:SECRET`",
        )
        .hint("write one of the two forms where `backup.store.credentialsRef` points")),
    }
}

/// A section, and something in it.
fn is_file(text: &str) -> bool {
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    lines.next().is_some_and(|line| line.starts_with('[') && line.ends_with(']'))
        && lines
            .any(|line| line.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(given: &str) -> Result<String, Failure> {
        aws_file(SecretString::from(given)).map(|made| made.expose_secret().to_owned())
    }

    #[test]
    fn a_pair_becomes_a_file_and_a_file_stays() {
        let made = "[default]\naws_access_key_id=AKIA1\naws_secret_access_key=a/b+c:d==\n";
        assert_eq!(file("AKIA1:a/b+c:d==").expect("a pair"), made);
        assert_eq!(file(made).expect("a file"), made);
        let role = "# ours\n[default]\nrole_arn = arn:aws:iam::1:role/velero\n";
        assert_eq!(file(role).expect("a file"), role);
    }

    #[test]
    fn what_is_neither_is_refused_and_not_repeated() {
        for wrong in [
            "pl4nted",
            "pl4nted:",
            ":pl4nted",
            "pl4nted with:blanks in it",
            "{\"pl4nted\":\"x\"}",
            "[default]\n",
            "aws_access_key_id=pl4nted:x",
        ] {
            let failure = file(wrong).expect_err(wrong);
            assert_eq!((failure.code.as_str(), failure.class), ("P0432", Class::Config), "{wrong}");
            assert!(!format!("{failure:?}").contains("pl4nted"), "{failure:?}");
        }
    }
}
