//! Finding clusters whose time is over, and removing them: by what the things outside say of themselves, never from our
//! own database.
//!
//! | room | what it holds |
//! |---|---|
//! | `decide` | what is to be swept: decisions without I/O |
//! | `lock` | one sweep at a time in one place |
//! | `remove` | removing what was condemned, users first |

mod decide;
mod lock;
mod remove;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use platform_provider::{Claim, Owned, Provider, SearchRequest, life::BEAT};
use platform_spec::{Class, Code, Failure, PlatformName};
use serde::Serialize;
use serde_json::{Value, json};

pub use decide::Verdict;

use crate::{App, doors, holder, lease, specs::Wanted, stop::Stop};
use decide::{Looked, Watch};
use lock::Lock;

/// What is to be swept.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Only at this provider (a kind, or its name in the spec); absent, at all that sweep.
    pub provider: Option<String>,
    /// Only this platform, whether its time is over or not.
    pub platform: Option<String>,
    /// How long the end of what is being removed is waited for.
    pub wait: Duration,
    /// What runs out within this time is waited for.
    pub soon: Duration,
    /// Nothing is to be removed.
    pub only_look: bool,
    /// In the emulated clouds instead of the real ones.
    pub emulated: bool,
    /// Whose the platform may be that was named; absent, this person's.
    pub owner: Option<String>,
}

/// What was found of one cluster, or of a platform outside of its clusters.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The provider's kind.
    pub provider: String,
    /// Whose it is.
    pub platform: PlatformName,
    /// Which cluster's.
    pub cluster: Option<String>,
    /// Who asked for it, when it says so.
    pub owner: Option<String>,
    /// How long the oldest of it has existed.
    pub age_ms: Option<u64>,
    /// Until when it is alive.
    pub alive_until: Option<Timestamp>,
    /// What is to become of it.
    pub verdict: Verdict,
    /// What has become of it.
    pub outcome: Outcome,
    /// What there is of it; after it was removed, what is left.
    pub things: Vec<Owned>,
}

/// What has become of something that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was done to it.
    Kept,
    /// It is gone.
    Removed,
    /// Something of it is still there.
    Left,
    /// Somebody began to use it again.
    Revived,
}

/// Something of what was condemned that is still there.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
    /// The provider's kind.
    pub provider: String,
    /// Whose it is.
    pub platform: PlatformName,
    /// What it is.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why it is still there.
    pub why: String,
}

/// What a sweep has done. Field names are a contract with scripts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Always `platform.sweep/v1`.
    pub schema: String,
    /// Whether nothing was to be removed.
    pub dry_run: bool,
    /// Where was looked, in words.
    pub places: Vec<String>,
    /// Everything that was found.
    pub claims: Vec<Found>,
    /// Providers that nobody named and that could not be looked at, each with why.
    pub blind: Vec<String>,
    /// What is left of what was to be removed.
    pub left: Vec<Left>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// A sweep that has begun: it holds the locks of its places.
pub struct Sweep {
    app: App,
    asked: Asked,
    places: Vec<Place>,
    blind: Vec<String>,
    began: Timestamp,
}

/// Where is swept.
struct Place {
    kind: String,
    /// Where that is.
    words: String,
    provider: Arc<dyn Provider>,
    search: SearchRequest,
    _lock: Option<Lock>,
}

impl Sweep {
    /// Chooses the places and takes their locks. A spec, where there is one, says how its providers are reached; without,
    /// each is reached as it is by default.
    ///
    /// # Errors
    /// `P0920` for a provider that does not sweep, `P0911` for one that there is not, `P0921` when somebody sweeps there.
    pub async fn begin(app: &App, wanted: Option<&Wanted>, asked: Asked) -> Result<Self, Failure> {
        let mut places = Vec::new();
        let mut known = Vec::new();
        let mut blind = Vec::new();
        for provider in doors::providers(&app.sandbox) {
            let description = provider.describe().await?;
            let played = if asked.emulated { doors::emulated(&app.sandbox) } else { Vec::new() };
            let played = played.into_iter().find(|(kind, _)| *kind == description.kind);
            let is_played = played.is_some() || description.kind == "sandbox";
            if asked.emulated && !is_played {
                continue;
            }
            let provider = played.map_or(provider, |(_, played)| played);
            known.push(description.kind.clone());
            let searches = searches(&description.kind, wanted, asked.provider.as_deref());
            if !searches.is_empty() && !description.capabilities.sweeps {
                if asked.provider.is_none() {
                    continue;
                }
                return Err(no_sweep(&description.kind));
            }
            for search in searches {
                // Looking for clusters in a sandbox that was never there would make it.
                let never =
                    is_played && search.config["url"].is_null() && !app.sandbox.join("sandbox").exists();
                if never && asked.provider.is_none() {
                    continue;
                }
                // Nobody has named it, and it need not be in use at all.
                if asked.provider.is_none()
                    && wanted.is_none()
                    && let Err(failure) = provider.list_claims(&search).await
                {
                    let why = failure.causes.last().unwrap_or(&failure.message);
                    blind.push(format!("{}: {why}", description.kind));
                    continue;
                }
                let words = words(&description.kind, is_played, &search.config);
                let place = match is_played {
                    true => format!("{}{}", app.sandbox.display(), search.config["url"]),
                    false => search.config.to_string(),
                };
                let lock = (!asked.only_look).then(|| Lock::take(&description.kind, &place)).transpose()?;
                let provider = Arc::clone(&provider);
                places.push(Place { kind: description.kind.clone(), words, provider, search, _lock: lock });
            }
        }
        if let Some(name) = asked.provider.as_ref().filter(|_| places.is_empty()) {
            return Err(Failure::new(
                Code::new("P0911"),
                Class::Config,
                format!("there is no provider `{name}`"),
            )
            .hint(format!("`platform providers` describes them: {}", known.join(", "))));
        }
        Ok(Self { app: app.clone(), asked, places, blind, began: app.clock.now() })
    }

