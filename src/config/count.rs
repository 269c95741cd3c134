//! The configuration of `count`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::Counting;
use super::run::{StateConfig, state};
use crate::cli::count::{CountArgs, Format};
use crate::cli::run::OnGap;
use crate::engine::calendar::Period;
use crate::engine::catalog::Emission;
use crate::error::Failure;
use crate::io::source::lines::Input;
use crate::limits::MAX_FILES;

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
            if std::io::stdin().is_terminal() {
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
        let format = args.format.unwrap_or(if std::io::stdout().is_terminal() {
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
        let (quarantine_file, rejects_file) = (&args.quarantine_file, &args.rejects_file);
        check_aside(&inputs, quarantine_file.as_deref(), rejects_file.as_deref())?;
        Ok(Self {
            quarantine_file: quarantine_file.clone(),
            rejects_file: rejects_file.clone(),
            inputs,
            format,
            state,
            on_gap: args.on_gap,
            counting: Counting::resolve(
                &args.engine,
                emission,
                if periods == 0 {
                    Period::all_bits()
                } else {
                    periods
                },
            )?,
        })
    }
}

/// These files are written anew, so they must be neither one nor an input.
fn check_aside(
    inputs: &[Input],
    quarantine: Option<&Path>,
    rejects: Option<&Path>,
) -> Result<(), Failure> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let (Some(quarantine), Some(rejects)) = (quarantine, rejects)
        && real(quarantine) == real(rejects)
    {
        return Err(Failure::Usage(
            "--quarantine-file and --rejects-file must differ".to_owned(),
        ));
    }
    for path in quarantine.into_iter().chain(rejects) {
        let is_input = |input: &Input| match input {
            Input::Stdin => false,
            Input::File(other) => real(other) == real(path),
        };
        if inputs.iter().any(is_input) {
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
