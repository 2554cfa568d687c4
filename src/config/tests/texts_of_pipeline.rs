//! Every mistake of Pipeline.toml, and the very text a person is shown for it.

#![allow(clippy::needless_raw_string_hashes, clippy::too_many_lines)] // the texts are what they are

use super::{SERVERS, told};

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known() {
    assert_eq!(
        told(
            r#"[task.export]
acton = "export"
each = ["server", "scale"]
retires = 3
"#,
            SERVERS,
            None
        ),
        r#"error: unknown key `acton`
 --> Pipeline.toml:2:1
  |
2 | acton = "export"
  | ^^^^^
  |
  = help: did you mean `action`?

error: unknown key `retires`
 --> Pipeline.toml:4:1
  |
4 | retires = 3
  | ^^^^^^^
  |
  = help: did you mean `retries`?
"#
    );
}

#[test]
fn an_unknown_key_far_from_all_names_what_is_known() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
[logs]
verbosity = 3
"#,
            SERVERS,
            None
        ),
        r#"error: unknown key `verbosity`
 --> Pipeline.toml:5:1
  |
5 | verbosity = 3
  | ^^^^^^^^^
  |
  = help: known here: compress, format, keep_days, keep_runs
"#
    );
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export
each = ["server"]
"#,
            SERVERS,
            None
        ),
        r#"error: invalid basic string, expected `"`
 --> Pipeline.toml:2:17
  |
2 | action = "export
  |                 ^
"#
    );
}

#[test]
fn a_key_that_stands_twice_is_told() {
    assert_eq!(
        told(
            r#"[logs]
compress = true
compress = false
"#,
            SERVERS,
            None
        ),
        r#"error: duplicate key
 --> Pipeline.toml:3:1
  |
3 | compress = false
  | ^^^^^^^^
"#
    );
}

#[test]
fn cycles_are_drawn_once_from_their_first_task() {
    assert_eq!(
        told(
            r#"[task.first]
command = ["true"]
needs = ["a"]
[task.b]
command = ["true"]
after = ["a"]
[task.a]
command = ["true"]
needs = ["b"]
[task.self]
command = ["true"]
needs = ["self"]
"#,
            SERVERS,
            None
        ),
        r#"error: the tasks wait for each other: b -> a -> b
 --> Pipeline.toml:4:7
  |
4 | [task.b]
  |       ^
  |
  = help: an arrow is a name in `needs` or `after`; take one of them out

error: the tasks wait for each other: self -> self
  --> Pipeline.toml:10:7
   |
10 | [task.self]
   |       ^^^^
   |
   = help: an arrow is a name in `needs` or `after`; take one of them out
"#
    );
}

#[test]
fn names_that_differ_only_in_case_are_refused() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
[task.Export]
action = "export"
each = ["server", "scale"]
scales = "static"
"#,
            r#"[calm]
url = "https://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
[Calm]
url = "https://calm.example.edu/api/"
user = "admin@example.edu"
timezone = "UTC"
"#,
            None
        ),
        r#"error: the tasks `export` and `Export` differ only in case
 --> Pipeline.toml:4:7
  |
4 | [task.Export]
  |       ^^^^^^
  |
  = help: rename one of them

error: `export` and `Export` both make what action "export" makes
 --> Pipeline.toml:4:7
  |
4 | [task.Export]
  |       ^^^^^^
  |
  = help: give them different `scales` or `servers`

error: the servers `calm` and `Calm` differ only in case
 --> config/servers.toml:5:2
  |
5 | [Calm]
  |  ^^^^
  |
  = help: rename one of them
"#
    );
}

#[test]
fn two_makers_of_one_output_are_refused() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
[task.again]
action = "export"
each = ["server", "scale"]
scales = ["OA"]
[task.x]
command = ["x", "{out}"]
outputs = ["{pool}/a.csv"]
[task.y]
command = ["y", "{out}"]
outputs = ["data/./a.csv"]
"#,
            SERVERS,
            None
        ),
        r#"error: `export` and `again` both make what action "export" makes
 --> Pipeline.toml:4:7
  |
4 | [task.again]
  |       ^^^^^
  |
  = help: give them different `scales` or `servers`

error: `x` and `y` both make data/./a.csv
  --> Pipeline.toml:13:12
   |
13 | outputs = ["data/./a.csv"]
   |            ^^^^^^^^^^^^^^
"#
    );
}

#[test]
fn deleteable_and_static_tables_may_have_each_their_export() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
scales = "."
[task.static]
action = "export"
each = ["server", "scale"]
scales = "static"
"#,
            SERVERS,
            None
        ),
        ""
    );
}

