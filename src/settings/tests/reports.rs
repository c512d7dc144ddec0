//! Tests of the output of `towline check`, and of reading it back.

use super::*;

#[test]
fn the_report_has_the_origin_of_each_value() {
    let text = MINIMAL.replace("ws://127.0.0.1:8139", "ws://me:hidden@h/?t=hidden");
    let text = text.replace("[pipeline", "headers = { \"a.b\" = \"hidden\" }\n[pipeline");
    let text = format!("{text}subprotocols = [\"v1\"]\n");
    let env = [(BIND, "127.0.0.1:0"), ("TOWLINE__UPSTREAM__ECHO__HEADERS__X_TOKEN", "hidden")];
    let report = load::report(&layers(&text, &env).unwrap(), Extent::All);
    for line in [
        "[listener.ws]\nbind = \"127.0.0.1:0\"                        # environment TOWLINE__LISTENER__WS__BIND\n",
        "\ncodec = \"message\"                           # default\n",
        "\nurl = \"ws://***@h/?***\"                     # /etc/towline.toml\n",
        "\nheaders.\"a.b\" = \"***\"                       # /etc/towline.toml\n",
        "\nheaders.x-token = \"***\"                     # environment TOWLINE__UPSTREAM__ECHO__HEADERS__X_TOKEN\n",
        "\n# restart.min = \"100ms\"                     # default\n",
        "\nsource = \"select event from in into out;\"   # /etc/towline.toml\n",
        "\n[[route]]\npath = \"/\"",
        "\nsubprotocols = [\"v1\"]                       # /etc/towline.toml\n",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("hidden"), "{report}");
}

#[test]
fn what_a_request_must_have_is_masked() {
    let with = |secret: &str| {
        let path = format!("health = {{ probe = \"http\", path = \"/h?{secret}\" }}\n[pipeline");
        let texts =
            ["headers", "query", "cookies"].map(|key| format!("match.{key} = {{ a = \"{secret}\" }}\n"));
        MINIMAL.replace("[pipeline", &path) + &texts.concat()
    };
    let layers = layers(&with("hidden"), &[]).unwrap();
    let report = load::report(&layers, Extent::All);
    for line in
        ["match.headers.a = \"***\"", "match.query.a = \"***\"", "match.cookies.a = \"***\"", "\"/h?***\""]
    {
        assert!(report.contains(line), "{line}\n{report}");
    }
    let effective = Loaded::check(layers).unwrap().effective;
    assert!(!format!("{report}{effective:?}").contains("hidden"), "{report}");
    let refused = load(&with("***"), &[]).unwrap_err().to_string();
    assert_eq!(refused.matches("a masked secret is not accepted").count(), 4, "{refused}");
    assert!(
        !load(&with("hid\u{1}den"), &[]).unwrap_err().to_string().contains("hid"),
        "wrong values are masked too"
    );
}

