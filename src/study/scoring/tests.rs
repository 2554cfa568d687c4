//! Answers and scores side by side, worked out by hand or in the sources that published the rule.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::error::{Problems, Source};
use crate::config::scales;
use crate::study::name::ScaleName;

/// The scale of a built-in study, with every score selected.
fn scale(study: &str, name: &str) -> Scale {
    let file = format!("{study}.toml");
    let text = scales::BUILT_IN.iter().find(|(known, _)| *known == file).unwrap().1;
    let source = Source { path: file.into(), text: text.to_owned() };
    let problems = RefCell::new(Problems::default());
    let mut scale = scales::read(study, &source, &problems).unwrap().scales[&ScaleName::new(name).unwrap()].clone();
    scale.scores.iter_mut().for_each(|score| score.selected = true);
    scale
}

/// All scores of one entry, by name.
fn scores(scale: &Scale, cells: &[(&str, &str)]) -> BTreeMap<String, (Option<f64>, usize)> {
    let scorer = Scorer::new(scale, |name| cells.iter().position(|(column, _)| *column == name));
    let mut made = EntryScores::default();
    scorer.score(|at| cells[at].1.as_bytes(), || None, &mut made);
    let of = |at: usize| (made.scores[at].value, made.scores[at].valid);
    scorer.wanted().map(|(at, rule)| (rule.name.clone(), of(at))).collect()
}

/// The scores of an entry whose items, in the definition's order, are these.
fn of(study: &str, name: &str, answers: &[&str]) -> BTreeMap<String, (Option<f64>, usize)> {
    let scale = scale(study, name);
    let items = scale.columns.iter().map(|column| column.name.as_str());
    let cells: Vec<(&str, &str)> = items.zip(answers.iter().copied()).collect();
    scores(&scale, &cells)
}

const EMPTY: (Option<f64>, usize) = (None, 0);

#[test]
fn oasis() {
    let full = of("calm", "OA", &["1", "2", "3", "4", "0"]);
    assert_eq!(full["oasis_total"], (Some(10.0), 5));
    // 8 of 4 answers: 2 each, times 5.
    assert_eq!(of("calm", "OA", &["2", "2", "2", "2", "555"])["oasis_total"], (Some(10.0), 4));
    assert_eq!(of("calm", "OA", &["2", "2", "2", "", "555.0"])["oasis_total"], (Some(10.0), 3));
    // Two answers are too few for the score, not for the server's.
    let few = of("calm", "OA", &["2", "2", "", "9", "555"]);
    assert_eq!((few["oasis_total"], few["oasis_total_server"]), ((None, 2), (Some(10.0), 2)));
    let none = of("calm", "OA", &["555", "555", "555", "555", "555"]);
    assert_eq!((none["oasis_total"], none["oasis_eligible"]), (EMPTY, EMPTY));
}

/// One answer declined, as five sources score it.
#[test]
fn oasis_as_others_made_it() {
    let one = of("mindtrails", "OA", &["1", "1", "1", "1", "555"]);
    assert_eq!(one["oasis_total"], (Some(5.0), 4));
    assert_eq!(one["oasis_total_first_generation"], (Some(559.0), 5));
    assert_eq!(one["oasis_total_paper"], (Some(4.0), 4));
    assert_eq!(one["oasis_total_main_outcomes"], (Some(5.0), 4));
    assert_eq!(one["oasis_total_server"], (Some(559.0), 5));
    // The server's own test: (4,4,4,-1,4) is 20.
    assert_eq!(of("mindtrails", "OA", &["4", "4", "4", "-1", "4"])["oasis_total_server"].0, Some(20.0));
    assert_eq!(of("mindtrails", "OA", &["555"; 5])["oasis_total_paper"], (Some(0.0), 0));
    assert_eq!(of("calm", "OA", &["1", "1", "1", "1", "555"])["oasis_total_server"].0, Some(5.0));
    assert_eq!(of("calm", "OA", &["2", "1", "1", "1", "1"])["oasis_eligible"].0, Some(1.0));
    assert_eq!(of("calm", "OA", &["1", "1", "1", "1", "1"])["oasis_eligible"].0, Some(0.0));
}

