//! The configuration of `count`.

use std::io::IsTerminal;
use std::path::Path;

use super::Counting;
use crate::cli::count::{CountArgs, Format};
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
    /// How to print.
    pub format: Format,
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
        let chosen = args.window.iter().map(|p| Period::from(*p).bit());
        let periods = chosen.fold(0, |all, bit| all | bit);
        Ok(Self {
            inputs,
            format,
            counting: Counting::resolve(
                &args.engine,
                Emission::Once,
                if periods == 0 {
                    Period::all_bits()
                } else {
                    periods
                },
            )?,
        })
    }
}

fn input(path: &Path) -> Input {
    if path == Path::new("-") {
        Input::Stdin
    } else {
        Input::File(path.to_owned())
    }
}
