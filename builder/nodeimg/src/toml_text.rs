//! Reading TOML with errors a person can act on: file, line, and what was probably meant.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;

/// The most dots between the names of keys: each may make a table, and a table takes a hundred times the memory of a dot.
const MAX_DOTS: usize = 50_000;

/// Parses TOML bytes of the named file.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes)
        .map_err(|cause| Error::input(format!("{file} is not UTF-8 text")).because(cause))?;
    if dots(text) > MAX_DOTS {
        let what = format!("{file}: keys with more than {MAX_DOTS} dots");
        return Err(
            Error::input(what).help("this is no file of nodeimg's: its tables are not so deep")
        );
    }
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

/// Returns the number of dots that stand in no string and no comment (TOML 1.0: a string of three quotes ends at three).
fn dots(text: &str) -> usize {
    let mut count = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['.', '"', '\'', '#']) {
        let (mark, behind) = rest[at..].split_at(1);
        rest = match mark {
            "." => {
                count += 1;
                behind
            }
            "#" => behind.find('\n').map_or("", |end| &behind[end..]),
            quote => {
                let three = quote.repeat(3);
                let end = if rest[at..].starts_with(&three) {
                    &three
                } else {
                    quote
                };
                behind_string(&rest[at + end.len()..], end)
            }
        };
    }
    count
}

/// Returns what follows a string whose opening quotes were passed.
fn behind_string<'a>(mut rest: &'a str, end: &str) -> &'a str {
    let escapes = end.starts_with('"');
    loop {
        let stop = if escapes {
            rest.find(['\\', '"'])
        } else {
            rest.find(end)
        };
        let Some(at) = stop else { return "" };
        if let Some(behind) = rest[at..].strip_prefix(end) {
            return behind;
        }
        // A quote alone within three, or a backslash and what it escapes.
        let mut behind = rest[at..].chars();
        if behind.next() == Some('\\') {
            behind.next();
        }
        rest = behind.as_str();
    }
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
    fn dots_of_keys_count_and_those_of_texts_do_not() {
        for (text, want) in [
            ("a.b.c = 1", 2),
            ("[a.b]\nc = 1.5 # ...\nd = {e.f = 2}", 3),
            (r#"a."b.c".d = "x\".y.z" # ."#, 2),
            ("a = '''.'.''.\n'''\nb.c = \"\"\".\"\\\"\"\".\"\"\"\n", 1),
            ("a = 'x.\\'\nb.c = 1", 1),
            ("a = \"never closed .....", 0),
            ("a = \"\\", 0),
        ] {
            assert_eq!(dots(text), want, "{text}");
        }
        let deep = ["a", &".a".repeat(MAX_DOTS + 1), " = 1"].concat();
        let error = parse::<toml::Table>("x.lock", deep.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("dots"), "{error}");
    }

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