#[test]
fn the_report_says_what_auto_means_for_each_route() {
    let text = format!(
        "{MINIMAL}path = \"/a\"\nstateless = true\n[[route]]\nupstream = \"echo\"\npath = \"/b\"\nerrors = [\"pass\"]
         [[route]]\nupstream = \"echo\"\npath = \"/c\"\non_upstream_loss = \"keep\"\nerror_replies = false\n"
    );
    let lines = |text: &str, env: &[(&str, &str)]| -> Vec<String> {
        let report = load::report(&layers(text, env).unwrap(), Extent::All);
        let keys = ["on_upstream_loss = ", "error_replies = "];
        let lines = report.lines().filter(|line| keys.iter().any(|key| line.starts_with(key)));
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let no_errors = "here false: exchange = \"stream\" and the route has no errors pipelines";
    assert_eq!(
        lines(&text, &[]),
        [
            format!("error_replies = \"auto\" # default; {no_errors}"),
            "on_upstream_loss = \"auto\" # default; here \"keep\": stateless = true".to_owned(),
            "error_replies = \"auto\" # default; here true: the route has errors pipelines".to_owned(),
            "on_upstream_loss = \"auto\" # default; here \"close\": exchange = \"stream\" and the route is not \
             stateless"
                .to_owned(),
            "error_replies = false # /etc/towline.toml".to_owned(),
            "on_upstream_loss = \"keep\" # /etc/towline.toml".to_owned(),
        ]
    );
    assert_eq!(
        lines(MINIMAL, &[("TOWLINE__UPSTREAM__ECHO__EXCHANGE", "request")]),
        [
            "error_replies = \"auto\" # default; here true: exchange = \"request\"",
            "on_upstream_loss = \"auto\" # default; here \"keep\": exchange = \"request\"",
        ]
    );
}

#[test]
fn the_report_can_be_read_again() {
    let text = format!("{MINIMAL}path = \"/a\\u0001\\\"b\"\n");
    let env = [
        ("TOWLINE__SERVER__WORKERS", "2"),
        ("TOWLINE__LISTENER__WS__PREPROCESSORS", "lines, lines"),
        ("TOWLINE__UPSTREAM__ECHO__PREPROCESSORS", "[{ name = \"lines\", buffered = true }]"),
        ("TOWLINE__UPSTREAM__ECHO__FORWARD_PATH", "false"),
        ("TOWLINE__UPSTREAM__ECHO__ALLOW_URLS", "ws://a/,ws://b/"),
        ("TOWLINE__UPSTREAM__ECHO__ON_REFUSED__PASS", "401,500-599"),
        (BIND, "127.0.0.1:1,[::1]:1"),
    ];
    let report = load::report(&layers(&text, &env).unwrap(), Extent::All);
    let again = load::report(&layers(&report, &[]).unwrap(), Extent::All);
    assert_eq!(values(&report), values(&again));
    assert!(report.contains("preprocessors = [\"lines\", \"lines\"]"), "{report}");
    assert!(report.contains("on_refused.pass = [401, \"500-599\"]"), "{report}");
}

/// A report without its comments.
fn values(report: &str) -> Vec<String> {
    report.lines().map(|line| line.split(" # ").next().unwrap().trim_end().to_owned()).collect()
}

/// Settings of many forms. Each has keys whose defaults would be refused, because they have no effect there.
const SHAPES: [&str; 16] = [
    "",
    "[listener.two]\nbind = \"127.0.0.1:0\"\nping_interval = \"never\"\n",
    "[upstream.two]\nurl = \"ws://h/\"\nallow_urls = [\"ws://g/\"]\n[[route]]\npath = \"/x\"\nupstream = \"two\"\n",
    "[upstream.two]\nurl = \"ws://h/\"\nexchange = \"request\"\nreply_timeout = \"1s\"\n",
    "[upstream.two]\nurl = \"ws://h/\"\nexchange = \"request\"\ncodec = \"json\"\ncorrelation = \"id\"\n",
    "[upstream.two]\nurl = \"ws://h/\"\n[upstream.two.on_upstream_close]\npass = []\n",
    "[listener.two]\nbind = \"127.0.0.1:0\"\nrate.messages = 1\nslow_consumer = \"drop_oldest\"\ntcp_user_timeout = \"never\"\n",
    "[pipeline.answer]\nsource = \"select event from in into reply;\"\n[[route]]\nlistener = \"ws\"\npath = \"/x\"\nincoming = [\"answer\"]\n",
    "[[route]]\npath = \"/a\"\nupstream = \"echo\"\nerrors = [\"pass\"]\nstateless = true\n",
    "[upstream.two]\nendpoints = [\"ws://a/\", { url = \"ws://b/\", weight = 2 }]\n[[route]]\npath = \"/x\"\nupstream = \"two\"\n",
    "[upstream.two]\nurl = \"ws://h/\"\nrecovery.preset = \"mqtt\"\nrecovery.in_flight = \"retry\"\n[[route]]\npath = \"/x\"\nupstream = \"two\"\n",
    "[upstream.two]\nurl = \"ws://h/\"\nrecovery.open = [{ when = { \"a.b\" = \"c*\", d.e = [], f = 1, \"\\u00e4\" = true }, id = \"a.c\" }]\n[[route]]\npath = \"/x\"\nupstream = \"two\"\n",
    "[[route]]\nname = \"a\"\nmatch = { host = \"*.a.test\", path_regex = \"/x+\", headers = { X-A = \"b*\" }, networks = [\"::1\"] }\nupstream = \"echo\"\n",
    "[[route]]\nmatch.path_exact = \"/x\"\nmatch.subprotocol = \"a\"\norigins = [\"https://*.a.test\", \"null\"]\nupstream = \"echo\"\n",
    "[[route]]\nanswer = { status = 301, redirect = \"/a${request.path}\", body = \"b\\n\" }\n",
    "[log]\nlevel = \"info,towline::session=debug\"\n[admin]\nbind = \"\"\n[drain]\nwindow = \"1m\"\n",
];

#[test]
fn the_report_gives_the_same_settings_whole_or_only_what_differs() {
    for shape in SHAPES {
        // The first route that matches is used, so an added one comes first.
        let (before, after) = if shape.contains("[[route]]") { (shape, "") } else { ("", shape) };
        let (head, route) = MINIMAL.split_once("[[route]]").unwrap();
        let text = format!("{head}{before}\n[[route]]{route}\n{after}");
        let first = layers(&text, &[]).unwrap();
        let settings = check(&first).unwrap_or_else(|error| panic!("{error}\n{text}"));
        for extent in [Extent::All, Extent::Changed] {
            // What a request must have is masked, and a mask is refused.
            let report = load::report(&first, extent)
                .replace("match.headers.X-A = \"***\"", "match.headers.X-A = \"b*\"");
            let again = layers(&report, &[]).unwrap();
            let same = check(&again).unwrap_or_else(|error| panic!("{error}\n{report}"));
            assert_eq!(format!("{same:?}"), format!("{settings:?}"), "{report}");
            let shown = |layers: &Layers| values(&load::report(layers, extent));
            assert_eq!(shown(&again), shown(&first));
        }
    }
}

#[test]
fn defaults_without_effect_are_comments() {
    let report = load::report(&layers(MINIMAL, &[]).unwrap(), Extent::All);
    for line in [
        "\n# reply_timeout = \"30s\" ",
        "\n# rate.burst = \"1s\" ",
        "\n# on_give_up = \"keep\" ",
        "\ncorrelation = \"\" ",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    let request = layers(MINIMAL, &[("TOWLINE__UPSTREAM__ECHO__EXCHANGE", "request")]).unwrap();
    for line in ["\nreply_timeout = \"30s\" ", "\nrestart.min = \"100ms\" ", "\non_give_up = \"keep\" "] {
        assert!(load::report(&request, Extent::All).contains(line), "{line}");
    }
    let quiet = layers(MINIMAL, &[("TOWLINE__LISTENER__WS__PING_INTERVAL", "never")]).unwrap();
    assert!(load::report(&quiet, Extent::All).contains("\n# ping_timeout = \"10s\" "));
}

#[test]
fn a_report_of_changes_has_only_what_differs() {
    let text = format!("{MINIMAL}path = \"/\"\n[drain]\nwindow = \"10000ms\"\ngrace = \"1m\"\n");
    let env = [("TOWLINE__SERVER__BUFFER", "1024MiB"), ("TOWLINE__UPSTREAM__ECHO__MAX_MESSAGE", "2MiB")];
    let report = load::report(&layers(&text, &env).unwrap(), Extent::Changed);
    assert_eq!(
        values(&report).join("\n"),
        "[drain]\ngrace = \"1m\"\n\n[listener.ws]\nbind = \"127.0.0.1:9139\"\n\n[upstream.echo]\n\
         url = \"ws://127.0.0.1:8139\"\nmax_message = \"2MiB\"\n\n[pipeline.pass]\n\
         source = \"select event from in into out;\"\n\n[[route]]\nupstream = \"echo\""
    );
}

#[test]
fn a_masked_secret_is_refused_when_the_report_is_read_back() {
    let text = MINIMAL.replace("ws://127.0.0.1:8139", "ws://me:secret@127.0.0.1:8139/?token=secret")
        + "[upstream.echo.headers]\nx-token = \"secret\"\n";
    let text = text.replace("[upstream.echo]\n", "[upstream.echo]\nallow_urls = [\"ws://h/?secret\"]\n");
    for extent in [Extent::All, Extent::Changed] {
        let report = load::report(&layers(&text, &[]).unwrap(), extent);
        assert!(report.starts_with("# Secrets are masked"), "{report}");
        assert!(!report.contains("secret"), "{report}");
        let error = check(&layers(&report, &[]).unwrap()).unwrap_err().to_string();
        for key in ["upstream.echo.url", "upstream.echo.allow_urls", "upstream.echo.headers.x-token"] {
            let line = error.lines().find(|line| line.contains(key));
            assert!(line.is_some_and(|line| line.contains("a masked secret")), "{key}\n{error}");
        }
        let secrets = [
            ("TOWLINE__UPSTREAM__ECHO__URL", "ws://me:secret@127.0.0.1:8139/?token=secret"),
            ("TOWLINE__UPSTREAM__ECHO__ALLOW_URLS", "ws://h/?secret"),
            ("TOWLINE__UPSTREAM__ECHO__HEADERS__X_TOKEN", "secret"),
        ];
        let whole = check(&layers(&report, &secrets).unwrap()).unwrap();
        let written = load(&text, &[]).unwrap();
        assert_eq!(format!("{whole:?}"), format!("{written:?}"));
        let secrets = |settings: &Settings| {
            let upstream = &settings.upstreams["echo"];
            (upstream.url.clone(), upstream.allow_urls.clone(), upstream.headers.clone())
        };
        assert!(secrets(&whole) == secrets(&written), "the secrets are the same too");
    }
    for half in ["ws://***@h/", "ws://***@h/?real", "ws://me:real@h/?***"] {
        let error = load(&MINIMAL.replace("ws://127.0.0.1:8139", half), &[]).unwrap_err().to_string();
        assert!(error.contains("a masked secret"), "{half}: {error}");
    }
    load(&MINIMAL.replace("ws://127.0.0.1:8139", "ws://h/***?a=***"), &[]).unwrap();
}

#[test]
fn paths_in_a_report_are_absolute() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.trickle"), "select event from in into out;").unwrap();
    let text = MINIMAL.replace("source = \"select event from in into out;\"", "file = \"p.trickle\"")
        + "[language]\nmodule_path = [\"lib\"]\n";
    let here = Layers::parse(&folder.path().join("a.toml"), &text, std::iter::empty()).unwrap();
    let settings = check(&here).unwrap();
    for extent in [Extent::All, Extent::Changed] {
        let there = layers(&load::report(&here, extent), &[]).unwrap();
        assert_eq!(format!("{:?}", check(&there).unwrap()), format!("{settings:?}"));
    }
}

/// Paths in lists and in tables too: the value of each key that is or contains a path is collected from the table of keys.
#[test]
fn each_key_with_paths_is_absolute_in_a_report() {
    fn relative(kind: keys::Kind) -> Option<Value> {
        match kind {
            keys::Kind::Path => Some("p".into()),
            keys::Kind::Paths => Some(vec!["p"].into()),
            keys::Kind::Tables(section) => {
                let values =
                    section.keys().filter_map(|key| Some((key.name.to_owned(), relative(key.kind)?)));
                let table: layers::Table = values.collect();
                (!table.is_empty()).then(|| Value::from(vec![Value::from(table)]))
            }
            _ => None,
        }
    }
    let mut found = Vec::new();
    for section in &SECTIONS {
        for key in section.keys() {
            let Some(value) = relative(key.kind) else { continue };
            let shown = report::absolute(value, key.kind, Path::new("/etc/towline")).to_string();
            let (paths, all) = (shown.matches("/etc/towline/p").count(), shown.matches('p').count());
            assert_eq!(all, paths, "{}.{}: {shown}", section.name, key.name);
            found.push(format!("{}.{}", section.name, key.name));
        }
    }
    for expected in ["listener.tls.certificates", "language.module_path", "upstream.tls.ca"] {
        assert!(found.iter().any(|key| key == expected), "{found:?}");
    }
}

#[test]
fn the_report_of_a_running_process_says_what_waits_for_the_next_start() {
    let text = format!("[server]\nworkers = 4\n[log]\nlevel = \"debug\"\n{MINIMAL}");
    let pending = |section: &str, key: &str, in_force| Pending {
        section: section.to_owned(),
        key: key.to_owned(),
        in_force,
    };
    let pending = vec![
        pending("server", "workers", InForce::Value("2".into())),
        pending("admin", "token_file", InForce::Value("\"/etc/towline/token\"".into())),
        pending("admin", "allowed_hosts", InForce::Long),
        pending("log", "format", InForce::Unset),
    ];
    let report = report_running(&Running { layers: layers(&text, &[]).unwrap(), pending });
    for line in [
        "workers = 2                                 # until the next start, then 4, /etc/towline.toml\n",
        "token_file = \"/etc/towline/token\"           # until the next start, then unset, default\n",
        "# allowed_hosts = []                        # from the next start on, default; until then a value",
        "# format = \"text\"                           # unset until the next start, default\n",
        "level = \"debug\"                             # /etc/towline.toml\n",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("\nworkers = 4"), "{report}");
}
