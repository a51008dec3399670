//! What the system says, in words for who does not know how we read files.

/// What Rust's library says of bytes that are no text.
const NO_TEXT: &str = "stream did not contain valid UTF-8";

/// `Permission denied`, not `Permission denied (os error 13)`; and that a file is
/// no text.
#[must_use]
pub fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None if text == NO_TEXT => "it is not text in the encoding UTF-8".to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_left_out() {
        assert_eq!(
            why(&std::io::Error::from_raw_os_error(13)),
            "Permission denied"
        );
        assert_eq!(why(&std::io::Error::other("full")), "full");
    }

    #[test]
    fn a_file_that_is_no_text_is_called_so() {
        let error = std::io::read_to_string(&b"\xff"[..]).unwrap_err();
        assert_eq!(why(&error), "it is not text in the encoding UTF-8");
    }
}
