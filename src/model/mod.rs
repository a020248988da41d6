//! The words of the product as types, and the tables of transitions. Pure: no input, no output, no clock.
//!
//! The transitions of tasks and agents are declared here ([`task::TRANSITIONS`], [`agent::TRANSITIONS`]), and so are the
//! codes: kinds of events, refusals, causes, codes of ends and gates. The Lua transitions of `store` are generated from
//! them, so that each is declared once.

pub mod agent;
pub mod agent_state;
pub mod approval;
pub mod attention;
pub mod breaker;
pub mod budget;
pub mod build;
pub mod carriage;
pub mod cause;
pub mod code;
pub mod collision;
pub mod duration;
pub mod edge;
pub mod end_code;
pub mod error_kind;
pub mod escalation;
pub mod event;
pub mod event_kind;
pub mod evidence;
pub mod format;
#[cfg(test)]
mod fuzz;
pub mod gate;
pub mod id;
pub mod json;
pub mod lock;
pub mod message;
pub mod name;
pub mod network;
pub mod pace;
pub mod pattern;
pub mod plan;
pub mod question;
pub mod refusal;
pub mod retry;
pub mod routing;
pub mod schedule;
pub mod secret;
pub mod size;
pub mod socket;
pub mod spec;
pub mod suggest;
pub mod task;
pub mod template;
pub mod text;
pub mod time;
pub mod tool;
pub mod wait;
pub mod window;

/// Defines an enum of words: its `as_str`, `Display`, `FromStr`, `ALL` and serde form are one list.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident: $what:literal { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant),+ }
        impl $name {
            /// Every one, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// Returns the word as it is stored and shown.
            pub fn as_str(self) -> &'static str { match self { $($name::$variant => $word),+ } }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(format!("'{text}' is not a {}: one of {}", $what, [$($word),+].join(", "))),
                }
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(self.as_str()) }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <std::borrow::Cow<'de, str>>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use words;
