//! Control files: paragraphs of fields. deb822(5); Debian Policy, section 5.1.
//!
//! A field keeps its text, so that a file that is rewritten changes only where it is meant to. Text that is not UTF-8 is
//! refused: dpkg has written UTF-8 only since long before any release this reads.

use crate::error::Error;
use std::fmt::Write as _;

/// The most fields of a paragraph: real ones have 40. Each is compared with those before it.
const MAX_FIELDS: usize = 1000;

/// A field: `Name: value`, continuation lines kept with the line break and the leading space.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// The name as written.
    pub name: String,
    /// The value without white space at its ends.
    pub value: String,
}

/// Fields in their order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Paragraph {
    fields: Vec<Field>,
}

impl Paragraph {
    /// Returns the value of a field; names are compared without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|it| it.name.eq_ignore_ascii_case(name))
            .map(|it| it.value.as_str())
    }

    /// Returns the value of a field, or an error that names it.
    pub fn require(&self, name: &'static str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::MissingField {
            place: self.title(),
            field: name,
        })
    }

    /// Sets a field in place, or appends it.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self
            .fields
            .iter_mut()
            .find(|it| it.name.eq_ignore_ascii_case(name))
        {
            Some(field) => field.value = value,
            None => self.fields.push(Field {
                name: name.to_owned(),
                value,
            }),
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) {
        self.fields.retain(|it| !it.name.eq_ignore_ascii_case(name));
    }

    /// Iterates in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// Returns the paragraph as text, without the empty line that ends it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for Field { name, value } in &self.fields {
            let space = if value.starts_with('\n') { "" } else { " " };
            writeln!(text, "{name}:{space}{value}").expect("a String takes all");
        }
        text
    }

    /// Parses a file that holds exactly one paragraph; `file` names it in errors.
    pub fn parse_one(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let mut all = Paragraphs::new(file, bytes);
        let first = all
            .next()
            .ok_or_else(|| Error::line(file, 1, "it is empty"))??;
        match all.next() {
            None => Ok(first),
            Some(_) => Err(Error::line(
                file,
                all.line,
                "it holds more than one paragraph",
            )),
        }
    }

    fn title(&self) -> String {
        self.get("Package")
            .map_or_else(|| "a paragraph".to_owned(), |it| format!("package {it}"))
    }
}

/// Iterates over the paragraphs of a file; ends after the first error.
#[derive(Debug)]
pub struct Paragraphs<'a> {
    file: &'a str,
    rest: &'a [u8],
    line: usize,
}

impl<'a> Paragraphs<'a> {
    /// Returns the paragraphs of a file's bytes; `file` names it in errors.
    pub fn new(file: &'a str, bytes: &'a [u8]) -> Self {
        Self {
            file,
            rest: bytes,
            line: 0,
        }
    }

    fn next_line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self
            .rest
            .iter()
            .position(|it| *it == b'\n')
            .unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line)
    }

    fn read(&mut self) -> Result<Option<Paragraph>, Error> {
        let mut paragraph = Paragraph::default();
        while let Some(line) = self.next_line() {
            let text = std::str::from_utf8(line)
                .map_err(|_| Error::line(self.file, self.line, "it is not UTF-8"))?;
            if text.trim().is_empty() {
                if paragraph.fields.is_empty() {
                    continue;
                }
                break;
            }
            if text.starts_with('#') {
                continue;
            }
            self.take_line(&mut paragraph, text)?;
        }
        for field in &mut paragraph.fields {
            field.value.truncate(field.value.trim_end().len());
        }
        Ok((!paragraph.fields.is_empty()).then_some(paragraph))
    }

    fn take_line(&self, paragraph: &mut Paragraph, text: &str) -> Result<(), Error> {
        if text.starts_with([' ', '\t']) {
            let Some(field) = paragraph.fields.last_mut() else {
                return Err(Error::line(
                    self.file,
                    self.line,
                    "it continues a field that has not begun",
                ));
            };
            field.value.push('\n');
            field.value.push_str(text);
            return Ok(());
        }
        let Some((name, value)) = text.split_once(':') else {
            return Err(Error::line(
                self.file,
                self.line,
                "it is no field: there is no colon",
            ));
        };
        if name.is_empty()
            || name.starts_with('-')
            || name.bytes().any(|it| !(33..=126).contains(&it))
        {
            return Err(Error::line(
                self.file,
                self.line,
                "a field's name is malformed",
            ));
        }
        if paragraph.fields.len() == MAX_FIELDS {
            return Err(Error::line(
                self.file,
                self.line,
                "the paragraph has more than 1,000 fields",
            ));
        }
        if paragraph.get(name).is_some() {
            return Err(Error::line(
                self.file,
                self.line,
                format!("the field {name} stands here twice"),
            ));
        }
        paragraph.fields.push(Field {
            name: name.to_owned(),
            value: value.trim_start().to_owned(),
        });
        Ok(())
    }
}

impl Iterator for Paragraphs<'_> {
    type Item = Result<Paragraph, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        read.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "Package: a\nDescription: short\n long\n .\n more\nConffiles:\n /etc/x abc\n";

    #[test]
    fn paragraphs_keep_their_text() {
        let all: Vec<_> = Paragraphs::new("x", format!("\n{TEXT}\n\nPackage: b\n").as_bytes())
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].to_text(), TEXT);
        assert_eq!(all[0].get("description"), Some("short\n long\n .\n more"));
        assert_eq!(all[1].get("Package"), Some("b"));
        assert!(
            all[1]
                .require("Version")
                .unwrap_err()
                .to_string()
                .contains("package b has no field Version")
        );
    }

    #[test]
    fn fields_without_end_are_an_error() {
        let text: String = (0..200_000).map(|it| format!("F{it}:\n")).collect();
        let error = Paragraph::parse_one("f", text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("f line 1001"), "{error}");
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [
            ("A: 1\nB\n", 2),
            (" x\n", 1),
            ("A: 1\nA: 2\n", 2),
            ("A: \u{0}\n-b: 1", 2),
        ] {
            let error = Paragraphs::new("f", text.as_bytes())
                .find_map(Result::err)
                .unwrap();
            assert!(
                error.to_string().starts_with(&format!("f line {line}")),
                "{error}"
            );
        }
        assert!(Paragraphs::new("f", b"A: \xff\n").next().unwrap().is_err());
    }
}
