//! Agent programs: stand-ins that print what the real programs print, the real programs themselves, and the scripted
//! model service that the real programs call.

#[allow(dead_code, unused_imports)] // The module is shared; these tests use a part of it.
#[path = "../common/mod.rs"]
mod common;
#[path = "../model_server/mod.rs"]
mod model_server;

mod allow;
mod asks;
mod collisions;
mod conversations;
mod headless;
mod interactive;
mod limits;
mod money;
mod real;
mod service;
