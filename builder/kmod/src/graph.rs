//! Which modules need which, all the way down, in the order in which they are to be loaded.
//!
//! The order is depmod's: users before what they use; of modules that become free together the one named last comes first.

use crate::error::Error;
use std::collections::{BTreeMap, BTreeSet};

/// Modules by index, with those that each needs directly, in the order in which it first names them.
#[derive(Clone, Debug)]
pub(crate) struct Graph {
    needs: Vec<Vec<usize>>,
}

/// Returns the right order of what a module needs if the one known may be wrong for those that it frees together.
pub(crate) type Resolve<'a> =
    &'a mut dyn FnMut(usize, &[usize]) -> Result<Option<Vec<usize>>, Error>;

impl Graph {
    pub(crate) fn new(needs: Vec<Vec<usize>>) -> Self {
        Self { needs }
    }

    /// Returns each module's place in the order that has users before what they use.
    ///
    /// `sequence` is the order of modules in the index, `name` is for the error.
    pub(crate) fn order(
        &self,
        sequence: &[usize],
        resolve: Resolve<'_>,
        name: &dyn Fn(usize) -> String,
    ) -> Result<Vec<usize>, Error> {
        let mut users = vec![0_usize; self.needs.len()];
        for need in self.needs.iter().flatten() {
            users[*need] += 1;
        }
        let mut free: Vec<usize> = sequence
            .iter()
            .copied()
            .filter(|it| users[*it] == 0)
            .collect();
        let mut place = vec![usize::MAX; users.len()];
        let mut placed = 0;
        while let Some(module) = free.pop() {
            place[module] = placed;
            placed += 1;
            let mut freed = Vec::new();
            for need in &self.needs[module] {
                users[*need] -= 1;
                if users[*need] == 0 {
                    freed.push(*need);
                }
            }
            if let Some(order) = resolve(module, &freed)? {
                let mut at = BTreeMap::new();
                for (position, it) in order.into_iter().enumerate() {
                    at.entry(it).or_insert(position);
                }
                freed.sort_by_cached_key(|it| at.get(it).copied());
            }
            free.extend(freed);
        }
        if placed < sequence.len() {
            let names = sequence
                .iter()
                .copied()
                .filter(|it| place[*it] == usize::MAX)
                .map(name)
                .collect();
            return Err(Error::Cycle { names });
        }
        Ok(place)
    }

    /// Returns which modules each frees together, when all that need them are placed.
    pub(crate) fn freed(
        &self,
        sequence: &[usize],
        name: &dyn Fn(usize) -> String,
    ) -> Result<Vec<BTreeSet<usize>>, Error> {
        let mut all = vec![BTreeSet::new(); self.needs.len()];
        let mut note = |module: usize, freed: &[usize]| {
            all[module] = freed.iter().copied().collect();
            Ok(None)
        };
        self.order(sequence, &mut note, name)?;
        Ok(all)
    }

    /// Returns all that `module` needs, directly or not, in order of `place`.
    pub(crate) fn below(&self, module: usize, place: &[usize]) -> Vec<usize> {
        let mut found = BTreeSet::from([module]);
        let mut next = vec![module];
        while let Some(module) = next.pop() {
            next.extend(self.needs[module].iter().filter(|it| found.insert(**it)));
        }
        found.remove(&module);
        let mut below: Vec<_> = found.into_iter().collect();
        below.sort_by_key(|it| place[*it]);
        below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looking each up from the front would take twenty thousand million steps.
    #[test]
    fn two_hundred_thousand_modules_freed_together_are_put_in_order() {
        let count = 200_000;
        let mut needs = vec![Vec::new(); count + 1];
        needs[count] = (0..count).collect();
        let sequence: Vec<_> = (0..=count).collect();
        let mut backwards = |_: usize, freed: &[usize]| {
            let order = (!freed.is_empty()).then(|| freed.iter().rev().copied().collect());
            Ok(order)
        };
        let place = Graph::new(needs)
            .order(&sequence, &mut backwards, &|it| it.to_string())
            .unwrap();
        // First the one that uses all others; those are placed from the last in their order.
        assert_eq!(place[count], 0);
        assert!((0..count).all(|it| place[it] == it + 1));
    }
}
