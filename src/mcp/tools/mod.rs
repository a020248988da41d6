//! The tools: one file per small group, with a router of its own. A new one is a file, a line here and a test.
//!
//! Descriptions are written for a model that has to choose a tool: what it does, and when to use it. They occupy its
//! context in every turn, so they are short.

mod change;
mod delegate;
mod fleet;
mod locks;
mod look;
mod people;
mod plans;
mod progress;
mod wait;

use std::sync::Arc;

use rmcp::{handler::server::router::tool::ToolRouter, model::JsonObject, schemars::Schema};

use super::{
    Server,
    args::{on_one_line, plain},
};
use crate::model::tool::{Tool, ToolClass};

impl Server {
    /// All of them.
    pub(super) fn all_tools() -> ToolRouter<Server> {
        let mut all = Server::delegate_tools()
            + Server::wait_tools()
            + Server::look_tools()
            + Server::lock_tools()
            + Server::plan_tools()
            + Server::change_tools()
            + Server::progress_tools()
            + Server::people_tools()
            + Server::fleet_tools();
        for route in all.map.values_mut() {
            // The table of tools decides what clients may call without asking.
            if let (Some(hints), Ok(tool)) = (route.attr.annotations.as_mut(), route.attr.name.parse::<Tool>()) {
                hints.read_only_hint = Some(tool.class() == ToolClass::Reads);
                hints.destructive_hint = Some(tool.destroys());
            }
            let mut schema = Schema::from(JsonObject::clone(&route.attr.input_schema));
            plain(&mut schema);
            if let Some(schema) = schema.as_object() {
                route.attr.input_schema = Arc::new(schema.clone());
            }
        }
        for description in all.map.values_mut().filter_map(|route| route.attr.description.as_mut()) {
            *description = on_one_line(description).into();
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_in_the_table_and_says_what_the_table_says() {
        let all = Server::all_tools();
        let mut names: Vec<&str> = Tool::ALL.iter().map(|tool| tool.as_str()).collect();
        names.sort_unstable();
        let mut offered: Vec<String> = all.list_all().into_iter().map(|tool| tool.name.into_owned()).collect();
        offered.sort_unstable();
        assert_eq!(offered, names);
        for tool in Tool::ALL {
            let hints = all.map[tool.as_str()].attr.annotations.clone().expect("hints");
            assert_eq!(hints.read_only_hint, Some(tool.class() == ToolClass::Reads), "{tool}");
            assert_eq!(hints.destructive_hint, Some(tool.destroys()), "{tool}");
        }
    }
}
