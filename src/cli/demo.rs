//! Makes a project with a synthetic study, serves it on loopback, builds it, says where the report is.

use crate::cli::arguments::{BuildArguments, DemoArguments, ProjectArguments};
use crate::cli::{Exit, Fault, build};
use crate::demo::project::{NoDemo, SERVER, open};
use crate::demo::study::Options;
use crate::output::answer;
use crate::pool::paths::ServerFolder;
use crate::run::signals::Signals;

pub fn run(project: &ProjectArguments, arguments: &DemoArguments) -> Result<Exit, Fault> {
    let here = std::env::current_dir().map_err(|error| Fault::usage(error.to_string()))?;
    let start = project.folder.as_ref().map_or_else(|| here.clone(), |folder| here.join(folder));
    let folder: std::path::PathBuf = start.join(&arguments.directory).components().collect();
    let options = Options { participants: arguments.participants, days: arguments.days, seed: arguments.seed };
    let demo = open(&folder, options).map_err(|no_demo| match no_demo {
        NoDemo::Taken(path) => Fault::usage(format!(
            "{} is not empty and no demo; name another folder: mtdata demo DIR",
            build::shown(&path).display()
        )),
        NoDemo::PortTaken(port) => Fault::failed(format!(
            "port {port} of this demo is taken: is it up already with --serve? Then `mtdata -C {} build` is all it needs",
            build::shown(&folder).display()
        )),
        NoDemo::Io(path, error) => Fault::failed(format!("{}: {error}", path.display())),
        NoDemo::Broken(what) => Fault::failed(what),
    })?;
    let inside = ProjectArguments { file: None, folder: Some(demo.folder.clone()), ..ProjectArguments::default() };
    let exit = build::run(&inside, &BuildArguments { targets: Vec::new(), run: arguments.options(), prune: false })?;
    let report = ServerFolder::new(demo.folder.join("data").join(SERVER)).reports().join("index.html");
    if report.exists() {
        answer!("report: {}", build::shown(&report).display());
    }
    if arguments.serve {
        answer!("server: {} until Ctrl-C", demo.server.url());
        answer!("build again:  mtdata -C {} build", build::shown(&demo.folder).display());
        let signals = Signals::watch().map_err(|error| Fault::failed(error.to_string()))?;
        while signals.stop().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    Ok(exit)
}

impl DemoArguments {
    fn options(&self) -> crate::cli::arguments::RunOptions {
        crate::cli::arguments::RunOptions {
            quiet: self.quiet,
            verbose: !self.quiet && self.verbose,
            ..Default::default()
        }
    }
}
