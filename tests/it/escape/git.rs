//! Attempts to have a person's git run something. After each of them the person uses git in the working folder.

use super::attempts::{Attempt, Success, Without};

const fn attempt(name: &'static str, success: Success, script: &'static str) -> Attempt {
    Attempt { name, script, success, without_sandbox: Without::Succeeds }
}

pub const ATTEMPTS: &[Attempt] = &[
    attempt(
        "plant a hook",
        Success::Makes,
        r#"mkdir -p .git/hooks; printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > .git/hooks/post-commit; chmod +x .git/hooks/post-commit"#,
    ),
    attempt(
        "replace the folder of hooks",
        Success::Makes,
        r#"mkdir "$LOOT.d"; printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT.d/post-commit"; chmod +x "$LOOT.d/post-commit"
        mv .git/hooks .git/hooks.old; ln -s "$LOOT.d" .git/hooks"#,
    ),
    attempt(
        "plant attributes",
        Success::Changes(|scene, _| scene.text("project/.git/info/attributes").contains("planted")),
        r#"mkdir -p .git/info; echo '* filter=planted' >> .git/info/attributes"#,
    ),
    attempt(
        "plant a file system monitor",
        Success::Makes,
        r#"printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT"; chmod +x "$LOOT"; git config core.fsmonitor "$LOOT"; rm -f .git/config.lock
        printf '[core]\n\tfsmonitor = %s\n' "$LOOT" >> .git/config"#,
    ),
    attempt(
        "plant a configuration of the working tree",
        Success::Makes,
        r#"printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT"; chmod +x "$LOOT"
        printf '[core]\n\tfsmonitor = %s\n' "$LOOT" > .git/config.worktree"#,
    ),
    attempt(
        "plant a configuration of the user",
        Success::Makes,
        r#"printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT"; chmod +x "$LOOT"
        printf '[core]\n\teditor = true\n[alias]\n\tplanted = "!%s"\n' "$LOOT" >> "$WORLD/.gitconfig""#,
    ),
    attempt(
        "name another folder of hooks",
        Success::Makes,
        r#"mkdir "$LOOT.d"; printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT.d/post-commit"; chmod +x "$LOOT.d/post-commit"
        git config core.hooksPath "$LOOT.d""#,
    ),
    attempt(
        "replace the repository",
        Success::Makes,
        r#"printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT"; chmod +x "$LOOT"; cp -r .git "$LOOT.d"
        printf '[core]\n\tfsmonitor = %s\n' "$LOOT" >> "$LOOT.d/config"; cp "$LOOT.d/config" "$LOOT.d/config.worktree"
        mv .git "$LOOT.old" && mv "$LOOT.d" .git"#,
    ),
    attempt(
        "name another common folder",
        Success::Makes,
        r#"printf '#!/bin/sh\ntouch "%s"\n' "$OUT" > "$LOOT"; chmod +x "$LOOT"; cp -r .git "$LOOT.d"
        printf '[core]\n\tfsmonitor = %s\n' "$LOOT" >> "$LOOT.d/config"; cp "$LOOT.d/config" "$LOOT.d/config.worktree"
        rm -f .git/config.worktree; echo "$LOOT.d" > .git/commondir"#,
    ),
];
