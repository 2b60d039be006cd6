//! The cleartext signature framework (RFC 9580, section 7): text that stays readable, and its signatures below it.
//!
//! Read strictly and in one pass: nothing before the first line, no header but `Hash`, every leading dash escaped, no
//! bare carriage return, nothing after the last line. What is handed on is made from what was signed, never from the
//! file: the trailing blanks that signatures ignore are gone.

use crate::error::Error;

/// A message taken apart, with nothing verified.
#[derive(Debug)]
pub(crate) struct Cleartext<'a> {
    /// The text as it is hashed: unescaped, without trailing blanks, lines ended by CR LF, the last one not ended.
    pub(crate) hashed: Vec<u8>,
    /// The same text with lines ended by LF, the last one too.
    pub(crate) body: Vec<u8>,
    /// The armored signatures.
    pub(crate) signature: &'a [u8],
}

const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";

impl<'a> Cleartext<'a> {
    /// Takes a message apart.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, Error> {
        let mut lines = Lines { text, at: 0 };
        if lines.next().map(<[u8]>::trim_ascii_end) != Some(BEGIN) {
            return Err(malformed(
                "it does not begin with -----BEGIN PGP SIGNED MESSAGE-----",
            ));
        }
        loop {
            let header = lines
                .next()
                .ok_or_else(|| malformed("it ends within its headers"))?;
            match header.trim_ascii() {
                b"" => break,
                header if header.starts_with(b"Hash:") => {}
                _ => return Err(malformed("it has a header other than Hash")),
            }
        }
        let (mut hashed, mut body) = (Vec::new(), Vec::new());
        loop {
            let start = lines.at;
            let line = lines
                .next()
                .ok_or_else(|| malformed("its signature is missing"))?;
            if line == SIGNATURE {
                let signature = text.get(start..).unwrap_or_default();
                return Ok(Self {
                    hashed,
                    body,
                    signature,
                });
            }
            if line.contains(&b'\r') {
                return Err(malformed("it has a carriage return inside a line"));
            }
            let line = match line.strip_prefix(b"- ") {
                Some(rest) => rest,
                None if line.starts_with(b"-") => {
                    return Err(malformed(
                        "it has a line that begins with a dash and is not escaped",
                    ));
                }
                None => line,
            };
            let blanks = line
                .iter()
                .rev()
                .take_while(|it| matches!(it, b' ' | b'\t'))
                .count();
            let line = &line[..line.len() - blanks];
            if !body.is_empty() {
                hashed.extend_from_slice(b"\r\n");
            }
            hashed.extend_from_slice(line);
            body.extend_from_slice(line);
            body.push(b'\n');
        }
    }
}

/// Lines without their ends, LF or CR LF.
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..).filter(|it| !it.is_empty())?;
        let line = rest
            .split_inclusive(|it| *it == b'\n')
            .next()
            .unwrap_or_default();
        self.at += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn malformed(why: &str) -> Error {
    Error::Malformed {
        what: "signed text",
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(middle: &str) -> Result<(String, String), Error> {
        let text =
            format!("-----BEGIN PGP SIGNED MESSAGE-----\n{middle}-----BEGIN PGP SIGNATURE-----\n");
        let parsed = Cleartext::parse(text.as_bytes())?;
        let string = |it: Vec<u8>| String::from_utf8(it).unwrap();
        Ok((string(parsed.hashed), string(parsed.body)))
    }

    #[test]
    fn text_is_unescaped_trimmed_and_normalised() {
        let (hashed, body) = parse("Hash: SHA512\n\na \t\r\n- -b\n\n- - c\n").unwrap();
        assert_eq!(hashed, "a\r\n-b\r\n\r\n- c");
        assert_eq!(body, "a\n-b\n\n- c\n");
        assert_eq!(parse("\n").unwrap(), (String::new(), String::new()));
        assert_eq!(parse("\n\n\na\n").unwrap().0, "\r\n\r\na");
    }

    #[test]
    fn doubtful_framing_is_refused() {
        for bad in [
            "Hash: SHA512\n",       // no empty line: the text would be a header
            "Comment: text\n\na\n", // a header that could be taken for text
            "\n-a\n",               // unescaped dash
            "\n-----BEGIN PGP SIGNED MESSAGE-----\n\na\n",
            "\na\rb\n", // hashed like a line end by some, not by others
            "\na\r\r\n",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(Cleartext::parse(b"x\n-----BEGIN PGP SIGNED MESSAGE-----\n\n").is_err());
        assert!(Cleartext::parse(b"-----BEGIN PGP SIGNED MESSAGE-----\n\na\n").is_err());
        assert!(Cleartext::parse(b"").is_err());
    }
}
