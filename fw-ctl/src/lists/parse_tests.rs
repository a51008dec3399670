//! Lines of lists, right and wrong.

use super::*;

fn read(text: &str) -> Vec<(String, u32)> {
    let parsed = parse("a.netset", text.as_bytes());
    assert!(parsed.findings.is_empty(), "{:?}", parsed.findings);
    let prefixes = parsed.prefixes.iter(0);
    prefixes
        .map(|(prefix, line)| (prefix.to_string(), line))
        .collect()
}

fn errors(text: &[u8]) -> Vec<Diagnostic> {
    let found = parse("a.netset", text).findings;
    found.into_iter().filter(Diagnostic::is_error).collect()
}

#[test]
fn comments_blanks_windows_and_both_families() {
    let text = "\u{feff}# FireHOL\r\n\r\n  192.0.2.7 \t\r\n198.51.100.0/24 ; SBL256894\n\
                \t2001:db8::/32#x\n;\n2001:db8:1::7;until=never\n::ffff:0:0/96\n10.0.0.0/8";
    let expected = [
        ("10.0.0.0/8", 9),
        ("192.0.2.7/32", 3),
        ("198.51.100.0/24", 4),
        ("::ffff:0.0.0.0/96", 8),
        ("2001:db8::/32", 5),
        ("2001:db8:1::7/128", 7),
    ];
    let found = read(text);
    let found: Vec<_> = found.iter().map(|(p, line)| (p.as_str(), *line)).collect();
    assert_eq!(found, expected);
    assert!(read("").is_empty() && read("\n\n# nothing\n").is_empty());
}

#[test]
fn mapped_addresses_are_ipv4_but_all_of_them_are_not() {
    let text = "::ffff:192.0.2.7\n::FFFF:c000:209\n::ffff:198.51.100.0/120 # x\n\
                ::ffff:0:0/96\n::/95\n";
    let expected = [
        ("192.0.2.7/32", 1),
        ("192.0.2.9/32", 2),
        ("198.51.100.0/24", 3),
        ("::/95", 5),
        ("::ffff:0.0.0.0/96", 4),
    ];
    let found = read(text);
    let found: Vec<_> = found.iter().map(|(p, line)| (p.as_str(), *line)).collect();
    assert_eq!(found, expected);
}

#[test]
fn entries_expire() {
    let text = "192.0.2.0/24 until=2026-12-01T00:00:00Z ; why\n192.0.2.7\tuntil=2027-01-01\n";
    let prefixes = parse("a.netset", text.as_bytes()).prefixes;
    let first = 1_796_083_200;
    assert_eq!(prefixes.expires(0), Some(first));
    assert_eq!(prefixes.iter(first).count(), 1);
    assert_eq!(prefixes.expires(first), Some(1_798_761_600));
}

#[test]
fn bits_behind_the_length_are_masked_with_one_warning() {
    let parsed = parse("a.netset", b"10.0.0.1/8\n# ok\n 2001:db8::1/32\n");
    let prefixes: Vec<_> = parsed
        .prefixes
        .iter(0)
        .map(|found| found.0.to_string())
        .collect();
    assert_eq!(prefixes, ["10.0.0.0/8", "2001:db8::/32"]);
    let warnings: Vec<_> = parsed.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "a.netset:1:1: this is read as 10.0.0.0/8: bits behind the length do not count",
            "a.netset: bits behind the length do not count in 2 lines",
        ]
    );
}

#[test]
fn what_is_wrong_is_shown_with_its_place_and_with_what_is_right() {
    for (line, column, message, help) in [
        ("  10.0.0.0/33", 3, "at most 32", "write 10.0.0.0/32"),
        ("10.0.0.1-10.0.0.9", 1, "ranges", "prefixes that make it up"),
        (
            "10.0.0.1 - 10.0.0.9",
            10,
            "\"-\" stands behind",
            "one prefix a line",
        ),
        ("010.0.0.1/8", 1, "leading zero", "write 10.0.0.1"),
        (
            "10.0.0.0/255.0.0.0",
            1,
            "is not the length",
            "write 10.0.0.0/8",
        ),
        (
            "::ffff:0.0.0.0/96",
            1,
            "IPv4 part",
            "write it as IPv4: 0.0.0.0/0",
        ),
        ("example.com", 1, "names are not looked up", "192.0.2.1/32"),
        (
            "192.0.2.7 until=soon",
            11,
            "\"soon\" is no date",
            "RFC 3339",
        ),
        (
            "192.0.2.7 until=2027-01-01 x",
            28,
            "behind the date",
            "# or ;",
        ),
        ("192.0.2.7,192.0.2.8", 1, "is no address", "for example"),
    ] {
        let text = format!("# first\n{line}\n192.0.2.1\n");
        let found = errors(text.as_bytes());
        assert_eq!(found.len(), 1, "{line}");
        let error = &found[0];
        let span = error.span.unwrap();
        assert_eq!((span.line, span.column), (2, column), "{line}");
        assert!(error.message.contains(message), "{line}: {}", error.message);
        assert!(
            error.help.as_ref().unwrap().contains(help),
            "{line}: {error:?}"
        );
        assert!(
            error.render(false).contains(line),
            "{}",
            error.render(false)
        );
    }
}

#[test]
fn a_file_that_is_no_list_gives_few_errors() {
    let noise: Vec<u8> = (0..200_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 3) as u8)
        .collect();
    let found = errors(&noise);
    assert_eq!(found.len(), SHOWN + 1);
    assert!(found[SHOWN].message.contains("more lines are wrong"));
    for error in &found {
        assert!(error.render(false).len() < 2_000, "{}", error.render(false));
    }
    let one_line = vec![b'x'; 1 << 20];
    assert!(errors(&one_line)[0].render(false).len() < 2_000);
}

#[test]
fn endless_words_and_lines_make_short_errors() {
    let zeros = vec![0; 100_000];
    let digits = [b'1'; 1_000];
    let behind = [b"10.0.0.0/8".to_vec(), vec![b' '; 100_000], b"x".to_vec()].concat();
    for (text, said) in [
        (&*zeros, "a line of 100000 bytes"),
        (&digits, "is no address and no prefix: it has 1000 bytes"),
        (&behind, "a line of 100011 bytes"),
    ] {
        let found = errors(text);
        let [error] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(error.message.contains(said), "{}", error.message);
        assert!(error.message.len() < 200, "{}", error.message);
        assert!(error.source.text.len() < 1_000);
        assert_eq!(error.span.as_ref().unwrap().column, 1);
    }
    let comment = format!("# {}\n10.0.0.0/8\n", "x".repeat(100_000));
    assert_eq!(read(&comment).len(), 1);
}
