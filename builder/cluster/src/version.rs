//! Kubernetes versions as a cluster file names them and as a lock pins them, and the lifetime of join tokens.

use std::fmt;
use std::str::FromStr;

use crate::Fault;

/// The oldest minor whose kubeadm reads `kubeadm.k8s.io/v1beta4`.
const OLDEST_MINOR: u16 = 31;

/// What a cluster file asks for: a minor such as `1.36`, or one release of it such as `1.36.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    /// The `36` of 1.36.
    pub minor: u16,
    /// The `2` of 1.36.2, or `None` for the newest there is when the lock is made.
    pub patch: Option<u16>,
}

impl KubernetesVersion {
    /// Says whether `release` is one of those asked for.
    pub fn allows(self, release: Release) -> bool {
        self.minor == release.minor && self.patch.is_none_or(|it| it == release.patch)
    }
}

impl FromStr for KubernetesVersion {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (minor, patch) = numbers(text).ok_or_else(|| {
            Fault::new(
                format!("`{text}` is not a Kubernetes version"),
                "write a minor such as \"1.36\" or a release such as \"1.36.2\", in quotes",
            )
        })?;
        if minor < OLDEST_MINOR {
            return Err(Fault::new(
                format!("Kubernetes {text} is too old: its kubeadm does not read v1beta4"),
                format!("use 1.{OLDEST_MINOR} or newer"),
            ));
        }
        Ok(Self { minor, patch })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            Some(patch) => write!(f, "1.{}.{patch}", self.minor),
            None => write!(f, "1.{}", self.minor),
        }
    }
}

/// One release of Kubernetes, displayed as kubeadm writes it: `v1.36.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The `36` of v1.36.2.
    pub minor: u16,
    /// The `2` of v1.36.2.
    pub patch: u16,
}

impl FromStr for Release {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match numbers(text) {
            Some((minor, Some(patch))) => Ok(Self { minor, patch }),
            _ => Err(Fault::new(
                format!("`{text}` is not a Kubernetes release"),
                "write it as v1.36.2",
            )),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

/// Reads `[v]1.MINOR[.PATCH]`.
fn numbers(text: &str) -> Option<(u16, Option<u16>)> {
    let number = |it: &str| {
        let digits = it.bytes().all(|byte| byte.is_ascii_digit());
        (digits && (it == "0" || !it.starts_with('0'))).then(|| it.parse::<u16>().ok())?
    };
    let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
    if parts.next() != Some("1") {
        return None;
    }
    let minor = number(parts.next()?)?;
    let patch = match parts.next() {
        Some(it) => Some(number(it)?),
        None => None,
    };
    parts.next().is_none().then_some((minor, patch))
}

/// How long a join token is accepted after the cluster is formed; 0 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TokenTtl {
    /// Seconds, 0 for ever.
    pub seconds: u64,
}

impl FromStr for TokenTtl {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::new(
                format!("`{text}` is not a duration"),
                "write hours, minutes or seconds such as \"720h\", or \"0s\" for a token that never expires",
            )
        };
        let unit = match text.bytes().last() {
            Some(b'h') => 3600,
            Some(b'm') => 60,
            Some(b's') => 1,
            _ => return Err(wrong()),
        };
        let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
        // Go's durations end at 292 years; 7 digits of hours would pass them.
        if number.is_empty() || number.len() > 6 || !number.bytes().all(|it| it.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| wrong())?;
        Ok(Self {
            seconds: number * unit,
        })
    }
}

impl fmt::Display for TokenTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds {
            0 => f.write_str("0s"),
            it if it % 3600 == 0 => write!(f, "{}h", it / 3600),
            it if it % 60 == 0 => write!(f, "{}m", it / 60),
            it => write!(f, "{it}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_minors_or_releases() {
        let minor: KubernetesVersion = "1.36".parse().unwrap();
        let exact: KubernetesVersion = "v1.36.2".parse().unwrap();
        let release: Release = "1.36.2".parse().unwrap();
        assert!(minor.allows(release) && exact.allows(release));
        assert!(!exact.allows("v1.36.3".parse().unwrap()));
        assert!(!minor.allows("v1.35.2".parse().unwrap()));
        assert_eq!(release.to_string(), "v1.36.2");
        for bad in [
            "", "1", "2.1", "1.", "1.36.", "1.36.2.1", "1.036", "1.30", "latest", "1.+36",
        ] {
            assert!(bad.parse::<KubernetesVersion>().is_err(), "{bad}");
        }
        assert!("1.36".parse::<Release>().is_err());
    }

    #[test]
    fn durations_are_written_as_go_reads_them() {
        for (text, want) in [
            ("0s", "0s"),
            ("720h", "720h"),
            ("60m", "1h"),
            ("90s", "90s"),
            ("0h", "0s"),
        ] {
            assert_eq!(text.parse::<TokenTtl>().unwrap().to_string(), want);
        }
        for bad in ["", "h", "1d", "-1h", "1.5h", "1000000h", "24"] {
            assert!(bad.parse::<TokenTtl>().is_err(), "{bad}");
        }
    }
}
