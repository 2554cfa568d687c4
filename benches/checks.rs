//! What all checks cost: against reading the same tables once with the csv crate, on all cores.
//!
//! `cargo bench --bench checks` prints seconds and their ratio for 60 scales of 10,000 participants in 12 sessions, with
//! TaskLog and the participants' table. One entry in a hundred breaks a rule. The tables need 2 GB of the temporary folder.

use std::cell::RefCell;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Duration, Utc};
use csv::ByteRecord;
use mtdata::parts::{
    CheckedRow, Context, DATE_COLUMNS, Examination, Examined, Finding, LastSeen, Log, Problems, Records, Roster,
    RowRules, ScaleName, Slots, Study, TaskLogReader, accounts, load_scales, read_participants,
};
use rayon::prelude::*;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCALES: usize = 60;
const PEOPLE: usize = 10_000;
const SESSIONS: usize = 12;
const ITEMS: usize = 8;
const ROUNDS: usize = 3;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn definition() -> Result<String, std::fmt::Error> {
    let mut text = String::from("title = \"Sixty scales\"\n");
    for session in 0..SESSIONS {
        write!(text, "[[session]]\nname = \"session{session}\"\ngap_days = 3\ntasks = [")?;
        for scale in 0..SCALES {
            write!(text, "{{ name = \"Scale{scale}\", scale = \"Scale{scale}\" }}, ")?;
        }
        text.push_str("]\n");
    }
    for scale in 0..SCALES {
        write!(text, "[scale.Scale{scale}]\nitems = [")?;
        for item in 0..ITEMS {
            write!(text, "\"item{item}\", ")?;
        }
        text.push_str("]\nrange = [0, 4]\nmissing = { \"555\" = \"declined\" }\n");
    }
    text.push_str("[scale.TaskLog]\nkind = \"log\"\nkey = [\"sessionName\", \"taskName\", \"tag\"]\n");
    text.push_str("[scale.ParticipantExport]\nkind = \"participants\"\nkey = []\n");
    Ok(text)
}

/// When a participant answers a scale, as the server prints it.
fn date(person: usize, session: usize, scale: usize) -> String {
    let seconds = person * 600 + session * 5 * 86_400 + scale * 60;
    let start = DateTime::<Utc>::UNIX_EPOCH + Duration::days(18_000);
    (start + Duration::seconds(i64::try_from(seconds).unwrap_or_default())).to_rfc2822()
}

fn table(
    folder: &Path,
    name: &str,
    header: &str,
    fill: impl FnOnce(&mut BufWriter<File>) -> Outcome<()>,
) -> Outcome<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(folder.join(format!("{name}.csv")))?);
    writeln!(out, "{header},_first_seen,_n_same_id,_current,_flags")?;
    fill(&mut out)?;
    out.flush()?;
    Ok(())
}

fn write_tables(folder: &Path) -> Outcome<()> {
    let items: Vec<String> = (0..ITEMS).map(|item| format!("item{item}")).collect();
    let header = format!("date,id,{},participant,session,tag,timeOnPage", items.join(","));
    let scale = |scale: usize| {
        let name = format!("Scale{scale}");
        table(folder, &name, &header, |out| {
            for number in 0..PEOPLE * SESSIONS {
                let (session, person) = (number / PEOPLE, number % PEOPLE);
                write!(out, "\"{}\",{number}", date(person, session, scale))?;
                let broken = number % 100 == 7;
                for item in 0..ITEMS {
                    let answer = if broken && item == 0 { 9 } else { (person * 7 + session * 3 + item * scale) % 5 };
                    write!(out, ",{answer}")?;
                }
                let seconds = (number * 37) % 9000;
                let flags = if broken { "R13:item0" } else { "" };
                writeln!(out, ",{person},session{session},,{seconds}.25,{name}_2019-04-14.json,1,true,{flags}")?;
            }
            Ok(())
        })
    };
    (0..SCALES).into_par_iter().try_for_each(scale)?;
    table(folder, "ParticipantExport", "active,dateCreated,id,study,testAccount", |out| {
        for person in 0..PEOPLE {
            writeln!(out, "true,\"{}\",{person},{},false,P.json,1,true,", date(person, 0, 0), person + 50_000)?;
        }
        Ok(())
    })?;
    table(folder, "TaskLog", "dateCompleted,id,sessionName,study,tag,taskName,timeOnTask", |out| {
        for number in 0..PEOPLE * SESSIONS * SCALES {
            let (session, scale, person) = (number / PEOPLE / SCALES, number / PEOPLE % SCALES, number % PEOPLE);
            let when = date(person, session, scale);
            writeln!(out, "\"{when}\",{number},session{session},{},,Scale{scale},9.5,T.json,1,true,", person + 50_000)?;
        }
        Ok(())
    })
}