#[test]
fn dass_anxiety() {
    let one = of("mindtrails", "DASS21_AS", &["1", "1", "1", "1", "1", "1", "-1"]);
    assert_eq!(one["dass21_as_total"], (Some(7.0), 6));
    assert_eq!(one["dass21_as_total_doubled"], (Some(14.0), 6));
    assert_eq!(one["dass21_as_total_first_generation"], (Some(5.0), 7));
    // `worry` is missing: its median is 2, so 2 x (6 + 2).
    assert_eq!(one["dass21_as_total_doubled_paper"], (Some(16.0), 6));
    assert_eq!(one["dass21_as_total_doubled_main_outcomes"].0, Some(12.0));
    assert_eq!(one["dass21_as_total_doubled_credibility"].0, Some(14.0));
    assert_eq!(one["dass21_as_total_doubled_server"].0, Some(14.0));
    assert_eq!(one["dass21_as_eligible"].0, Some(1.0));
    // -2 is -1 once more, by a form that subtracted one.
    assert_eq!(
        of("mindtrails", "DASS21_AS", &["3", "3", "3", "3", "-2", "-2", "-2"])["dass21_as_total"],
        (Some(21.0), 4)
    );
    assert_eq!(of("mindtrails", "DASS21_AS", &["3", "3", "3", "-1", "-1", "-1", "-1"])["dass21_as_total"], (None, 3));
    let calm = of("calm", "DASS21_AS", &["1", "1", "1", "1", "1", "1", "555"]);
    assert_eq!((calm["dass21_as_total_calm"].0, calm["dass21_as_total_doubled_calm"].0), (Some(7.0), Some(14.0)));
    assert_eq!(calm["dass21_as_total_doubled_server"].0, Some(14.0));
    // Exactly 10: one source takes them in, the other does not.
    let ten = of("calm", "DASS21_AS", &["1", "1", "1", "1", "1", "0", "0"]);
    assert_eq!((ten["dass21_as_eligible_calm"].0, ten["dass21_as_eligible"].0), (Some(1.0), Some(0.0)));
    let high = of("calm", "DASS21_AS", &["2", "2", "2", "2", "2", "2", "1"]);
    assert_eq!(high["dass21_as_segment_high"].0, Some(1.0));
}

#[test]
fn dass_depression() {
    let one = of("mindtrails", "DASS21_DS", &["1", "-1", "1", "1", "1", "1", "1"]);
    assert_eq!(one["dass21_ds_total"], (Some(7.0), 6));
    assert_eq!(one["dass21_ds_total_doubled"], (Some(14.0), 6));
    assert_eq!(one["dass21_ds_total_doubled_paper"].0, Some(16.0));
    assert_eq!(one["dass21_ds_total_doubled_main_outcomes"].0, Some(12.0));
    assert_eq!(one["dass21_ds_total_first_generation"].0, Some(5.0));
}

#[test]
fn quality_of_life() {
    let mut answers = ["3"; 16];
    assert_eq!(of("mindtrails", "QOL", &answers)["qol_total"], (Some(48.0), 16));
    answers[15] = "555";
    let one = of("mindtrails", "QOL", &answers);
    assert_eq!((one["qol_total"], one["qol_total_first_generation"].0), ((Some(48.0), 15), Some(600.0)));
}

#[test]
fn recognition_ratings() {
    let rated = |study: &str, [ns, ps, nf, pf]: [&str; 4]| {
        let scale = scale(study, "RR");
        let value = |name: &str| match &name[name.len() - 2..] {
            "NS" => ns.to_owned(),
            "PS" => ps.to_owned(),
            "NF" => nf.to_owned(),
            _ => pf.to_owned(),
        };
        let cells: Vec<(String, String)> = scale.columns.iter().map(|c| (c.name.clone(), value(&c.name))).collect();
        scores(&scale, &cells.iter().map(|(name, cell)| (name.as_str(), cell.as_str())).collect::<Vec<_>>())
    };
    let one = rated("mindtrails", ["3", "1", "0", "2"]);
    let means = ["rr_ns_mean", "rr_ps_mean", "rr_nf_mean", "rr_pf_mean"].map(|name| one[name]);
    assert_eq!(means, [(Some(3.0), 9), (Some(1.0), 9), (Some(0.0), 9), (Some(2.0), 9)]);
    // 3 over the mean of 1, 0 and 2.
    assert_eq!(one["rr_score_first_generation"].0, Some(3.0));
    // Nothing over nothing is no score.
    assert_eq!(rated("mindtrails", ["0", "0", "0", "0"])["rr_score_first_generation"].0, None);
    // 0 is out of range in the other study, and -1 is a code in this one only.
    assert_eq!(rated("calm", ["0", "4", "555", "1"])["rr_ns_mean"], EMPTY);
    assert_eq!(rated("calm", ["0", "4", "555", "1"])["rr_ps_mean"], (Some(4.0), 9));
    let declined = rated("mindtrails", ["-1", "3", "3", "3"]);
    assert_eq!((declined["rr_ns_mean"], declined["rr_negative_first_generation"].0), (EMPTY, Some(-1.0)));
}

