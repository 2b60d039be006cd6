//! YAML as kubeadm and cloud-init read it: quoted wherever YAML 1.1 would read something else than text, long strings unfolded.

use serde::Serialize;
use serde_saphyr::LitStr;

use crate::Error;

/// Writes one document; `what` names it in the error.
pub(crate) fn document(what: &'static str, value: &impl Serialize) -> Result<String, Error> {
    // Folding would break the long lines of keys and certificates apart for no reader's good.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 1 << 20 };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|source| Error::Yaml { what, source })
}

/// Serializes a text file's content as a literal block, so that seeds can be read by people.
pub(crate) fn literal<S: serde::Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    LitStr(text).serialize(serializer)
}
