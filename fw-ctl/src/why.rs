//! What the system says, without the number that it says it by.

/// `Permission denied`, not `Permission denied (os error 13)`.
#[must_use]
pub fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
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
}
