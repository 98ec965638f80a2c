//! Nothing that exists is lost sight of: a flow would look for its clusters where the spec says, and nowhere else.

use platform_flows::wish;
use platform_spec::{Class, Code, Failure, Model, event::LedgerEntry};

use crate::specs::DEFAULT_PROVIDER;

/// Refuses to go on when a cluster that the ledger knows would be looked for nowhere, or elsewhere.
///
/// # Errors
/// `P0808` for a platform in another world, `P0809` for a cluster that the spec does not name or wants from another provider.
pub(crate) fn kept(ledger: &[LedgerEntry], model: &Model) -> Result<(), Failure> {
    same_world(ledger, model)?;
    same_clusters(ledger, model)
}

/// Refuses to make a platform in one world that is in another: what is there would be forgotten.
fn same_world(ledger: &[LedgerEntry], model: &Model) -> Result<(), Failure> {
    let of = |cluster: &str| model.clusters.iter().find(|it| it.name == cluster);
    let elsewhere = ledger.iter().find_map(|entry| {
        let (provider, cluster) = (entry.detail["provider"].as_str()?, entry.detail["cluster"].as_str()?);
        let kind = &of(cluster)?.provider.kind;
        let there = provider.strip_suffix(wish::EMULATED);
        (there.unwrap_or(provider) == kind && kind != DEFAULT_PROVIDER && there.is_some() != model.emulated)
            .then_some((cluster, kind, there.is_some()))
    });
    let Some((cluster, kind, emulated)) = elsewhere else { return Ok(()) };
    let (is, hint) = match emulated {
        true => (
            "in the sandbox",
            format!(
                "give `--sandbox`; or remove it there first: `platform down --provider {kind} --sandbox`"
            ),
        ),
        false => (
            "a real one",
            format!(
                "leave `--sandbox` out; or remove it there first: `platform down --provider {kind}`; or use another state directory: `--state PATH`"
            ),
        ),
    };
    Err(Failure::new(
        Code::new("P0808"),
        Class::Config,
        format!("cluster `{cluster}` of platform `{}` is {is}, and was asked for elsewhere", model.platform),
    )
    .hint(hint))
}

/// Refuses to go on without a cluster that exists, or with another provider for it: nobody would look for it any more.
fn same_clusters(ledger: &[LedgerEntry], model: &Model) -> Result<(), Failure> {
    for entry in ledger {
        let (Some(kind), Some(cluster)) =
            (entry.detail["provider"].as_str(), entry.detail["cluster"].as_str())
        else {
            continue;
        };
        let (kind, flag) = match kind.strip_suffix(wish::EMULATED) {
            Some(kind) => (kind, " --sandbox"),
            None => (kind, ""),
        };
        let wanted = model.clusters.iter().find(|it| it.name == cluster).map(|it| &it.provider.kind);
        let (how, hints) = match wanted {
            Some(wanted) if wanted == kind => continue,
            Some(wanted) => (
                format!(" on provider `{kind}`, and was asked for on `{wanted}`"),
                [
                    format!("remove it there first: `platform down --provider {kind}{flag}`"),
                    "a second platform needs a name of its own (`metadata.name`)".to_owned(),
                ],
            ),
            None => (
                ", and the spec has none of that name".to_owned(),
                [
                    format!(
                        "to remove it, put it back into `spec.clusters`, then `platform down --cluster {cluster}`"
                    ),
                    "a cluster cannot be renamed: make the new one beside it, then remove the old one"
                        .to_owned(),
                ],
            ),
        };
        let what = format!("cluster `{cluster}` of platform `{}` exists{how}", model.platform);
        let failure = Failure::new(Code::new("P0809"), Class::Config, what);
        return Err(hints.into_iter().fold(failure, |failure, hint| failure.hint(hint)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use platform_spec::{derive, parse, starter};
    use serde_json::json;

    use super::*;

    fn model() -> Model {
        let text = starter::starter("sandbox", Path::new("/state")).expect("a starter");
        derive(&parse("platform.yaml", &text).expect("a good spec").platform)
    }

    fn entry(provider: &str, cluster: &str) -> LedgerEntry {
        LedgerEntry {
            key: format!("{cluster}/control-plane"),
            kind: "resource".into(),
            external_id: "1".into(),
            owned: true,
            detail: json!({ "provider": provider, "cluster": cluster }),
        }
    }

    #[test]
    fn a_cluster_that_exists_is_not_lost_sight_of() {
        let model = model();
        let name = model.clusters[0].name.as_str();
        let judged = |provider: &str, cluster: &str| {
            let refused = kept(&[entry("sandbox", name), entry(provider, cluster)], &model).err();
            refused.map(|failure| (failure.code.as_str().to_owned(), failure.hints.join("; ")))
        };
        assert_eq!(judged("sandbox", name), None);
        let (code, hints) = judged("sandbox", "other").expect("it is not in the spec");
        assert!(code == "P0809" && hints.contains("platform down --cluster other"), "{code} {hints}");
        let (code, hints) = judged("kind@sandbox", name).expect("it is another provider's");
        assert!(
            code == "P0809" && hints.contains("platform down --provider kind --sandbox"),
            "{code} {hints}"
        );
    }

    #[test]
    fn a_platform_in_another_world_is_named_with_the_command_that_removes_it_there() {
        let text = starter::starter("kind", Path::new("/state")).expect("a starter");
        let parsed = platform_spec::parse_emulated("platform.yaml", &text).expect("a good spec");
        for (emulated, provider, command) in [
            (false, "kind@sandbox", "platform down --provider kind --sandbox"),
            (true, "kind", "platform down --provider kind`"),
        ] {
            let model = Model { emulated, ..derive(&parsed.platform) };
            let name = model.clusters[0].name.clone();
            let refused = kept(&[entry(provider, &name)], &model).expect_err("it is elsewhere");
            assert!(refused.code.as_str() == "P0808" && refused.hints[0].contains(command), "{refused:?}");
        }
    }
}
