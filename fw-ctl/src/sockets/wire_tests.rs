//! On what Linux 6.18 said of a namespace with these sockets: servers on 10.0.0.10:22,
//! `[::]:7001` (also IPv4) and `[::]:7002` (IPv6 only), a client of each, of which the
//! first has sent its last byte, and a connected UDP socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use super::*;

const HEADER_OF_EACH: &str = "1400020001000000270a0000";

/// The messages of a datagram, each without the header that all have.
fn datagram(messages: &[&str]) -> Vec<u8> {
    let text: String = messages
        .iter()
        .map(|message| {
            let (length, rest) = message.split_at(8);
            format!("{length}{HEADER_OF_EACH}{rest}")
        })
        .collect();
    bytes(&text)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2).map(|at| &hex[at..at + 2]);
    digits
        .map(|digits| u8::from_str_radix(digits, 16).expect("what is recorded is hex"))
        .collect()
}

const SERVER_V4: &str = "7c000000020a0000001600000a00000a00000000000000000000000000000000000000000000000000000000000000001b000000000000000000000000000000800000000000000048941301050008000000000008000f00000000000c00150001000000000000000600160052000000";
const ACCEPTED_V4: &str = "7c000000020800000016c5500a00000a0000000000000000000000000a00000b000000000000000000000000000000001c00000000000000000000000100000000000000000000004c941301050008000100000008000f00000000000c00150001000000000000000600160052000000";
const CLIENT_V4: &str = "7c00000002040100c55000160a00000b0000000000000000000000000a00000a000000000000000000000000000000001e00000000000000cc0000000000000001000000000000004b941301050008000200000008000f00000000000c00150001000000000000000600160052000000";
const SERVER_DUAL: &str = "840000000a0a00001b59000000000000000000000000000000000000000000000000000000000000000000000000000021000000000000000000000000000000800000000000000049941301050008000000000005000b000000000008000f00000000000c00150001000000000000000600160012000000";
const SERVER_V6: &str = "840000000a0a00001b5a00000000000000000000000000000000000000000000000000000000000000000000000000002200000000000000000000000000000080000000000000004a941301050008000000000005000b000100000008000f00000000000c00150001000000000000000600160012000000";
const ACCEPTED_MAPPED: &str = "7c0000000a0100001b599c4100000000000000000000ffff0a00000a00000000000000000000ffff0a00000b000000002300000000000000000000000000000000000000000000004e941301050008000000000008000f00000000000c00150001000000000000000600160012000000";
const CLIENT_V6: &str = "7c0000000a0100009c421b5afd000000000000000000000000000011fd000000000000000000000000000010000000002400000000000000000000000000000000000000000000004f941301050008000000000008000f00000000000c00150001000000000000000600160012000000";
const CONNECTED_UDP: &str = "7c00000002010000823500350a00000a0000000000000000000000000a00000b0000000000000000000000000000000020000000000000000000000000000000000000000000000051941301050008000000000008000f00000000000c00150001000000000000000600160050000000";

fn rows(datagram: &[u8]) -> Vec<String> {
    messages(datagram)
        .map(|message| match message {
            Message::Socket(row) => {
                let only = if row.v6_only { " v6only" } else { "" };
                format!(
                    "{} {} {} {}{only}",
                    row.family, row.state, row.local, row.remote
                )
            }
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn sockets_are_read_as_the_kernel_tells_them() {
    let told = datagram(&[
        SERVER_V4,
        ACCEPTED_V4,
        CLIENT_V4,
        SERVER_DUAL,
        SERVER_V6,
        ACCEPTED_MAPPED,
        CLIENT_V6,
        CONNECTED_UDP,
    ]);
    assert_eq!(
        rows(&told),
        [
            "2 10 10.0.0.10:22 0.0.0.0:0",
            "2 8 10.0.0.10:22 10.0.0.11:50512",
            "2 4 10.0.0.11:50512 10.0.0.10:22",
            "10 10 [::]:7001 [::]:0",
            "10 10 [::]:7002 [::]:0 v6only",
            "10 1 10.0.0.10:7001 10.0.0.11:40001",
            "10 1 [fd00::11]:40002 [fd00::10]:7002",
            "2 1 10.0.0.10:33333 10.0.0.11:53",
        ]
    );
}

#[test]
fn what_is_cut_short_is_no_socket() {
    let whole = datagram(&[CLIENT_V4]);
    for length in 0..whole.len() {
        assert_eq!(rows(&whole[..length]), [""; 0], "cut after {length} bytes");
        // The same, but the message admits it.
        let mut honest = whole[..length].to_vec();
        if length >= HEADER {
            honest[0] = length as u8;
            let read = rows(&honest);
            let is_whole = length >= HEADER + MESSAGE;
            assert_eq!(read == ["Other"], !is_whole, "{length}: {read:?}");
        }
    }
    // Lengths that lead nowhere, or beyond the end.
    for length in [0, 1, HEADER as u8 - 1, 0xff] {
        let mut wrong = whole.clone();
        wrong[0] = length;
        assert_eq!(rows(&wrong), [""; 0], "{length}");
    }
    // An attribute that claims to be longer than it is.
    let mut wrong = datagram(&[SERVER_V6]);
    let attribute = HEADER + MESSAGE + 8;
    assert_eq!(wrong[attribute..attribute + 4], [5, 0, 11, 0]);
    wrong[attribute] = 0xff;
    assert_eq!(rows(&wrong), ["10 10 [::]:7002 [::]:0"]);
}

#[test]
fn owner_number_and_control_group_are_read_where_they_are_told() {
    let read = |datagram: &[u8]| match messages(datagram).next() {
        Some(Message::Socket(row)) => (row.owner, row.inode, row.group),
        other => panic!("{other:?}"),
    };
    let mut told = datagram(&[SERVER_V6]);
    assert_eq!(read(&told), (0, 0x0113_944a, Some(1)));
    told[HEADER + OWNER] = 7;
    let group = told.len() - 20;
    assert_eq!(told[group..group + 4], [12, 0, 21, 0]);
    told[group + 4] = 9;
    assert_eq!(read(&told), (7, 0x0113_944a, Some(9)));
    // Linux before 5.8 does not tell it, and half a number is none.
    told[group + 2] = 22;
    assert_eq!(read(&told), (7, 0x0113_944a, None));
    told[group..group + 3].copy_from_slice(&[8, 0, 21]);
    assert_eq!(read(&told), (7, 0x0113_944a, None));
}

#[test]
fn the_end_says_whether_it_was_all() {
    // Of a dump that went well, and of one for which there was no module.
    let done = "140000000300020001000000270a000000000000";
    let failed = "140000000300020001000000270a0000feffffff";
    for (text, expected) in [(done, Message::Done(0)), (failed, Message::Done(-2))] {
        assert_eq!(messages(&bytes(text)).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn a_request_asks_for_all_of_a_family_protocol_and_states() {
    let request = request(libc::AF_INET6 as u8, 17, &[1, 7]);
    assert_eq!(request.len(), 72);
    // struct nlmsghdr: length, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP.
    assert_eq!(request[..8], [72, 0, 0, 0, 20, 0, 0x01, 0x03]);
    assert_eq!(request[16..24], [10, 17, 0, 0, 0b1000_0010, 0, 0, 0]);
    assert!(request[24..].iter().all(|byte| *byte == 0));
}
