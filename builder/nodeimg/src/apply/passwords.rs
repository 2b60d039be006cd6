//! Locking accounts: no image leaves with a password in it. shadow(5).

/// Returns `/etc/shadow` with every password replaced by `!`, unchanged where there is none; an empty field, which would
/// let anybody in, counts as a password.
pub(super) fn lock(shadow: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in shadow.split(|it| *it == b'\n') {
        let mut fields: Vec<&[u8]> = line.split(|it| *it == b':').collect();
        if let Some(password) = fields.get_mut(1)
            && !password.starts_with(b"!")
            && !password.starts_with(b"*")
        {
            *password = b"!";
        }
        lines.push(fields.join(&b':'));
    }
    lines.join(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_passwords_change() {
        let before = b"root:*:1:0:99999:7:::\nubuntu:$6$x$y:1:0::::\nnobody::1\nx:!$6$a:1\n\n";
        let want = b"root:*:1:0:99999:7:::\nubuntu:!:1:0::::\nnobody:!:1\nx:!$6$a:1\n\n";
        assert_eq!(lock(before), want);
    }
}
