//! Login, regions, quotas.

use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Cloud, Region, refusal::Refusal, state::State, thing::Kind};

impl Cloud {
    /// A token for a key.
    pub(super) fn login(&self, body: &Value, clock: Timestamp) -> Result<Value, Refusal> {
        let options = &self.inner.options;
        let key = body["key"].as_str().unwrap_or_default();
        if key != options.key.expose_secret() || key.is_empty() {
            return Err(Refusal::new(401, "unauthenticated", "the key is not known"));
        }
        let until = clock.checked_add(options.token_lasts).unwrap_or(Timestamp::MAX);
        let claims = format!("{}.{}", clock.as_millisecond(), until.as_millisecond());
        Ok(
            json!({ "token": format!("tok.{claims}.{}", self.seal(&claims)), "expires_at": until.to_string() }),
        )
    }

    /// Lets a token in, or not.
    pub(super) fn admit(&self, token: Option<&str>, clock: Timestamp) -> Result<(), Refusal> {
        let none =
            || Refusal::new(401, "unauthenticated", "log in, and send the token as `Authorization: Bearer`");
        let (claims, seal) =
            token.and_then(|token| token.strip_prefix("tok.")?.rsplit_once('.')).ok_or_else(none)?;
        if seal != self.seal(claims) {
            return Err(none());
        }
        let (from, until) = claims.split_once('.').ok_or_else(none)?;
        let ms = |text: &str| text.parse::<i64>().map_err(|_| none());
        let now = clock.as_millisecond();
        if now >= ms(until)? {
            return Err(Refusal::new(401, "auth_expired", "the token has expired; log in again"));
        }
        // Five minutes is what the large clouds forgive.
        if now + 300_000 < ms(from)? {
            return Err(Refusal::new(401, "auth_expired", "the token is from the future; the clocks differ"));
        }
        Ok(())
    }

    /// A plain hash is enough: it guards an emulator.
    fn seal(&self, claims: &str) -> String {
        let key = self.inner.options.key.expose_secret();
        hex::encode(&self.inner.chance.bytes(&["token", key, claims])[..16])
    }

    /// A region by its name; without a name the first.
    pub(super) fn region(&self, name: Option<&str>) -> Result<&Region, Refusal> {
        let regions = &self.inner.options.regions;
        let found = match name {
            Some(name) => regions.iter().find(|region| region.name == name),
            None => regions.first(),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = regions.iter().map(|region| region.name.as_str()).collect();
            let name = name.unwrap_or_default();
            Refusal::invalid(format!("there is no region {name}; there are {}", names.join(", ")))
        })
    }

    /// What the account has and may have.
    pub(super) fn account(&self, state: &State) -> Value {
        let size = |thing: &super::Thing| thing.spec["size"].as_u64().unwrap_or(0);
        let nodes: u64 = state.of_kind(Kind::NodePool).map(size).sum();
        let used = |what: &str| {
            Kind::ALL.into_iter().find(|kind| kind.word() == what).map_or(nodes, |kind| state.count(kind))
        };
        let quotas: Vec<Value> = state
            .meta
            .quotas
            .iter()
            .map(|(what, limit)| json!({ "what": what, "limit": limit, "used": used(what) }))
            .collect();
        let zone = |name: &String| {
            let here = state.of_kind(Kind::NodePool).filter(|pool| pool.spec["zone"] == *name);
            json!({ "name": name, "nodes": state.meta.capacity.get(name), "used": here.map(size).sum::<u64>() })
        };
        let regions: Vec<Value> = self
            .inner
            .options
            .regions
            .iter()
            .map(|region| {
                json!({ "name": region.name, "zones": region.zones.iter().map(zone).collect::<Vec<_>>() })
            })
            .collect();
        json!({ "quotas": quotas, "regions": regions, "versions": self.inner.options.versions })
    }
}
