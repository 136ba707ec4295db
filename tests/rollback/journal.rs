//! The journal survives torn lines, threads and odd ids.

use super::*;

fn failed(repo: &str) -> Entry {
    Entry::StageFailed {
        target: repo.into(),
        repo: repo.into(),
        error: "why\nnot".into(),
    }
}

fn journal() -> (TempDir, Journal, PathBuf) {
    let home = TempDir::new().unwrap();
    let journal = Journal::open(home.path().join("deep/state")).unwrap();
    let file = home.path().join(format!("deep/state/runs/{RUN}.jsonl"));
    (home, journal, file)
}

#[test]
fn an_empty_journal_has_no_runs_and_makes_no_folder() {
    let (home, journal, _) = journal();
    assert_eq!(journal.runs().unwrap(), []);
    assert_eq!(journal.last().unwrap(), None);
    assert!(!home.path().join("deep").exists());
}

#[test]
fn entries_come_back_as_a_record() {
    let (_home, journal, file) = journal();
    let started = Entry::RunStarted {
        tool_version: "0.1.0".into(),
        command: vec!["depickle".into(), "stage".into()],
        folder: "/here".into(),
        targets: vec![Target::new("/a"), Target::new("/b")],
        settings: serde_json::Value::Null,
    };
    journal.append(RUN, started).unwrap();
    journal.append(RUN, failed("/a")).unwrap();
    journal
        .append(
            RUN,
            Entry::RunFinished {
                staged: 0,
                failed: 1,
            },
        )
        .unwrap();
    let run = journal.run(RUN).unwrap();
    assert_eq!(
        (run.id.as_str(), run.tool_version.as_str(), run.finished),
        (RUN, "0.1.0", true)
    );
    assert_eq!(
        (
            run.command.len(),
            run.count(State::Failed),
            run.count(State::Queued),
            run.started.len()
        ),
        (2, 1, 1, 20)
    );
    let text = fs::read_to_string(file).unwrap();
    let first = format!(
        r#","run":"{RUN}","entry":"run-started","tool_version":"0.1.0","command":["depickle","stage"],"folder":"/here","targets":[{{"location":"/a"}},{{"location":"/b"}}],"settings":null}}"#
    );
    assert!(
        text.starts_with(r#"{"at":"20"#) && text.lines().next().unwrap().ends_with(&first),
        "{text}"
    );
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn a_torn_last_line_is_no_entry_and_the_next_one_starts_afresh() {
    let (_home, journal, file) = journal();
    journal.append(RUN, failed("/a")).unwrap();
    let whole = fs::read(&file).unwrap();
    for torn in 1..whole.len() {
        fs::write(&file, [&whole[..], &whole[..torn]].concat()).unwrap();
        assert_eq!(journal.run(RUN).unwrap().count(State::Failed), 1);
        journal.append(RUN, failed("/b")).unwrap();
        assert_eq!(journal.run(RUN).unwrap().count(State::Failed), 2);
    }
    // Nothing but a torn line is a run that did nothing.
    fs::write(&file, "{\"at\":").unwrap();
    assert!(matches!(
        journal.run(RUN),
        Err(JournalError::UnknownRun { .. })
    ));
    journal.append(RUN, failed("/b")).unwrap();
    assert_eq!(journal.run(RUN).unwrap().count(State::Failed), 1);
}

#[test]
fn a_bad_line_is_named_with_file_and_line() {
    let (_home, journal, file) = journal();
    journal.append(RUN, failed("/a")).unwrap();
    let whole = fs::read_to_string(&file).unwrap();
    for bad in [
        "\n",
        "{}\n",
        "nonsense\n",
        "{\"at\":\"\",\"run\":\"x\",\"entry\":\"from-the-future\"}\n",
        "\u{0}\n",
    ] {
        fs::write(&file, format!("{whole}{bad}{whole}")).unwrap();
        let error = journal.run(RUN).unwrap_err();
        assert!(
            error.to_string().contains(&format!("{RUN}.jsonl:2:")),
            "{error}"
        );
    }
}

#[test]
fn a_run_id_cannot_lead_out_of_the_folder() {
    let (_home, journal, _) = journal();
    for id in ["", "..", "../x", "a/b", "a\0", "a.b", "é"] {
        assert!(
            matches!(journal.run(id), Err(JournalError::BadRunId { .. })),
            "{id:?}"
        );
        assert!(
            matches!(
                journal.append(id, failed("/a")),
                Err(JournalError::BadRunId { .. })
            ),
            "{id:?}"
        );
    }
    let error = journal.run("nope").unwrap_err();
    assert!(matches!(error, JournalError::UnknownRun { .. }));
    assert_eq!(error.hint().unwrap(), "see `depickle runs`");
}

#[test]
fn the_last_run_is_the_newest_that_still_has_refs() {
    let place = place();
    let repo = Repo::discover(&place.root).unwrap();
    let base = head(&repo).commit;
    assert_eq!(place.journal.last().unwrap(), None);
    for id in ["20260101T000000-a", "20260102T000000-a"] {
        place
            .journal
            .append(id, announcement(&repo, id, &base))
            .unwrap();
    }
    place
        .journal
        .append("20260103T000000-a", failed("/a"))
        .unwrap();
    let last = || place.journal.last().unwrap().unwrap().id;
    let ids: Vec<_> = place
        .journal
        .runs()
        .unwrap()
        .into_iter()
        .map(|run| run.id)
        .collect();
    assert_eq!(
        ids,
        [
            "20260103T000000-a",
            "20260102T000000-a",
            "20260101T000000-a"
        ]
    );
    assert_eq!(last(), "20260102T000000-a");
    rollback(&place.journal, &place.journal.run(&last()).unwrap());
    assert_eq!(last(), "20260101T000000-a");
    rollback(&place.journal, &place.journal.run(&last()).unwrap());
    assert_eq!(last(), "20260103T000000-a");
}

#[test]
fn threads_that_stage_at_once_lose_no_entry() {
    let (_home, journal, _) = journal();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let journal = &journal;
            scope.spawn(move || {
                for n in 0..25 {
                    journal
                        .append(RUN, failed(&format!("/{thread}/{n}")))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(journal.run(RUN).unwrap().count(State::Failed), 100);
}
