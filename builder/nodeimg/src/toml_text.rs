//! Reading TOML with errors a person can act on: file, line, and what was probably meant.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;

/// Parses TOML bytes of the named file.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes)
        .map_err(|cause| Error::input(format!("{file} is not UTF-8 text")).because(cause))?;
    toml::from_str(text).map_err(|cause| {
        let line = cause
            .span()
            .map(|span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        let place = line.map_or_else(|| file.to_owned(), |line| format!("{file}, line {line}"));
        let error = Error::input(format!("{place}: {}", cause.message()));
        match suggestion(cause.message()) {
            Some(name) => error.help(format!("did you mean `{name}`?")),
            None => error,
        }
    })
}

/// Returns the expected name nearest to the unknown one, from the text of serde's error.
fn suggestion(message: &str) -> Option<&str> {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown ").then(|| names.next())??;
    names
        .map(|name| (distance(unknown, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3)
        .min()
        .map(|(_, name)| name)
}

/// Returns how many letters must be put, dropped or changed to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut left_above = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = left_above + usize::from(a != *b);
            left_above = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (a, b, want) in [
            ("slack", "slack", 0),
            ("slak", "slack", 1),
            ("overlay", "overlays", 1),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