/// The biggest first, so that no core waits long for the other.
fn tables(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        all.push((std::cmp::Reverse(entry.metadata()?.len()), entry.path()));
    }
    all.sort();
    Ok(all.into_iter().map(|(_, path)| path).collect())
}

/// Reads every cell and does nothing with it.
fn read(path: &Path) -> Outcome<usize> {
    let mut reader = csv::Reader::from_path(path)?;
    let mut record = ByteRecord::new();
    let mut cells = 0;
    while reader.read_byte_record(&mut record)? {
        cells += record.len();
    }
    Ok(cells)
}

/// A table that was read: how many findings, and what TaskLog still has to say.
struct Checked<'c> {
    found: usize,
    examined: Examined<'c>,
    log: Option<Log>,
}

/// Row rules and group rules of one table.
fn check<'c>(study: &Study, context: &'c Context<'c>, name: &'c str, path: &Path) -> Outcome<Checked<'c>> {
    let mut records = Records::new(File::open(path)?)?;
    let header = records.header().to_vec();
    let own: Vec<String> = header.iter().filter(|column| !column.starts_with('_')).cloned().collect();
    let defined = ScaleName::new(name).ok().and_then(|name| study.scales.get(&name));
    let rules = RowRules::new(study, name, defined, &own);
    let dated = DATE_COLUMNS.iter().find_map(|name| own.iter().position(|column| column == name));
    let mut task_log = TaskLogReader::new(context.slots, &header);
    let mut examination = Examination::new(context, name, header).expecting(fs::metadata(path)?.len());
    let (mut found, mut flagged) = (0, 0);
    let mut sink = |_: &Finding<'_>| found += 1;
    let mut flags = String::new();
    while let Some(record) = records.read()? {
        let mut cells: [&[u8]; 32] = [&[]; 32];
        for (at, cell) in cells[..own.len()].iter_mut().enumerate() {
            *cell = record.cell(Some(at));
        }
        let cells = &cells[..own.len()];
        flags.clear();
        rules.flags(
            &CheckedRow { cells, dated: dated.is_some_and(|at| !cells[at].is_empty()), closed: &[] },
            &mut flags,
        );
        flagged += usize::from(!flags.is_empty());
        let stamp = examination.row(&record, &mut sink);
        if let Some(stamp) = stamp.filter(|_| name == "TaskLog") {
            task_log.row(&record, stamp);
        }
    }
    let examined = examination.judge(&mut sink);
    assert!(found >= flagged, "{name}: {flagged} rows with flags, {found} findings");
    Ok(Checked { found, examined, log: (name == "TaskLog").then(|| task_log.close()) })
}

fn check_all(study: &Study, folder: &Path, paths: &[PathBuf]) -> Outcome<usize> {
    let mut roster = Roster::default();
    read_participants(&mut roster, &folder.join("ParticipantExport.csv"))?;
    let slots = Slots::new(study);
    let context = Context::new(study, &slots, &roster);
    let names: Vec<String> =
        paths.iter().map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned()).collect();
    let tables = names.par_iter().zip(paths).with_max_len(1);
    let mut all = tables.map(|(name, path)| check(study, &context, name, path)).collect::<Outcome<Vec<_>>>()?;
    let log = all.iter_mut().find_map(|table| table.log.take()).unwrap_or_default();
    let closed = all.into_par_iter().map(|Checked { mut found, examined, .. }| {
        let seen = examined.finish(&log, &mut |_| found += 1);
        (found, seen)
    });
    let closed: Vec<(usize, LastSeen)> = closed.collect();
    let mut seen = LastSeen::default();
    let mut found = 0;
    for (count, of_table) in &closed {
        found += count;
        seen.merge(of_table);
    }
    accounts::check(&roster, study, "ParticipantExport", &seen.last, seen.now, &mut |_| found += 1);
    Ok(found)
}

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let (scales, combined) = (folder.path().join("scales"), folder.path().join("combined"));
    fs::create_dir(&scales)?;
    fs::create_dir(&combined)?;
    fs::write(scales.join("sixty.toml"), definition()?)?;
    let problems = RefCell::new(Problems::default());
    let studies = load_scales(&scales, &problems);
    let study = studies.get("sixty").ok_or_else(|| problems.borrow().to_string())?;
    write_tables(&combined)?;
    let paths = tables(&combined)?;
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let cells: usize = paths.par_iter().map(|path| read(path)).sum::<Outcome<usize>>()?;
        let plain = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let found = check_all(study, &combined, &paths)?;
        let checked = start.elapsed().as_secs_f64();
        println!(
            "{cells} cells read in {plain:.2} s, checked in {checked:.2} s ({found} findings): {:.2}",
            checked / plain
        );
        ratios.push(checked / plain);
    }
    ratios.sort_by(f64::total_cmp);
    println!("checks / reading once with the csv crate: {:.2} (limit 3)", ratios[ROUNDS / 2]);
    Ok(())
}
