//! The report of a large study against reading its tables: 10,000 participants, 60 questionnaires, 12 sessions, 7.2 million
//! entries and as many lines of TaskLog.
//!
//! `cargo bench --bench report [-- FOLDER]` makes the tables once (in FOLDER, which is kept, or in a temporary one), then
//! lets the csv crate read them and mtdata report on them, on all cores, in turns. Each goes in a process of its own, so
//! that its peak memory is known.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use csv::ByteRecord;
use mtdata::parts::{DisclosureControl, Project, SHEETS, ServerFolder, Sources, compute, render, write_checks};
use rayon::prelude::*;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTICIPANTS: u32 = 10_000;
const SCALES: u32 = 60;
const SESSIONS: u32 = 12;
const ITEMS: u32 = 10;
const ROUNDS: usize = 3;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["read", folder] => read(Path::new(folder)),
        ["report", folder] => report(Path::new(folder)),
        [folder] => run(Path::new(folder)),
        _ => run(tempfile::tempdir()?.path()),
    }
}

fn run(folder: &Path) -> Outcome<()> {
    if !folder.join("complete").exists() {
        make(folder)?;
    }
    let own = std::env::current_exe()?;
    let mut all = BTreeMap::new();
    for _ in 0..ROUNDS {
        for what in ["read", "report"] {
            let output = Command::new(&own).arg(what).arg(folder).output()?;
            let text = String::from_utf8(output.stdout)?;
            let (time, peak) =
                text.trim().split_once(' ').ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
            let round: (f64, f64) = (time.parse()?, peak.parse()?);
            all.entry(what).or_insert_with(Vec::new).push(round);
        }
    }
    let middle = |what: &str| {
        let mut times: Vec<f64> = all[what].iter().map(|(time, _)| *time).collect();
        times.sort_unstable_by(f64::total_cmp);
        times[ROUNDS / 2]
    };
    let peak = all["report"].iter().map(|(_, peak)| *peak).fold(0.0, f64::max);
    let size = fs::metadata(folder.join("lab/reports/index.html"))?.len() as f64 / 1e6;
    println!("reading the tables: {:.1} s, the report: {:.1} s", middle("read"), middle("report"));
    println!(
        "{:.1} times (limit 4), peak {peak:.0} MiB (limit 1024), page {size:.2} MB (limit 3)",
        middle("report") / middle("read")
    );
    Ok(())
}

/// Time and peak memory, for the parent.
fn say(took: Duration) -> Outcome<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    println!("{} {}", took.as_secs_f64(), peak.unwrap_or_default() / 1024.0);
    Ok(())
}

fn tables(folder: &Path, kind: &str) -> Outcome<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder.join("lab").join(kind))?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    paths.sort();
    Ok(paths)
}

fn read(folder: &Path) -> Outcome<()> {
    let paths = [tables(folder, "combined")?, tables(folder, "scored")?].concat();
    let start = Instant::now();
    let cells = paths.par_iter().map(|path| {
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_path(path)?;
        let mut record = ByteRecord::new();
        let mut cells = 0;
        while reader.read_byte_record(&mut record)? {
            cells += record.len();
        }
        Ok(cells)
    });
    let cells: usize = cells.sum::<Outcome<usize>>()?;
    assert!(cells > 0);
    say(start.elapsed())
}

fn report(folder: &Path) -> Outcome<()> {
    let project =
        Project::load(Some(&folder.join("Pipeline.toml")), folder).map_err(|problems| problems.to_string())?;
    let (combined, scored) = (tables(folder, "combined")?, tables(folder, "scored")?);
    let study = &project.studies["large"];
    let server = ServerFolder::new(folder.join("lab"));
    let start = Instant::now();
    let sources = Sources {
        server: "lab",
        study,
        folder: &server,
        combined,
        scored,
        accounts: BTreeMap::new(),
        disclosure: DisclosureControl::default(),
    };
    let model = compute(&sources).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
    let reports = server.reports();
    for (name, sheet) in SHEETS {
        sheet(&model).write(&reports.join(name))?;
    }
    fs::write(reports.join("index.html"), render(&model))?;
    write_checks(&reports.join("checks.csv"), model)?;
    say(start.elapsed())
}

