//! Scales that come, go and get other names: what is left over is told, removed only on demand, and never what is raw.

use super::*;
use crate::state::Name;

const NAMES: [&str; 4] = ["OA", "BSQ", "QOL", "Mood_2"];

#[derive(Debug, Clone)]
enum Change {
    Answers(usize, u8),
    Renamed(usize, usize),
    Gone(usize),
    Prune,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let name = 0..NAMES.len();
    let change = prop_oneof![
        (name.clone(), any::<u8>()).prop_map(|(n, c)| Change::Answers(n, c)),
        (name.clone(), name.clone()).prop_map(|(a, b)| Change::Renamed(a, b)),
        name.prop_map(Change::Gone),
        Just(Change::Prune),
    ];
    prop::collection::vec(change, 1..6)
}

/// A pool of one server that is never asked, decoded and put together by commands.
fn write_project(root: &Path) -> Project {
    let text = r#"
        default = ["whole"]
        [data]
        pool = "data"
        servers = "servers.toml"
        [task.day]
        command = ["sh", "-c", "cat \"$1\" > \"$0\"", "{out}", "{pool}/lab/raw_data/{scale}_2026-11-23_10-00-00.json"]
        each = ["server", "scale"]
        inputs = ["{pool}/lab/raw_data/{scale}_2026-11-23_10-00-00.json"]
        outputs = ["{pool}/{server}/days/{scale}"]
        [task.whole]
        command = ["sh", "-c", "cat \"$@\" /dev/null > \"$0\"", "{out}", "{inputs}"]
        each = ["server"]
        needs = ["day"]
        outputs = ["{pool}/{server}/whole"]
    "#;
    fs::write(root.join("Pipeline.toml"), text).unwrap();
    let server = "[lab]\nurl = \"https://lab.example.edu/api/\"\nuser = \"x\"\n\
                  password = { env = \"LAB_PASSWORD\" }\ntimezone = \"UTC\"\n";
    fs::write(root.join("servers.toml"), server).unwrap();
    fs::create_dir_all(root.join("data/lab/raw_data")).unwrap();
    Project::load(None, root).unwrap()
}

fn raw(root: &Path, name: usize) -> PathBuf {
    root.join(format!("data/lab/raw_data/{}_2026-11-23_10-00-00.json", NAMES[name]))
}

fn build_all(project: &Project, prune: bool) -> Summary {
    let targets = vec![Target::parse("whole").unwrap()];
    let request =
        Request { targets, loudness: Loudness::Quiet, jobs: Some(2), prune, wait: LONG_ENOUGH, ..Request::default() };
    build(project, &crate::tasks::of(project), &request).unwrap()
}

fn planned(project: &Project) -> Planned {
    plan_tasks(project, &crate::tasks::of(project), &[Target::parse("whole").unwrap()])
}

/// The scales whose outputs are told to be left over.
fn left_over(project: &Project) -> BTreeSet<String> {
    let tasks = crate::tasks::of(project);
    let found = preview(project, &tasks, &[Target::parse("whole").unwrap()], false, false).unwrap();
    let text = |path: &Name| found.store.names.text(*path).rsplit('/').next().unwrap().to_owned();
    found.orphans(project).iter().flat_map(|(_, paths)| paths.iter().map(text)).collect()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.file_name().into_string().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn scales_come_and_go(rounds in prop::collection::vec(changes(), 1..5)) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let project = write_project(root);
        for (name, text) in [(0, "one"), (1, "two")] {
            fs::write(raw(root, name), text).unwrap();
        }
        build_all(&project, false);
        for changes in rounds {
            let mut prune = false;
            for change in &changes {
                match *change {
                    Change::Answers(name, content) => fs::write(raw(root, name), [content, 10]).unwrap(),
                    Change::Renamed(old, new) => drop(fs::rename(raw(root, old), raw(root, new))),
                    Change::Gone(name) => drop(fs::remove_file(raw(root, name))),
                    Change::Prune => prune = true,
                }
            }
            let present: BTreeSet<String> =
                (0..NAMES.len()).filter(|name| raw(root, *name).exists()).map(|name| NAMES[name].to_owned()).collect();
            let before = names_in(&root.join("data/lab/raw_data"));
            let planned_now = planned(&project);
            let first = ran(&project, &build_all(&project, prune));
            prop_assert!(planned_now.holds(&first), "{planned_now:?} {first:?}");
            prop_assert_eq!(ran(&project, &build_all(&project, false)), BTreeSet::new());
            prop_assert_eq!(planned(&project), Planned::default());
            prop_assert_eq!(&names_in(&root.join("data/lab/raw_data")), &before, "raw files are never touched");
            let days = names_in(&root.join("data/lab/days"));
            let old: BTreeSet<String> = days.difference(&present).cloned().collect();
            prop_assert_eq!(&old, &left_over(&project));
            if prune {
                prop_assert!(old.is_empty(), "left after --prune: {old:?}");
            }
            let expected: Vec<u8> = present.iter().flat_map(|name| {
                fs::read(root.join(format!("data/lab/raw_data/{name}_2026-11-23_10-00-00.json"))).unwrap()
            }).collect();
            prop_assert_eq!(fs::read(root.join("data/lab/whole")).unwrap(), expected);
        }
    }
}
