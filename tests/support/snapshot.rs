//! Snapshots under `snapshots/`.

/// Holds `text` against the snapshot `name`; ids of runs, and what `filters` say, differ from one time to another.
pub fn snapshot(name: &str, text: &str, filters: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\d{8}T\d{6}-[0-9a-f]{4}", "[run]");
    for (found, put) in filters {
        settings.add_filter(found, *put);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}