#[test]
fn axes_and_placeholders_are_checked() {
    assert_eq!(
        told(
            r#"[task.x]
command = ["x", "{sever}", "{scale}", "{out}"]
each = ["server", "dat"]
outputs = ["{pool}/x.csv"]
[task.y]
command = ["y"]
each = ["date"]
"#,
            SERVERS,
            None
        ),
        r#"error: unknown placeholder `{sever}`
 --> Pipeline.toml:2:17
  |
2 | command = ["x", "{sever}", "{scale}", "{out}"]
  |                 ^^^^^^^^^
  |
  = help: known here: {pool} {server} {out} {inputs} {outputs}

error: unknown placeholder `{scale}`
 --> Pipeline.toml:2:28
  |
2 | command = ["x", "{sever}", "{scale}", "{out}"]
  |                            ^^^^^^^^^
  |
  = help: add "scale" to `each`

error: unknown axis `dat`: there are server, scale and date
 --> Pipeline.toml:3:19
  |
3 | each = ["server", "dat"]
  |                   ^^^^^
  |
  = help: did you mean `date`?

error: every server would write this one file
 --> Pipeline.toml:4:12
  |
4 | outputs = ["{pool}/x.csv"]
  |            ^^^^^^^^^^^^^^
  |
  = help: put {server} into the path

error: a scale belongs to a server, and a date to a scale
 --> Pipeline.toml:7:8
  |
7 | each = ["date"]
  |        ^^^^^^^^
  |
  = help: write ["server"], ["server", "scale"] or ["server", "scale", "date"]
"#
    );
}

#[test]
fn what_reads_tables_must_need_their_maker() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
[task.decode]
action = "decode"
each = ["server", "scale", "date"]
[task.combine]
action = "combine"
each = ["server", "scale"]
after = ["decode"]
[task.score]
action = "score"
each = ["server", "scale"]
needs = ["combin"]
"#,
            SERVERS,
            None
        ),
        r#"error: action "combine" works on what action "decode" makes, but needs none
 --> Pipeline.toml:7:7
  |
7 | [task.combine]
  |       ^^^^^^^
  |
  = help: add "decode" to `needs`

error: there is no task `combin`
  --> Pipeline.toml:14:10
   |
14 | needs = ["combin"]
   |          ^^^^^^^^
   |
   = help: did you mean `combine`?
"#
    );
}

#[test]
fn an_export_waits_for_nothing_and_only_exports_and_commands_have_every() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
needs = ["decode"]
[task.decode]
action = "decode"
each = ["server", "scale", "date"]
every = "1h"
"#,
            SERVERS,
            None
        ),
        r#"error: an export waits for nothing: its server is asked first
 --> Pipeline.toml:4:10
  |
4 | needs = ["decode"]
  |          ^^^^^^^^

error: `every` may stand on export and command tasks only
 --> Pipeline.toml:8:9
  |
8 | every = "1h"
  |         ^^^^
"#
    );
}

#[test]
fn an_action_has_its_own_axes() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale", "date"]
[task.r]
action = "export"
scales = "."
"#,
            SERVERS,
            None
        ),
        r#"error: action "export" is done for each = ["server", "scale"]
 --> Pipeline.toml:3:8
  |
3 | each = ["server", "scale", "date"]
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: action "export" is done for each = ["server", "scale"]
 --> Pipeline.toml:4:7
  |
4 | [task.r]
  |       ^

error: `export` and `r` both make what action "export" makes
 --> Pipeline.toml:4:7
  |
4 | [task.r]
  |       ^
  |
  = help: give them different `scales` or `servers`

error: `scales` chooses nothing: `each` has no "scale"
 --> Pipeline.toml:6:10
  |
6 | scales = "."
  |          ^^^
  |
  = help: add "scale" to `each`, or leave `scales` out
"#
    );
}

#[test]
fn numbers_and_durations_have_bounds() {
    assert_eq!(
        told(
            r#"[task.export]
action = "export"
each = ["server", "scale"]
retries = 1000
timeout = 5
every = "soon"
partial = "yes"
group = "netwrok"
[groups]
network = 0
"#,
            SERVERS,
            None
        ),
        r#"error: `retries` must be a whole number from 0 to 100
 --> Pipeline.toml:4:11
  |
4 | retries = 1000
  |           ^^^^

error: `timeout` must be a duration
 --> Pipeline.toml:5:11
  |
5 | timeout = 5
  |           ^
  |
  = help: write a number and a unit in quotes: "90s", "2m", "1h"

error: `every` must be a duration
 --> Pipeline.toml:6:9
  |
6 | every = "soon"
  |         ^^^^^^
  |
  = help: write a number and a unit in quotes: "90s", "2m", "1h"

error: `partial` must be true or false, not string
 --> Pipeline.toml:7:11
  |
7 | partial = "yes"
  |           ^^^^^

error: there is no group `netwrok` in [groups]
 --> Pipeline.toml:8:9
  |
8 | group = "netwrok"
  |         ^^^^^^^^^
  |
  = help: did you mean `network`?

error: `network` must be a whole number from 1 to 1024
  --> Pipeline.toml:10:11
   |
10 | network = 0
   |           ^
"#
    );
}

