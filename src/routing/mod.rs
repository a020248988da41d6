//! Chooses the role of a task that was delegated to `auto`. Everything here is pure, and asks no model.
//!
//! Roles are compared in this order:
//!
//! 1. *Rules*: a role whose `routes` match the text comes before one that has no routes, and that before one whose routes do not
//!    match. A role that lacks a tag which the task needs is left out. So is a script or a command whose routes do not match: it
//!    does not read its text.
//! 2. *Record*: successes for the cost. A role that was tried seldom counts as good and as cheap as any, so that it is tried.
//! 3. Among equals, the router decides, where one is configured; else the lower tier goes first (`escalate_to` names the next one),
//!    then any other role than the master's, then the alphabet decides.

use std::collections::BTreeMap;

use regex::Regex;

use crate::model::routing::{Record, RoleScore, RoutedBy, Routing};

/// What an untried role counts as: so many successes...
const PRIOR_SUCCESSES: f64 = 4.0;
/// ...of so many attempts.
const PRIOR_TRIES: f64 = 5.0;
/// Scores that differ by less than this part of the best one are equal.
const EQUAL: f64 = 0.1;
/// An attempt that costs less counts as one that costs this: its share of a score must stay finite.
const LEAST_USD: f64 = 0.000_1;

/// A role that may be chosen.
#[derive(Debug, Clone)]
pub struct Candidate<'a> {
    /// Its name.
    pub role: &'a str,
    /// Regular expressions of texts that are for it.
    pub routes: &'a [String],
    /// What it can do, in words of the user, and the name of its driver.
    pub tags: Vec<&'a str>,
    /// Whether its program reads the text as a person would: not one of a script or of a command.
    pub reads: bool,
    /// The next tier, if it has one.
    pub escalate_to: Option<&'a str>,
    /// Whether it is the role of the master.
    pub is_masters: bool,
    /// Why it cannot be chosen by this caller.
    pub barred: Option<String>,
    /// How its attempts ended.
    pub record: Record,
}

/// How well the routes of a role fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It has routes, and none matches.
    Other,
    /// It has no routes.
    Any,
    /// A route matches.
    Match,
}

/// Checks a route.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn check(route: &str) -> Result<(), String> {
    Regex::new(route).map(drop).map_err(|e| why(&e))
}

/// What is wrong with a regular expression, in one line. The crate marks the place in a picture of several lines.
fn why(error: &regex::Error) -> String {
    let text = error.to_string();
    let what = text.lines().last().unwrap_or("it does not read").trim_start_matches("error: ").to_owned();
    let column = text.lines().find(|line| line.contains('^') && line.trim_start_matches([' ', '^']).is_empty());
    match column.and_then(|line| line.find('^')) {
        // The pattern is indented by four.
        Some(at) => format!("{what}, at its character {}", at.saturating_sub(4) + 1),
        None => what,
    }
}

/// A choice, which a router may still change.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What was chosen.
    pub routing: Routing,
    /// The roles that are equally good, the chosen one among them.
    pub equals: Vec<String>,
}

