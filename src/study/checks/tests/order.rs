//! Rules about when and where.

use super::*;

#[test]
fn r10_session_order() {
    let find = |rows: &[(i64, &str, &str, u32, &str)]| Lab::default().table("OA", oa(rows)).find("R10");
    assert!(find(&[(1, "12", "PRE", 1, "1"), (2, "12", "S1", 1, "1"), (3, "12", "S2", 3, "1")]).is_empty());
    // A skipped label.
    one(
        &find(&[(1, "12", "PRE", 1, "1"), (3, "12", "S2", 5, "1")]),
        "OA 3 12 session S1 no entry between PRE and S2",
        "warning",
    );
    // Labels the wrong way round.
    one(&find(&[(1, "12", "PRE", 4, "1"), (2, "12", "S1", 2, "1")]), "OA 2 12 date S1 dated before PRE", "warning");
    // Two days have to lie between the trainings, less eight hours.
    one(
        &find(&[(1, "12", "PRE", 1, "1"), (2, "12", "S1", 1, "1"), (3, "12", "S2", 2, "1")]),
        "OA 3 12 date S2 1.0 days after S1, the schedule asks for 2",
        "warning",
    );
    let log = tasks(&[("512", "PRE", "OA", "", 8), ("512", "S1", "OA", "", 3)]);
    let lab = Lab::default()
        .table("People", people(&["12"]))
        .table("TaskLog", log)
        .table("OA", oa(&[(1, "12", "PRE", 2, "1"), (2, "12", "S1", 9, "1")]));
    one(&lab.find("R10"), "OA 1 12 session PRE by date this is PRE, by TaskLog S1", "warning");
}

#[test]
fn r17_clock_offset() {
    let lab = |minutes: i64| {
        let shifted = (moment::parse(&on(2)).unwrap() + chrono::Duration::minutes(minutes)).to_rfc2822();
        Lab::default()
            .table("People", people(&["12"]))
            .table("TaskLog", tasks(&[("512", "PRE", "OA", "", 2)]))
            .table("OA", oa(&[(1, "12", "PRE", 2, "1")]).replace(&on(2), &shifted))
            .find("R17")
    };
    one(&lab(62), "OA 1 12 date PRE TaskLog has it 62 minutes earlier", "warning");
    one(&lab(-57), "OA 1 12 date PRE TaskLog has it 57 minutes later", "warning");
    assert!(lab(2).is_empty() && lab(70).is_empty());
}

#[test]
fn s1_log_agreement_and_s7_gap() {
    let ids: Vec<String> = (20..40).map(|id| id.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let links: Vec<String> = ids.iter().map(|id| format!("5{id}")).collect();
    // Everybody was there on a day of their own, but six of the same day have no entry.
    let day = |n: usize| if n < 6 { 28 } else { u32::try_from(n).unwrap() };
    let log: Vec<_> = links.iter().enumerate().map(|(n, link)| (link.as_str(), "PRE", "OA", "", day(n))).collect();
    let rows: Vec<_> =
        ids.iter().enumerate().skip(6).map(|(n, id)| (i64::try_from(n).unwrap(), *id, "PRE", day(n), "1")).collect();
    let lab = Lab::default().table("People", people(&ids)).table("TaskLog", tasks(&log)).table("OA", oa(&rows));
    let found = lab.find("S1");
    assert_eq!(found.len(), 6, "{found:#?}");
    assert!(found[0].starts_with("OA  20 session PRE TaskLog has it, the table has not"));
    one(&lab.find("S7"), "OA   date 2019-05-28 6 of 6 gaps", "0% of the entries warning");
    // The other way round.
    let lab = Lab::default()
        .table("People", people(&["20"]))
        .table("TaskLog", tasks(&[]))
        .table("OA", oa(&[(1, "20", "PRE", 2, "1")]));
    one(&lab.find("S1"), "OA 1 20 session PRE the table has it, TaskLog has not", "notice");
    // Without a TaskLog nothing disagrees with it.
    assert!(Lab::default().table("OA", oa(&rows)).find("S1").is_empty());
}
