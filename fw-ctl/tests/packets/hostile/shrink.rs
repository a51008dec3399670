//! A failing sequence, made as short as it goes: fewer frames, then fewer and plainer
//! bytes.

/// What still fails of `frames`, by `fails`, with so many tries at most.
pub fn shrink(
    mut frames: Vec<Vec<u8>>,
    mut tries: usize,
    mut fails: impl FnMut(&[Vec<u8>]) -> bool,
) -> Vec<Vec<u8>> {
    let mut still = |candidate: &[Vec<u8>]| {
        tries = tries.saturating_sub(1);
        tries != 0 && fails(candidate)
    };
    let mut part = frames.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < frames.len() && frames.len() > 1 {
            let end = (at + part).min(frames.len());
            let mut fewer = frames.clone();
            fewer.drain(at..end);
            if !fewer.is_empty() && still(&fewer) {
                frames = fewer;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    for number in 0..frames.len() {
        for length in (14..frames[number].len()).step_by(4) {
            let mut shorter = frames.clone();
            shorter[number].truncate(length);
            if shorter[number].len() < frames[number].len() && still(&shorter) {
                frames = shorter;
                break;
            }
        }
        for byte in 0..frames[number].len() {
            let mut plainer = frames.clone();
            if std::mem::take(&mut plainer[number][byte]) != 0 && still(&plainer) {
                frames = plainer;
            }
        }
    }
    frames
}

#[test]
fn what_fails_is_made_small() {
    let frames = vec![vec![1; 100], vec![7; 80], vec![2; 60], vec![9; 100]];
    // Fails with a 7 somewhere before a 9.
    let fails = |frames: &[Vec<u8>]| {
        let has = |number| frames.iter().position(|frame| frame.contains(&number));
        matches!((has(7), has(9)), (Some(first), Some(second)) if first < second)
    };
    let small = shrink(frames, 10_000, fails);
    let mut last = vec![0; 14];
    last[13] = 7;
    assert_eq!(small.len(), 2);
    assert_eq!(small[0], last);
    last[13] = 9;
    assert_eq!(small[1], last);
}
