//! G-14 (golden rule 9): what runs tomorrow is what was tried today.

use std::collections::BTreeSet;

use yaml_serde::Value;

use super::Check;
use crate::{
    Tree,
    lint::{
        Found,
        sheet::{Part, Sheet, containers, entries, items, pod, sources},
    },
};

/// Images without a tag may get one from a Kustomization: that is known at the end.
#[derive(Default)]
pub(super) struct Images {
    set_by_kustomize: BTreeSet<String>,
    without_tag: Vec<(String, String, u64)>,
}

impl Check for Images {
    fn sheet(&mut self, sheet: &Sheet<'_>, found: &mut Found<'_>) {
        for object in sheet.objects() {
            for container in pod(object).into_iter().flat_map(containers) {
                self.judge(sheet, &container["image"], found);
            }
            for source in sources(object) {
                values(sheet, &source["helm"]["valuesObject"], found);
                for parameter in items(&source["helm"]["parameters"]) {
                    let name = parameter["name"].as_str().unwrap_or_default();
                    if name.ends_with("image.tag") || name.ends_with("imageTag") {
                        tag(sheet, &parameter["value"], found);
                    }
                }
                items(&source["kustomize"]["images"]).for_each(|image| latest(sheet, image, found));
            }
        }
        match sheet.part {
            Part::HelmValues => sheet.documents.iter().for_each(|document| values(sheet, document, found)),
            Part::Kustomization => {
                for image in sheet.documents.iter().flat_map(|document| items(&document["images"])) {
                    let pins = ["newTag", "digest", "newName"].iter().any(|key| image[*key].is_string());
                    if let Some(name) = image["name"].as_str().filter(|_| pins) {
                        self.set_by_kustomize.insert(name.to_owned());
                    }
                    tag(sheet, &image["newTag"], found);
                }
            }
            Part::HelmTemplate => {
                for (line, text) in sheet.lines() {
                    let image = text.trim_start().trim_start_matches("- ").strip_prefix("image:");
                    if image.is_some_and(|image| image.trim().trim_matches(['"', '\'']).ends_with(":latest"))
                    {
                        found.at(sheet.path, line, "a container's image has the tag `latest`");
                    }
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, _tree: &Tree, found: &mut Found<'_>) {
        for (image, path, line) in &self.without_tag {
            if !self.set_by_kustomize.contains(image) {
                found.at(path, *line, format!("image `{image}` has no tag, which means `latest`"));
            }
        }
    }
}

impl Images {
    fn judge(&mut self, sheet: &Sheet<'_>, value: &Value, found: &mut Found<'_>) {
        let Some(image) = value.as_str().filter(|image| is_settled(image)) else { return };
        match parse(image) {
            Tag::None => self.without_tag.push((image.to_owned(), sheet.path.to_owned(), sheet.line(value))),
            _ => latest(sheet, value, found),
        }
    }
}

/// Whether nothing is to be filled in yet.
fn is_settled(text: &str) -> bool {
    !text.is_empty() && !text.contains("{{") && !text.contains('$') && !text.contains('<')
}

#[derive(PartialEq)]
enum Tag {
    None,
    Latest,
    Settled,
}

fn parse(image: &str) -> Tag {
    if image.contains('@') {
        return Tag::Settled;
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        None => Tag::None,
        Some((_, "latest")) => Tag::Latest,
        Some(_) => Tag::Settled,
    }
}

fn latest(sheet: &Sheet<'_>, value: &Value, found: &mut Found<'_>) {
    if let Some(image) = value.as_str().filter(|image| parse(image) == Tag::Latest) {
        found.value(sheet, value, format!("image `{image}` is another one another day"));
    }
}

fn tag(sheet: &Sheet<'_>, value: &Value, found: &mut Found<'_>) {
    if value.as_str() == Some("latest") {
        found.value(sheet, value, "an image gets the tag `latest`");
    }
}

/// Values for a chart: `image: x:latest`, `image: {tag: latest}`. An empty tag is the chart's own version.
fn values(sheet: &Sheet<'_>, value: &Value, found: &mut Found<'_>) {
    for (key, inner) in entries(value) {
        let key = key.to_ascii_lowercase();
        if key == "image" || key.ends_with("image") {
            latest(sheet, inner, found);
            tag(sheet, &inner["tag"], found);
        } else if key == "imagetag" {
            tag(sheet, inner, found);
        }
        if key == "tag" && value["repository"].is_string() {
            tag(sheet, inner, found);
        }
        if !key.ends_with("image") {
            values(sheet, inner, found);
        }
    }
    items(value).for_each(|inner| values(sheet, inner, found));
}
