//! [`DriverKind`]: the name of a driver, as sessions.toml, launch files and records hold it.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

pub use super::DriverKind;
use super::{
    common::mcp_config::Mcp,
    driver::InteractiveJob,
    manifest::Manifest,
    options::{AgentOptions, Key, PromptForm, RoleSettings},
};
use crate::model::suggest::{nearest, printable};

/// Declares the drivers, one per line: `Claude => claude,` is the module `claude` (a file beside this one) with the unit
/// struct `Claude`, which implements [`Driver`](super::Driver) and is called `claude` in sessions.toml.
macro_rules! drivers {
    ($($(#[$attribute:meta])* $kind:ident => $module:ident,)+) => {
        $($(#[$attribute])* mod $module;)+

        /// Which driver: how an agent program is started, fed, read and stopped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DriverKind {
            /// The first agent program of `[agents] order` that is installed, else [`DriverKind::Console`].
            Auto,
            /// The built-in prompt, for a person. It takes no tasks.
            Console,
            $(
                $(#[$attribute])*
                #[doc = concat!("`", stringify!($module), "`.")]
                $kind,
            )+
        }

        impl DriverKind {
            /// Every kind, in the order in which messages list them.
            const EVERY: &[DriverKind] =
                &[DriverKind::Auto, DriverKind::Console, $($(#[$attribute])* DriverKind::$kind,)+];

            /// As written in sessions.toml.
            pub fn as_str(self) -> &'static str {
                match self {
                    DriverKind::Auto => "auto",
                    DriverKind::Console => "console",
                    $($(#[$attribute])* DriverKind::$kind => stringify!($module),)+
                }
            }

            /// The driver of this kind. `None` for `auto`, which stands for another kind, and for the console, which takes
            /// no tasks.
            pub fn driver(self) -> Option<&'static dyn Driver> {
                match self {
                    DriverKind::Auto | DriverKind::Console => None,
                    $($(#[$attribute])* DriverKind::$kind => Some(&$module::$kind),)+
                }
            }
        }
    };
}
pub(super) use drivers;

impl DriverKind {
    /// Returns every kind that is offered, in the order in which messages list them.
    pub fn all() -> impl Iterator<Item = DriverKind> {
        DriverKind::EVERY.iter().copied().filter(|kind| kind.manifest().is_none_or(|manifest| manifest.is_offered))
    }

    /// Returns the agent programs of a known name, in the order in which `auto` looks for them.
    pub fn agents() -> impl Iterator<Item = DriverKind> {
        DriverKind::all().filter(|kind| kind.program().is_some())
    }

    /// What the driver declares about its program.
    pub fn manifest(self) -> Option<&'static Manifest> {
        self.driver().map(|driver| driver.manifest())
    }

    /// The agent program, as it is called on PATH; `None` for what is no agent program of a known name.
    pub fn program(self) -> Option<&'static str> {
        Some(self.manifest()?.program.as_ref()?.name)
    }

    /// Reports whether the driver honours a key. `auto` may come to stand for a program that does; the console uses nothing
    /// that could be limited.
    pub fn knows(self, key: Key) -> bool {
        match (self, self.manifest()) {
            (DriverKind::Auto, _) => key != Key::Args,
            (_, manifest) => manifest.unwrap_or(&Manifest::GENERIC).knows(key),
        }
    }

    /// Returns what a program of this driver gets for a task, given what its role says. A program of the role's own gets the
    /// text alone, because it finds the rest at `ORCH_CONTEXT`; a shell script is the text.
    pub fn prompt(self, options: &AgentOptions) -> PromptForm {
        let default = if self.program().is_some() { PromptForm::Full } else { PromptForm::Bare };
        match options.prompt_template {
            Some(_) => PromptForm::Full,
            None => options.prompt.unwrap_or(default),
        }
    }

    /// Reports whether a role's instructions reach a program of this driver that is the master: it waits for a person, and has
    /// no first prompt before which they could stand.
    pub fn instructs_master(self) -> bool {
        const MARK: &str = "instructions of a master";
        let Some(driver) = self.driver() else { return false };
        let (options, here) = (AgentOptions::default(), Path::new("/"));
        let role = RoleSettings {
            name: "",
            command: &[],
            model: None,
            instructions: Some(MARK),
            cwd: here,
            options: &options,
        };
        let mcp = Mcp { program: here, env: Vec::new() };
        let job = InteractiveJob { role, dir: here, mcp: &mcp, new_session: "", resume: None, prompt: None };
        let has = |bytes: &[u8]| bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes());
        driver.interactive(&job).is_some_and(|start| {
            start.args.iter().any(|arg| has(arg.as_encoded_bytes())) || start.files.iter().any(|(_, text)| has(text))
        })
    }

    /// Returns a key that is set and that limits or permits something, but that the driver does not honour.
    pub fn unsupported(self, options: &AgentOptions) -> Option<Key> {
        options.written_keys().find(|key| !self.knows(*key))
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DriverKind {
    type Err = String;

    /// # Errors
    /// A sentence that lists the drivers there are.
    fn from_str(text: &str) -> Result<Self, String> {
        DriverKind::EVERY.iter().copied().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let names: Vec<&str> = DriverKind::all().map(DriverKind::as_str).collect();
            let meant =
                nearest(text, names.iter().copied()).map_or(String::new(), |name| format!("; did you mean '{name}'?"));
            format!("'{}' is not a driver; the drivers are {}{meant}", printable(text), names.join(", "))
        })
    }
}

impl Serialize for DriverKind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DriverKind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_reads_as_it_prints() {
        for kind in DriverKind::EVERY {
            assert_eq!(kind.to_string().parse(), Ok(*kind));
            assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<DriverKind>(&format!("\"{kind}\"")).unwrap(), *kind);
        }
    }
}
