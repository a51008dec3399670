//! What of a text from outside may be shown: on a terminal, in a log.

/// Whether a character does nothing but show itself, or room: it moves no cursor,
/// ends no line, and turns no text around that stands beside it. The last are the
/// characters that Unicode calls `Bidi_Control` (UAX #9), and what ends a line are
/// also the separators U+2028 and U+2029.
#[must_use]
pub fn is_printable(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    !c.is_control() && !turns && !separates
}

/// The text with a blank in the place of each character that is not
/// [printable](is_printable). Not longer than `text`.
#[must_use]
pub fn printable(text: &str) -> String {
    let visible = |c: char| if is_printable(c) { c } else { ' ' };
    text.chars().map(visible).collect()
}

/// The same in quotation marks, to be told from the message around it.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_plays_tricks_is_a_blank() {
        let (turning, lines) = (
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}",
            "\n\r\u{b}\u{c}\u{85}\u{2028}\u{2029}",
        );
        for c in turning
            .chars()
            .chain(lines.chars())
            .chain("\t\x1b\x7f\0\u{9b}".chars())
        {
            assert!(!is_printable(c), "{c:?}");
            assert_eq!(printable(&format!("a{c}b")), "a b", "{c:?}");
        }
    }

    #[test]
    fn quoted_text_is_as_harmless() {
        assert_eq!(quoted("ev\u{1b}[31mil\n"), "\"ev [31mil \"");
    }

    #[test]
    fn what_people_write_stays() {
        // The zero width joiner is part of emoji and of Persian words.
        let text = "größer 東京 שלום سلام \u{200d} 👩\u{200d}💻 \"quoted\" \u{a0}";
        assert_eq!(printable(text), text);
    }
}