/// Numbers that look like chance and are the same each time.
fn chance(one: u32, two: u32, three: u32) -> u32 {
    let mut mixed = u64::from(one) << 40 ^ u64::from(two) << 20 ^ u64::from(three);
    mixed = (mixed ^ mixed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    u32::try_from(mixed >> 33).unwrap_or_default()
}

/// Everyone begins a session every five days from their own first day on.
fn date(participant: u32, session: u32, minute: u32) -> String {
    let start = chrono::DateTime::from_timestamp(1_735_718_400, 0).unwrap_or_default();
    let day = i64::from(participant % 365 + session * 5);
    let moment = start + chrono::Duration::days(day) + chrono::Duration::minutes(i64::from(minute));
    moment.format("%a, %-d %b %Y %H:%M:%S -0500").to_string()
}

/// Session by which this participant is gone.
fn stays(participant: u32) -> u32 {
    SESSIONS - if participant.is_multiple_of(50) { chance(participant, 1, 1) % SESSIONS } else { 0 }
}

fn make(folder: &Path) -> Outcome<()> {
    for name in ["lab/combined", "lab/scored", "lab/reports", "config/scales"] {
        fs::create_dir_all(folder.join(name))?;
    }
    configuration(folder)?;
    (0..SCALES).into_par_iter().try_for_each(|scale| questionnaire(folder, scale))?;
    log_and_people(folder)?;
    fs::write(folder.join("complete"), "")?;
    Ok(())
}

fn open(folder: &Path, name: &str) -> Outcome<BufWriter<File>> {
    Ok(BufWriter::with_capacity(1 << 20, File::create(folder.join("lab").join(name))?))
}

fn name(scale: u32) -> String {
    format!("Scale{scale:02}")
}

fn configuration(folder: &Path) -> Outcome<()> {
    fs::write(
        folder.join("Pipeline.toml"),
        "default = [\"reports\"]\n[data]\npool = \".\"\nservers = \"config/servers.toml\"\nscales = \"config/scales\"\n[task.decode]\naction = \"decode\"\neach = [\"server\", \"scale\", \"date\"]\n[task.combine]\naction = \"combine\"\neach = [\"server\", \"scale\"]\nneeds = [\"decode\"]\n[task.reports]\naction = \"report\"\neach = [\"server\"]\nneeds = [\"combine\"]\n",
    )?;
    fs::write(
        folder.join("config/servers.toml"),
        "[lab]\nready = false\nurl = \"https://study.invalid/api/\"\nuser = \"nobody\"\ntimezone = \"America/New_York\"\nstudy = \"large\"\n",
    )?;
    let names: Vec<String> = (0..SCALES).map(name).collect();
    let items: Vec<String> = (0..ITEMS).map(|item| format!("\"item{item}\"")).collect();
    let mut study = Vec::from("title = \"A large study\"\n");
    for session in 0..SESSIONS {
        let tasks: Vec<String> =
            names.iter().map(|name| format!("{{ name = \"{name}\", scale = \"{name}\" }}")).collect();
        writeln!(
            study,
            "[[session]]\nname = \"session{session:02}\"\ndisplay = \"Session {session}\"\ntasks = [{}]",
            tasks.join(", ")
        )?;
    }
    for name in &names {
        writeln!(
            study,
            "[scale.{name}]\nitems = [{}]\nrange = [0, 4]\nmissing = {{ \"555\" = \"declined\" }}",
            items.join(", ")
        )?;
        writeln!(study, "[[scale.{name}.score]]\nname = \"{}_total\"\nrule = \"sum\"", name.to_lowercase())?;
    }
    study.extend(b"[scale.TaskLog]\nkind = \"log\"\nkey = [\"sessionName\", \"taskName\", \"tag\"]\n[scale.ParticipantExport]\nkind = \"participants\"\n");
    fs::write(folder.join("config/scales/large.toml"), study)?;
    Ok(())
}

fn questionnaire(folder: &Path, scale: u32) -> Outcome<()> {
    let (mut table, mut scored) = (
        open(folder, &format!("combined/Scale{scale:02}.csv"))?,
        open(folder, &format!("scored/Scale{scale:02}.csv"))?,
    );
    let columns: Vec<String> = (0..ITEMS).map(|item| format!("item{item}")).collect();
    writeln!(
        table,
        "date,id,{},participantRSA,session,timeOnPage,_first_seen,_n_same_id,_current,_flags",
        columns.join(",")
    )?;
    writeln!(
        scored,
        "id,participant,session,tag,date,scale{scale:02}_total,scale{scale:02}_total_n_valid,_rules,_flags"
    )?;
    for session in 0..SESSIONS {
        for participant in 0..PARTICIPANTS {
            // One in two hundred is lacking.
            if session >= stays(participant) || chance(participant, scale, session).is_multiple_of(200) {
                continue;
            }
            let id = session * PARTICIPANTS + participant;
            let date = date(participant, session, scale * 2);
            write!(table, "\"{date}\",{id},")?;
            let mut total = 0;
            for item in 0..ITEMS {
                let given = chance(id, scale, item + 100);
                match given % 100 {
                    0 => write!(table, "555,")?,
                    1 if given.is_multiple_of(7) => write!(table, "9,")?,
                    _ => {
                        total += given / 100 % 5;
                        write!(table, "{},", given / 100 % 5)?;
                    }
                }
            }
            writeln!(
                table,
                "{},session{session:02},{}.{},Scale{scale:02}_2026-01-01_00-00-00.json,1,true,",
                participant + 1,
                chance(id, 3, 3) % 90,
                chance(id, 4, 4) % 10
            )?;
            writeln!(
                scored,
                "{id},{},session{session:02},,\"{date}\",{total},{ITEMS},scale{scale:02}_total=sum@1,",
                participant + 1
            )?;
        }
    }
    Ok(())
}

fn log_and_people(folder: &Path) -> Outcome<()> {
    let (mut log, mut people) =
        (open(folder, "combined/TaskLog.csv")?, open(folder, "combined/ParticipantExport.csv")?);
    writeln!(log, "dateCompleted,id,sessionName,study,tag,taskName,timeOnTask,_first_seen,_n_same_id,_current,_flags")?;
    writeln!(people, "admin,dateCreated,id,study,testAccount,_first_seen,_n_same_id,_current,_flags")?;
    let names: Vec<String> = (0..SCALES).map(name).collect();
    let mut id = 0_u64;
    for participant in 0..PARTICIPANTS {
        let study = participant + 50_001;
        writeln!(
            people,
            "false,\"{}\",{},{study},{},x,1,true,",
            date(participant, 0, 0),
            participant + 1,
            participant.is_multiple_of(1000)
        )?;
        for session in 0..stays(participant) {
            // The log has a task at the moment of its entry.
            for (minute, task) in (0_u32..).step_by(2).zip(names.iter().map(String::as_str).chain(["SESSION_COMPLETE"]))
            {
                id += 1;
                writeln!(
                    log,
                    "\"{}\",{id},session{session:02},{study},,{task},12.5,x,1,true,",
                    date(participant, session, minute)
                )?;
            }
        }
    }
    log.flush()?;
    people.flush()?;
    Ok(())
}
