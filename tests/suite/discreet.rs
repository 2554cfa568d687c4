//! Reports that keep to themselves who the participants are, and what few of them did.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::rig::lab::Lab;

type Row = BTreeMap<String, String>;

fn table(lab: &Lab, name: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(lab.server_folder().join(name)).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn asked(option: &str) -> Lab {
    let lab = Lab::new();
    lab.build();
    lab.replace("Pipeline.toml", "action  = \"report\"", &format!("action  = \"report\"\n{option}"));
    lab
}

#[test]
fn pseudonyms_stand_everywhere_and_the_key_beside_the_report() {
    let lab = asked("pseudonyms = true");
    let real = table(&lab, "reports/participants.csv");
    lab.run(&["build", "reports"], 0);
    let key: BTreeMap<String, String> = table(&lab, "pseudonyms.csv")
        .into_iter()
        .map(|row| (row["pseudonym"].clone(), row["participant"].clone()))
        .collect();
    let mode = fs::metadata(lab.server_folder().join("pseudonyms.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Row by row the same numbers, under other names and in another order.
    let mut back = table(&lab, "reports/participants.csv");
    assert!(back.iter().all(|row| row["participant"].starts_with('P')));
    for row in &mut back {
        let id = key[&row["participant"]].clone();
        row.insert("participant".to_owned(), id);
    }
    back.sort_by_key(|row| row["participant"].parse::<u64>().unwrap());
    assert_eq!(back, real);
    let findings = table(&lab, "reports/checks.csv");
    let named: Vec<&Row> = findings.iter().filter(|row| !row["participant"].is_empty()).collect();
    assert!(!named.is_empty() && named.iter().all(|row| key.contains_key(&row["participant"])));
    // The ids of the participants' table are the participants'.
    assert!(findings.iter().filter(|row| row["scale"] == "ParticipantExport").all(|row| row["entry_id"].is_empty()));
    let page = fs::read_to_string(lab.server_folder().join("reports/index.html")).unwrap();
    for (pseudonym, id) in &key {
        assert!(page.contains(pseudonym.as_str()));
        assert!(!page.contains(&format!("<th scope=\"row\">{id}</th>")), "{id}");
    }
}

#[test]
fn the_same_data_give_the_same_pseudonyms() {
    let lab = asked("pseudonyms = true");
    lab.run(&["build", "reports"], 0);
    let page = fs::read(lab.server_folder().join("reports/index.html")).unwrap();
    fs::remove_dir_all(lab.server_folder().join("reports")).unwrap();
    lab.run(&["build", "reports"], 0);
    assert!(page == fs::read(lab.server_folder().join("reports/index.html")).unwrap());
}

#[test]
fn small_counts_are_not_told() {
    let lab = asked("suppress_below = 5");
    let open = table(&lab, "reports/attrition.csv");
    lab.run(&["build", "reports"], 0);
    let small = |cell: &str| cell.parse::<u64>().is_ok_and(|count| (1..5).contains(&count));
    let counts = ["reached", "completed", "dropped", "ongoing", "finished"];
    let shown = table(&lab, "reports/attrition.csv");
    let mut hidden = 0;
    for (before, after) in open.iter().zip(&shown) {
        let any = counts.iter().any(|name| small(&before[*name]));
        for name in counts {
            assert!(!small(&after[name]), "{after:?}");
            assert_eq!(any && before[name] != "0", after[name].parse::<u64>().is_err(), "{before:?} {after:?}");
        }
        assert_eq!(after["percent_dropped"].is_empty(), any);
        hidden += u32::from(any);
    }
    assert!(hidden > 0, "nothing was small: the test tests nothing");
    for row in table(&lab, "reports/questionnaires.csv") {
        assert!(["missing", "only_in_log", "second_entries"].iter().all(|name| !small(&row[*name])), "{row:?}");
    }
    let page = fs::read_to_string(lab.server_folder().join("reports/index.html")).unwrap();
    let flow = page.split("<ol class=\"flow\">").nth(1).unwrap().split("</ol>").next().unwrap();
    let boxes: Vec<&str> = flow.split("<b>").skip(1).map(|rest| rest.split("</b>").next().unwrap()).collect();
    assert!(boxes.len() > 8 && boxes.iter().all(|count| !small(count)), "{boxes:?}");
    assert!(page.contains("Counts below 5 are not told"));
}

#[test]
fn the_words_belong_to_reports() {
    let lab = Lab::new();
    lab.replace("Pipeline.toml", "action = \"score\"", "action = \"score\"\npseudonyms = true");
    let error = lab.mtdata(&["list"]).assert().code(2).get_output().stderr.clone();
    let error = String::from_utf8(error).unwrap();
    assert!(error.contains("`pseudonyms` belongs to tasks with action = \"report\""), "{error}");
}
