//! Answers to questions that are asked again and again, at each bound of a list.

/// Answers kept; each new one takes the place of an older one.
const ANSWERS: usize = 1 << 12;

/// Remembers what two numbers lead to. It may forget: answers must not depend on when
/// they are asked for.
pub(super) struct Memo {
    answers: Vec<Option<((u32, u32), u32)>>,
}

impl Memo {
    pub(super) fn new() -> Self {
        Self {
            answers: vec![None; ANSWERS],
        }
    }

    /// What `find` answers for this pair.
    pub(super) fn get(&mut self, one: u32, other: u32, find: impl FnOnce() -> u32) -> u32 {
        let key = (one, other);
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
        let mixed = (u64::from(one) << 32 | u64::from(other)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = &mut self.answers[(mixed >> (u64::BITS - ANSWERS.ilog2())) as usize];
        if let Some((known, answer)) = *place
            && known == key
        {
            return answer;
        }
        let answer = find();
        *place = Some((key, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_pairs_than_places_are_answered_right() {
        let mut memo = Memo::new();
        for round in 0..2 {
            for n in 0..ANSWERS as u32 * 2 {
                assert_eq!(memo.get(n, n ^ 5, || n * 3), n * 3, "{round}");
            }
        }
        assert_eq!(memo.get(1, 2, || 7), 7);
        assert_eq!(memo.get(1, 2, || panic!("it was just asked")), 7);
        assert_eq!(memo.get(2, 1, || 8), 8);
    }
}