    /// Where is looked, in words.
    pub fn places(&self) -> Vec<String> {
        self.places.iter().map(|place| place.words.clone()).collect()
    }

    /// Makes sure that what was named is of the person who named it, or of the one that was named with it. For a person's words: a
    /// nightly runner names what it has made itself, under names that nobody else gives.
    ///
    /// # Errors
    /// `P0941` when something of it says that somebody else has made it.
    pub fn judge(&self, found: &[Found]) -> Result<(), Failure> {
        let owner = self.asked.owner.clone().unwrap_or_else(holder::actor);
        match others(found, &owner) {
            Some(theirs) => Err(of_another(theirs)),
            None => Ok(()),
        }
    }

    /// Looks until it is decided for everything that is there whether it is alive: at once, unless something has run out
    /// just now or is about to.
    ///
    /// # Errors
    /// When a place cannot be looked at; `P0922` when the platform that was named has nothing.
    pub async fn look(&self, stop: &Stop) -> Result<Vec<Found>, Failure> {
        let mut watches: Vec<Watch> = self.places.iter().map(|_| Watch::default()).collect();
        loop {
            let mut found = Vec::new();
            let mut again: Option<Duration> = None;
            for (place, watch) in self.places.iter().zip(&mut watches) {
                let claims = place.provider.list_claims(&place.search).await?;
                // After the list: what it says was true before.
                let now = self.app.clock.now();
                for claim in claims {
                    let looked = watch.look(&claim, self.asked.platform.as_deref(), now, self.asked.soon);
                    // Who was told to stop decides nothing that was not certain.
                    let verdict = match looked {
                        Looked::Is(verdict) => verdict,
                        Looked::Again(left) => {
                            again = Some(again.map_or(left, |soonest| soonest.min(left)));
                            Verdict::Alive
                        }
                    };
                    found.push(place.found(claim, verdict));
                }
            }
            let left = match again {
                Some(left) if !stop.gently.is_cancelled() => left,
                _ => return self.named(found),
            };
            tokio::select! {
                () = stop.gently.cancelled() => {}
                () = tokio::time::sleep(left.min(BEAT)) => {}
            }
        }
    }

    fn named(&self, found: Vec<Found>) -> Result<Vec<Found>, Failure> {
        let Some(name) = &self.asked.platform else { return Ok(found) };
        if found.iter().any(|it| it.verdict == Verdict::Named) {
            return Ok(found);
        }
        let there: BTreeSet<&str> = found.iter().map(|it| it.platform.as_str()).collect();
        let there: Vec<&str> = there.into_iter().collect();
        let failure = Failure::new(
            Code::new("P0922"),
            Class::NotFound,
            format!("nothing belongs to platform `{name}`"),
        );
        let failure = failure.hint("`platform sweep --dry-run` lists what there is");
        Err(match there.as_slice() {
            [] => failure,
            there => failure.because(format!("there is something of: {}", there.join(", "))),
        })
    }

    /// Removes what is doomed, users first, and ends with a look at what is left.
    ///
    /// # Errors
    /// When a place cannot be looked at; `P0101` when somebody works on the platform that was named.
    pub async fn remove(&self, found: Vec<Found>, stop: &Stop) -> Result<Report, Failure> {
        let Some(name) = &self.asked.platform else { return self.removing(found, stop).await };
        lease::with(&self.app, &PlatformName::new(name.as_str()), stop, async |_| {
            self.removing(found, stop).await
        })
        .await
    }

    async fn removing(&self, mut found: Vec<Found>, stop: &Stop) -> Result<Report, Failure> {
        let mut left = Vec::new();
        for place in &self.places {
            let ours = found.iter_mut().filter(|it| it.provider == place.kind && it.verdict.is_doomed());
            left.extend(remove::all(place, ours.collect(), self.asked.wait, stop).await?);
        }
        Ok(self.report(found, left))
    }

