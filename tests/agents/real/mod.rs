//! The real agent programs, in a whole orch, asking a scripted model service on loopback.
//!
//! They run only where `ORCH_TEST_AGENTS` names a folder that holds them (`scripts/test-agents` installs them there and
//! sets it); elsewhere each test says so and has nothing to say. Every program has the test's own temporary folder as its
//! home, a key that is none, and an environment that was made for it: nobody's own configuration plays a part.

mod aider;
mod claude;
mod codex;
mod copilot;
mod failures;
mod fleet;
mod gemini;
mod hierarchy;
mod idle;
mod interactive;
mod master;
mod opencode;
mod qwen;
mod screens;
mod share;
