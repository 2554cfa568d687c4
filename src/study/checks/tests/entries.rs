//! Rules about several entries of one table.

use super::*;

#[test]
fn r3_orphan() {
    let lab = Lab::default()
        .table("People", people(&["12"]))
        .table("OA", oa(&[(1, "12", "PRE", 2, "1"), (2, "99", "PRE", 2, "1"), (3, "99", "S1", 2, "1")]))
        .table("TaskLog", tasks(&[("512", "PRE", "OA", "", 2), ("577", "PRE", "OA", "", 2)]));
    let found = lab.find("R3");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("OA 2 99 participant") && found[1].starts_with("TaskLog 2  study 577"));
    assert!(Lab::default().table("OA", oa(&[(1, "12", "PRE", 2, "1")])).find("R3").is_empty());
}

#[test]
fn r4_repeat() {
    let rows = [(1, "12", "PRE", 2, "1"), (2, "12", "PRE", 2, "1"), (5, "12", "PRE", 2, "1"), (3, "12", "S1", 3, "1")];
    one(
        &Lab::default().table("OA", oa(&rows)).find("R4"),
        "OA 5 12 id 3 3 entries are the same but for their ids: 1, 2, 5",
        "warning",
    );
    let mut log = vec![("512", "PRE", "OA", "", 2); 3];
    log.push(("512", "S1", "OA", "", 2));
    let lab = Lab::default().table("People", people(&["12"])).table("TaskLog", tasks(&log));
    one(&lab.find("R4"), "TaskLog 3 12 id 3", "warning");
}

#[test]
fn r5_second_entry() {
    let rows = [(1, "12", "PRE", 2, "1"), (2, "12", "PRE", 3, "4"), (3, "12", "S1", 4, "1"), (4, "13", "PRE", 2, "1")];
    one(
        &Lab::default().table("OA", oa(&rows)).find("R5"),
        "OA 1 12 session 2 2 entries for PRE, 2 different sets of answers, 10.5 s on the page on average",
        "warning",
    );
    // Affect comes once for each tag, SUDS twice without one.
    let affect =
        format!("date,feeling,id,participant,session,tag\n\"{0}\",50,1,12,S1,pre\n\"{0}\",50,2,12,S1,post\n", on(2));
    assert!(Lab::default().table("Affect", affect).find("R5").is_empty());
    let suds = |n: usize| {
        let rows: Vec<String> = (1..=n).map(|id| format!("5{id},\"{}\",{id},12,S1\n", on(2))).collect();
        Lab::default().table("SUDS", format!("anxiety,date,id,participant,session\n{}", rows.concat())).find("R5").len()
    };
    assert_eq!((suds(2), suds(3)), (0, 1));
    // Of an id with two versions only the newest counts.
    let versions = oa(&rows[..1]).replace("timeOnPage\n", "timeOnPage,_current\n").replace("10.5\n", "10.5,false\n");
    let both = format!("{versions}2,2,\"{}\",1,12,PRE,10.5,true\n", on(2));
    assert!(Lab::default().table("OA", both).find("R5").is_empty());
}

#[test]
fn r6_not_checkable() {
    let table = format!("date,id,participant,rt\n\"{0}\",1,12,5\n\"{0}\",2,12,5\n", on(2));
    let lab = Lab::default().table("Trials", table);
    one(&lab.find("R6"), "Trials ", "only ids are checked notice");
    assert!(lab.find("R4").is_empty() && lab.find("R5").is_empty());
}

/// Screening entries: id, participant, visitor, answer.
pub(super) fn dass(rows: &[(i64, &str, &str, u8)]) -> String {
    let mut text = "d,date,id,participant,session,sessionId,timeOnPage\n".to_owned();
    for (id, who, visitor, answer) in rows {
        let session = if who.is_empty() { "" } else { "ELIGIBLE" };
        writeln!(text, "{answer},\"{}\",{id},{who},{session},{visitor},1{id}.5", on(2)).unwrap();
    }
    text
}

#[test]
fn r7_screening() {
    let rows = [(1, "", "x", 1), (2, "", "x", 2), (3, "", "x", 3), (4, "", "y", 1), (5, "", "y", 2), (6, "", "y", 2)];
    one(
        &Lab::default().table("DASS", dass(&rows)).find("R7"),
        "DASS 1  sessionId x 3 different sets of answers in 3 attempts",
        "warning",
    );
}

#[test]
fn r8_screening_link() {
    let rows = [(1, "", "x", 1), (2, "12", "x", 1), (3, "", "y", 1), (4, "12", "z", 1), (5, "13", "z", 1)];
    let found = Lab::default().table("DASS", dass(&rows)).find("R8");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("DASS 1 12 sessionId x the same visitor") && found[0].ends_with("notice"));
    assert!(found[1].starts_with("DASS 4 12 sessionId z several participants under one key: 12, 13"));
    assert!(found[1].ends_with("error"));
}

#[test]
fn r18_bots() {
    let mut text = "d,date,id,participant,session,sessionId,timeOnPage\n".to_owned();
    let mut id = 0;
    for day in 1..=9 {
        let bots = if day == 5 { 60 } else { 2 };
        for n in 0..bots {
            id += 1;
            let time = if day == 5 { 0 } else { n };
            writeln!(text, "1,\"{}\",{id},,,v{id},{time}.25", on(day)).unwrap();
        }
    }
    one(
        &Lab::default().table("DASS", text).find("R18"),
        "DASS   date 2019-05-05 60 screening entries, the median of a day is 2",
        "warning",
    );
}
