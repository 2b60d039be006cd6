//! Relations between packages: `Depends` and its kin. Debian Policy, chapter 7; deb-control(5).
//!
//! Build profiles and architecture lists of source packages are refused, not skipped.

use crate::error::Error;
use crate::name::PackageName;
use crate::version::Version;
use std::fmt;

/// The most alternatives of a field: real ones have some hundreds, and each takes a hundred times its text in memory.
const MAX_ALTERNATIVES: usize = 10_000;

/// A field's value: all of these must hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Relations(pub Vec<Relation>);

/// Alternatives, the preferred one first: one of these must hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relation(pub Vec<Alternative>);

/// One package, perhaps of some versions only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Alternative {
    /// The package's name.
    pub name: PackageName,
    /// The part after the name's colon.
    pub arch: ArchQualifier,
    /// Which versions.
    pub constraint: Option<Constraint>,
}

/// What a name's `:suffix` asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ArchQualifier {
    /// Nothing: an architecture that fits.
    Implicit,
    /// `:any`: whatever architecture.
    Any,
    /// `:native` or an architecture by name.
    Named(String),
}

/// `(operator version)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Constraint {
    /// How to compare.
    pub operator: Operator,
    /// With what.
    pub version: Version,
}

/// How versions are compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Relations {
    /// Parses a field's value; an empty one has no relations.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let signs = text.bytes().filter(|it| matches!(it, b',' | b'|'));
        if signs.count() >= MAX_ALTERNATIVES {
            return Err(Error::syntax(
                "relation",
                text,
                "there are more than 10,000",
            ));
        }
        let parts = text.split(',').map(str::trim).filter(|it| !it.is_empty());
        parts
            .map(Relation::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Parses a field that may be absent.
    pub fn parse_field(text: Option<&str>) -> Result<Self, Error> {
        text.map_or_else(|| Ok(Self::default()), Self::parse)
    }

    /// Iterates over all alternatives of all relations.
    pub fn alternatives(&self) -> impl Iterator<Item = &Alternative> {
        self.0.iter().flat_map(|it| &it.0)
    }
}

impl Relation {
    /// Parses alternatives separated by `|`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let all: Result<Vec<_>, _> = text.split('|').map(Alternative::parse).collect();
        let mut all = all?;
        // Mostly there is one, and room for four was made.
        all.shrink_to_fit();
        Ok(Self(all))
    }
}

impl Alternative {
    /// Parses `name[:arch] [(operator version)]`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let bad = |why| Error::syntax("relation", text, why);
        let (name, rest) = text.split_at(
            text.find(|it: char| it.is_whitespace() || it == '(')
                .unwrap_or(text.len()),
        );
        let (name, arch) = match name.split_once(':') {
            None => (name, ArchQualifier::Implicit),
            Some((name, "any")) => (name, ArchQualifier::Any),
            Some((_, "")) => return Err(bad("its architecture is empty")),
            Some((name, arch)) => (name, ArchQualifier::Named(arch.to_owned())),
        };
        let rest = rest.trim();
        let constraint = match rest.strip_prefix('(') {
            None if rest.is_empty() => None,
            None => return Err(bad("something other than a version follows the name")),
            Some(rest) => Some(Constraint::parse(
                rest.strip_suffix(')')
                    .ok_or_else(|| bad("a bracket is open"))?,
            )?),
        };
        Ok(Self {
            name: PackageName::new(name)?,
            arch,
            constraint,
        })
    }

    /// Returns whether a package of this version is one that is meant; names are not compared.
    pub fn admits(&self, version: &Version) -> bool {
        self.constraint.as_ref().is_none_or(|it| it.admits(version))
    }
}

impl Constraint {
    fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        // `<` and `>` alone are obsolete and mean `<=` and `>=`.
        let table = [
            ("<<", Operator::Earlier),
            ("<=", Operator::EarlierOrEqual),
            (">>", Operator::Later),
            (">=", Operator::LaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::EarlierOrEqual),
            (">", Operator::LaterOrEqual),
        ];
        let found = table
            .iter()
            .find_map(|(sign, operator)| Some((text.strip_prefix(sign)?, *operator)));
        let (version, operator) = found.unwrap_or((text, Operator::Equal));
        Ok(Self {
            operator,
            version: Version::new(version)?,
        })
    }

    /// Returns whether `version` stands in this relation.
    pub fn admits(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        match self.operator {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }
}

impl fmt::Display for Relations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.0, ", ")
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.0, " | ")
    }
}

fn joined<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
) -> fmt::Result {
    items.iter().enumerate().try_for_each(|(index, it)| {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{it}")
    })
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.arch {
            ArchQualifier::Implicit => {}
            ArchQualifier::Any => f.write_str(":any")?,
            ArchQualifier::Named(arch) => write!(f, ":{arch}")?,
        }
        if let Some(Constraint { operator, version }) = &self.constraint {
            write!(f, " ({operator} {})", version.canonical())?;
        }
        Ok(())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_written_as_dpkg_writes_them() {
        for (text, want) in [
            (
                "libc6(>=2.36),  a|b:any ( << 1 )",
                "libc6 (>= 2.36), a | b:any (<< 1)",
            ),
            ("x (0:1.2)", "x (= 1.2)"),
            ("perl:any (< 5)", "perl:any (<= 5)"),
            ("", ""),
            ("a:native", "a:native"),
        ] {
            assert_eq!(Relations::parse(text).unwrap().to_string(), want);
        }
        for bad in [
            "a (>= ",
            "a b",
            "a [amd64]",
            "a |",
            "(>= 1)",
            "a <!nocheck>",
            "a:",
        ] {
            assert!(Relations::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn relations_without_end_are_an_error() {
        assert!(Relations::parse(&"a|b,".repeat(4_999)).is_ok());
        let error = Relations::parse(&"a|b,".repeat(250_000)).unwrap_err();
        assert!(error.to_string().contains("more than 10,000"), "{error}");
    }

    #[test]
    fn constraints_admit_versions() {
        let admits = |relation: &str, version: &str| {
            Alternative::parse(relation)
                .unwrap()
                .admits(&Version::new(version).unwrap())
        };
        assert!(admits("a (>= 1.2)", "1.2") && admits("a", "0") && admits("a (>> 1.2~)", "1.2"));
        assert!(!admits("a (<< 1.2)", "1.2") && !admits("a (= 1.2-1)", "1.2-2"));
    }
}
