//! Every order of a few things.

/// Calls `visit` with every order of things of which there are so many each.
pub(super) fn every_order<T: Copy>(things: &[(T, usize)], mut visit: impl FnMut(&[T])) {
    let length = things.iter().map(|(_, count)| count).sum();
    extend(&mut things.to_vec(), &mut Vec::with_capacity(length), &mut visit);
}

fn extend<T: Copy>(left: &mut [(T, usize)], order: &mut Vec<T>, visit: &mut impl FnMut(&[T])) {
    let mut is_whole = true;
    for at in 0..left.len() {
        let (thing, count) = left[at];
        if count > 0 {
            is_whole = false;
            left[at].1 -= 1;
            order.push(thing);
            extend(left, order, visit);
            order.pop();
            left[at].1 += 1;
        }
    }
    if is_whole {
        visit(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_of_things_that_may_be_alike_comes_once() {
        let mut orders = Vec::new();
        every_order(&[('a', 2), ('b', 1), ('c', 0)], |order| orders.push(order.to_vec()));
        assert_eq!(orders, [['a', 'a', 'b'], ['a', 'b', 'a'], ['b', 'a', 'a']]);
    }
}
