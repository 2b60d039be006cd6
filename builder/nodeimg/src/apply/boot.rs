//! Byte-exact edits of a Pi's `cmdline.txt` and `config.txt`.
//!
//! The firmware reads one line of `cmdline.txt`, and `config.txt` in sections that depend on the model. Whatever is not
//! asked for stays as it is, line ends included: a rewritten file has stopped boards from booting.

/// Returns `cmdline.txt` with `word` on its one line, unchanged if the word is there.
pub(super) fn add_word(cmdline: &[u8], word: &str) -> Vec<u8> {
    let end = cmdline
        .iter()
        .position(|it| *it == b'\n' || *it == b'\r')
        .unwrap_or(cmdline.len());
    let (line, rest) = cmdline.split_at(end);
    if line
        .split(u8::is_ascii_whitespace)
        .any(|it| it == word.as_bytes())
    {
        return cmdline.to_vec();
    }
    let line = line.trim_ascii_end();
    let gap: &[u8] = if line.is_empty() { b"" } else { b" " };
    [line, gap, word.as_bytes(), rest].concat()
}

/// Returns `config.txt` with `line` under `[all]`, unchanged if the line is already in force for every model.
pub(super) fn add_line(config: &[u8], line: &str) -> Vec<u8> {
    let mut in_all = true;
    for present in config.split(|it| *it == b'\n').map(<[u8]>::trim_ascii) {
        if present.starts_with(b"[") {
            in_all = present == b"[all]";
        } else if in_all && present == line.as_bytes() {
            return config.to_vec();
        }
    }
    let newline: &[u8] = if config.windows(2).any(|it| it == b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    let mut out = config.to_vec();
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.extend_from_slice(newline);
    }
    if !in_all {
        out.extend_from_slice(b"[all]");
        out.extend_from_slice(newline);
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(newline);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_stays_one_line() {
        for (before, want) in [
            (
                &b"console=tty1 rootwait\n"[..],
                &b"console=tty1 rootwait a=1\n"[..],
            ),
            (
                b"console=tty1 rootwait \r\n",
                b"console=tty1 rootwait a=1\r\n",
            ),
            (b"console=tty1", b"console=tty1 a=1"),
            (b"x a=1 y\n", b"x a=1 y\n"),
            (b"xa=1 y\n\n", b"xa=1 y a=1\n\n"),
            (b"", b"a=1"),
        ] {
            assert_eq!(add_word(before, "a=1"), want);
        }
    }

    #[test]
    fn lines_go_under_all_models() {
        for (before, want) in [
            (
                &b"a=1\n[pi4]\nb=2\n"[..],
                &b"a=1\n[pi4]\nb=2\n[all]\nx=1\n"[..],
            ),
            (
                b"[pi4]\r\nx=1\r\n[all]\r\nb=2\r\n",
                b"[pi4]\r\nx=1\r\n[all]\r\nb=2\r\nx=1\r\n",
            ),
            (b"x=1\n[pi4]\n", b"x=1\n[pi4]\n"),
            (b"[all]\n x=1 \n", b"[all]\n x=1 \n"),
            (b"a", b"a\nx=1\n"),
            (b"", b"x=1\n"),
        ] {
            assert_eq!(
                add_line(before, "x=1"),
                want,
                "{}",
                String::from_utf8_lossy(before)
            );
        }
    }
}
