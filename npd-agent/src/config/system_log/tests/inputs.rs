//! `plugin`, `pluginConfig`, `logPath` and `skipList`.

use super::*;

fn file(settings: &str) -> String {
    format!(r#"{{"plugin":"filelog","logPath":"/var/log/kern.log",{settings}}}"#)
}

#[cfg(feature = "journald")]
fn journal(settings: &str) -> String {
    format!(r#"{{"plugin":"journald","pluginConfig":{{{settings}}}}}"#)
}

#[test]
fn a_log_file_is_read_as_node_problem_detector_has_it() {
    let config = accept(&file(
        r#""pluginConfig":{"timestamp":"^.{15}","message":"kernel: \\[.*\\] (.*)","timestampFormat":"Jan _2 15:04:05"},
           "skipList":[" audit:",""],"lookback":"5m""#,
    ));
    let LogInput::File { path, format } = &config.input else { panic!("{:?}", config.input) };
    assert_eq!(
        (path.as_path(), config.input.name().as_str()),
        (Path::new("/var/log/kern.log"), "filelog:/var/log/kern.log")
    );
    let (extractor, layout) = format.timestamp.as_ref().unwrap();
    assert_eq!((extractor.source(), layout.source()), ("^.{15}", "Jan _2 15:04:05"));
    assert_eq!(format.message.as_ref().unwrap().source(), r"kernel: \[.*\] (.*)");
    assert!(format.skips(b"x audit: y") && !format.skips(b"x"), "an empty word skips nothing");
    let LogInput::File { format, .. } = accept(&file(r#""pluginConfig":null"#)).input else { panic!() };
    assert!(format.timestamp.is_none() && format.message.is_none());
}

#[cfg(feature = "journald")]
#[test]
fn the_journal_is_filtered_as_the_file_says() {
    let config =
        accept(&journal(r#""source":"a,b","unit":"x.service, y.service","transport":"kernel","priority":"err""#));
    let LogInput::Journal { folder, filter } = &config.input else { panic!("{:?}", config.input) };
    let expected = JournalFilter {
        identifiers: vec!["a,b".into()],
        units: vec!["x.service".into(), "y.service".into()],
        transports: vec!["kernel".into()],
        max_priority: Some(3),
    };
    assert_eq!((folder, filter), (&None, &expected));
    let config = accept(r#"{"plugin":"journald","logPath":"/var/log/journal","pluginConfig":{"source":"kubelet"}}"#);
    assert_eq!(config.input.name(), "journald:kubelet");
    let LogInput::Journal { folder, .. } = config.input else { panic!() };
    assert_eq!(folder.as_deref(), Some(Path::new("/var/log/journal")));
}

#[cfg(feature = "journald")]
#[test]
fn an_input_that_could_not_be_read_is_an_error() {
    for (marked, error) in [
        (
            file(r#""pluginConfig":{"timestamp":@"(","timestampFormat":"2006"}"#),
            "/pluginConfig/timestamp: missing closing ): `(`",
        ),
        (file(r#""pluginConfig":{"message":@"("}"#), "/pluginConfig/message: missing closing ): `(`"),
        (
            file(r#""pluginConfig":@{"timestamp":"x"}"#),
            "/pluginConfig: \"timestampFormat\" is missing, \"timestamp\" and \"timestampFormat\" must be given together",
        ),
        (
            file(r#""pluginConfig":@{"timestampFormat":"2006"}"#),
            "/pluginConfig: \"timestamp\" is missing, \"timestamp\" and \"timestampFormat\" must be given together",
        ),
        (
            file(r#""pluginConfig":{"timestamp":"x","timestampFormat":@"%Y-%m-%d"}"#),
            "/pluginConfig/timestampFormat: \"%Y-%m-%d\" is not a time layout, allowed: Go layouts, which write Mon Jan 2 15:04:05 MST 2006 the way the log does",
        ),
        (
            journal(r#""source":"x","priority":@"loud""#),
            "/pluginConfig/priority: priority \"loud\" is not valid, allowed: 0 to 7, or one of emerg, alert, crit, err, warning, notice, info, debug",
        ),
        (
            journal(r#""source":"x","priority":@"8""#),
            "/pluginConfig/priority: priority \"8\" is not valid, allowed: 0 to 7, or one of emerg, alert, crit, err, warning, notice, info, debug",
        ),
    ] {
        let (text, position) = unmark(&marked);
        assert_eq!(errors(&text), [format!("{position}: {error}")], "{text}");
    }
}

#[cfg(feature = "journald")]
#[test]
fn what_an_input_does_not_use_is_a_warning() {
    for (marked, warning) in [
        (
            file(r#""pluginConfig":{"Timestamp":@"x"}"#),
            "/pluginConfig/Timestamp: unknown key \"Timestamp\" is ignored, did you mean \"timestamp\"?",
        ),
        (
            file(r#""lookback":@"5m""#),
            "/lookback: lines without \"timestamp\" have no age, \"lookback\" has no effect and the file is read from its end",
        ),
        (
            r#"{"plugin":"journald","pluginConfig":{"source":"x"},"skipList":[@"y"]}"#.to_owned(),
            "/skipList/0: \"skipList\" has no effect with plugin \"journald\"",
        ),
    ] {
        let (text, position) = unmark(&marked);
        assert_eq!(warnings(&text), [format!("{position}: {warning}")], "{text}");
    }
}
