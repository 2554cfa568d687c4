//! Rules that one row decides.

use super::*;

#[test]
fn r1_undecrypted() {
    let cipher = "A".repeat(344);
    let table = |rsa: &str, plain: &str| {
        Lab::default()
            .table("OA", format!("a,date,id,participant,participantRSA,session\n1,\"{}\",7,{plain},{rsa},PRE\n", on(2)))
    };
    one(&table(&cipher, "").find("R1"), "OA 7  participantRSA  ciphertext", "error");
    one(&table("", "").find("R1"), "OA 7  participantRSA  blank", "error");
    one(&table("\"\u{2}x\"", "").find("R1"), "OA 7  participantRSA  garbage", "error");
    // Published data have the ciphertext in the plain column.
    one(&table("", &cipher).find("R1"), "OA 7  participant  ciphertext", "error");
    for (rsa, plain) in [("12", ""), ("", "12")] {
        assert!(table(rsa, plain).find("R1").is_empty());
    }
    let screened = format!("d,date,id,participantRSA,session,sessionId\n1,\"{}\",1,,ELIGIBLE,x\n", on(2));
    assert!(Lab::default().table("DASS", screened).find("R1").is_empty());
}

/// What decode set aside leaves an empty cell: the row is told from one of an era without encryption.
#[test]
fn r1_and_r2_of_values_in_quarantine() {
    let header = ["id", "participantDAO", "participantRSA"].map(str::to_owned);
    let rules = RowRules::new(&Study::default(), "OA", None, &header);
    let flags = |plain: &str, closed: &[(usize, Undecrypted)]| {
        let mut flags = String::new();
        rules.flags(&CheckedRow { cells: &[b"7", plain.as_bytes(), b""], dated: true, closed }, &mut flags);
        flags
    };
    assert_eq!(flags("", &[(2, Undecrypted::Ciphertext)]), "R1:participantRSA:ciphertext");
    assert_eq!(flags("", &[(2, Undecrypted::Garbage)]), "R1:participantRSA:garbage");
    assert_eq!(flags("534", &[(2, Undecrypted::Ciphertext)]), "R1:participantRSA:ciphertext;R2:participantDAO");
    assert_eq!((flags("534", &[]), flags("", &[])), (String::new(), "R1:participantRSA".to_owned()));
}

#[test]
fn r2_repair_hint() {
    let table = |rsa: &str, plain: &str| {
        Lab::default().table(
            "OA",
            format!("a,date,id,participantDAO,participantRSA,session\n1,\"{}\",7,{plain},{rsa},PRE\n", on(2)),
        )
    };
    let cipher = "A".repeat(344);
    one(&table(&cipher, "534").find("R2"), "OA 7 534 participantDAO 534 proposed", "notice");
    one(&table("535", "534").find("R2"), "OA 7 534 participantDAO 534 the encrypted column says 535", "error");
    assert!(table("534", "534").find("R2").is_empty());
    assert!(table("534", "").find("R2").is_empty());
}

#[test]
fn r9_session_name() {
    let rows = [
        (1, "12", "flexible_thinking", 2, "1"),
        (2, "12", "", 2, "2"),
        (3, "12", "COMPLETE", 2, "3"),
        (4, "12", "PRE", 2, "1"),
    ];
    let found = Lab::default().table("OA", oa(&rows)).find("R9");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].starts_with("OA 1 12 session flexible_thinking the schedule")
            && found[1].contains("OA 2 12 session  no session")
    );
    // The screening has no session, and belongs to this table only.
    assert!(Lab::default().table("DASS", entries::dass(&[(1, "", "x", 1), (2, "3", "y", 1)])).find("R9").is_empty());
}

#[test]
fn r12_missing_code_and_r13_range() {
    let rows =
        [(1, "12", "PRE", 2, "555"), (2, "13", "PRE", 2, "5"), (3, "14", "PRE", 2, "999"), (4, "15", "PRE", 2, "4")];
    let table = oa(&rows);
    let lab = Lab::default().table("OA", table);
    let codes = lab.find("R12");
    assert_eq!(codes.len(), 2, "{codes:#?}");
    assert!(codes[0].starts_with("OA 1 12 a 555 declined") && codes[0].ends_with("notice"));
    // 999 means "not asked" only from June on: before, nobody declared it.
    let range = lab.find("R13");
    let values: Vec<&str> = range.iter().map(|line| line.split(' ').nth(4).unwrap()).collect();
    assert_eq!(values, ["5", "5", "999", "999"], "{range:#?}");
    assert!(range[0].ends_with("outside the item's range warning"));
}

#[test]
fn r14_birth_year_and_r15_server_blank() {
    let table = |year: &str, gender: &str| {
        Lab::default().table(
            "Demo",
            format!("birthYear,date,gender,id,participant,reason,session\n{year},\"{}\",{gender},1,12,,PRE\n", on(2)),
        )
    };
    one(
        &table("195100", "Female").find("R14"),
        "Demo 1 12 birthYear 195100 no year of birth; most likely 1951",
        "warning",
    );
    one(
        &table("19001976", "Female").find("R14"),
        "Demo 1 12 birthYear 19001976 no year of birth; most likely 1976",
        "warning",
    );
    one(&table("61", "Female").find("R14"), "Demo 1 12 birthYear 61 no year of birth; most likely 1961", "warning");
    for impossible in ["2222", "0", "1899", "2002", "nineteen"] {
        one(&table(impossible, "Female").find("R14"), "Demo 1 12 birthYear", "warning");
    }
    assert!(table("2001", "Étudiant").find("R14").is_empty() && table("2001", "Étudiant").find("R15").is_empty());
    for broken in ["", "????", "Ã‰tudiant"] {
        one(&table("2001", broken).find("R15"), "Demo 1 12 gender", "missing: server warning");
    }
}

#[test]
fn r16_date() {
    let text = oa(&[(1, "12", "PRE", 2, "1")]);
    assert!(Lab::default().table("OA", text.clone()).find("R16").is_empty());
    one(
        &Lab::default().table("OA", text.replace(&on(2), "last Tuesday")).find("R16"),
        "OA 1 12 date last Tuesday",
        "warning",
    );
}

#[test]
fn s5_impossible_task() {
    let table =
        format!("date,feeling,id,participant,session,tag\n\"{0}\",50,1,12,S2,pre\n\"{0}\",50,2,12,S1,pre\n", on(2));
    one(
        &Lab::default().table("Affect", table).find("S5"),
        "Affect 1 12 session S2 the schedule does not place",
        "warning",
    );
}

#[test]
fn s9_identifying() {
    let table = |reason: &str| {
        Lab::default().table(
            "Demo",
            format!(
                "birthYear,date,gender,id,participant,reason,session\n1980,\"{}\",x,1,12,\"{reason}\",PRE\n",
                on(2)
            ),
        )
    };
    let found = table("write to ann@mail.example.org").find("S9");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("Demo 1 12 reason  an e-mail address") && !found.iter().any(|line| line.contains("ann@"))
    );
    assert!(found[1].contains("reason  free text in 1 entries"));
    assert_eq!(table("nothing to tell").find("S9").len(), 1);
}
