//! The tools: one file per small group, with a router of its own. A new one is a file, a line here and a test.
//!
//! Descriptions are written for a model that has to choose a tool: what it does, and when to use it. They take part of its
//! context in every turn, so they are short.

mod change;
mod delegate;
mod fleet;
mod look;
mod people;
mod progress;
mod wait;

use rmcp::handler::server::router::tool::ToolRouter;

use super::{Server, args::on_one_line};

impl Server {
    /// All of them.
    pub(super) fn all_tools() -> ToolRouter<Server> {
        let mut all = Server::delegate_tools()
            + Server::wait_tools()
            + Server::look_tools()
            + Server::change_tools()
            + Server::progress_tools()
            + Server::people_tools()
            + Server::fleet_tools();
        for description in all.map.values_mut().filter_map(|route| route.attr.description.as_mut()) {
            *description = on_one_line(description).into();
        }
        all
    }
}