    /// What was found, when nothing is to be removed.
    pub fn report(&self, claims: Vec<Found>, left: Vec<Left>) -> Report {
        let elapsed = self.app.clock.now().duration_since(self.began);
        Report {
            schema: "platform.sweep/v1".to_owned(),
            dry_run: self.asked.only_look,
            places: self.places(),
            claims,
            blind: self.blind.clone(),
            left,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or_default(),
        }
    }
}

impl Place {
    fn found(&self, claim: Claim, verdict: Verdict) -> Found {
        Found {
            provider: self.kind.clone(),
            platform: claim.platform,
            cluster: claim.cluster,
            owner: claim.owner,
            age_ms: claim.things.iter().filter_map(|thing| thing.age_ms).max(),
            alive_until: claim.alive_until,
            verdict,
            outcome: Outcome::Kept,
            things: claim.things,
        }
    }
}

/// How a kind is searched: as each provider of that kind in the spec says, or by default where there is none. Empty when
/// another was asked for.
fn searches(kind: &str, wanted: Option<&Wanted>, asked: Option<&str>) -> Vec<SearchRequest> {
    let mut searches: Vec<SearchRequest> = Vec::new();
    for cluster in wanted.iter().flat_map(|wanted| &wanted.model.clusters) {
        let provider = &cluster.provider;
        if provider.kind != kind || asked.is_some_and(|name| name != kind && name != provider.name) {
            continue;
        }
        let search = SearchRequest {
            provider: provider.name.clone(),
            config: json!(provider.config),
            credentials: provider.credentials_ref.clone(),
        };
        if !searches.contains(&search) {
            searches.push(search);
        }
    }
    let by_default = match (asked, wanted) {
        (Some(name), _) => name == kind,
        (None, None) => true,
        (None, Some(_)) => false,
    };
    if searches.is_empty() && by_default {
        searches.push(SearchRequest { provider: kind.to_owned(), ..SearchRequest::default() });
    }
    searches
}

fn no_sweep(kind: &str) -> Failure {
    Failure::new(
        Code::new("P0920"),
        Class::Config,
        format!("provider `{kind}` does not know how long its clusters are to live"),
    )
    .hint("remove the platform with `platform down`")
}

/// What a person is told of a place: whether it is a real one must not be guessed.
fn words(kind: &str, is_played: bool, config: &Value) -> String {
    match (is_played, config["url"].as_str(), config["engine"].as_str()) {
        (true, Some(url), _) => format!("{kind} (a sandbox at {url})"),
        (true, None, _) => format!("{kind} (the sandbox of this state directory)"),
        (false, _, Some(engine)) => format!("{kind} (the real one, by {engine})"),
        (false, _, None) => format!("{kind} (the real one)"),
    }
}

/// What a person has named and somebody else has made.
fn others<'a>(found: &'a [Found], owner: &str) -> Option<&'a Found> {
    let mut named = found.iter().filter(|it| it.verdict == Verdict::Named);
    named.find(|it| it.owner.as_ref().is_some_and(|theirs| theirs != owner))
}

fn of_another(theirs: &Found) -> Failure {
    let owner = theirs.owner.as_deref().unwrap_or_default();
    Failure::new(
        Code::new("P0941"),
        Class::Config,
        format!("will not remove platform `{}` at provider `{}`", theirs.platform, theirs.provider),
    )
    .because(format!("`{owner}` has made it"))
    .hint(format!("when that is what you want, say whose it is: `--owner {owner}`"))
    .hint("`platform sweep --dry-run` shows what there is, and whose")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(verdict: Verdict, owner: Option<&str>) -> Found {
        Found {
            provider: "kind".to_owned(),
            platform: PlatformName::new("demo"),
            cluster: None,
            owner: owner.map(str::to_owned),
            age_ms: None,
            alive_until: None,
            verdict,
            outcome: Outcome::Kept,
            things: Vec::new(),
        }
    }

    #[test]
    fn what_a_colleague_has_made_does_not_go_by_its_name_alone() {
        let judged = |verdict, owner, me| others(&[found(verdict, owner)], me).map(of_another);
        let refused = judged(Verdict::Named, Some("ada@here"), "eve@here").expect("it is ada's");
        assert_eq!(refused.code.as_str(), "P0941");
        assert!(refused.hints[0].contains("--owner ada@here"), "{refused:?}");
        assert_eq!(judged(Verdict::Named, Some("ada@here"), "ada@here"), None);
        assert_eq!(judged(Verdict::Named, None, "eve@here"), None, "nobody knows");
        // What is over has nobody any more.
        assert_eq!(judged(Verdict::Expired, Some("ada@here"), "eve@here"), None);
    }

    #[test]
    fn a_place_says_whether_it_is_a_real_one() {
        assert_eq!(words("kind", false, &Value::Null), "kind (the real one)");
        assert_eq!(words("kind", false, &json!({ "engine": "podman" })), "kind (the real one, by podman)");
        assert!(words("kind", true, &json!({ "engine": "podman" })).contains("sandbox of this state"));
    }
}
