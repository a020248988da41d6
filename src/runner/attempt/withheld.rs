//! A program that fails for want of a variable that orch withholds from it. Only a person can decide to pass that on, and
//! every further attempt would fail in the same way.

use crate::{
    drivers::Verdict,
    model::{cause::Cause, end_code::EndCode},
};

/// Corrects the verdict on a program that has failed, and whose reason names a variable that it does not get. `role` is that
/// of the program.
pub(super) fn explain(verdict: &mut Verdict, withheld: &[String], role: &str) {
    let has_failed = matches!(verdict.cause, Cause::Transient | Cause::Permanent | Cause::NeedsPerson);
    let of_service = !matches!(verdict.code, EndCode::ProgramSaid | EndCode::PersonTimeout | EndCode::Timeout);
    if !has_failed || !of_service {
        return;
    }
    let Some(name) = withheld.iter().find(|name| is_named(&verdict.reason, name)) else { return };
    (verdict.cause, verdict.code) = (Cause::NeedsPerson, EndCode::KeyWithheld);
    verdict.reason = format!(
        "orch withholds {name} from it: add env_from = [\"{name}\"] to [roles.{role}] in sessions.toml, then orch \
         reload and orch retry; it said: {}",
        verdict.reason
    );
}

/// Whether a text has the name as a whole word. Only one that can be nothing but a variable: others are words as well.
fn is_named(text: &str, name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_variable =
        name.contains('_') && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_variable && text.split(|c| !is_of_name(c)).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_for_want_of_a_withheld_variable_is_held_with_the_line_to_add() {
        let withheld = ["EDITOR".to_owned(), "STUB_API_KEY".to_owned()];
        let explained = |cause, code, reason: &str| {
            let mut verdict = Verdict::of(cause, code, reason.to_owned());
            explain(&mut verdict, &withheld, "x");
            verdict
        };
        let said = "codex: Missing environment variable: `STUB_API_KEY`.";
        let held = explained(Cause::Transient, EndCode::ServiceError, said);
        assert_eq!((held.cause, held.code), (Cause::NeedsPerson, EndCode::KeyWithheld));
        assert!(held.reason.contains("env_from = [\"STUB_API_KEY\"] to [roles.x]"), "{}", held.reason);
        for (cause, code, reason) in [
            (Cause::Success, EndCode::Done, said),
            (Cause::Transient, EndCode::ServiceError, "Missing environment variable: `STUB_API_KEY_2`"),
            (Cause::Transient, EndCode::ServiceError, "EDITOR is not set"),
            (Cause::Timeout, EndCode::Timeout, said),
        ] {
            assert_eq!(explained(cause, code, reason), Verdict::of(cause, code, reason.to_owned()));
        }
    }
}
