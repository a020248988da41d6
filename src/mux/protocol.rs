//! tmux's control mode, as a pure parser: lines in, replies and notifications out.
//!
//! A reply is what stands between `%begin` and the `%end` or `%error` that repeats its three fields (time, number,
//! flags). The fields matter: a command's output may itself hold a line that begins with `%end`. Bit 0 of the flags says
//! that the command came from this client's own lines; hooks of the user's run in between and are answered too, without
//! that bit.

/// What one line completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A command has ended.
    Reply(Reply),
    /// Sessions or windows came or went.
    Changed,
    /// tmux ends the connection.
    Exit,
}

/// The answer to one command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Whether the command came from a line of this client.
    pub ours: bool,
    /// `%end`, not `%error`.
    pub ok: bool,
    /// The lines it printed, each with its newline.
    pub text: String,
}

/// Where in the stream we are.
#[derive(Debug, Default)]
pub(super) struct Parser {
    open: Option<Block>,
}

#[derive(Debug)]
struct Block {
    fields: String,
    text: String,
}

impl Parser {
    /// Takes the next line, without its newline.
    pub(super) fn feed(&mut self, line: &str) -> Option<Event> {
        if let Some(block) = &mut self.open {
            let Some(ok) = closes(line, &block.fields) else {
                block.text.push_str(line);
                block.text.push('\n');
                return None;
            };
            let block = self.open.take()?;
            let flags = block.fields.rsplit(' ').next().and_then(|flags| flags.parse::<u32>().ok());
            return Some(Event::Reply(Reply { ours: flags.unwrap_or(0) & 1 == 1, ok, text: block.text }));
        }
        if let Some(fields) = line.strip_prefix("%begin ") {
            self.open = Some(Block { fields: fields.to_owned(), text: String::new() });
            return None;
        }
        match line.split(' ').next() {
            Some("%sessions-changed" | "%window-close" | "%unlinked-window-close") => Some(Event::Changed),
            Some("%exit") => Some(Event::Exit),
            _ => None,
        }
    }
}

/// `Some(ok)` if the line ends the block that began with `fields`.
fn closes(line: &str, fields: &str) -> Option<bool> {
    match line.split_once(' ')? {
        ("%end", these) if these == fields => Some(true),
        ("%error", these) if these == fields => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str) -> Vec<Event> {
        let mut parser = Parser::default();
        text.lines().filter_map(|line| parser.feed(line)).collect()
    }

    fn reply(ours: bool, ok: bool, text: &str) -> Event {
        Event::Reply(Reply { ours, ok, text: text.into() })
    }

    #[test]
    fn replies_and_notifications_interleave() {
        let stream = "%begin 1 268 0\n%end 1 268 0\n%window-add @1\n%sessions-changed\n%begin 1 274 1\na\n\nb\n%end 1 274 1\n\
                      %unlinked-window-close @2\n%begin 2 275 1\nduplicate session: b\n%error 2 275 1\n%exit server exited\n";
        assert_eq!(
            events(stream),
            [
                reply(false, true, ""),
                Event::Changed,
                reply(true, true, "a\n\nb\n"),
                Event::Changed,
                reply(true, false, "duplicate session: b\n"),
                Event::Exit,
            ]
        );
    }

    #[test]
    fn output_that_looks_like_the_protocol_is_output() {
        let stream = "%begin 1 7 1\n%end 1 6 1\n%end\n%begin 1 8 1\n%exit\n%sessions-changed\n%end 1 7 1\n";
        assert_eq!(events(stream), [reply(true, true, "%end 1 6 1\n%end\n%begin 1 8 1\n%exit\n%sessions-changed\n")]);
    }

    #[test]
    fn a_stream_that_breaks_off_completes_nothing() {
        assert_eq!(events("%begin 1 7 1\nhalf\n"), []);
        assert_eq!(events("noise\n%\n\n%output %1 x\n"), []);
    }
}
