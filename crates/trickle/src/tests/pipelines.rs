use super::{error, errors, event, findings, program, run, show, try_feed};

#[test]
fn pipelines_are_expanded_where_they_are_created() {
    let text = "
        define pipeline add
        args n, twice = false
        into out, err, big
        pipeline
          create stream sum;
          select event + args.n from in into sum;
          select event from sum where event < 100 into out;
          select event from sum where event >= 100 into big;
          select [event, args.twice] from in where event == 0 into err;
        end;
        create pipeline one from add with n = 1 end;
        create pipeline add with n = 10, twice = true end;
        select event from in into one;
        select event from one into add;
        select event from add into out;
        select event from add/big into reply;
        select [\"one\", event] from one/err into err;
        select [\"add\", event] from add/err into err;";
    assert_eq!(run(text, "5"), "16");
    assert_eq!(run(text, "95"), "reply: 106");
    assert_eq!(run(text, "0"), "11\nerr: [\"one\",[0,false]]");
    assert_eq!(run(text, "-1"), "10\nerr: [\"add\",[0,true]]");
    // The first instance drops events that nothing reads.
    assert_eq!(run(text, "99"), "");
}

#[test]
fn nested_pipelines_have_separate_states() {
    let text = "
        define pipeline outer pipeline
          define pipeline inner pipeline
            define script count script
              let state = match state of case null => 1 default => state + 1 end;
              {\"n\": state, \"e\": event}
            end;
            create script count;
            select event from in into count; select event from count into out;
          end;
          create pipeline a from inner; create pipeline b from inner;
          select event from in into a; select event from a where event.n > 1 into b; select event from b into out;
        end;
        create pipeline outer; select event from in into outer; select event from outer into out;";
    let mut instance = program(text).instance();
    let mut feed = |json: &str| show(&try_feed(&mut instance, event(json)).unwrap());
    assert_eq!((feed("1").as_str(), feed("2").as_str()), ("", r#"{"n":1,"e":{"n":2,"e":2}}"#));
    assert_eq!(feed("3"), r#"{"n":2,"e":{"n":3,"e":3}}"#);
}

#[test]
fn pipelines_have_several_inputs() {
    let text = "
        define pipeline two from in, other pipeline
          select [\"in\", event] from in into out; select [\"other\", event] from other into out;
        end;
        create pipeline two;
        select event from in into two; select event + 1 from in into two/other;
        select event from two into out;";
    assert_eq!(run(text, "1"), "[\"in\",1]\n[\"other\",2]");
    assert_eq!(error(&text.replace("two/other", "two/nothing")), "`two` has no port `nothing` here");
}

#[test]
fn known_operators_are_created_and_others_refused() {
    let text = "
        define generic::counter operator counter;
        define operator pass from passthrough;
        create operator counter; create operator p from pass;
        select event from in into p; select event from p into counter; select event from counter into out;";
    let mut instance = program(text).instance();
    let mut feed = |json: &str| show(&try_feed(&mut instance, event(json)).unwrap());
    assert_eq!(feed("\"a\""), r#"{"count":1,"event":"a"}"#);
    assert_eq!(feed("\"b\""), r#"{"count":2,"event":"b"}"#);
    let errors = errors(&text.replace("generic::counter", "generic::batch")).to_string();
    assert!(errors.contains("the operator `generic::batch` is not supported"), "{errors}");
    assert!(errors.contains("known ones are `passthrough` and `generic::counter`"), "{errors}");
}

#[test]
fn graphs_of_pipelines_are_checked() {
    let define = "define pipeline p pipeline select event from in into out; end;";
    let all = "create pipeline p; select event from in into p; select event from p into out;";
    for (text, message) in [
        (format!("{define} create pipeline q; select event from in into q; select event from q into out;"), "there is no definition of a pipeline `q`"),
        (format!("{define} create pipeline p; select event from in into out; select event from p into out;"), "nothing writes to the pipeline `p`"),
        (format!("{define} create pipeline p; select event from in into p; select event from in into out;"), "nothing reads what this pipeline emits"),
        (format!("{define} {all} select event from p/x into out;"), "the pipeline `p` has no port `x`"),
        (format!("{define} select event from in into p; select event from p into out;"), "there is no stream `p`"),
        (format!("define pipeline p pipeline select event from inn into out; end; {all}"), "there is no stream `inn`"),
        (format!("define pipeline p pipeline select event from in into reply; end; {all}"), "there is no stream `reply`"),
        (format!("define pipeline p pipeline create stream s; select event from in into out; end; {all}"), "the stream `s` is never used"),
        (format!("define pipeline p pipeline select 1 from in where false into out; create stream a; select event from a into a; end; {all}"), "events would circulate forever: a -> a"),
        (format!("define pipeline p pipeline create stream s; select 1 from s into out; end; {all}"), "nothing writes to the stream `s`"),
        (format!("define pipeline p args a pipeline select event from in into out; end; {all}"), "`p` needs a value for its parameter `a`"),
        (format!("{define} create pipeline p with a = 1 end; select event from in into p; select event from p into out;"), "`p` has no parameter `a`"),
        (format!("define pipeline p pipeline create pipeline p; select event from in into p; select event from p into out; end; {all}"), "the pipeline `p` would contain itself"),
        (format!("{define} {define} {all}"), "there is already a definition of a pipeline `p`"),
        ("define pipeline p pipeline select event from in into ou; end; select event from in into out;".to_owned(), "there is no stream `ou`"),
        ("define pipeline p pipeline create stream s; select event from in into s; end; select event from in into out;".to_owned(), "nothing reads from the stream `s`"),
    ] {
        let found = findings(&text);
        assert!(found.messages().any(|found| found == message), "{text}\n{found}");
    }
    let mut text = define.to_owned();
    for n in 0..20 {
        let below = if n == 0 { "p".to_owned() } else { format!("p{}", n - 1) };
        text += &format!(
            "define pipeline p{n} pipeline create pipeline a from {below}; create pipeline b from {below};
             select event from in into a; select event from in into b; select event from a into out; select event from b into out; end;"
        );
    }
    text += "create pipeline p19; select event from in into p19; select event from p19 into out;";
    let found = errors(&text);
    assert!(found.messages().any(|found| found == "the program has more than 10000 nodes"), "{found}");
}
