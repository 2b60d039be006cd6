//! Bootstrap tokens as kubeadm knows them: `[a-z0-9]{6}.[a-z0-9]{16}`, the part before the dot being no secret.

use std::fmt;

use super::{Secrets, derive};
use crate::Secret;

const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LEN: usize = 6;
const SECRET_LEN: usize = 16;

/// A bootstrap token; prints as its identifier only.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    id: String,
    secret: String,
}

impl Token {
    /// Derives the token of `label`; bytes that would favour the first letters are passed over.
    pub(super) fn derive(secrets: &Secrets, label: &str) -> Self {
        let letters: String = (0_u32..)
            .flat_map(|round| derive::bytes::<64>(secrets, &format!("{label}/{round}")))
            .filter(|it| *it < 252)
            .map(|it| char::from(ALPHABET[usize::from(it % 36)]))
            .take(ID_LEN + SECRET_LEN)
            .collect();
        let (id, secret) = letters.split_at(ID_LEN);
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// The public half, by which `kubeadm token delete` knows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole token.
    pub fn secret(&self) -> Secret {
        Secret::new(format!("{}.{}", self.id, self.secret))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.[secret]", self.id)
    }
}