#[test]
fn body_sensations() {
    // By the definition's order: 7 negative internal, 14 benign internal, 7 negative external, 14 benign external.
    let answers = |groups: [&'static str; 4]| -> Vec<&'static str> {
        let sizes = [7, 14, 7, 14];
        groups.into_iter().zip(sizes).flat_map(|(answer, size)| std::iter::repeat_n(answer, size)).collect()
    };
    let one = of("mindtrails", "BBSIQ", &answers(["3", "2", "1", "4"]));
    assert_eq!(one["bbsiq_negative_mean"], (Some(2.0), 14));
    assert_eq!(one["bbsiq_benign_mean"], (Some(3.0), 28));
    assert_eq!(one["bbsiq_internal_ratio"], (Some(1.5), 21));
    assert_eq!(one["bbsiq_external_ratio"], (Some(0.25), 21));
    // The two that papers call negativeBBSIQ.
    assert_eq!(one["bbsiq_ratio_mean_paper"].0, Some(0.875));
    assert_eq!(one["bbsiq_negative_main_outcomes"].0, Some(2.0));
    let zero = of("mindtrails", "BBSIQ", &answers(["3", "0", "1", "4"]));
    assert_eq!((zero["bbsiq_internal_ratio"], zero["bbsiq_ratio_mean_paper"].0), ((None, 21), Some(0.25)));
    let declined = of("mindtrails", "BBSIQ", &answers(["555", "555", "555", "555"]));
    assert_eq!((declined["bbsiq_negative_mean"], declined["bbsiq_negative_first_generation"].0), (EMPTY, Some(555.0)));
}

#[test]
fn credibility_and_expectancy() {
    // Stored 5 is shown as 5 and means the fifth step, 4.
    assert_eq!(of("mindtrails", "Credibility", &["3", "0", "5"])["credibility_mean"], (Some(3.5), 2));
    assert_eq!(of("mindtrails", "Credibility", &["4", "0", "5"])["credibility_mean"], (Some(4.0), 1));
    let bias = of("templeton", "ExpectancyBias", &["7", "7", "7", "7", "1", "1", "1", "1", "4", "4", "4", "4"]);
    assert_eq!((bias["expectancy_bias"], bias["expectancy_bias_eligible"].0), ((Some(6.0), 8), Some(0.0)));
    let bias = of("templeton", "ExpectancyBias", &["2", "2", "2", "2", "1", "1", "555", "1"]);
    assert_eq!((bias["expectancy_bias"], bias["expectancy_bias_server"].0), ((Some(1.0), 7), Some(2.0 - 139.5)));
}

/// So many times the same answer, one group after the other.
fn list(groups: &[(&'static str, usize)]) -> Vec<&'static str> {
    groups.iter().flat_map(|(answer, times)| std::iter::repeat_n(*answer, *times)).collect()
}

fn expect(study: &str, name: &str, answers: &[&str], wanted: &[(&str, Option<f64>, usize)]) {
    let made = of(study, name, answers);
    for (score, value, valid) in wanted {
        assert_eq!(made[*score], (*value, *valid), "{study}: {name} {answers:?}: {score}");
    }
}

/// Sums: all answered, just enough, one too few (a code, an empty cell, one out of range), none.
#[test]
fn totals_from_full_to_empty() {
    for study in ["mindtrails", "calm", "kaiser"] {
        let oasis = |answers: [&str; 5], value, valid| expect(study, "OA", &answers, &[("oasis_total", value, valid)]);
        oasis(["4", "0", "3", "1", "2"], Some(10.0), 5);
        // 6 of three answers: 2 each, times 5.
        oasis(["4", "0", "2", "555", ""], Some(10.0), 3);
        oasis(["4", "0", "555", "5", ""], None, 2);
        oasis(["555", "555.0", "", "555", "555"], None, 0);
    }
    for (study, name, code) in [
        ("mindtrails", "DASS21_AS", "-1"),
        ("calm", "DASS21_AS", "555"),
        ("kaiser", "DASS21_AS", "555"),
        ("mindtrails", "DASS21_DS", "-1"),
    ] {
        let [total, doubled] = ["total", "total_doubled"].map(|end| format!("{}_{end}", name.to_lowercase()));
        let dass = |answers: [&str; 7], value: Option<f64>, valid| {
            let twice = value.map(|value| value * 2.0);
            expect(study, name, &answers, &[(&total, value, valid), (&doubled, twice, valid)]);
        };
        dass(["3", "2", "1", "0", "1", "2", "3"], Some(12.0), 7);
        // 6 of four answers: 1.5 each, times 7.
        dass(["3", "2", "1", "0", code, code, ""], Some(10.5), 4);
        dass(["3", "2", "1", "4", code, code, ""], None, 3);
        dass([code; 7], None, 0);
    }
    let qol = |answers: &[&str], value, valid| expect("mindtrails", "QOL", answers, &[("qol_total", value, valid)]);
    qol(&list(&[("1", 3), ("2", 3), ("3", 3), ("4", 3), ("5", 4)]), Some(50.0), 16);
    // 20 of eight answers: 2.5 each, times 16.
    qol(&list(&[("1", 2), ("2", 2), ("3", 2), ("4", 2), ("555", 8)]), Some(40.0), 8);
    qol(&list(&[("1", 2), ("2", 2), ("3", 2), ("4", 1), ("6", 1), ("555", 8)]), None, 7);
    qol(&["555"; 16], None, 0);
}

/// Means and what is made of two of them: all answered, just enough, one too few, one side empty, none.
#[test]
fn means_from_full_to_empty() {
    for (study, code) in [("mindtrails", "-1"), ("calm", "555"), ("kaiser", "555")] {
        let columns = scale(study, "RR").columns;
        for (group, score) in
            [("_NS", "rr_ns_mean"), ("_PS", "rr_ps_mean"), ("_NF", "rr_nf_mean"), ("_PF", "rr_pf_mean")]
        {
            let rated = |answers: &[&str], value, valid| {
                let mut rest = answers.iter().copied();
                let own = |column: &Column| if column.name.ends_with(group) { rest.next().unwrap() } else { code };
                expect(study, "RR", &columns.iter().map(own).collect::<Vec<_>>(), &[(score, value, valid)]);
            };
            rated(&list(&[("1", 3), ("2", 3), ("3", 3)]), Some(2.0), 9);
            rated(&list(&[("1", 1), ("2", 1), ("3", 3), (code, 3), ("", 1)]), Some(2.4), 5);
            rated(&list(&[("1", 1), ("3", 3), ("9", 1), (code, 4)]), None, 4);
            rated(&[code; 9], None, 0);
        }
    }
    for study in ["mindtrails", "calm"] {
        // 7 negative internal, 14 benign internal, 7 negative external, 14 benign external.
        let body = |groups: &[(&'static str, usize)], wanted: &[(&str, Option<f64>, usize)]| {
            expect(study, "BBSIQ", &list(groups), wanted);
        };
        let [negative, benign] = ["bbsiq_negative_mean", "bbsiq_benign_mean"];
        let [internal, external] = ["bbsiq_internal_ratio", "bbsiq_external_ratio"];
        body(
            &[("1", 7), ("2", 14), ("4", 7), ("1", 14)],
            &[(negative, Some(2.5), 14), (benign, Some(1.5), 28), (internal, Some(0.5), 21), (external, Some(4.0), 21)],
        );
        // One side is empty: no ratio, however many answers the other has.
        body(
            &[("3", 7), ("555", 14), ("555", 7), ("2", 14)],
            &[(negative, Some(3.0), 7), (benign, Some(2.0), 14), (internal, None, 7), (external, None, 14)],
        );
        body(&[("3", 7), ("2", 4), ("555", 31)], &[(internal, Some(1.5), 11), (benign, None, 4)]);
        body(
            &[("3", 6), ("", 1), ("2", 4), ("5", 10), ("555", 7), ("2", 9), ("555", 5)],
            &[(negative, None, 6), (benign, None, 13), (internal, None, 10), (external, None, 9)],
        );
        body(&[("555", 42)], &[(negative, None, 0), (benign, None, 0), (internal, None, 0), (external, None, 0)]);
    }
    let credible = |answers: [&str; 3], value, valid| {
        expect("mindtrails", "Credibility", &answers, &[("credibility_mean", value, valid)]);
    };
    credible(["1", "3", "2"], Some(1.5), 2);
    credible(["", "3", "2"], Some(2.0), 1);
    credible(["", "3", "4"], None, 0);
    credible(["", "", ""], None, 0);
    let bias = |groups: &[(&'static str, usize)], value, valid| {
        expect("templeton", "ExpectancyBias", &list(groups), &[("expectancy_bias", value, valid)]);
    };
    bias(&[("6", 2), ("4", 2), ("1", 1), ("3", 3), ("7", 4)], Some(2.5), 8);
    bias(&[("6", 1), ("4", 1), ("555", 2), ("1", 2), ("", 2), ("7", 4)], Some(4.0), 4);
    bias(&[("6", 1), ("4", 1), ("555", 2), ("1", 1), ("", 2), ("9", 1), ("7", 4)], None, 3);
    bias(&[("6", 4), ("555", 4), ("7", 4)], None, 4);
    bias(&[("555", 12)], None, 0);
}

#[test]
fn methods_that_no_built_in_score_uses() {
    let number = |name: &str| Column {
        name: name.to_owned(),
        kind: ColumnKind::Number { least: Some(1.0), most: Some(5.0) },
        ..Column::default()
    };
    let rule = |name: &str, method, reverse: &[&str]| ScoreRule {
        name: name.to_owned(),
        method,
        version: 2,
        items: vec!["a".to_owned(), "b".to_owned()],
        reverse: reverse.iter().map(|item| (*item).to_owned()).collect(),
        factor: 1.0,
        min_valid: 2,
        selected: true,
        ..ScoreRule::default()
    };
    let mut below = rule("low", Method::Below, &[]);
    (below.items, below.of, below.threshold, below.min_valid) = (Vec::new(), vec!["sum".to_owned()], 6.0, 1);
    let scale = Scale {
        columns: vec![number("a"), number("b")],
        scores: vec![below, rule("sum", Method::Sum, &["b"]), rule("mean", Method::Mean, &[])],
        ..Scale::default()
    };
    let one = scores(&scale, &[("b", "4"), ("a", "2")]);
    assert_eq!((one["sum"].0, one["mean"].0, one["low"].0), (Some(4.0), Some(3.0), Some(1.0)));
    let one = scores(&scale, &[("a", "2")]);
    assert_eq!((one["sum"], one["low"]), ((None, 1), (None, 1)));
    assert_eq!(label(&scale.scores[1]), "sum=sum@2");
}

#[test]
fn codes_hold_for_their_time() {
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let code = |meaning, since, until| MissingCode { code: "0".to_owned(), meaning, since, until };
    let column = Column {
        kind: ColumnKind::Number { least: Some(0.0), most: Some(4.0) },
        missing: vec![
            code(MissingMeaning::NotAsked, None, day("2016-06-08")),
            code(MissingMeaning::Server, day("2020-01-01"), None),
        ],
        ..Column::default()
    };
    let judge = Judge::new(&column);
    assert_eq!(judge.judge(b"0", || day("2016-06-08")), CellAnswer::Missing(MissingMeaning::NotAsked));
    assert_eq!(judge.judge(b"0", || day("2016-06-09")), CellAnswer::Number(0.0));
    assert_eq!(judge.judge(b"0.0", || day("2020-01-01")), CellAnswer::Missing(MissingMeaning::Server));
    assert_eq!(judge.judge(b"3", || unreachable!("no code is 3")), CellAnswer::Number(3.0));
    for (cell, expected) in [
        ("", CellAnswer::Empty),
        ("x", CellAnswer::OutOfRange),
        ("5", CellAnswer::OutOfRange),
        ("nan", CellAnswer::OutOfRange),
    ] {
        assert_eq!(judge.judge(cell.as_bytes(), || None), expected, "{cell}");
    }
}

proptest! {
    /// A prorated sum lies within its range whatever the codes, and all answered it is the sum.
    #[test]
    fn prorated_sums_stay_in_range(answers in prop::collection::vec(prop_oneof![
        (0..=4_u8).prop_map(|n| n.to_string()), Just("555".to_owned()), Just(String::new())], 5)) {
        let cells: Vec<&str> = answers.iter().map(String::as_str).collect();
        let numbers: Vec<f64> = cells.iter().filter(|cell| cell.len() == 1).map(|cell| cell.parse().unwrap()).collect();
        let (value, valid) = of("calm", "OA", &cells)["oasis_total"];
        prop_assert_eq!(valid, numbers.len());
        prop_assert_eq!(value.is_some(), valid >= 3);
        if let Some(value) = value {
            prop_assert!((0.0..=20.0).contains(&value));
            if valid == 5 {
                prop_assert_eq!(value.to_string(), numbers.iter().sum::<f64>().to_string());
            }
        }
    }
}
