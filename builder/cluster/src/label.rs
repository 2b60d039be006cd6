//! Labels and taints of Kubernetes nodes, as a kubelet is allowed to set them on itself.
//!
//! Syntax: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>. A kubelet that is given a label of
//! Kubernetes' own name space which is not on its short list does not start, so such labels are refused here.

use std::fmt;
use std::str::FromStr;

use crate::name::is_label;
use crate::{DnsName, Fault};

/// Labels of `kubernetes.io` and `k8s.io` that a kubelet may set on its node.
const ALLOWED: &[&str] = &[
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
];

/// Name spaces whose every label a kubelet may set.
const ALLOWED_PREFIXES: &[&str] = &["kubelet.kubernetes.io", "node.kubernetes.io"];

/// A label that a node gives itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    key: String,
    value: String,
}

impl Label {
    /// Checks key and value.
    pub(crate) fn new(key: &str, value: &str) -> Result<Self, Fault> {
        qualified(key)?;
        label_value(value)?;
        let space = key.rsplit_once('/').map_or("", |(it, _)| it);
        let of_kubernetes = ["kubernetes.io", "k8s.io"]
            .iter()
            .any(|it| space == *it || space.ends_with(&format!(".{it}")));
        let allowed = ALLOWED.contains(&key)
            || ALLOWED_PREFIXES
                .iter()
                .any(|it| space == *it || space.ends_with(&format!(".{it}")));
        if of_kubernetes && !allowed {
            return Err(Fault::new(
                format!("a kubelet may not give its node the label `{key}`"),
                format!(
                    "use a name space of your own, or `kubectl label node` when the node has joined; of Kubernetes' own it may set {}, and those of {}",
                    ALLOWED.join(", "),
                    ALLOWED_PREFIXES.join(", ")
                ),
            ));
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for Label {
    /// As `--node-labels` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaintEffect {
    /// They are not scheduled.
    NoSchedule,
    /// They are scheduled elsewhere if that is possible.
    PreferNoSchedule,
    /// They are evicted.
    NoExecute,
}

impl TaintEffect {
    /// Kubernetes' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// A taint, written `key=value:effect` or `key:effect` as `kubectl taint` takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// The key.
    pub key: String,
    /// The value, often empty.
    pub value: String,
    /// What it does.
    pub effect: TaintEffect,
}

impl FromStr for Taint {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::new(
                format!("`{text}` is not a taint"),
                "write key=value:effect or key:effect; effects are NoSchedule, PreferNoSchedule, NoExecute",
            )
        };
        let (pair, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
        let effect = [
            TaintEffect::NoSchedule,
            TaintEffect::PreferNoSchedule,
            TaintEffect::NoExecute,
        ]
        .into_iter()
        .find(|it| it.as_str() == effect)
        .ok_or_else(wrong)?;
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        qualified(key)?;
        label_value(value)?;
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
            effect,
        })
    }
}

/// Checks a key: a name of at most 63 characters, after a DNS name and a slash if it has a name space.
fn qualified(key: &str) -> Result<(), Fault> {
    let (space, name) = match key.split_once('/') {
        Some((space, name)) => (Some(space), name),
        None => (None, key),
    };
    let space_is_right = space.is_none_or(|it| it.parse::<DnsName>().is_ok());
    if space_is_right && is_name(name) {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{key}` is not the key of a label"),
        "write a name such as `gpu` or example.org/gpu: letters, digits, `-`, `_`, `.`, a letter or digit at both ends",
    ))
}

fn label_value(value: &str) -> Result<(), Fault> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(Fault::new(
        format!("`{value}` is not the value of a label"),
        "write nothing or at most 63 letters, digits, `-`, `_`, `.`, a letter or digit at both ends",
    ))
}

fn is_name(text: &str) -> bool {
    // The same shape as a DNS label where `_`, `.` and capitals count as letters.
    let plain: String = text
        .chars()
        .enumerate()
        .map(|(at, it)| match it {
            'A'..='Z' => 'a',
            '_' | '.' if at > 0 && at + 1 < text.len() => 'a',
            it => it,
        })
        .collect();
    is_label(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_those_a_kubelet_may_set() {
        for (key, value) in [
            ("gpu", "nvidia"),
            ("example.org/gpu", ""),
            ("topology.kubernetes.io/zone", "rack_1.A"),
            ("node.kubernetes.io/anything", "1"),
        ] {
            let label = Label::new(key, value).unwrap();
            assert_eq!(label.to_string(), format!("{key}={value}"));
        }
        for (key, value) in [
            ("", "x"),
            ("a b", "x"),
            ("-a", "x"),
            ("a", "x y"),
            ("a", "x-"),
            ("a", &"x".repeat(64)),
            ("Upper.org/a", "x"),
            ("node-role.kubernetes.io/gpu", ""),
            ("kubernetes.io/anything", "x"),
        ] {
            assert!(Label::new(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn taints_are_written_as_kubectl_takes_them() {
        let taint: Taint = "example.org/gpu=yes:NoSchedule".parse().unwrap();
        assert_eq!(
            (taint.key.as_str(), taint.value.as_str()),
            ("example.org/gpu", "yes")
        );
        assert_eq!(taint.effect, TaintEffect::NoSchedule);
        assert_eq!("a:NoExecute".parse::<Taint>().unwrap().value, "");
        for bad in ["", "a", "a:", "a:Never", "=b:NoExecute", "a=b c:NoExecute"] {
            assert!(bad.parse::<Taint>().is_err(), "{bad}");
        }
    }
}
