//! Messages for words that are not known: what was meant, and what could have been written.

use crate::Fault;

/// Turns the TOML reader's message into a fault; an unknown key gets the nearest known one as suggestion.
pub(super) fn explain(message: &str) -> Fault {
    let message = message.trim_end();
    let Some(rest) = message.strip_prefix("unknown field ") else {
        let help = if message.starts_with("missing field") {
            "add it; `nodeimg cluster init` writes an example"
        } else {
            "correct the line"
        };
        return Fault::new(message.replace('\n', ", "), help);
    };
    // Serde writes: `word`, expected one of `a`, `b`. The words between backticks are every other part.
    let mut words = rest.split('`').skip(1).step_by(2);
    let word = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    one_of("key", word, &known)
}

/// Returns the fault of a `word` that is none of `known`.
pub(super) fn one_of(kind: &str, word: &str, known: &[&str]) -> Fault {
    let what = format!("unknown {kind} `{word}`");
    let nearest = known
        .iter()
        .map(|it| (distance(word, it), *it))
        .min()
        .filter(|(distance, it)| *distance <= 2.max(it.len() / 3));
    let all = known.join("`, `");
    match nearest {
        Some((_, it)) => Fault::new(what, format!("did you mean `{it}`?")),
        None => Fault::new(what, format!("known here: `{all}`")),
    }
}

/// The Levenshtein distance, over at most 64 characters of each.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (i, b) in b.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (a, &above) in a.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(*a != b))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_levenshteins() {
        for (a, b, want) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("pod_cdir", "pod_cidr", 2),
        ] {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
        }
    }
}
