//! What the commands answer: ops asked, and its answer rendered.

use super::{conversation::Conversation, input::Command, render};
use crate::{
    error::Result,
    model::{
        task::{Task, TaskState},
        text::plain,
    },
    ops::{
        Ops,
        types::{LogQuery, Shown, Target, TaskFilter},
    },
};

const OPEN: [TaskState; 5] =
    [TaskState::Blocked, TaskState::Ready, TaskState::Delayed, TaskState::Held, TaskState::Running];
/// Open tasks of each state that are read at a time.
const MANY: usize = 100;
/// Ended tasks in `/tasks`, and lines in `/logs`.
const RECENT: usize = 10;
const LOG_LINES: usize = 40;

impl Conversation<'_> {
    /// Does it, and says what came of it.
    pub(super) async fn command(&mut self, command: Command) -> Result<String> {
        let page = self.screen.page();
        let ops = self.ops;
        match command {
            Command::Help => Ok(render::help(&ops.config().master.default_role, &page)),
            // Home, then erase all: what scrolled away stays readable.
            Command::Clear => Ok(if self.person { "\x1b[H\x1b[2J".to_owned() } else { String::new() }),
            Command::Status => Ok(render::status(&ops.status().await?, &page)),
            Command::Tasks => self.tasks().await,
            Command::Agents => {
                let agents = ops.agents().await?;
                self.with_known(|k| agents.iter().for_each(|a| k.agent(&a.id)));
                Ok(lines(agents.iter().map(|a| render::agent(a, &page)), "no agent lives"))
            }
            Command::Show(id) => Ok(match ops.show(&Ops::target(&id)?).await? {
                Shown::Task(detail) => render::detail(&detail, &page),
                Shown::Agent(agent) => render::agent(&agent, &page),
            }),
            Command::Why(id) => Ok(render::why(&ops.why(&Ops::target(&id)?).await?, &page)),
            Command::Logs(id) => {
                let mut query = LogQuery { last: LOG_LINES, ..LogQuery::default() };
                match Ops::target(&id)? {
                    Target::Task(task) => query.task = Some(task),
                    Target::Agent(agent) => query.agent = Some(agent),
                }
                let log = ops.logs(&query).await?;
                Ok(lines(log.iter().map(|line| render::log(line, &page)), "nothing was printed yet"))
            }
            Command::Result(id) => {
                let text = ops.result(&id).await?.result.map(|r| r.text).unwrap_or_default();
                Ok(plain(text.trim_end().as_bytes()))
            }
            Command::Cancel(ids) => {
                let changed = ops.cancel(&ids).await?;
                Ok(lines(changed.iter().map(render::changed), ""))
            }
            Command::Retry(ids) => {
                let changed = ops.retry(&ids).await?;
                for task in changed.iter().filter(|c| c.changed) {
                    if let Some(detail) = self.read(&task.id).await {
                        // Held and delayed ones are followed already; what came before is old news for the others.
                        let past = detail.attempts.iter().filter(|a| a.ended_at.is_some()).count();
                        self.followed.begin_again(&task.id, past);
                    }
                }
                Ok(lines(changed.iter().map(render::changed), ""))
            }
        }
    }

    async fn tasks(&mut self) -> Result<String> {
        let page = self.screen.page();
        let newest = self.ops.tasks(TaskFilter { limit: Some(RECENT), ..TaskFilter::default() }).await?;
        let mut tasks = self.open_tasks().await?;
        tasks.extend(newest.tasks.into_iter().filter(|t| t.state.is_terminal()));
        tasks.sort_by_key(|t| (!t.state.is_terminal(), t.created_at));
        self.with_known(|k| tasks.iter().for_each(|t| k.task(t.id.as_str())));
        Ok(lines(tasks.iter().map(|t| render::task(t, &page)), "no task was delegated yet"))
    }

    /// The newest open tasks of each state.
    pub(super) async fn open_tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for state in OPEN {
            let filter = TaskFilter { state: Some(state), limit: Some(MANY), ..TaskFilter::default() };
            tasks.extend(self.ops.tasks(filter).await?.tasks);
        }
        Ok(tasks)
    }
}

fn lines(lines: impl Iterator<Item = String>, none: &str) -> String {
    let all = lines.collect::<Vec<_>>().join("\n");
    if all.is_empty() { none.to_owned() } else { all }
}
