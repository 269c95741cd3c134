//! How frames are read and counted: the options that `run` and `count` share.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::cli::engine::{DecoderName, EngineArgs, Validation};
use crate::engine::admit::Rules;
use crate::engine::calendar::{Calendar, Period};
use crate::engine::catalog::Emission;
use crate::engine::clock::ClockRules;
use crate::engine::decode::{Fields, Isa, Reading};
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::limits::{
    LATENESS_MAX_S, MAX_JUMP_MAX_S, MAX_LATENESS_MAX_S, MAX_THREADS, PRECISION_MAX, PRECISION_MIN,
    RETENTION_MAX_S,
};

/// The longest year, in seconds: what `--max-lateness` is beyond the longest retention unless it is given.
const YEAR_S: u64 = 366 * 86_400;

/// How frames are read and counted.
#[derive(Debug, Clone)]
pub struct Counting {
    /// Worker threads that own the sketches.
    pub threads: usize,
    /// Precision of every sketch.
    pub precision: Precision,
    /// What admission goes by.
    pub rules: Rules,
    /// What frames look like.
    pub fields: Fields,
}

impl Counting {
    /// The defaults of `run`, with so many threads.
    pub(super) fn standard(threads: usize) -> Self {
        let day_s = 86_400;
        Self {
            threads,
            precision: Precision::default(),
            rules: Rules {
                calendar: Calendar::utc(),
                clock: ClockRules {
                    lateness_s: 5,
                    max_lateness_s: 1_095 * day_s as u32 + YEAR_S as u32,
                    max_jump_s: 60,
                },
                retention_s: [
                    day_s / 4,
                    40 * day_s,
                    1_095 * day_s,
                    1_095 * day_s,
                    1_095 * day_s,
                    1_095 * day_s,
                ],
                emission: Emission::Live,
                periods: Period::all_bits(),
            },
            fields: Fields::default(),
        }
    }

    pub(super) fn resolve(
        args: &EngineArgs,
        emission: Emission,
        periods: u8,
    ) -> Result<Self, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let threads = args.threads.unwrap_or(1);
        if !(1..=MAX_THREADS).contains(&threads) {
            return usage(format!(
                "--threads must be 1 to {MAX_THREADS}, not {threads}"
            ));
        }
        let Some(precision) = Precision::new(args.precision) else {
            return usage(format!(
                "--precision must be {PRECISION_MIN} to {PRECISION_MAX}, not {}",
                args.precision
            ));
        };
        if args.uid_field == args.ts_field {
            return usage("--uid-field and --ts-field must differ".to_owned());
        }
        let retention_s = retention(args)?;
        Ok(Self {
            threads,
            precision,
            rules: Rules {
                calendar: calendar(&args.timezone)?,
                clock: clock(args, &retention_s)?,
                retention_s,
                emission,
                periods,
            },
            fields: Fields {
                uid: args.uid_field.clone(),
                ts: args.ts_field.clone(),
                ts_unit: args.ts_unit,
                ignored_uids: args.ignore_uid.clone(),
                reading: reading(args)?,
                instructions: instructions(args.decoder)?,
            },
        })
    }
}

fn reading(args: &EngineArgs) -> Result<Reading, Failure> {
    match (args.decoder, args.validate) {
        (DecoderName::SimdJson, Validation::Full) => Ok(Reading::SimdJson),
        (DecoderName::SimdJson, Validation::Fields) => Err(Failure::Usage(
            "--validate fields needs --decoder on-demand: simd-json always reads the whole frame"
                .to_owned(),
        )),
        (_, Validation::Full) => Ok(Reading::Full),
        (_, Validation::Fields) => Ok(Reading::FieldsOnly),
    }
}

/// The instructions that a decoder is named after.
fn instructions(decoder: DecoderName) -> Result<Option<Isa>, Failure> {
    let isa = match decoder {
        DecoderName::OnDemand | DecoderName::SimdJson => return Ok(None),
        DecoderName::Avx512 => Isa::Avx512,
        DecoderName::Avx2 => Isa::Avx2,
        DecoderName::Portable => Isa::Portable,
    };
    if Isa::available().any(|available| available == isa) {
        return Ok(Some(isa));
    }
    let best = Isa::available().next().map_or("portable", Isa::name);
    Err(Failure::Usage(format!(
        "this CPU has not all instructions that --decoder {} needs; --decoder on-demand takes the best that it has, which are {best}",
        isa.name()
    )))
}

fn calendar(name: &str) -> Result<Calendar, Failure> {
    if name == "UTC" {
        return Ok(Calendar::utc());
    }
    match TimeZone::get(name) {
        Ok(zone) => {
            let name = zone.iana_name().unwrap_or(name).to_owned();
            Ok(Calendar::new(zone, &name))
        }
        Err(_) => Err(Failure::Usage(format!(
            "--timezone '{name}' is not known; give an IANA name such as Europe/Zurich or UTC"
        ))),
    }
}

fn clock(args: &EngineArgs, retention_s: &[i64; Period::ALL.len()]) -> Result<ClockRules, Failure> {
    let lateness_s = whole_seconds("--lateness", args.lateness, LATENESS_MAX_S)?;
    let max_jump_s = whole_seconds("--max-jump", args.max_jump, MAX_JUMP_MAX_S)?;
    let longest_s = retention_s.iter().copied().max().unwrap_or(0);
    let max_lateness_s = match args.max_lateness {
        Some(given) => whole_seconds("--max-lateness", given, MAX_LATENESS_MAX_S)?,
        None => (longest_s as u64 + YEAR_S).min(MAX_LATENESS_MAX_S) as u32,
    };
    if max_lateness_s < lateness_s {
        return Err(Failure::Usage(
            "--max-lateness must be at least --lateness".to_owned(),
        ));
    }
    Ok(ClockRules {
        lateness_s,
        max_lateness_s,
        max_jump_s,
    })
}

fn whole_seconds(option: &str, given: Duration, most_s: u64) -> Result<u32, Failure> {
    let seconds = u32::try_from(given.as_secs()).ok();
    let seconds = seconds.filter(|s| u64::from(*s) <= most_s && given.subsec_millis() == 0);
    seconds.ok_or_else(|| {
        Failure::Usage(format!(
            "{option} must be whole seconds, at most {} days",
            most_s / 86_400
        ))
    })
}

fn retention(args: &EngineArgs) -> Result<[i64; Period::ALL.len()], Failure> {
    let given = [
        args.retain_minutes,
        args.retain_hours,
        args.retain_days,
        args.retain_weeks,
        args.retain_months,
        args.retain_years,
    ];
    for (period, retention) in Period::ALL.into_iter().zip(given) {
        if retention.as_secs() > RETENTION_MAX_S {
            return Err(Failure::Usage(format!(
                "--retain-{}s must be at most {} days",
                period.name(),
                RETENTION_MAX_S / 86_400
            )));
        }
    }
    Ok(given.map(|r| r.as_secs() as i64))
}
