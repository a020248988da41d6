//! `report_progress`.

use rmcp::{
    schemars::{self, JsonSchema},
    tool, tool_router,
};
use serde::{Deserialize, Serialize};

use crate::mcp::{
    Server,
    args::{self, Parameters},
    reply::{Answer, reply},
};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct ReportProgress {
    /// What was done, or what comes next, in one line.
    text: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Reported {
    /// Whether it was recorded among the events of your task.
    recorded: bool,
}

#[tool_router(router = progress_tools, vis = "pub(super)")]
impl Server {
    /// Reports the progress of your own task in one line, for people who watch. Use it at each step of long work, and before a
    /// step that takes minutes without output.
    #[tool(
        output_schema = args::output::<Reported>(),
        annotations(title = "Report progress", read_only_hint = false, destructive_hint = false, open_world_hint = false)
    )]
    async fn report_progress(&self, Parameters(asked): Parameters<ReportProgress>) -> Answer<Reported> {
        self.ops().await?.report_progress(asked.text).await?;
        reply("recorded", Reported { recorded: true })
    }
}
