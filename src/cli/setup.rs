//! The verbs that prepare the first start: `orch init`, `orch doctor`, `orch completions`.

use std::path::Path;

use serde_json::json;

use super::{Session, args, complete, stdio::End};
use crate::{
    config::Env,
    error::{Error, Kind},
    ops::{Identity, Ops},
    view,
};

pub(super) async fn init(args: &args::Init, session: &mut Session) -> Result<u8, End> {
    let env = Env::of_process()?;
    if let Some(agent) = agent_around(session) {
        let why = format!("orch init is for a person, and this terminal is inside agent {agent}");
        return Err(Error::failed(why).hint("use a terminal outside of orch's agents").into());
    }
    let file = env.cwd.join(session.config.as_deref().unwrap_or(Path::new("sessions.toml")));
    Ops::init(&env, &file, args.force).await?;
    session.answer(&json!({"path": file}), |_, _| {
        format!("wrote {}\nnext: review it, then run orch start\n", file.display())
    })?;
    Ok(0)
}

/// The agent in which this process runs, as far as it can be determined without a usable sessions.toml.
fn agent_around(session: &Session) -> Option<String> {
    let of_project = || Identity::of_process(&session.load_config().ok()?).ok();
    match Identity::by_socket().or_else(of_project)? {
        Identity::Agent { agent, .. } => Some(agent),
        Identity::Person => None,
    }
}

pub(super) async fn doctor(session: &mut Session) -> Result<u8, End> {
    let checks = session.client_to_repair().await?.for_person("doctor")?.doctor().await;
    session.answer(&checks, |checks, view| view::doctor::checks(checks, view))?;
    Ok(if checks.iter().any(|c| c.state == "error") { Kind::Configuration.exit_code() } else { 0 })
}

pub(super) fn completions(args: &args::Completions, session: &mut Session) -> Result<u8, End> {
    let mut script = Vec::new();
    // Into memory first: clap's generator panics where it cannot write.
    clap_complete::generate(args.shell, &mut args::everyday(), "orch", &mut script);
    session.out.text(&complete::script(args.shell, &String::from_utf8_lossy(&script)))?;
    Ok(0)
}
