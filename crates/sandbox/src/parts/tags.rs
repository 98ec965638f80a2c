//! Tags, and looking for things by them.

use std::collections::BTreeMap;

/// Tags (labels) of a thing.
pub type Tags = BTreeMap<String, String>;

/// At most so many, as the large clouds have it.
pub const MOST: usize = 50;

/// The longest key and value, as the large clouds have it.
pub const LONGEST: (usize, usize) = (128, 256);

/// What is wrong with tags, in words.
///
/// # Errors
/// When there are too many, or one is too long or has no key.
pub fn check(tags: &Tags) -> Result<(), String> {
    if tags.len() > MOST {
        return Err(format!("there are {} tags, and at most {MOST} are allowed", tags.len()));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > LONGEST.0 {
            return Err(format!("the tag key `{key}` must have 1 to {} characters", LONGEST.0));
        }
        if value.chars().count() > LONGEST.1 {
            return Err(format!("the value of tag `{key}` has more than {} characters", LONGEST.1));
        }
    }
    Ok(())
}

/// Which tags are looked for: all of them must be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Vec<(String, Option<String>)>);

impl Filter {
    /// Adds `KEY=VALUE`, or `KEY` alone for any value.
    pub fn and(&mut self, text: &str) {
        match text.split_once('=') {
            Some((key, value)) => self.0.push((key.to_owned(), Some(value.to_owned()))),
            None => self.0.push((text.to_owned(), None)),
        }
    }

    /// Whether tags are as looked for.
    pub fn fits(&self, tags: &Tags) -> bool {
        self.0.iter().all(|(key, value)| {
            tags.get(key).is_some_and(|is| value.as_ref().is_none_or(|value| value == is))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_narrow_by_key_and_value() {
        let tags = Tags::from([("a".into(), "1".into()), ("b".into(), String::new())]);
        let fits = |texts: &[&str]| {
            let mut filter = Filter::default();
            texts.iter().for_each(|text| filter.and(text));
            filter.fits(&tags)
        };
        assert!(fits(&[]) && fits(&["a=1"]) && fits(&["b"]) && fits(&["a=1", "b="]));
        assert!(!fits(&["a=2"]) && !fits(&["c"]) && !fits(&["a=1", "b=x"]));
    }

    #[test]
    fn tags_have_limits() {
        let many: Tags = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert!(check(&many).expect_err("too many").contains("51 tags"));
        for (key, value) in [("", ""), ("k", &*"v".repeat(257)), (&*"k".repeat(129), "")] {
            assert!(check(&Tags::from([(key.to_owned(), value.to_owned())])).is_err());
        }
        assert_eq!(check(&Tags::from([("k".into(), "v".repeat(256))])), Ok(()));
    }
}
