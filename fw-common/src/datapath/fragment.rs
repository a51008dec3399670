//! Fragments: the later ones are judged as their first one is (RFC 791 §3.2: ports are
//! in the first only), and none may change what the first one said.
//!
//! Nothing is put together here. What is remembered of a packet is bounded, and enough
//! to know that nobody can put it together in two ways: its fragments may not have more
//! bytes in all than the packet has, so wherever two of them overlap something else is
//! missing for good (RFC 5722: none of such a packet is delivered). That holds in any
//! order but one: what comes before its first fragment is dropped. A duplicate is an
//! overlap like any other; RFC 8200 §4.5 allows that.
//!
//! A new first fragment begins a new packet: identifications are used again.

use super::case::Case;
use super::flow::Flow;
use super::tables::Tables;
use crate::packet::Packet;
use crate::packet::behind::Behind;
use crate::packet::fragment::{Fragment, Part};
use crate::packet::transport;
use crate::wire::{DropReason, FragmentKey, FragmentProgress, FragmentState};

/// Seconds that a receiver waits for the rest of a packet: Linux's
/// `net.ipv4.ipfrag_time`, and RFC 8200 §4.5.
const LIFETIME_V4: u32 = 30;
const LIFETIME_V6: u32 = 60;
/// Fragments of one packet: 64 KiB in pieces of the smallest IPv4 packet that every
/// link carries whole in practice (576 bytes).
const MOST: u16 = 128;
/// No packet has as many bytes.
const LONGEST: u32 = 65_535;

/// Gives a later fragment the transport header of its first one, and remembers that of
/// a first one. Why the fragment is dropped, if it is.
#[inline(never)]
pub(super) fn follow<P: Packet, T: Tables, const EGRESS: bool>(
    case: &Case<'_, P, T, EGRESS>,
    flow: &Flow,
    behind: &mut Behind,
) -> Option<DropReason> {
    let fragment = &behind.fragment;
    if !fragment.is_possible(case.family) {
        return Some(DropReason::Invalid);
    }
    // The boundary is within the headers that policy reads: of TCP, RFC 1858 §4 drops
    // the offset of 8 bytes. The first fragment is told when they are read.
    if u32::from(fragment.start) < transport::fixed_part(behind.l4.protocol)
        && fragment.part == Part::Later
    {
        return Some(DropReason::TinyFragment);
    }
    let now = case.tables.now(case.view);
    let lifetime = if case.family == 4 {
        LIFETIME_V4
    } else {
        LIFETIME_V6
    };
    let is_live = |state: &FragmentState| now.wrapping_sub(state.seen) <= lifetime;
    let key = FragmentKey {
        local: flow.key.local,
        remote: flow.key.remote,
        id: fragment.id,
        // In IPv6 the identification alone names the packet (RFC 8200 §4.5).
        protocol: if case.family == 4 {
            behind.l4.protocol
        } else {
            0
        },
        direction: case.direction() as u8,
        pad: [0; 2],
    };
    if let Part::First = fragment.part {
        // The receiver may still have the first fragment of an older packet, and keep
        // it instead: that one must not be overwritten either.
        let older = case.tables.fragment(
            &key,
            |state, _| {
                if is_live(state) { state.first_end } else { 0 }
            },
        );
        let state = begin(fragment, behind, now, older.unwrap_or(0));
        case.tables.set_fragment(&key, &state);
        return None;
    }
    let found = case.tables.fragment(&key, |state, progress| {
        if !is_live(state) {
            return Some(DropReason::FragmentWithoutFirst);
        }
        behind.l4 = state.l4;
        add(state, progress, fragment)
    });
    found.unwrap_or(Some(DropReason::FragmentWithoutFirst))
}

/// What is remembered of a first fragment. No later one may begin before `older`.
#[inline(always)]
fn begin(first: &Fragment, behind: &Behind, now: u32, older: u16) -> FragmentState {
    FragmentState {
        l4: behind.l4,
        seen: now,
        first_end: older.max(first.length as u16),
        pad: [0; 2],
        progress: FragmentProgress {
            bytes: first.length,
            total: 0,
            fragments: 1,
        },
    }
}

