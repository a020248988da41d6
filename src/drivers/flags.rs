//! The flags of an agent program that a role's `args` must not contain: orch passes them itself, or has a key for what they say.
//!
//! Given twice, most programs silently use the last one: another `--settings` turns off the hooks by which orch knows what
//! the program does, another `--session-id` loses its conversation. So these flags are refused, each with what to write
//! instead. A flag that adds to ours (`--mcp-config`, `--add-dir`) is not among them.

/// What to do instead of passing a flag.
#[derive(Debug, Clone, Copy)]
pub enum Instead {
    /// Set this key of the role.
    Key(&'static str),
    /// Nothing: the flag is orch's own. The reason, and where else the user's own settings belong.
    Nothing(&'static str),
}

impl Instead {
    /// For the flags that choose the format of the output.
    pub(super) const STREAM: Instead = Instead::Nothing("orch passes it itself, and reads what is printed");
}

/// The spellings of one flag or setting, and what to do instead.
pub type Refused = (&'static [&'static str], Instead);

/// The flags of one program that are refused.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// The flags.
    pub named: &'static [Refused],
    /// The flag that sets a key of the program's configuration, where it has one.
    pub settings: Option<Settings>,
}

/// A flag that sets one key of a program's own configuration: `-c KEY=VALUE`.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The spellings of that flag.
    pub flags: &'static [&'static str],
    /// The keys that are refused.
    pub keys: &'static [Refused],
    /// Tables of that configuration of which every key is refused.
    pub tables: &'static [&'static str],
}

impl Flags {
    /// Refuses nothing.
    pub const NONE: Flags = Flags { named: &[], settings: None };

    /// Returns why `args` is refused, for its first word that is: a sentence that continues after "args".
    pub fn refusal(&self, args: &[String]) -> Option<String> {
        // After `--` there are no flags.
        let words = args.iter().take_while(|word| *word != "--").map(String::as_str);
        let mut flag_before = None;
        for word in words {
            let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let found = match (self.settings, flag_before.take()) {
                (Some(settings), Some(flag)) => settings.key(name).map(|instead| (format!("{flag} {name}"), instead)),
                (Some(settings), None) if settings.flags.contains(&name) => {
                    flag_before = value.is_none().then_some(name);
                    let key = value.map(|value| value.split('=').next().unwrap_or(value));
                    key.and_then(|key| Some((format!("{name} {key}"), settings.key(key)?)))
                }
                _ => named(self.named, name).map(|instead| (name.to_owned(), instead)),
            };
            if let Some((flag, instead)) = found {
                return Some(match instead {
                    Instead::Key(key) => format!("must not contain {flag}: use the key {key} instead"),
                    Instead::Nothing(why) => format!("must not contain {flag}: {why}"),
                });
            }
        }
        None
    }
}

impl Settings {
    fn key(&self, key: &str) -> Option<Instead> {
        let key = key.trim();
        let is_in = |table: &&&str| key.strip_prefix(**table).is_some_and(|rest| rest.starts_with('.'));
        named(self.keys, self.tables.iter().find(is_in).unwrap_or(&key))
    }
}

fn named(flags: &[Refused], name: &str) -> Option<Instead> {
    flags.iter().find(|(names, _)| names.contains(&name)).map(|(_, instead)| *instead)
}
