//! G-11 (golden rule 1): what is one provider's stands in overlays.

use yaml_serde::Value;

use super::portable::provider_of;
use crate::lint::{
    Found,
    sheet::{Part, Sheet, entries},
};

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    if !sheet.lies_in(&["base", "bases"]) || sheet.in_chart() {
        return;
    }
    for document in &sheet.documents {
        marks(sheet, document, found);
    }
    if sheet.part == Part::Kustomization {
        for document in &sheet.documents {
            for common in ["commonAnnotations", "commonLabels"] {
                judge(sheet, &document[common], found);
            }
        }
    }
}

/// Annotations and labels wherever they stand: also of pods, claims and generated objects.
pub(super) fn marks(sheet: &Sheet<'_>, value: &Value, found: &mut Found<'_>) {
    match value {
        Value::Mapping(_) => {
            for (key, inner) in entries(value) {
                match key {
                    "annotations" | "labels" => judge(sheet, inner, found),
                    _ => marks(sheet, inner, found),
                }
            }
        }
        Value::Sequence(list) => list.iter().for_each(|inner| marks(sheet, inner, found)),
        _ => {}
    }
}

fn judge(sheet: &Sheet<'_>, marks: &Value, found: &mut Found<'_>) {
    for (key, value) in entries(marks) {
        if let Some(provider) = provider_of(key) {
            found.value(sheet, value, format!("`{key}` means something on {provider} only"));
        }
    }
}
