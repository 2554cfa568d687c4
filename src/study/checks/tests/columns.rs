//! Rules about whole columns.

use super::*;

#[test]
fn s6_blank_column() {
    let mut text = "a,b,date,extra,id,participant,session\n".to_owned();
    (1..=25).for_each(|id| writeln!(text, "{},,\"{}\",0,{id},{id},PRE", id % 4, on(2)).unwrap());
    let found = Lab::default().table("OA", text.clone()).find("S6");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("b  empty in all 25 entries") && found[1].contains("extra  the same value in all 25 entries")
    );
    let few = text.lines().take(10).collect::<Vec<_>>().join("\n");
    assert!(Lab::default().table("OA", few).find("S6").is_empty());
}

#[test]
fn s8_drift() {
    let text = oa(&[(1, "12", "PRE", 2, "1"), (2, "13", "PRE", 2, "1")])
        .replace("timeOnPage\n", "timeOnPage,_n_same_id,_flags\n")
        .replacen("10.5\n", "10.5,2,repeated_id\n", 1)
        .replacen("10.5\n", "10.5,1,\n", 1);
    one(&Lab::default().table("OA", text).find("S8"), "OA 1 12 id 2 the id came with different contents", "warning");
    // Thirty entries, then thirty after a release of the server: a column is new, one is gone, one is of another kind.
    let mut text = "date,gone,id,kind,new,participant,rare,session\n".to_owned();
    for id in 0..60 {
        let (gone, kind, new) = if id < 30 { ("1", "7", "") } else { ("", "seven", "1") };
        let rare = if id == 45 { "x" } else { "" };
        writeln!(text, "\"{}\",{gone},{id},{kind},{new},{},{rare},PRE", on(2), 100 + id).unwrap();
    }
    let found = Lab::default().table("New", text).find("S8");
    let day = moment::day_of(moment::millis(&on(2)).unwrap());
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with(&format!("New   gone  gone after {day}: the last 30 entries")));
    assert!(found[1].starts_with(&format!("New   kind  of another kind since {day}: number, then text")));
    assert!(found[2].starts_with(&format!("New   new  new since {day}: the 30 entries before")));
}
