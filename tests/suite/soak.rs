//! Many ticks of a schedule while things break around it, on a small disk that fills up.
//!
//! Without more words 40 ticks, one after the other, on the usual disk, which never fills. `tests/soak` gives it a small
//! one by MTDATA_SOAK_DISK, makes it longer by MTDATA_SOAK_TICKS, and by MTDATA_SOAK_PACE (milliseconds) starts each tick
//! when its time comes, whether or not the one before has ended.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use mtdata::parts::ServerFault;

use crate::chain::archived;
use crate::gate::Gate;
use crate::rig::lab::Lab;
use crate::rig::office::Office;
use crate::rig::smtp::Manner;

/// What is broken in a part of the soak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fine,
    /// Nothing is broken, and every tick comes twice.
    Crowded,
    /// Nobody listens where the study server was.
    Down,
    LoginPage,
    RefusedLogin,
    /// Not a byte is left.
    FullDisk,
    /// The study server's login page, and no mail server.
    Silence,
}

const PARTS: [Weather; 10] = [
    Weather::Fine,
    Weather::Down,
    Weather::Crowded,
    Weather::LoginPage,
    Weather::Crowded,
    Weather::RefusedLogin,
    Weather::Fine,
    Weather::FullDisk,
    Weather::Silence,
    Weather::Crowded,
];

/// How one call went.
struct Tick {
    code: i32,
    printed: String,
    /// KiB.
    peak: u64,
    open_files: usize,
}

struct Soak {
    office: Office,
    gate: Gate,
    /// Milliseconds from tick to tick; `None`: one after the other.
    pace: Option<Duration>,
    disk: Option<PathBuf>,
    running: Vec<JoinHandle<Tick>>,
    ended: Vec<Tick>,
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[test]
fn many_ticks_lose_nothing_and_mail_only_what_is_news() {
    let ticks: usize = setting("MTDATA_SOAK_TICKS").map_or(40, |text| text.parse().unwrap());
    let mut soak = Soak::begin();
    soak.office.build(0);
    let first_size = soak.size();
    let (mut added, mut news) = (BTreeSet::new(), Vec::new());
    let (mut early, mut late) = ((0, 0), (0, 0));
    let length = ticks / PARTS.len();
    for (part, weather) in PARTS.into_iter().enumerate() {
        let weather = if weather == Weather::FullDisk && soak.disk.is_none() { Weather::Fine } else { weather };
        soak.set(weather);
        for tick in 0..length {
            let id = 9000 + i64::try_from(part * length + tick).unwrap();
            let entry =
                format!("{{\"id\":{id},\"participant\":100,\"session\":\"firstSession\",\"posFeelings\":{tick}}}");
            soak.office.lab.demo.server.add("Affect", id, &entry);
            added.insert(("Affect".to_owned(), id));
            soak.tick(weather);
        }
        let ended = soak.end(weather);
        if part == 0 {
            early = ended;
        }
        late = ended;
        news.extend(weather.title().map(|title| format!("[MindTrails] {title}")));
        if part == PARTS.len() / 2 {
            soak.midnight();
        }
        // The first good run afterwards says that it is over.
        if let Some(title) = weather.title() {
            soak.set(Weather::Fine);
            soak.tick(Weather::Fine);
            soak.end(Weather::Fine);
            news.push(format!("[MindTrails] over: {title}"));
        }
    }
    soak.office.build(0);
    let lab = &soak.office.lab;
    let missing: Vec<_> = added.difference(&archived(lab)).cloned().collect();
    assert!(missing.is_empty(), "not archived: {missing:?}");
    assert!(lab.demo.server.ids("Affect").is_empty());
    assert_eq!(told(&soak.office), news);
    let logs: Vec<_> =
        fs::read_dir(lab.root().join("data/logs")).unwrap().flatten().map(|file| file.file_name()).collect();
    assert!(logs.iter().any(|name| name.to_string_lossy().starts_with("Daily.log.20")), "{logs:?}");
    // The state is written anew when it is more than twice what it has to hold, though never below a quarter megabyte.
    let last_size = soak.size();
    assert!(last_size < (1 << 18) + 4 * first_size, "{first_size} -> {last_size}");
    // What a call takes does not grow with the calls before it. How many downloads are seen at once is chance: 8 at most.
    assert!(late.0 <= early.0 + early.0 / 4 && late.1 <= early.1 + 2 * 8, "{early:?} -> {late:?}");
    println!(
        "{ticks} ticks, {} mails, peak {} -> {} MiB, open files {} -> {}, state {first_size} -> {last_size} bytes",
        news.len(),
        early.0 >> 10,
        late.0 >> 10,
        early.1,
        late.1
    );
}

impl Weather {
    /// What the mail about it says.
    fn title(self) -> Option<&'static str> {
        match self {
            Self::Fine | Self::Crowded => None,
            Self::Down => Some("mindtrails: the server cannot be reached"),
            Self::LoginPage | Self::Silence => Some("mindtrails: the answer is a web page, not data"),
            Self::RefusedLogin => Some("mindtrails: the login was refused"),
            Self::FullDisk => Some("a file could not be written"),
        }
    }
}

