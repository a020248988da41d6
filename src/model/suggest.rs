//! Messages about an unknown word: the word that was probably meant, and the word itself in a form that is safe to
//! show.

/// Longer words get no suggestion.
const LONGEST: usize = 64;

/// Returns the candidate that `word` was most likely meant to be, if any is similar: at most a third of its letters
/// may be wrong, missing or swapped.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer word is not a typing mistake, and the cost of a comparison is the product of both lengths.
    if word.len() > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(word.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns `text` for use in a message: shortened, and without characters that control a terminal.
pub fn printable(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_similar_word_is_suggested() {
        let keys = ["idle_timeout", "task_timeout", "min", "max"];
        assert_eq!(nearest("idle_timout", keys), Some("idle_timeout"));
        assert_eq!(nearest("mni", keys), Some("min"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), keys), None);
    }

    #[test]
    fn messages_stay_on_their_line() {
        assert_eq!(printable("a\x1b[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(printable(&"x".repeat(61)).chars().count(), 61);
    }
}
