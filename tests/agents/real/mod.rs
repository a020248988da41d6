//! The real agent programs with everything of orch around them, calling a scripted model service on loopback.
//!
//! These tests run only if `ORCH_TEST_AGENTS` names a folder with the programs (`scripts/test-agents` installs the
//! programs and sets it). Otherwise each test prints that it is skipped. Every program has a temporary folder as its
//! home, a dummy key, and an environment made for the test, so the user's configuration has no effect.

mod aider;
mod claude;
mod codex;
mod collisions;
mod copilot;
mod demo;
mod failures;
mod fleet;
mod gemini;
mod hierarchy;
mod hung;
mod idle;
mod interactive;
mod master;
mod opencode;
mod qwen;
mod sandbox;
mod screens;
mod share;
mod steering;
mod wakeups;