/// The subjects of all mails. A full disk stops the export and the state's own file, at once or one after the other.
fn told(office: &Office) -> Vec<String> {
    const FULL: &str = "a file could not be written";
    let mut subjects = office.subjects();
    let begun = |subject: &&String| subject.contains(FULL) && !subject.contains("over: ");
    assert!(subjects.iter().filter(begun).count() <= 2, "{subjects:?}");
    for subject in &mut subjects {
        if begun(&&*subject) {
            *subject = format!("[MindTrails] {FULL}");
        } else if subject.ends_with("over: 2 troubles") || subject.contains(FULL) {
            *subject = format!("[MindTrails] over: {FULL}");
        }
    }
    subjects.dedup();
    subjects
}

impl Soak {
    fn begin() -> Self {
        let disk = setting("MTDATA_SOAK_DISK").map(PathBuf::from);
        let folder = disk.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
        let office = Office::of(Lab::within(folder), Manner::Good);
        let port = office.lab.demo.server.port();
        let gate = Gate::before(port);
        office.lab.replace("config/servers.toml", &format!(":{port}/"), &format!(":{}/", gate.port));
        office.lab.replace("Pipeline.toml", "retries = 3", "retries = 1");
        let pace = setting("MTDATA_SOAK_PACE").map(|text| Duration::from_millis(text.parse().unwrap()));
        Self { office, gate, pace, disk, running: Vec::new(), ended: Vec::new() }
    }

    fn set(&mut self, weather: Weather) {
        let server = &self.office.lab.demo.server;
        server.heal();
        let mail = if weather == Weather::Silence { 1 } else { self.office.post.port };
        self.office.configure(mail, "6h", "");
        if weather == Weather::Down {
            self.gate.close();
        } else {
            self.gate.open();
        }
        match weather {
            Weather::LoginPage | Weather::Silence => server.plan("GET", "export", ServerFault::LoginPage, u32::MAX),
            Weather::RefusedLogin => server.plan("GET", "export", ServerFault::Status(401), u32::MAX),
            _ => {}
        }
        if let Some(disk) = &self.disk {
            let ballast = disk.join("ballast");
            if weather == Weather::FullDisk {
                fill(&ballast);
            } else if ballast.exists() {
                fs::remove_file(ballast).unwrap();
            }
        }
    }

    fn tick(&mut self, weather: Weather) {
        let start = Instant::now();
        for _ in 0..if weather == Weather::Crowded { 2 } else { 1 } {
            let mut command = Process::new(assert_cmd::cargo::cargo_bin!("mtdata"));
            let place = &self.office.post.authority;
            command.current_dir(self.office.lab.root()).args(["build", "-q"]).env("SSL_CERT_FILE", place);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = command.spawn().unwrap();
            self.running.push(std::thread::spawn(move || watch(child)));
        }
        match self.pace {
            Some(pace) => std::thread::sleep(pace.saturating_sub(start.elapsed())),
            None => self.wait(),
        }
    }

    fn wait(&mut self) {
        self.ended.extend(self.running.drain(..).map(|running| running.join().unwrap()));
    }

    /// Waits for the calls of a part, looks how they went, and says what the largest took: KiB and open files.
    fn end(&mut self, weather: Weather) -> (u64, usize) {
        self.wait();
        let good = u8::from(weather.title().is_some());
        let ended = std::mem::take(&mut self.ended);
        for tick in &ended {
            let quiet = tick.code != i32::from(good) || good == 1 || tick.printed.is_empty();
            assert!(
                [i32::from(good), 75].contains(&tick.code) && quiet,
                "{weather:?}: {}: {}",
                tick.code,
                tick.printed
            );
            assert!(tick.code != 75 || tick.printed.is_empty(), "{}", tick.printed);
        }
        assert!(ended.iter().any(|tick| tick.code != 75), "{weather:?}");
        let largest = |of: fn(&Tick) -> u64| ended.iter().map(of).max().unwrap();
        (largest(|tick| tick.peak), usize::try_from(largest(|tick| tick.open_files as u64)).unwrap())
    }

    fn size(&self) -> u64 {
        let home = self.office.lab.root().join(".mtdata");
        let files = fs::read_dir(home).unwrap().flatten().filter_map(|entry| entry.metadata().ok());
        files.filter(fs::Metadata::is_file).map(|found| found.len()).sum()
    }

    /// The logs were last written yesterday.
    fn midnight(&mut self) {
        self.wait();
        let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
        for entry in fs::read_dir(self.office.lab.root().join("data/logs")).unwrap().flatten() {
            OpenOptions::new().append(true).open(entry.path()).unwrap().set_modified(yesterday).unwrap();
        }
    }
}

/// Takes every byte that is left.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let zeros = [0; 1 << 12];
    while file.write_all(&zeros).is_ok() {}
}

/// Looks at a process as long as it lives.
fn watch(mut child: Child) -> Tick {
    let place = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut peak, mut open_files) = (0, 0);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let text = fs::read_to_string(place.join("status")).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        peak = peak.max(high.unwrap_or_default());
        open_files = open_files.max(fs::read_dir(place.join("fd")).map_or(0, Iterator::count));
        std::thread::sleep(Duration::from_millis(1));
    };
    let mut printed = String::new();
    child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    Tick { code: status.code().unwrap(), printed, peak, open_files }
}
