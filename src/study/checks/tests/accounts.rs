//! Rules about accounts.

use super::*;

fn listed(participant: &str, test: bool) -> Override {
    Override {
        server: None,
        participant: participant.to_owned(),
        test,
        who: "ann".to_owned(),
        when: "2020-01-01".parse().unwrap(),
        why: "pilot".to_owned(),
    }
}

#[test]
fn r11_test_account() {
    let table = people(&["12", "13", "14", "15", "16"])
        .replace(",12,512,false", ",12,512,true")
        .replace(",13,513,false", ",13,513,\u{1}")
        .replace(",14,514,false", ",14,514,true");
    let lab = Lab { listed: vec![listed("14", false), listed("15", true)], ..Lab::default() }.table("People", table);
    let found = lab.find("R11");
    let ids: Vec<&str> = found.iter().map(|line| &line[7..9]).collect();
    assert_eq!(ids, ["12", "13", "14", "15"], "{found:#?}");
    assert!(
        found[2].contains("cleared by the participants file") && found[3].contains("the participants file lists it")
    );
}

#[test]
fn s2_condition() {
    let state = |rows: &[(&str, &str, &str)]| {
        let mut text = "conditioning,currentSession,id\n".to_owned();
        for (condition, session, id) in rows {
            writeln!(text, "{condition},{session},{id}").unwrap();
        }
        Lab::default().table("People", people(&["12", "13"])).table("State", text)
    };
    one(
        &state(&[("NONE", "PRE", "512"), ("TRAINING", "S1", "512"), ("CONTROL", "S1", "512")]).find("S2"),
        "People 12 12 conditioning CONTROL moved between control and treatment: TRAINING -> CONTROL, at S1",
        "error",
    );
    one(
        &state(&[("TRAINING", "S1", "512"), ("OTHER", "S2", "512")]).find("S2"),
        "People 12 12 conditioning OTHER changed after it was fixed: TRAINING -> OTHER, at S2",
        "error",
    );
    assert!(state(&[("NONE", "PRE", "512"), ("TRAINING", "S1", "512"), ("OTHER", "S1", "512")]).find("S2").is_empty());
    let trials = format!("condition,date,id,participant\nCONTROL,\"{0}\",1,12\nTRAINING,\"{0}\",2,13\n", on(2));
    let lab = state(&[("TRAINING", "S1", "512"), ("TRAINING", "S1", "513")]).table("Trials", trials);
    one(&lab.find("S2"), "Trials 1 12 condition CONTROL the study's table has TRAINING", "error");
}

#[test]
fn s3_active_flag_and_s4_enrolment_window() {
    let table = people(&["12", "13", "14", "15"]).replacen("true,false", "false,false", 2).replacen(
        "false,false",
        "true,false",
        1,
    );
    // 12 idle and active; 13 busy and inactive; 14 busy and active; 15 idle, active and through.
    let state = "conditioning,currentSession,id\nX,S1,512\nX,S1,513\nX,S1,514\nX,S2,515\n";
    let rows =
        [(1, "12", "PRE", 2, "1"), (2, "13", "PRE", 28, "1"), (3, "14", "PRE", 28, "1"), (4, "15", "PRE", 2, "1")];
    let lab = Lab::default().table("People", table).table("State", state).table("OA", oa(&rows));
    let found = lab.find("S3");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("People 12 12 active true active, but idle for 26 days"), "{found:#?}");
    assert!(found[1].starts_with("People 13 13 active false inactive, but the last entry is 0 days old"), "{found:#?}");
    let table = people(&["9", "12", "13"]).replacen(&on(1), "Mon, 18 Mar 2019 20:59:00 +0000", 2).replacen(
        "2019 20:59",
        "2019 21:01",
        1,
    );
    let table = table.replacen("18 Mar 2019 20:59", "18 Mar 2019 20:58", 1);
    let found = Lab::default().table("People", table).find("S4");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("below the soft launch") && found[1].starts_with("People 12 12 dateCreated"),
        "{found:#?}"
    );
    let late = people(&["12"]).replace(&on(1), "Tue, 7 Apr 2020 04:00:00 +0000");
    one(
        &Lab::default().table("People", late).find("S4"),
        "People 12 12 dateCreated",
        "joined after the study ended notice",
    );
}