#[test]
fn names_in_default_and_needs_are_those_of_tasks() {
    assert_eq!(
        told(
            r#"default = ["exprt/calm", "reports", "data/calm/reports/index.html"]
[task.export]
action = "export"
each = ["server", "scale"]
[task.x]
command = ["x"]
after = ["exports", "export", "export"]
servers = ["clam"]
each = ["server"]
"#,
            SERVERS,
            None
        ),
        r#"error: there is no task `exprt`
 --> Pipeline.toml:1:12
  |
1 | default = ["exprt/calm", "reports", "data/calm/reports/index.html"]
  |            ^^^^^^^^^^^^
  |
  = help: did you mean `export`?

error: there is no task `reports`
 --> Pipeline.toml:1:26
  |
1 | default = ["exprt/calm", "reports", "data/calm/reports/index.html"]
  |                          ^^^^^^^^^
  |
  = help: did you mean `export`?

error: there is no task `exports`
 --> Pipeline.toml:7:10
  |
7 | after = ["exports", "export", "export"]
  |          ^^^^^^^^^
  |
  = help: did you mean `export`?

error: `export` stands here twice
 --> Pipeline.toml:7:31
  |
7 | after = ["exports", "export", "export"]
  |                               ^^^^^^^^

error: there is no server `clam` in config/servers.toml
 --> Pipeline.toml:8:12
  |
8 | servers = ["clam"]
  |            ^^^^^^
  |
  = help: did you mean `calm`?
"#
    );
}

#[test]
fn outputs_that_are_mtdatas_own_are_refused() {
    assert_eq!(
        told(
            r#"[task.x]
command = ["x"]
each = ["server"]
outputs = ["{pool}/{server}/combined/X.csv", "{pool}/{server}/reports/index.html", "{pool}/{server}/reports/mine.csv"]
"#,
            SERVERS,
            None
        ),
        r#"error: `combined/X.csv` is mtdata's own
 --> Pipeline.toml:4:12
  |
4 | outputs = ["{pool}/{server}/combined/X.csv", "{pool}/{server}/reports/index.html", "{pool}/{server}/reports/mine.csv"]
  |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: put it beside: {pool}/{server}/reports/NAME.csv

error: `reports/index.html` is mtdata's own
 --> Pipeline.toml:4:46
  |
4 | outputs = ["{pool}/{server}/combined/X.csv", "{pool}/{server}/reports/index.html", "{pool}/{server}/reports/mine.csv"]
  |                                              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: put it beside: {pool}/{server}/reports/NAME.csv
"#
    );
}

#[test]
fn files_that_are_named_have_to_be_there() {
    assert_eq!(
        told(
            r#"[data]
alerts = "config/alert.toml"
scales = "config/scale"
[task.export]
action = "export"
each = ["server", "scale"]
"#,
            SERVERS,
            None
        ),
        r#"error: there is no file config/alert.toml
 --> Pipeline.toml:2:10
  |
2 | alerts = "config/alert.toml"
  |          ^^^^^^^^^^^^^^^^^^^

error: there is no folder config/scale
 --> Pipeline.toml:3:10
  |
3 | scales = "config/scale"
  |          ^^^^^^^^^^^^^^
"#
    );
}

#[test]
fn old_windows_files_and_tabs_are_read_and_shown_rightly() {
    assert_eq!(
        told("\u{feff}[task.export]\r\n\taction = \"exprot\"\r\n", SERVERS, None),
        r#"error: `action` must be one of "export", "decode", "combine", "score", "wide", "report"
 --> Pipeline.toml:2:11
  |
2 |     action = "exprot"
  |              ^^^^^^^^
  |
  = help: did you mean "export"?
"#
    );
}

#[test]
fn wide_letters_do_not_move_the_caret() {
    assert_eq!(
        told(
            r#"[task.export]
action = "expört 日本"
"#,
            SERVERS,
            None
        ),
        r#"error: `action` must be one of "export", "decode", "combine", "score", "wide", "report"
 --> Pipeline.toml:2:10
  |
2 | action = "expört 日本"
  |          ^^^^^^^^^^^^^
  |
  = help: did you mean "export"?
"#
    );
}

#[test]
fn a_file_without_tasks_is_told() {
    assert_eq!(
        told(
            r#"default = []
"#,
            SERVERS,
            None
        ),
        r#"error: there is no [task.NAME]
 --> Pipeline.toml:1:1
  |
1 | default = []
  | ^
  |
  = help: `mtdata init` writes a pipeline to begin with
"#
    );
}
