//! The configuration of `count`.

use std::fs::{File, Metadata};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use super::Counting;
use super::run::{StateConfig, state};
use crate::cli::count::{CountArgs, Format};
use crate::cli::engine::EngineArgs;
use crate::cli::run::OnGap;
use crate::engine::calendar::Period;
use crate::engine::catalog::Emission;
use crate::error::Failure;
use crate::io::aside::lines::reasons_beside;
use crate::io::source::lines::Input;
use crate::limits::{MAX_FILES, MAX_THREADS};

/// The configuration of `count`.
#[derive(Debug, Clone)]
pub struct CountConfig {
    /// Inputs in the order of their names: the order on the command line must not matter.
    pub inputs: Vec<Input>,
    /// Where quarantined frames are written to as well, if anywhere.
    pub quarantine_file: Option<PathBuf>,
    /// Where rejected frames are written to as well, if anywhere.
    pub rejects_file: Option<PathBuf>,
    /// How to print.
    pub format: Format,
    /// Threads that decode.
    pub threads: usize,
    /// Where the state is kept, if anywhere.
    pub state: Option<StateConfig>,
    /// What to do where a file that the state knows has gone.
    pub on_gap: OnGap,
    /// How frames are counted.
    pub counting: Counting,
}

impl CountConfig {
    /// Checks the options of `count`.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(args: &CountArgs) -> Result<Self, Failure> {
        let mut inputs: Vec<_> = args.files.iter().map(|path| input(path)).collect();
        if inputs.is_empty() {
            if io::stdin().is_terminal() {
                return Err(Failure::Usage(
                    "nothing to read: name files, or pipe frames to standard input".to_owned(),
                ));
            }
            inputs.push(Input::Stdin);
        }
        if inputs.len() > MAX_FILES {
            return Err(Failure::Usage(format!("at most {MAX_FILES} files at once")));
        }
        inputs.sort();
        if let Some(pair) = inputs.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Failure::Usage(format!(
                "{} is named twice, which would count its frames twice",
                pair[0].name()
            )));
        }
        let format = args.format.unwrap_or(if io::stdout().is_terminal() {
            Format::Table
        } else {
            Format::Json
        });
        let state = state(args.state.as_ref(), args.checkpoint_interval)?;
        let emission = match (&state, format) {
            (None, _) => Emission::Once,
            // People want to see how things stand; whoever reads lines has the others already.
            (Some(_), format) => Emission::EachRun {
                unchanged: format == Format::Table,
            },
        };
        let chosen = args.window.iter().map(|p| Period::from(*p).bit());
        let periods = chosen.fold(0, |all, bit| all | bit);
        let engine = EngineArgs {
            threads: args.engine.threads.or_else(cores),
            ..args.engine.clone()
        };
        let counting = Counting::resolve(
            &engine,
            emission,
            if periods == 0 {
                Period::all_bits()
            } else {
                periods
            },
        )?;
        let (quarantine_file, rejects_file) = (&args.quarantine_file, &args.rejects_file);
        check_aside(&inputs, quarantine_file.as_deref(), rejects_file.as_deref())?;
        Ok(Self {
            quarantine_file: quarantine_file.clone(),
            rejects_file: rejects_file.clone(),
            inputs,
            format,
            state,
            on_gap: args.on_gap,
            threads: counting.threads,
            // One shard is enough for whoever admits the lines of all of these threads.
            counting: Counting {
                threads: 1,
                ..counting
            },
        })
    }
}

/// The cores that this process may use, as far as it can use them.
fn cores() -> Option<usize> {
    let cores = thread::available_parallelism().ok()?;
    Some(cores.get().min(MAX_THREADS))
}

/// What a path leads to: what is there, whatever its names, or where it would be made.
#[derive(PartialEq, Eq)]
enum Place {
    There { device: u64, inode: u64 },
    New(PathBuf),
}

impl Place {
    fn of(path: &Path) -> Self {
        if let Ok(there) = path.metadata() {
            return Self::There {
                device: there.dev(),
                inode: there.ino(),
            };
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new(".")).canonicalize();
        Self::New(match (folder, path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path.to_owned(),
        })
    }

    /// None for a standard input that is no file.
    fn of_input(input: &Input) -> Option<Self> {
        match input {
            Input::File(path) => Some(Self::of(path)),
            Input::Stdin => {
                let stdin = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
                let there = stdin.metadata().ok().filter(Metadata::is_file)?;
                Some(Self::There {
                    device: there.dev(),
                    inode: there.ino(),
                })
            }
        }
    }
}

/// These files and those of their reasons are written anew, so no two of them may be one, and none may be an input.
fn check_aside(
    inputs: &[Input],
    quarantine: Option<&Path>,
    rejects: Option<&Path>,
) -> Result<(), Failure> {
    let written = |path: Option<&Path>| -> Vec<PathBuf> {
        let files = path.map(|path| [path.to_owned(), reasons_beside(path)]);
        files.into_iter().flatten().collect()
    };
    let (quarantine, rejects) = (written(quarantine), written(rejects));
    let is_also_written = |path: &PathBuf| {
        let place = Place::of(path);
        quarantine.iter().any(|other| Place::of(other) == place)
    };
    if rejects.iter().any(is_also_written) {
        return Err(Failure::Usage(
            "--quarantine-file and --rejects-file must differ, and so must their .reasons"
                .to_owned(),
        ));
    }
    let read: Vec<_> = inputs.iter().filter_map(Place::of_input).collect();
    for path in quarantine.iter().chain(&rejects) {
        if read.contains(&Place::of(path)) {
            return Err(Failure::Usage(format!(
                "{} is read; it cannot be written at the same time",
                path.display()
            )));
        }
    }
    Ok(())
}

fn input(path: &Path) -> Input {
    if path == Path::new("-") {
        Input::Stdin
    } else {
        Input::File(path.to_owned())
    }
}