/// Takes a later fragment into account. Why it is dropped, if it is; then so is
/// everything of the packet that comes after it.
#[inline(always)]
fn add(
    state: &FragmentState,
    progress: &mut FragmentProgress,
    fragment: &Fragment,
) -> Option<DropReason> {
    let end = fragment.end();
    let is_second_end = !fragment.more && progress.total != 0 && end != u32::from(progress.total);
    if !fragment.more && progress.total == 0 {
        progress.total = end as u16;
    }
    let room = if progress.total == 0 {
        LONGEST
    } else {
        u32::from(progress.total)
    };
    // Neither sum overflows: it does not grow once it is too much.
    if progress.bytes <= LONGEST {
        progress.bytes += fragment.length;
    }
    if progress.fragments <= MOST {
        progress.fragments += 1;
    }
    if is_second_end || fragment.start < state.first_end || end > room || progress.bytes > room {
        progress.bytes = LONGEST + 1;
        return Some(DropReason::FragmentOverlap);
    }
    (progress.fragments > MOST).then_some(DropReason::FragmentLimit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, SliceFrame};
    use crate::wire::L4;
    use DropReason::{FragmentLimit, FragmentOverlap, FragmentWithoutFirst};

    /// What becomes of the fragments (from, to, more) behind a first one of 24 bytes.
    fn fates(fragments: &[(u16, u16, bool)]) -> Vec<Option<DropReason>> {
        let piece = |start: u16, end: u16, more| Fragment {
            id: 1,
            length: u32::from(end - start),
            start,
            part: Part::Later,
            more,
        };
        let mut state = begin(&piece(0, 24, true), &Behind::default(), 0, 0);
        let fate = |&(start, end, more): &(u16, u16, bool)| {
            let mut progress = state.progress;
            let fate = add(&state, &mut progress, &piece(start, end, more));
            state.progress = progress;
            fate
        };
        fragments.iter().map(fate).collect()
    }

    #[test]
    fn a_packet_in_any_order_passes() {
        let pieces = [
            (24, 48, true),
            (48, 56, true),
            (56, 80, true),
            (80, 81, false),
        ];
        for order in [
            [0, 1, 2, 3],
            [3, 2, 1, 0],
            [1, 3, 0, 2],
            [2, 0, 3, 1],
            [3, 0, 2, 1],
        ] {
            assert_eq!(fates(&order.map(|i| pieces[i])), [None; 4], "{order:?}");
        }
    }

    #[test]
    fn nothing_is_written_into_the_first_fragment() {
        let over = Some(FragmentOverlap);
        assert_eq!(fates(&[(8, 32, true), (24, 32, true)]), [over, over]);
        assert_eq!(fates(&[(16, 24, true)]), [over]);
        assert_eq!(fates(&[(24, 32, true)]), [None]);
    }

    #[test]
    fn a_packet_has_one_end() {
        let over = Some(FragmentOverlap);
        assert_eq!(fates(&[(32, 40, false), (24, 36, false)]), [None, over]);
        assert_eq!(fates(&[(32, 40, false), (40, 48, true)]), [None, over]);
        // The end is before what has come.
        assert_eq!(fates(&[(48, 72, true), (24, 40, false)]), [None, over]);
    }

    #[test]
    fn a_duplicate_is_an_overlap_as_soon_as_the_end_is_known() {
        let over = Some(FragmentOverlap);
        assert_eq!(
            fates(&[(24, 32, true), (24, 32, true), (32, 40, false)]),
            [None, None, over]
        );
        assert_eq!(
            fates(&[(24, 32, false), (24, 32, false), (24, 32, false)]),
            [None, over, over]
        );
    }

    #[test]
    fn the_number_of_fragments_is_bounded() {
        let many: Vec<_> = (0..200).map(|i| (24 + 8 * i, 32 + 8 * i, true)).collect();
        let fates = fates(&many);
        assert!(fates[..127].iter().all(Option::is_none));
        assert!(fates[127..].iter().all(|fate| *fate == Some(FragmentLimit)));
    }

    #[test]
    fn a_first_fragment_is_remembered_as_long_as_its_receiver_waits() {
        for (family, lifetime) in [(4, 30), (6, 60)] {
            let mut model = Model::default();
            model.generations[0].generation.number = 1;
            let frame = SliceFrame::default();
            let mut case = Case::<_, _, false>::new(&frame, &model, model.active().unwrap());
            case.family = family;
            let follow = |start, more, source| {
                let mut behind = Behind {
                    fragment: Fragment::new(7, start, more, 24),
                    l4: L4 {
                        source,
                        protocol: 17,
                        ..L4::default()
                    },
                    ..Behind::default()
                };
                let reason = follow(&case, &Flow::default(), &mut behind);
                (reason, behind.l4.source)
            };
            model.clock.set(100);
            assert_eq!(follow(0, true, 53), (None, 53));
            model.clock.set(100 + lifetime);
            assert_eq!(follow(24, true, 0), (None, 53));
            model.clock.set(101 + lifetime);
            assert_eq!(follow(48, true, 0), (Some(FragmentWithoutFirst), 0));
            // The next packet of this number is another one.
            assert_eq!(follow(0, true, 54), (None, 54));
            assert_eq!(follow(24, false, 0), (None, 54));
        }
    }

    /// All ways to send four fragments out of pieces of a packet of 48 bytes: a
    /// receiver that gets all its bytes gets each of them once.
    #[test]
    fn no_packet_comes_together_in_two_ways() {
        let mut pieces = Vec::new();
        for start in (24..48).step_by(8) {
            for end in (start + 8..=48).step_by(8) {
                pieces.extend([(start, end, true), (start, end, false)]);
            }
        }
        let mut complete = 0;
        let count = pieces.len();
        for choice in 0..count.pow(4) {
            let sent = [0, 1, 2, 3].map(|digit| pieces[choice / count.pow(digit) % count]);
            let fates = fates(&sent);
            let passed = || sent.iter().zip(&fates).filter(|(_, fate)| fate.is_none());
            let times = |unit: u16| {
                let covers = |piece: &(u16, u16, bool)| piece.0 <= unit && unit < piece.1;
                passed().filter(|(piece, _)| covers(piece)).count()
            };
            // A packet ends where any of its fragments says so.
            for (last, _) in passed().filter(|(piece, _)| !piece.2) {
                let times: Vec<_> = (24..last.1).step_by(8).map(times).collect();
                if times.iter().all(|times| *times > 0) {
                    assert!(times.iter().all(|times| *times == 1), "{sent:?} {fates:?}");
                    complete += 1;
                }
            }
        }
        assert!(complete > 1_000, "{complete}");
    }
}