/// Chooses a role for a text.
///
/// # Errors
/// The roles that were considered, none of which may be chosen.
pub fn choose(text: &str, needs: &[String], candidates: &[Candidate<'_>]) -> Result<Choice, Vec<RoleScore>> {
    let tiers = tiers(candidates);
    let cheapest = candidates.iter().filter_map(|one| one.record.cost_usd).map(|usd| usd.max(LEAST_USD));
    let cheapest = cheapest.min_by(f64::total_cmp);
    let mut judged: Vec<(Fit, RoleScore)> =
        candidates.iter().map(|candidate| judge(text, needs, candidate, cheapest)).collect();
    let tier = |role: &str| {
        let is_masters = candidates.iter().any(|one| one.role == role && one.is_masters);
        (tiers.get(role).copied().unwrap_or(0), is_masters)
    };
    judged.sort_by(|(fit, one), (other_fit, other)| {
        (one.left_out.is_some().cmp(&other.left_out.is_some()))
            .then_with(|| other_fit.cmp(fit))
            .then_with(|| other.score.total_cmp(&one.score))
            .then_with(|| tier(&one.role).cmp(&tier(&other.role)))
            .then_with(|| one.role.cmp(&other.role))
    });
    let open: Vec<&(Fit, RoleScore)> = judged.iter().filter(|(_, one)| one.left_out.is_none()).collect();
    let Some((fit, best)) = open.first() else { return Err(judged.into_iter().map(|(_, one)| one).collect()) };
    let fitting: Vec<&RoleScore> = open.iter().filter(|(its, _)| its == fit).map(|(_, one)| one).collect();
    let mut equals: Vec<&RoleScore> =
        fitting.iter().copied().filter(|one| one.score >= best.score * (1.0 - EQUAL)).collect();
    equals.sort_by_key(|one| (tier(&one.role), one.role.clone()));
    let by = match (open.len(), fitting.len(), equals.len()) {
        (1, ..) => RoutedBy::Only,
        (_, 1, _) => RoutedBy::Route,
        (.., 1) => RoutedBy::Record,
        _ => RoutedBy::Order,
    };
    let role = equals.first().map(|one| one.role.clone()).unwrap_or_default();
    let equals = equals.iter().map(|one| one.role.clone()).collect();
    let scores = judged.into_iter().map(|(_, one)| one).collect();
    Ok(Choice { routing: Routing { role, by, scores, router_failed: None }, equals })
}

fn judge(text: &str, needs: &[String], candidate: &Candidate<'_>, cheapest: Option<f64>) -> (Fit, RoleScore) {
    let matches = |route: &&String| Regex::new(route).is_ok_and(|route| route.is_match(text));
    let routes: Vec<String> = candidate.routes.iter().filter(matches).cloned().collect();
    let fit = match (routes.is_empty(), candidate.routes.is_empty()) {
        (false, _) => Fit::Match,
        (true, true) => Fit::Any,
        (true, false) => Fit::Other,
    };
    let Record { tries, successes, cost_usd } = candidate.record;
    let rate = (successes as f64 + PRIOR_SUCCESSES) / (tries as f64 + PRIOR_TRIES);
    let dearer = cost_usd.zip(cheapest).map_or(1.0, |(usd, cheapest)| usd.max(LEAST_USD) / cheapest);
    let lacks = needs.iter().find(|tag| !candidate.tags.contains(&tag.as_str()));
    let left_out = match (&candidate.barred, lacks) {
        (Some(why), _) => Some(why.clone()),
        (None, Some(tag)) => Some(format!("it lacks the tag {tag}")),
        (None, None) if !candidate.reads && fit != Fit::Match => {
            Some("it runs a script or a command, and none of its routes matches".to_owned())
        }
        _ => None,
    };
    let role = candidate.role.to_owned();
    (fit, RoleScore { role, routes, tries, successes, cost_usd, score: rate / dearer, left_out })
}

/// The tier of each role: the number of roles below it on the longest way.
fn tiers(candidates: &[Candidate<'_>]) -> BTreeMap<String, usize> {
    let mut tiers: BTreeMap<String, usize> = BTreeMap::new();
    for candidate in candidates {
        // The configuration has no cycle; a walk that is longer than the list would be one.
        let (mut above, mut depth) = (candidate.escalate_to, 1);
        while let Some(role) = above.filter(|_| depth <= candidates.len()) {
            let tier = tiers.entry(role.to_owned()).or_default();
            *tier = (*tier).max(depth);
            above = candidates.iter().find(|one| one.role == role).and_then(|one| one.escalate_to);
            depth += 1;
        }
    }
    tiers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role<'a>(role: &'a str, routes: &'a [String]) -> Candidate<'a> {
        let (tags, record) = (vec!["claude"], Record::default());
        Candidate { role, routes, tags, reads: true, escalate_to: None, is_masters: false, barred: None, record }
    }

    fn tried(tries: u64, successes: u64, cost_usd: Option<f64>) -> Record {
        Record { tries, successes, cost_usd }
    }

    fn chosen(text: &str, needs: &[&str], candidates: &[Candidate<'_>]) -> (String, RoutedBy) {
        let needs: Vec<String> = needs.iter().map(|tag| (*tag).to_owned()).collect();
        let Choice { routing, equals } = choose(text, &needs, candidates).unwrap();
        assert!(equals.contains(&routing.role) && (equals.len() > 1) == (routing.by == RoutedBy::Order));
        (routing.role, routing.by)
    }

    fn by(role: &str, by: RoutedBy) -> (String, RoutedBy) {
        (role.to_owned(), by)
    }

    #[test]
    fn routes_come_first_then_roles_for_any_text() {
        let (api, css) = ([r"\bapi\b".to_owned()], ["(?i)css".to_owned()]);
        let all = [role("api", &api), role("css", &css), role("any", &[])];
        assert_eq!(chosen("change the api", &[], &all), by("api", RoutedBy::Route));
        assert_eq!(chosen("change the CSS", &[], &all), by("css", RoutedBy::Route));
        assert_eq!(chosen("rapid change", &[], &all), by("any", RoutedBy::Route));
        assert_eq!(chosen("rapid change", &[], &all[..2]), by("api", RoutedBy::Order));
        assert_eq!(chosen("change the CSS", &[], &all[..1]), by("api", RoutedBy::Only));
    }

    #[test]
    fn the_record_decides_by_successes_for_the_cost() {
        let with = |name, record| Candidate { record, ..role(name, &[]) };
        let all = [with("a", tried(20, 6, None)), with("b", tried(20, 19, None))];
        assert_eq!(chosen("x", &[], &all), by("b", RoutedBy::Record));
        let all = [with("dear", tried(20, 20, Some(1.0))), with("cheap", tried(20, 15, Some(0.1)))];
        assert_eq!(chosen("x", &[], &all), by("cheap", RoutedBy::Record));
        let all = [with("known", tried(20, 12, Some(0.1))), with("new", tried(0, 0, None))];
        assert_eq!(chosen("x", &[], &all), by("new", RoutedBy::Record), "what is new is tried");
    }

    #[test]
    fn among_equals_the_lower_tier_goes_first() {
        let low = Candidate { escalate_to: Some("middle"), ..role("z", &[]) };
        let middle = Candidate { escalate_to: Some("a"), ..role("middle", &[]) };
        let all = [role("a", &[]), middle, low];
        assert_eq!(chosen("x", &[], &all), by("z", RoutedBy::Order));
        assert_eq!(chosen("x", &[], &all[..2]), by("middle", RoutedBy::Order));
        let masters = Candidate { is_masters: true, ..role("a", &[]) };
        assert_eq!(chosen("x", &[], &[masters, role("b", &[])]), by("b", RoutedBy::Order));
    }

    #[test]
    fn what_lacks_a_tag_or_may_not_be_chosen_is_left_out_and_says_why() {
        let web = Candidate { tags: vec!["web"], ..role("web", &[]) };
        let barred = Candidate { barred: Some("it may not".into()), tags: vec!["web"], ..role("barred", &[]) };
        let all = [role("any", &[]), web, barred];
        assert_eq!(chosen("x", &["web"], &all), by("web", RoutedBy::Only));
        let left_out = choose("x", &["rust".to_owned()], &all).unwrap_err();
        let why: Vec<&str> = left_out.iter().filter_map(|one| one.left_out.as_deref()).collect();
        assert_eq!(why, ["it lacks the tag rust", "it may not", "it lacks the tag rust"]);
    }

    #[test]
    fn a_script_gets_only_what_its_routes_match() {
        let routes = ["^make ".to_owned()];
        let shell = |routes| Candidate { reads: false, ..role("shell", routes) };
        assert_eq!(chosen("make test", &[], &[shell(&routes), role("any", &[])]), by("shell", RoutedBy::Route));
        assert_eq!(chosen("test it", &[], &[shell(&routes), role("any", &[])]), by("any", RoutedBy::Only));
        assert_eq!(chosen("test it", &[], &[shell(&[]), role("any", &[])]), by("any", RoutedBy::Only));
    }

    #[test]
    fn what_is_wrong_with_a_route_is_said_in_one_line() {
        assert_eq!(check(r"\bapi\b"), Ok(()));
        assert_eq!(check("a(b").unwrap_err(), "unclosed group, at its character 2");
        assert_eq!(check("(?<n>a)(?<n>b)").unwrap_err().lines().count(), 1);
        assert!(check(&"(a{1000}){1000}".repeat(4)).unwrap_err().contains("size limit"));
    }
}
