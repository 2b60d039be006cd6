//! A list that nearly always has one element, which then takes no memory of its own: there is one for each file.

use std::ops::Deref;

/// Elements that no longer change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Few<T> {
    /// One.
    One(T),
    /// Any number.
    Many(Box<[T]>),
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Many(Box::default())
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(mut list: Vec<T>) -> Self {
        match list.pop() {
            Some(last) if list.is_empty() => Self::One(last),
            last => {
                list.extend(last);
                Self::Many(list.into())
            }
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(it) => std::slice::from_ref(it),
            Self::Many(list) => list,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_what_it_was_made_of() {
        for len in 0..4 {
            let list: Vec<i32> = (0..len).collect();
            assert_eq!(*Few::from(list.clone()), *list);
        }
        assert!(matches!(Few::from(vec![7]), Few::One(7)));
        assert!(Few::<i32>::default().is_empty());
    }
}
