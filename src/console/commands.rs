//! The commands of the console: each calls `ops`, and shows the answer as `view` renders it.

use super::{conversation::Conversation, help::help, input::Command};
use crate::{
    error::{Error, Result},
    home::files,
    model::task::{Task, TaskState},
    ops::{
        Wanted, Work,
        types::{CostsBy, LogQuery, PlanSource, Rerun, Shown, Target, TaskFilter},
    },
    view::{self, text::safe},
};

/// States of tasks that have not ended.
const OPEN: [TaskState; 5] =
    [TaskState::Blocked, TaskState::Ready, TaskState::Delayed, TaskState::Held, TaskState::Running];
/// Open tasks of each state that are read.
const MANY: usize = 100;
/// Ended tasks in `/tasks`, and lines in `/logs`.
const RECENT: usize = 10;
const LOG_LINES: usize = 40;
/// Bytes of a plan's file.
const LARGEST_PLAN: u64 = 64 << 20;
/// Events in `/events`.
const EVENTS: usize = 20;

impl Conversation<'_> {
    /// Executes a command and returns its answer.
    pub(super) async fn command(&mut self, command: Command) -> Result<String> {
        let view = self.screen.view();
        let ops = self.ops;
        let page = match command {
            Command::Help => help(&self.default_role, &view),
            // Home, then erase all: what scrolled away stays readable.
            Command::Clear => if self.person { "\x1b[H\x1b[2J" } else { "" }.to_owned(),
            Command::Status => view::status::page(&ops.status().await?, "orch attach", &view),
            Command::Tasks => {
                let tasks = self.newest_tasks().await?;
                or(view::task::in_order(&tasks, &view), "no task was delegated yet")
            }
            Command::Agents => {
                let agents = ops.agents().await?;
                self.with_known(|k| agents.iter().for_each(|a| k.agent(&a.id)));
                or(view::agent::list(&agents, &view), "no agent runs")
            }
            Command::Questions => {
                let asked = ops.questions().await?;
                for one in &asked {
                    self.asked.shown(one);
                }
                self.with_known(|k| {
                    asked.iter().filter_map(|one| one.question_id.as_ref()).for_each(|q| k.question(&q.to_string()))
                });
                view::messages::questions(&asked, &view)
            }
            Command::Answer(question, answer) => {
                let question = ops.find_question(&question).await?;
                let answered = ops.answer(question.clone(), answer).await?;
                view::messages::answered(&question.task, &answered)
            }
            Command::Inbox => view::messages::inbox(&ops.inbox(false, None).await?, &view),
            Command::Send(to, text) => {
                let to = if to == "master" { to } else { ops.find_any(&to).await?.to_string() };
                view::messages::sent(&ops.send(to, text).await?)
            }
            Command::Events => {
                let events = ops.events(EVENTS).await?;
                or(events.iter().map(|event| view::event::event(event, &view)).collect(), "nothing has happened yet")
            }
            Command::Costs => view::costs::table(&ops.costs(CostsBy::Role, None).await?, &view),
            Command::Pause(role) => {
                let changed = ops.pause(role.clone()).await?;
                view::requests::paused(role.as_deref(), changed, &view)
            }
            Command::Resume(role) => {
                let changed = ops.resume(role.clone()).await?;
                view::requests::resumed(role.as_deref(), changed)
            }
            Command::Show(id) => match ops.show(ops.find_any(&id).await?).await? {
                Shown::Task(detail) => view::task::page(&detail, &view),
                Shown::Agent(agent) => view::agent::page(&agent, &view),
                Shown::Plan(plan) => view::plan::page(&plan, &view),
            },
            Command::Why(id) => view::why::page(&ops.why(ops.find_any(&id).await?).await?, &view),
            Command::Logs(id) => {
                let mut query = LogQuery { last: LOG_LINES, ..LogQuery::default() };
                match ops.find_any(&id).await? {
                    Target::Task(task) => query.task = Some(task),
                    Target::Agent(agent) => query.agent = Some(agent),
                    Target::Plan(plan) => query.plan = Some(plan),
                }
                let lines: String =
                    ops.logs(query.clone()).await?.iter().map(|line| view::log::line(line, &view)).collect();
                or(lines, &view::log::nothing(&query))
            }
            Command::Result(id) => safe(
                &ops.result(ops.find_task(&id, Wanted::LastTask).await?)
                    .await?
                    .result
                    .map(|r| r.text)
                    .unwrap_or_default(),
            ),
            Command::Cancel(ids) => {
                let Work { tasks, plans } = ops.find_work(&ids, Wanted::Task).await?;
                let changed =
                    if tasks.is_empty() && !plans.is_empty() { Vec::new() } else { ops.cancel(tasks).await? };
                let mut page: String = changed.iter().map(|change| view::task::cancelled(change, &view)).collect();
                for plan in plans {
                    page.push_str(&view::plan::cancelled(&ops.cancel_plan(plan).await?));
                }
                page
            }
            Command::Retry(ids) => {
                let Work { tasks, plans } = ops.find_work(&ids, Wanted::LastTask).await?;
                let changed = if tasks.is_empty() && !plans.is_empty() { Vec::new() } else { ops.retry(tasks).await? };
                let mut of_plans = String::new();
                for plan in plans {
                    of_plans.push_str(&view::plan::retried(&ops.retry_plan(plan, Rerun::Failed).await?));
                }
                for task in changed.iter().filter(|c| c.changed) {
                    if let Some(detail) = self.read(&task.id).await {
                        // Held and delayed tasks are followed already. The past attempts of the others are known.
                        let past = detail.attempts.iter().filter(|a| a.ended_at.is_some()).count();
                        self.followed.begin_again(&task.id, past);
                    }
                }
                changed.iter().map(|change| view::task::retried(change, &view)).chain([of_plans]).collect()
            }
            Command::Plan(None) => view::plan::list(&ops.plans(RECENT).await?, &view),
            Command::Plan(Some(word)) if is_file(&word) => {
                let document = files::read_text(word.as_ref(), LARGEST_PLAN)
                    .map_err(|e| Error::usage(format!("{word} can't be read: {e}")))?;
                let plan = ops.submit_plan(PlanSource { document, ..PlanSource::default() }).await?;
                format!("{} is {}; /plan {} shows it", plan.id, plan.state, plan.id)
            }
            Command::Plan(Some(word)) => view::plan::page(&ops.show_plan(ops.find_plan(word).await?).await?, &view),
        };
        Ok(page.trim_end().to_owned())
    }

    /// The tasks that ended last, then the open ones; the oldest first.
    async fn newest_tasks(&mut self) -> Result<Vec<Task>> {
        let newest = self.ops.tasks(TaskFilter { limit: Some(RECENT), ..TaskFilter::default() }).await?;
        let mut tasks = self.open_tasks().await?;
        tasks.extend(newest.tasks.into_iter().filter(|t| t.state.is_terminal()));
        tasks.sort_by_key(|t| (!t.state.is_terminal(), t.created_at));
        self.with_known(|k| tasks.iter().for_each(|t| k.task(t.id.as_str())));
        Ok(tasks)
    }

    /// The newest open tasks of each state.
    pub(super) async fn open_tasks(&self) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        for state in OPEN {
            let filter = TaskFilter { states: vec![state.into()], limit: Some(MANY), ..TaskFilter::default() };
            tasks.extend(self.ops.tasks(filter).await?.tasks);
        }
        Ok(tasks)
    }
}

/// Whether a word is the name of a plan's file, and not that of a plan.
fn is_file(word: &str) -> bool {
    word.contains('/') || word.ends_with(".toml") || word.ends_with(".json")
}

/// The page, or a sentence where it is empty.
fn or(page: String, empty: &str) -> String {
    if page.is_empty() { empty.to_owned() } else { page }
}
