//! Order: each after what it needs.

use std::collections::{BTreeMap, BTreeSet};

/// Returns the keys so that each stands after what it needs; a circle is entered at its first key.
pub(crate) fn in_order<K: Clone + Ord>(needs: &BTreeMap<K, Vec<K>>) -> Vec<K> {
    let (mut done, mut seen) = (Vec::new(), BTreeSet::new());
    for start in needs.keys() {
        if !seen.insert(start) {
            continue;
        }
        let mut stack = vec![(start, 0)];
        while let Some((key, at)) = stack.last_mut() {
            let next = needs.get(*key).and_then(|it| it.get(*at));
            *at += 1;
            match next {
                Some(next) => {
                    if let Some((next, _)) = needs.get_key_value(next)
                        && seen.insert(next)
                    {
                        stack.push((next, 0));
                    }
                }
                None => done.extend(stack.pop().map(|(key, _)| key.clone())),
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_after_what_it_needs() {
        let needs = BTreeMap::from([
            ("a", vec!["c", "x"]),
            ("b", vec!["a"]),
            ("c", vec!["b"]),
            ("d", vec![]),
        ]);
        assert_eq!(in_order(&needs), ["b", "c", "a", "d"]);
    }
}
