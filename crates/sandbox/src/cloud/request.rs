//! What is asked.

use serde_json::Value;

use super::{acts::Search, refusal::Refusal, thing::Kind};

/// A request, taken apart.
#[derive(Debug)]
pub(super) struct Ask {
    pub what: What,
    pub query: Vec<(String, String)>,
    /// The token, without `Bearer`.
    pub bearer: Option<String>,
    /// Who holds what, and since when: its name and epoch.
    pub fence: Option<(String, u64)>,
    pub body: Value,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Login,
    Account,
    /// Of one kind or of all.
    List(Option<Kind>),
    Create(Kind),
    Get(Kind, String),
    Update(Kind, String),
    Delete(Kind, String),
    Kubeconfig(String),
    ZoneKey(String),
}

impl What {
    /// From method and path.
    pub fn parse(method: &str, path: &str) -> Result<Self, Refusal> {
        let unknown = || Refusal::new(404, "no_such_path", format!("there is nothing at {path}"));
        let rest = path.strip_prefix("/v1/").ok_or_else(unknown)?;
        let segments: Vec<&str> = rest.split('/').collect();
        let kind = Kind::ALL.into_iter().find(|kind| kind.plural() == segments[0]);
        Ok(match (method, segments.as_slice(), kind) {
            ("POST", ["login"], _) => Self::Login,
            ("GET", ["account"], _) => Self::Account,
            ("GET", ["things"], _) => Self::List(None),
            ("GET", [_], Some(kind)) => Self::List(Some(kind)),
            ("POST", [_], Some(kind)) => Self::Create(kind),
            ("GET", [_, id], Some(kind)) => Self::Get(kind, (*id).to_owned()),
            ("PATCH", [_, id], Some(kind)) => Self::Update(kind, (*id).to_owned()),
            ("DELETE", [_, id], Some(kind)) => Self::Delete(kind, (*id).to_owned()),
            ("POST", [_, id, "kubeconfig"], Some(Kind::Cluster)) => Self::Kubeconfig((*id).to_owned()),
            ("GET", [_, id, "key"], Some(Kind::DnsZone)) => Self::ZoneKey((*id).to_owned()),
            (_, [_] | [_, _], Some(_)) | (_, ["login" | "account" | "things"], _) => {
                return Err(Refusal::new(
                    405,
                    "no_such_method",
                    format!("{path} cannot be asked to {method}"),
                ));
            }
            _ => return Err(unknown()),
        })
    }

    /// What fault scripts and the call log call it.
    pub fn operation(&self) -> String {
        let one = |verb: &str, kind: &Kind| format!("{verb}_{}", kind.word().replace('-', "_"));
        match self {
            Self::Login => "login".to_owned(),
            Self::Account => "get_account".to_owned(),
            Self::List(None) => "list_things".to_owned(),
            Self::List(Some(kind)) => format!("list_{}", kind.plural().replace('-', "_")),
            Self::Create(kind) => one("create", kind),
            Self::Get(kind, _) => one("get", kind),
            Self::Update(kind, _) => one("update", kind),
            Self::Delete(kind, _) => one("delete", kind),
            Self::Kubeconfig(_) => "create_kubeconfig".to_owned(),
            Self::ZoneKey(_) => "get_dns_zone_key".to_owned(),
        }
    }
}

impl Ask {
    /// What it is about: an id, or a name.
    pub fn target(&self) -> &str {
        let asked = |key: &str| self.query.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        match &self.what {
            What::Login | What::Account => "",
            What::List(_) => asked("name").or_else(|| asked("stands_on")).unwrap_or_default(),
            What::Create(_) => self.body["name"].as_str().unwrap_or_default(),
            What::Get(_, id) | What::Update(_, id) | What::Delete(_, id) => id,
            What::Kubeconfig(id) | What::ZoneKey(id) => id,
        }
    }

    /// The search of a list.
    pub fn search(&self) -> Result<Search, Refusal> {
        let mut search = Search::default();
        for (key, value) in &self.query {
            match key.as_str() {
                "name" => search.name = Some(value.clone()),
                "region" => search.region = Some(value.clone()),
                "stands_on" => search.stands_on = Some(value.clone()),
                "tag" => {
                    search.tags.and(value);
                    if let Some((key, value)) = value.split_once('=') {
                        search.exact_tags.push((key.to_owned(), value.to_owned()));
                    }
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    search.limit = limit.ok_or_else(|| {
                        Refusal::invalid(format!("limit must be a number from 1 to {MOST}, not `{value}`"))
                    })?;
                }
                "page" => search.page = Some(value.clone()),
                other => return Err(Refusal::invalid(format!("there is no parameter `{other}`"))),
            }
        }
        Ok(search)
    }
}

/// The most things in a page.
const MOST: usize = 100;

/// A fence as a header has it: `NAME;EPOCH`.
pub(super) fn fence(text: &str) -> Result<(String, u64), Refusal> {
    text.split_once(';')
        .and_then(|(name, epoch)| Some((name.to_owned(), epoch.parse().ok()?)))
        .ok_or_else(|| Refusal::invalid(format!("`{text}` is no fence: it is NAME;EPOCH")))
}
