//! Parts of a spec file whose words are others': a provider's `config`, by the JSON Schema that the provider gives.

use serde_json::Value;

use crate::{
    report::Finding,
    source::{Kind, Node, Tree, check_part},
};

/// A part of a file that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// What stands there, as the schema wants it: an unquoted `1.30` is a text where a text is asked for.
    pub value: Value,
    /// Everything that is wrong with it, in the order of the file. When there is something, `value` means nothing.
    pub findings: Vec<Finding>,
}

/// Checks what stands at a path such as `spec.providers[0].config` of a file that [`crate::parse()`] took against a JSON Schema.
/// A part that is not in the file is an empty map.
///
/// # Guarantees
/// Words of JSON Schema that are not known here forbid nothing. `null` is a schema that allows everything. Beyond JSON Schema,
/// `format: secret-ref` asks for a handle and never repeats what stands there, and `x-hint` says what to write instead.
pub fn section(file_name: &str, text: &str, path: &str, schema: &Value) -> Section {
    let (tree, _) = Tree::read(text);
    let Some(tree) = tree.filter(|_| !schema.is_null()) else {
        return Section { value: Value::Null, findings: Vec::new() };
    };
    let nothing = Node { at: tree.locate(path), kind: Kind::Map(Vec::new()) };
    let checked = check_part(tree.at(path).unwrap_or(&nothing), schema, path);
    let mut findings: Vec<Finding> =
        checked.issues.into_iter().map(|issue| issue.locate(file_name, Some(&tree))).collect();
    findings.sort_by_key(|finding| (finding.line, finding.column));
    Section { value: checked.value, findings }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FILE: &str = "\
spec:
  providers:
    - name: here
      config:
        netwrok: kind
        port: many
        version: 1.30
        at: relative
    - name: there
";

    fn found(schema: &Value) -> Vec<(u64, u64, String, String, String)> {
        let found = section("a.yaml", FILE, "spec.providers[0].config", schema).findings;
        let all = found.into_iter().map(|it| {
            let place = (it.line.unwrap_or_default(), it.column.unwrap_or_default());
            (place.0, place.1, it.code.to_string(), it.path.unwrap_or_default(), it.hint.unwrap_or_default())
        });
        all.collect()
    }

    fn finding(
        line: u64,
        column: u64,
        code: &str,
        key: &str,
        hint: &str,
    ) -> (u64, u64, String, String, String) {
        (line, column, code.into(), format!("spec.providers[0].config.{key}"), hint.into())
    }

    #[test]
    fn everything_is_found_with_its_place_and_what_to_write() {
        let schema = json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "network": { "type": "string" },
                "port": { "type": "integer", "minimum": 1 },
                "version": { "type": "string" },
                "at": { "$ref": "#/$defs/path" },
            },
            "$defs": { "path": { "type": "string", "pattern": "^/", "x-hint": "write an absolute path" } },
        });
        assert_eq!(
            found(&schema),
            [
                finding(5, 9, "P0003", "netwrok", "did you mean `network`?"),
                finding(6, 15, "P0005", "port", "write a number such as 3"),
                finding(8, 13, "P0006", "at", "write an absolute path"),
            ]
        );
        let closed = json!({ "type": "object", "additionalProperties": false });
        assert_eq!(found(&closed).len(), 4, "a provider that takes nothing");
    }

    #[test]
    fn a_schema_of_others_forbids_what_it_says_and_nothing_else() {
        for schema in [
            json!(null),
            json!(true),
            json!({ "type": "object" }),
            json!({ "type": "object", "properties": { "version": { "type": ["string", "number"] } } }),
            json!({ "type": "object", "additionalProperties": true, "allOf": [{ "required": ["nowhere"] }] }),
        ] {
            assert_eq!(found(&schema), [], "{schema}");
        }
    }

    #[test]
    fn what_the_schema_asks_for_is_what_is_read() {
        let schema = json!({ "type": "object", "properties": { "version": { "type": "string" } } });
        let read = section("a.yaml", FILE, "spec.providers[0].config", &schema);
        let as_written = json!({ "netwrok": "kind", "port": "many", "version": "1.30", "at": "relative" });
        assert_eq!(read.value, as_written);
    }

    #[test]
    fn a_part_that_is_not_there_is_empty() {
        let schema = json!({ "type": "object", "required": ["region"], "properties": { "region": { "type": "string" } } });
        let read = section("a.yaml", FILE, "spec.providers[1].config", &schema);
        let found = &read.findings[0];
        assert_eq!((found.code.as_str(), found.line, found.column), ("P0004", Some(9), Some(7)));
    }
}
