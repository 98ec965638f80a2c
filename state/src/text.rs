//! How values of the program stand in columns: times, words, JSON.

use jiff::Timestamp;
use serde::{
    Serialize,
    de::{
        DeserializeOwned, IntoDeserializer,
        value::{Error, StrDeserializer},
    },
};

use crate::trouble::Trouble;

/// Characters of a stored time: `2026-11-21T09:29:28.123456789Z`.
pub(crate) const TIME: usize = 30;

/// A time with all nine decimals: exact, so that the hash chain still verifies, and sorted as text.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// A time read back.
pub(crate) fn to_time(text: &str) -> Result<Timestamp, Trouble> {
    text.parse().map_err(|cause: jiff::Error| Trouble::unreadable("a time", cause))
}

/// A time that may be absent, read back.
pub(crate) fn to_time_if(text: Option<&str>) -> Result<Option<Timestamp>, Trouble> {
    text.map(to_time).transpose()
}

/// A word of the JSON output (`in_doubt`) read back.
pub(crate) fn to_word<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    let word: StrDeserializer<'_, Error> = text.into_deserializer();
    T::deserialize(word).map_err(|cause| Trouble::unreadable("a word", cause))
}

/// A value as compact JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|cause| Trouble::unreadable("a value", cause))
}

/// A value read back from JSON.
pub(crate) fn to_value<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|cause| Trouble::unreadable(what, cause))
}

/// A number that SQL holds as a signed one.
pub(crate) fn to_u64(number: i64) -> Result<u64, Trouble> {
    u64::try_from(number).map_err(|cause| Trouble::unreadable("a number", cause))
}

/// The same, shorter.
pub(crate) fn to_u32(number: i64) -> Result<u32, Trouble> {
    u32::try_from(number).map_err(|cause| Trouble::unreadable("a number", cause))
}

/// A number for SQL. What does not fit is no count of ours, and SQL's checks refuse the end of the range.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
