//! What is taken of what was sent: an object of the right kind, in the right place, with fields that there are.

use serde_json::Value;

use super::{
    dialect,
    object::{meta, metadata},
    refusal::Refusal,
    schema::Shape,
    strict,
    write::Writing,
};

impl Writing<'_> {
    /// Checks kind and version, and holds the object against its shape.
    pub(super) fn read_strictly(&mut self, object: &mut Value, twice: &[String]) -> Result<(), Refusal> {
        let warnings = self.strictly(object, twice)?;
        self.warnings.extend(warnings);
        Ok(())
    }

    pub(super) fn strictly(&self, object: &mut Value, twice: &[String]) -> Result<Vec<String>, Refusal> {
        let resource = self.resource();
        let wanted = (resource.api_version(), resource.kind.as_str());
        let given =
            (object["apiVersion"].as_str().unwrap_or_default(), object["kind"].as_str().unwrap_or_default());
        if !object.is_object()
            || (!given.1.is_empty() && given.1 != wanted.1)
            || (!given.0.is_empty() && given.0 != wanted.0)
        {
            if resource.custom.is_none() && !given.0.is_empty() && !given.1.is_empty() {
                return Err(dialect::another_kind(resource, given, Shape::is_built_in(object)));
            }
            return Err(Refusal::bad_request(format!(
                "the API version in the data ({}, Kind={}) does not match the expected API version ({}, Kind={})",
                given.0, given.1, wanted.0, wanted.1
            )));
        }
        let strictly = self.ask.query.text("fieldValidation") == "Strict";
        let whole = strictly.then(|| self.repeated(object)).flatten();
        let misfits = strict::prune(&resource.shape, &resource.kind, object);
        let cannot = |why: String| {
            let (version, kind) = (&resource.version, &resource.kind);
            Refusal::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            ))
        };
        // Of custom objects the schema itself judges types.
        if let Some((path, got, wanted)) = misfits.wrong.first()
            && resource.custom.is_none()
        {
            let why = format!("json: cannot unmarshal {got} into Go struct field {path} of type {wanted}");
            return Err(match self.repeated(object) {
                Some(whole) => not_read(&whole, &why),
                None => cannot(why),
            });
        }
        let mut words: Vec<String> = twice.iter().map(|path| format!("duplicate field {path:?}")).collect();
        words.extend(misfits.unknown.iter().map(|path| format!("unknown field {path:?}")));
        match self.ask.query.text("fieldValidation") {
            "Ignore" => Ok(Vec::new()),
            "Strict" if !words.is_empty() => {
                let why = format!("strict decoding error: {}", words.join(", "));
                Err(match whole {
                    Some(whole) => not_read(&whole, &why),
                    None => cannot(why),
                })
            }
            _ => Ok(words),
        }
    }

    /// What the refusal of a patch repeats: what the patch makes of the object, or the patch.
    fn repeated(&self, object: &Value) -> Option<String> {
        let patches = self.ask.method == "PATCH";
        match self.ask.content_type.split(';').next().filter(|_| patches)?.trim() {
            "application/json-patch+json" | "application/merge-patch+json" => Some(dialect::object(object)),
            "application/strategic-merge-patch+json" => {
                Some(dialect::printed(&serde_json::from_slice(&self.ask.body).ok()?))
            }
            _ => None,
        }
    }

    /// The namespace of the address is the namespace of the object.
    pub(super) fn place(&self, object: &mut Value) -> Result<(), Refusal> {
        let of_address = self.subject.place.namespace.as_deref();
        let given = meta(object, "namespace").to_owned();
        match (of_address, self.resource().namespaced) {
            (Some(namespace), true) if given.is_empty() => {
                metadata(object).insert("namespace".into(), namespace.into());
            }
            (Some(namespace), true) if given == namespace => {}
            (None, false) => drop(metadata(object).shift_remove("namespace")),
            (None, true) => return Err(Refusal::method_not_allowed()),
            _ => {
                return Err(Refusal::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
        }
        Ok(())
    }
}

/// A patch that makes of an object what cannot be read.
fn not_read(whole: &str, why: &str) -> Refusal {
    Refusal::invalid("", "", "", &[("patch".to_owned(), format!("Invalid value: {whole:?}: {why}"))])
}
