//! Which of one run is the same as which of the other.

/// Whether two are the same.
pub(super) type SameRule<'a, T> = &'a dyn Fn(T, T) -> bool;

/// Each with its other one, those of `before` in their order and then what is left of `after`.
/// Two are the same by the first of these rules by which neither has another one left: where
/// several might be meant, none is.
pub(super) fn pairs<T: Copy>(
    before: &[T],
    after: &[T],
    rules: &[SameRule<'_, T>],
) -> Vec<[Option<T>; 2]> {
    let mut pairs: Vec<[Option<T>; 2]> = before.iter().map(|one| [Some(*one), None]).collect();
    let mut left: Vec<T> = after.to_vec();
    for is_same in rules {
        for place in 0..pairs.len() {
            let Some([Some(one), None]) = pairs.get(place).copied() else {
                continue;
            };
            let others = left.iter().enumerate();
            let found = only(others.filter(|(_, other)| is_same(one, **other)));
            let Some((at, other)) = found.map(|(at, other)| (at, *other)) else {
                continue;
            };
            let open = pairs.iter().enumerate();
            let open = open.filter_map(|(place, pair)| match pair {
                [Some(one), None] => Some((place, *one)),
                _ => None,
            });
            let is_mutual = only(open.filter(|(_, one)| is_same(*one, other))).is_some();
            if is_mutual && let Some(pair) = pairs.get_mut(place) {
                pair[1] = Some(other);
                left.remove(at);
            }
        }
    }
    pairs.extend(left.into_iter().map(|one| [None, Some(one)]));
    pairs
}

/// The only one; `None` if there are several, or none.
fn only<T>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_leaves_no_doubt_decides() {
        let whole = |one: (u8, u8), other: (u8, u8)| one == other;
        let first = |one: (u8, u8), other: (u8, u8)| one.0 == other.0;
        let before = [(1, 1), (1, 2), (2, 1), (3, 1)];
        let after = [(3, 9), (1, 2), (1, 1), (4, 1)];
        let found = pairs(&before, &after, &[&whole, &first]);
        assert_eq!(
            found,
            [
                [Some((1, 1)), Some((1, 1))],
                [Some((1, 2)), Some((1, 2))],
                [Some((2, 1)), None],
                [Some((3, 1)), Some((3, 9))],
                [None, Some((4, 1))],
            ]
        );
    }

    #[test]
    fn where_several_may_be_meant_none_is() {
        let any = |_: u8, _: u8| true;
        assert_eq!(pairs(&[1], &[2], &[&any]), [[Some(1), Some(2)]]);
        assert_eq!(
            pairs(&[1, 2], &[3], &[&any]),
            [[Some(1), None], [Some(2), None], [None, Some(3)]]
        );
        assert_eq!(
            pairs(&[1], &[2, 3], &[&any]),
            [[Some(1), None], [None, Some(2)], [None, Some(3)]]
        );
    }
}
