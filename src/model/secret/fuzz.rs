//! For all secrets, texts and cuts into pieces: no part of a secret is shown, and the rest is unchanged.

use proptest::prelude::*;

use super::*;

fn redacted(secrets: &[String], pieces: &[&[u8]]) -> Vec<u8> {
    let mut redactor = Redactor::new(secrets.iter().map(String::as_str));
    let mut out: Vec<u8> = pieces.iter().flat_map(|piece| redactor.feed(piece)).collect();
    out.extend(redactor.finish());
    out
}

/// Few letters, so that secrets start within each other, follow each other, and are cut in two.
fn secrets() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop_oneof!["[ab]{6,12}", "a{6,10}", "(ab){3,5}", "ü{3,6}"], 1..4)
}

proptest! {
    #![proptest_config(crate::fuzz::cases(512))]

    #[test]
    fn no_secret_is_shown_wherever_the_pieces_are_cut(
        secrets in secrets(),
        text in prop::collection::vec(prop_oneof!["[ab]{0,9}", " ", "ü{0,4}", "[a-d]{0,9}"], 0..12),
        which in prop::collection::vec((0usize..12, 0usize..4), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut text = text;
        for (at, secret) in which {
            text.insert(at.min(text.len()), secrets[secret % secrets.len()].clone());
        }
        let text = text.concat().into_bytes();
        let whole = redacted(&secrets, &[&text]);
        for secret in &secrets {
            let found = whole.windows(secret.len()).any(|w| w == secret.as_bytes());
            prop_assert!(!found, "{secret} in {:?}", String::from_utf8_lossy(&whole));
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        prop_assert_eq!(redacted(&secrets, &pieces), whole);
    }

    #[test]
    fn text_without_secrets_is_unchanged(text in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        let secrets = ["hunter2-hunter2".to_owned()];
        let (one, two) = text.split_at(cut.min(text.len()));
        prop_assert_eq!(redacted(&secrets, &[one, two]), text);
    }
}

/// The mask that replaces a secret may look like one itself.
#[test]
fn a_secret_that_is_part_of_the_mask_does_not_hang() {
    let secrets = ["redacted".to_owned(), "redacted-and-more".to_owned()];
    assert_eq!(redacted(&secrets, &[b"x redacted"]), b"x [redacted]");
}
