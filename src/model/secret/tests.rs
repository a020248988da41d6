//! Real variables and ordinary texts: what counts as a secret, and what must not.

use super::*;

/// Joined here, so that no scanner takes this file for a leak.
fn planted(parts: &[&str]) -> String {
    parts.concat()
}

#[test]
fn variables_that_hold_a_secret_are_recognized_by_name_or_by_value() {
    let hex = "9f86d081884c7d659a2feaa0c55ad015";
    let random = "q7Rk2ZpXv9TnB4mWc8YhL3sDg6JfA1uE";
    for (name, value) in [
        ("DATABASE_URL", "postgres://u:pw@db.example/shop"),
        ("DATABASE_URL", "mysql2://app:s3cr3t/with/slash@10.0.0.1:3306/shop"),
        ("REDIS_URL", "redis://:hunter22@cache:6379/0"),
        ("AMQP_URL", "amqps://guest2:guest9x@mq"),
        ("MONGODB_URI", "mongodb+srv://admin:Zx81ab@cluster0.mongodb.net"),
        ("HTTP_PROXY", "http://alice:wonder1@proxy:3128"),
        ("https_proxy", "http://alice:wonder1@proxy:3128"),
        ("ALL_PROXY", "socks5://alice:wonder1@proxy:1080"),
        ("PIP_INDEX_URL", "https://__token__:abc123def@pypi.example/simple"),
        ("UV_INDEX_URL", "https://user:abc123def@pypi.example/simple"),
        ("GOPROXY", "https://x:abc123def@goproxy.example,direct"),
        ("GIT_REMOTE", "https://0123456789abcdef0123456789abcdef01234567@github.com/o/r"),
        ("MYSQL_PWD", "hunter2"),
        ("PGPASSWORD", "hunter2"),
        ("PGPASS", "hunter2"),
        ("MYSQL_ROOT_PASSWORD", "root"),
        ("POSTGRES_PASSWORD", "postgres"),
        ("DB_PASS", "123456"),
        ("REDISCLI_AUTH", "hunter2"),
        ("BW_SESSION", "aGVsbG8gd29ybGQ="),
        ("OP_SESSION_my", "xyzxyz"),
        ("STRIPE_KEY", "abc"),
        ("STRIPE_SECRET_KEY", "abc"),
        ("OPENAI_API_KEY", "abc"),
        ("ANTHROPIC_API_KEY", "abc"),
        ("ANTHROPIC_AUTH_TOKEN", "abc"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "abc"),
        ("GEMINI_API_KEY", "abc"),
        ("GOOGLE_API_KEY", "abc"),
        ("GROQ_API_KEY", "abc"),
        ("MISTRAL_API_KEY", "abc"),
        ("HF_TOKEN", "abc"),
        ("HUGGING_FACE_HUB_TOKEN", "abc"),
        ("GITHUB_TOKEN", "abc"),
        ("GH_TOKEN", "abc"),
        ("GITHUB_PAT", "abc"),
        ("GITLAB_TOKEN", "abc"),
        ("CI_JOB_TOKEN", "abc"),
        ("CI_JOB_JWT", "abc"),
        ("BITBUCKET_APP_PASSWORD", "abc"),
        ("AWS_ACCESS_KEY_ID", "abc"),
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("AWS_SESSION_TOKEN", "abc"),
        ("AZURE_CLIENT_SECRET", "abc"),
        ("AZURE_STORAGE_KEY", "abc"),
        ("AZURE_STORAGE_CONNECTION_STRING", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=Zm9vYmFy"),
        ("CONNECTION", "Server=db;Database=shop;User Id=sa;Password=Pa55word!"),
        ("PGOPTS", "host=db user=app password=Pa55word"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/home/u/key.json"),
        ("DIGITALOCEAN_ACCESS_TOKEN", "abc"),
        ("CLOUDFLARE_API_TOKEN", "abc"),
        ("HEROKU_API_KEY", "01234567-89ab-cdef-0123-456789abcdef"),
        ("NPM_TOKEN", "abc"),
        ("NODE_AUTH_TOKEN", "abc"),
        ("YARN_NPM_AUTH_TOKEN", "abc"),
        ("CARGO_REGISTRY_TOKEN", "abc"),
        ("TWINE_PASSWORD", "abc"),
        ("POETRY_PYPI_TOKEN_PYPI", "abc"),
        ("RUBYGEMS_API_KEY", "abc"),
        ("GEM_HOST_API_KEY", "abc"),
        ("DOCKER_PASSWORD", "abc"),
        ("DOCKER_AUTH_CONFIG", "{\"auths\":{}}"),
        ("KUBE_TOKEN", "abc"),
        ("VAULT_TOKEN", "abc"),
        ("SENTRY_DSN", "https://public@o1.ingest.sentry.io/1"),
        ("SENTRY_AUTH_TOKEN", "abc"),
        ("DD_API_KEY", hex),
        ("DD_APP_KEY", hex),
        ("NEW_RELIC_LICENSE_KEY", hex),
        ("SLACK_WEBHOOK", "https://hooks.slack.com/services/T0/B0/x"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T0/B0/x"),
        ("SLACK_SIGNING_SECRET", hex),
        ("TELEGRAM_BOT_TOKEN", "123456:abc"),
        ("TWILIO_AUTH_TOKEN", hex),
        ("SENDGRID_API_KEY", "abc"),
        ("MAILGUN_API_KEY", "abc"),
        ("SMTP_PASS", "abc"),
        ("JWT_SECRET", "abc"),
        ("SECRET_KEY_BASE", "abc"),
        ("DJANGO_SECRET_KEY", "abc"),
        ("RAILS_MASTER_KEY", "abc"),
        ("APP_KEY", "base64:abc"),
        ("ENCRYPTION_KEY", "abc"),
        ("COOKIE_SECRET", "abc"),
        ("SESSION_COOKIE", "abc"),
        ("NEXTAUTH_SECRET", "abc"),
        ("SSH_PRIVATE_KEY", "abc"),
        ("GPG_PASSPHRASE", "abc"),
        ("ANSIBLE_VAULT_PASSWORD", "abc"),
        ("RESTIC_PASSWORD", "abc"),
        ("BORG_PASSPHRASE", "abc"),
        ("SUDO_PASS", "abc"),
        ("LDAP_BIND_PW_PASSWORD", "abc"),
        ("my_secret_x", "s"),
        ("githubToken", "abc"),
        ("X", &planted(&["gh", "p_0123456789abcdefghijABCDEFGHIJ012345"])),
        ("X", &planted(&["s", "k-ant-api03-abcdefghijklmnop"])),
        ("X", &planted(&["AK", "IAIOSFODNN7EXAMPLE"])),
        ("X", &planted(&["xo", "xb-123456789012-abcdefghijkl"])),
        ("X", &planted(&["gl", "pat-abcdefghij1234567890"])),
        ("X", &planted(&["AI", "zaSyA0123456789abcdefghijklmnopqrstuv"])),
        (
            "X",
            &planted(&[
                "-----BEGIN RSA PRIV",
                "ATE KEY-----\nMIIEowIBAAKCAQEA0123456789\n-----END RSA PRIVATE KEY-----",
            ]),
        ),
        ("X", &planted(&["ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk-lmnop"])),
        ("X", random),
        ("X", hex),
        ("CALLBACK", "https://example.com/hook?token=abc"),
    ] {
        assert!(looks_secret(name, value), "{name}={value}");
    }
}

#[test]
fn harmless_variables_are_not_withheld() {
    for (name, value) in [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/home/alice"),
        ("USER", "alice"),
        ("SHELL", "/bin/bash"),
        ("LANG", "en_US.UTF-8"),
        ("LC_ALL", "C"),
        ("TZ", "Europe/Vienna"),
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
        ("EDITOR", "vim"),
        ("PAGER", "less -R"),
        ("PWD", "/home/alice/project"),
        ("OLDPWD", "/home/alice"),
        ("INIT_CWD", "/home/alice"),
        ("SSH_AUTH_SOCK", "/run/user/1000/ssh-agent.socket"),
        ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22"),
        ("SSH_ASKPASS", "/usr/lib/ssh/ssh-askpass"),
        ("GIT_ASKPASS", "/usr/bin/askpass"),
        ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ("XDG_SESSION_ID", "2"),
        ("XDG_SESSION_TYPE", "wayland"),
        ("XDG_SESSION_CLASS", "user"),
        ("XDG_SESSION_DESKTOP", "gnome"),
        ("DESKTOP_SESSION", "gnome"),
        ("GDMSESSION", "gnome"),
        ("SESSION_MANAGER", "local/host:@/tmp/.ICE-unix/1234,unix/host:/tmp/.ICE-unix/1234"),
        ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/user/1000/bus"),
        ("XAUTHORITY", "/run/user/1000/.mutter-Xwaylandauth.ABC123"),
        ("ICEAUTHORITY", "/run/user/1000/ICEauthority"),
        ("GNOME_TERMINAL_SCREEN", "/org/gnome/Terminal/screen/a1b2c3d4_e5f6_7890_abcd_ef0123456789"),
        ("TERM_SESSION_ID", "w0t0p0:01234567-89AB-CDEF-0123-456789ABCDEF"),
        ("ITERM_SESSION_ID", "w0t0p0:01234567-89AB-CDEF-0123-456789ABCDEF"),
        ("INVOCATION_ID", "9f86d081884c7d659a2feaa0c55ad015"),
        ("JOURNAL_STREAM", "8:12345"),
        ("LS_COLORS", "rs=0:di=01;34:ln=01;36:*.tar=01;31:*.jpg=01;35"),
        ("LESSOPEN", "|/usr/bin/lesspipe %s"),
        ("WINDOWID", "39845893"),
        ("DISPLAY", ":0"),
        ("WAYLAND_DISPLAY", "wayland-0"),
        ("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "32000"),
        ("MAX_THINKING_TOKENS", "31999"),
        ("MAX_MCP_OUTPUT_TOKENS", "50000"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("TOKEN_LIMIT", "4096"),
        ("SESSION_TIMEOUT", "3600"),
        ("AUTH_TYPE", "oauth"),
        ("AUTH_METHOD", "basic"),
        ("AUTH_ENABLED", "true"),
        ("OS_AUTH_URL", "https://keystone.example:5000/v3"),
        ("TOKEN_ENDPOINT", "https://login.example/token"),
        ("SESSION_DRIVER", "redis"),
        ("KEYBOARD_LAYOUT", "us"),
        ("KEYMAP", "de-latin1"),
        ("KEYTIMEOUT", "1"),
        ("GIT_AUTHOR_NAME", "Alice"),
        ("GIT_AUTHOR_EMAIL", "alice@example.com"),
        ("GIT_COMMITTER_EMAIL", "alice@example.com"),
        ("GIT_COMMIT", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("GITHUB_SHA", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("CI_COMMIT_SHA", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ("SSL_KEY_FILE", "/etc/ssl/private/server.key"),
        ("NODE_EXTRA_CA_CERTS", "/etc/ssl/ca.pem"),
        ("REQUESTS_CA_BUNDLE", "/etc/ssl/ca.pem"),
        ("http_proxy", "http://proxy.example:3128"),
        ("HTTPS_PROXY", "http://proxy.example:3128"),
        ("no_proxy", "localhost,127.0.0.1,.example.com"),
        ("PIP_INDEX_URL", "https://pypi.org/simple"),
        ("GOPROXY", "https://proxy.golang.org,direct"),
        ("GOPRIVATE_HOSTS", "example.com"),
        ("CARGO_HOME", "/home/alice/.cargo"),
        ("RUSTFLAGS", "-C target-cpu=native"),
        ("RUSTUP_TOOLCHAIN", "stable-x86_64-unknown-linux-gnu"),
        ("NODE_OPTIONS", "--max-old-space-size=4096"),
        ("NVM_DIR", "/home/alice/.nvm"),
        ("JAVA_HOME", "/usr/lib/jvm/java-21-openjdk-amd64"),
        ("PYTHONPATH", "/home/alice/lib"),
        ("VIRTUAL_ENV", "/home/alice/venv"),
        ("CONDA_PREFIX", "/opt/conda"),
        ("GOPATH", "/home/alice/go"),
        ("LD_LIBRARY_PATH", "/usr/lib"),
        ("PKG_CONFIG_PATH", "/usr/lib/pkgconfig"),
        ("KUBECONFIG", "/home/alice/.kube/config"),
        ("DOCKER_HOST", "unix:///run/user/1000/docker.sock"),
        ("DATABASE_URL", "sqlite:///var/lib/shop.db"),
        ("DATABASE_HOST", "db.example"),
        ("REDIS_URL", "redis://localhost:6379/0"),
        ("RAILS_ENV", "production"),
        ("LOG_LEVEL", "debug"),
        ("PASSWORD_STORE_DIR", "/home/alice/.password-store"),
        ("BYPASS", "1"),
        ("COMPASS", "north"),
        ("MONKEY", "george"),
        ("AUTHOR", "Alice"),
        ("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:8080"),
        ("ANTHROPIC_MODEL", "claude-sonnet-4-5-20250929"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_PROFILE", "default"),
        ("BUILD_TAG", "jenkins-shop-main-20251129-1234567890-release"),
        ("IMAGE", "registry.example/shop/api:v1.2.3-20251129T0931"),
        ("ORCH_RUN", "t-7k2m9qx4hz"),
        ("MACHINE", "01234567-89ab-cdef-0123-456789abcdef"),
        ("EMPTY_TOKEN", ""),
    ] {
        assert!(!looks_secret(name, value), "{name}={value}");
    }
}

#[test]
fn only_distinctive_values_are_removed_from_texts() {
    for (name, value, known) in [
        ("DATABASE_URL", "postgres://u:hunter22@db/shop", &["hunter22", "postgres://u:hunter22@db/shop"][..]),
        ("API_KEY", "Zx81-value", &["Zx81-value"]),
        ("POSTGRES_PASSWORD", "postgres", &[]),
        ("DB_PASS", "123456", &[]),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/home/u/key.json", &[]),
        ("LANG", "en_US.UTF-8", &[]),
    ] {
        assert_eq!(known_values(name, value), known, "{name}");
    }
}

#[test]
fn unmistakable_secrets_are_removed_from_texts_that_nobody_expected() {
    let redactor = Redactor::default();
    let key = |label: &str| {
        planted(&[
            "-----BEGIN ",
            label,
            "PRIV",
            "ATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\n+/abcDEF0123456789==\n-----END ",
            label,
            "PRIVATE KEY-----",
        ])
    };
    for secret in [
        planted(&["s", "k-abcdefghijklmnopqrst0123456789ABCDEFGHIJKLMNOPQR"]),
        planted(&["s", "k-proj-abc_DEF-0123456789"]),
        planted(&["s", "k-ant-api03-abcdefghijklmnop_QRS"]),
        planted(&["s", "k_live_0123456789abcdefABCDEF"]),
        planted(&["gh", "p_0123456789abcdefghijABCDEFGHIJ012345"]),
        planted(&["github", "_pat_11ABCDEFG0123456789_abcdefghijklmnopqrstuvwxyz"]),
        planted(&["AK", "IAIOSFODNN7EXAMPLE"]),
        planted(&["xo", "xb-123456789012-1234567890123-abcdefghijklmnopqrstuvwx"]),
        planted(&["gl", "pat-abcdefghij1234567890"]),
        planted(&["AI", "zaSyA0123456789abcdefghijklmnopqrstuv"]),
        planted(&["ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk-lmnop"]),
        planted(&["np", "m_0123456789abcdefghijABCDEFGHIJ012345"]),
        planted(&["h", "f_0123456789abcdefghijABCDEFGHIJ0123"]),
        planted(&["do", "p_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]),
        planted(&["hv", "s.CAESIJ0123456789abcdefghij"]),
        key(""),
        key("RSA "),
        key("OPENSSH "),
    ] {
        let json = serde_json::to_string(&secret).unwrap();
        for (before, after) in [("", ""), ("key=", "\n"), ("use '", "' now"), ("(", ")"), ("x: ", ", then")] {
            let text = redactor.text(format!("{before}{secret}{after}"));
            assert_eq!(text, format!("{before}[redacted]{after}"));
            for cut in 1..secret.len() {
                let mut stream = Redactor::default();
                let whole = format!("{before}{secret}{after}");
                let (one, two) = whole.as_bytes().split_at(before.len() + cut);
                let shown = [stream.feed(one), stream.feed(two), stream.finish()].concat();
                assert_eq!(String::from_utf8(shown).unwrap(), text, "cut at {cut}");
            }
        }
        assert_eq!(redactor.text(format!("{{\"a\":{json}}}")), "{\"a\":\"[redacted]\"}");
        assert_eq!(redactor.text(format!(r"line\n{secret}")), r"line\n[redacted]");
    }
    assert_eq!(
        redactor.text("psql postgres://app:hun:t@er2@db:5432/shop?x=1 https://a:b1@c".into()),
        "psql postgres://app:[redacted]@db:5432/shop?x=1 https://a:[redacted]@c"
    );
    let long = format!("{}{}", planted(&["gh", "p_"]), "a1".repeat(500));
    assert_eq!(redactor.text(format!("x {long} y")), "x [redacted] y");
}

/// Ordinary prompts: each line has something that resembles a secret.
#[test]
fn ordinary_text_and_code_are_unchanged() {
    let redactor = Redactor::default();
    let mut lines: Vec<String> = ORDINARY.lines().map(str::to_owned).collect();
    // Hashes, identifiers and binary data, made of fixed numbers.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for _ in 0..200 {
        let (a, b, c, d) = (random(), random(), random(), random());
        lines.push(format!("commit {a:016x}{b:016x}{:08x}", c as u32));
        lines.push(format!("sha256:{a:016x}{b:016x}{c:016x}{d:016x}"));
        lines.push(format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a as u32,
            b as u16,
            c & 0xfff,
            d & 0xfff,
            a & 0xffff_ffff_ffff
        ));
        let image: String = (0..2_000).map(|_| BASE64[random() as usize % 64] as char).collect();
        lines.push(format!("<img src=\"data:image/png;base64,{image}==\">"));
        lines.push(format!("integrity: sha512-{}==", &image[..86]));
        lines.push(image.replace('+', "-").replace('/', "_"));
    }
    for line in &lines {
        assert_eq!(&redactor.text(line.clone()), line);
    }
    let all = lines.join("\n");
    assert_eq!(redactor.text(all.clone()), all);
    let source =
        [include_str!("shape.rs"), include_str!("redactor.rs"), include_str!("../task.rs"), include_str!("../id.rs")];
    for text in source {
        assert_eq!(redactor.text(text.to_owned()), text);
    }
}

const ORDINARY: &str = include_str!("ordinary.txt");
