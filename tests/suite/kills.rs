//! `kill -9` at any moment: what is skipped afterwards is always right, and what was done is not done again.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::lab::{Dice, mtdata};

const STEPS: usize = 12;
/// `MTDATA_KILLS` asks for more.
const KILLS: usize = 200;

/// Each step reads one file of its own and the outputs of two earlier steps, slowly enough to be hit.
fn write_project(root: &Path) {
    let steps: Vec<String> = (0..STEPS)
        .map(|step| {
            let needs: Vec<String> = needed(step).iter().map(|need| format!("\"step{need}\"")).collect();
            let command = r#"["sh", "-c", 'sleep 0.004; cat "$@" | cksum > "$0"', "{out}", "{inputs}"]"#;
            let files = format!("inputs = [\"in/{step}\"]\noutputs = [\"out/{step}\"]");
            format!("[task.step{step}]\ncommand = {command}\n{files}\nneeds = [{}]\n", needs.join(", "))
        })
        .collect();
    let text =
        format!("default = [\"step11\"]\n[data]\npool = \"data\"\nservers = \"servers.toml\"\n{}", steps.concat());
    fs::write(root.join("Pipeline.toml"), text).unwrap();
    fs::write(root.join("servers.toml"), "").unwrap();
    fs::create_dir(root.join("in")).unwrap();
    for step in 0..STEPS {
        fs::write(root.join(format!("in/{step}")), format!("{step}")).unwrap();
    }
}

fn needed(step: usize) -> Vec<usize> {
    let mut needs: Vec<usize> = [step.checked_sub(1), step.checked_sub(3)].into_iter().flatten().collect();
    needs.sort_unstable();
    needs
}

/// What the files must be, computed by the same tool without any runner.
fn expected(root: &Path) -> Vec<Vec<u8>> {
    let mut outputs: Vec<Vec<u8>> = Vec::new();
    for step in 0..STEPS {
        let mut text = fs::read(root.join(format!("in/{step}"))).unwrap();
        for need in needed(step) {
            text.extend(&outputs[need]);
        }
        let mut sum = Command::new("cksum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut sum.stdin.take().unwrap(), &text).unwrap();
        outputs.push(sum.wait_with_output().unwrap().stdout);
    }
    outputs
}

fn made(root: &Path) -> Vec<Vec<u8>> {
    (0..STEPS).map(|step| fs::read(root.join(format!("out/{step}"))).unwrap()).collect()
}

/// A command that outlived its killed runner ends by itself; only then is the folder quiet.
fn wait_for_orphans(root: &Path) {
    let limit = Instant::now() + Duration::from_secs(10);
    let here = fs::canonicalize(root).unwrap();
    let lives = || {
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == here))
    };
    while lives() {
        assert!(Instant::now() < limit, "a command of a killed run does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_killed_run_never_leads_to_a_wrong_skip() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write_project(root);
    let build = || mtdata().current_dir(root).args(["build", "-q", "--wait=20s"]).output().unwrap();
    let kills = std::env::var("MTDATA_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut dice = Dice(7);
    let start = Instant::now();
    assert!(build().status.success());
    let whole = u64::try_from(start.elapsed().as_millis()).unwrap().max(20);
    let mut hit = 0;
    for round in 0..kills {
        match dice.below(4) {
            0 => drop(fs::remove_file(root.join(format!("out/{}", dice.below(STEPS as u64))))),
            1 => fs::write(root.join(format!("out/{}", dice.below(STEPS as u64))), "spoilt").unwrap(),
            _ => fs::write(root.join(format!("in/{}", dice.below(STEPS as u64))), format!("round {round}")).unwrap(),
        }
        let mut victim = Command::new(assert_cmd::cargo::cargo_bin!("mtdata"));
        victim.current_dir(root).args(["build", "-q", "--wait=20s"]).stdout(Stdio::null());
        let mut victim = victim.spawn().unwrap();
        // An edit in the middle leaves about half of the steps to do.
        std::thread::sleep(Duration::from_micros(dice.below(whole * 400)));
        let ended = victim.try_wait().unwrap().is_some();
        victim.kill().unwrap();
        victim.wait().unwrap();
        hit += usize::from(!ended);
        wait_for_orphans(root);
        // Every third time the killed run itself is followed by another kill.
        if round % 3 == 2 {
            continue;
        }
        let output = build();
        assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(made(root), expected(root), "round {round}: skipped what was stale");
        let again = mtdata().current_dir(root).args(["build", "--json"]).output().unwrap();
        let text = String::from_utf8(again.stdout).unwrap();
        assert!(!text.contains("task_started"), "round {round}: done twice\n{text}");
    }
    assert!(hit * 2 > kills, "only {hit} of {kills} runs were still at work when they were killed");
    println!("{kills} kills, {hit} of them in the middle of a run; no wrong skip");
}
