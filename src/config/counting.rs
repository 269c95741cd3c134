//! How frames are read and counted: the options that `run` and `count` share.

use jiff::tz::TimeZone;

use crate::cli::engine::EngineArgs;
use crate::engine::admit::Rules;
use crate::engine::calendar::{Calendar, Period};
use crate::engine::catalog::Emission;
use crate::engine::decode::Fields;
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::limits::{LATENESS_MAX_S, MAX_THREADS, PRECISION_MAX, PRECISION_MIN, RETENTION_MAX_S};

/// How frames are read and counted.
#[derive(Debug, Clone)]
pub struct Counting {
    /// Worker threads.
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
                lateness_s: 5,
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
        if !(1..=MAX_THREADS).contains(&args.threads) {
            return usage(format!(
                "--threads must be 1 to {MAX_THREADS}, not {}",
                args.threads
            ));
        }
        let Some(precision) = Precision::new(args.precision) else {
            return usage(format!(
                "--precision must be {PRECISION_MIN} to {PRECISION_MAX}, not {}",
                args.precision
            ));
        };
        let lateness_s = args.lateness.as_secs();
        if lateness_s > LATENESS_MAX_S || args.lateness.subsec_millis() != 0 {
            return usage(format!(
                "--lateness must be whole seconds, at most {} days",
                LATENESS_MAX_S / 86_400
            ));
        }
        if args.uid_field == args.ts_field {
            return usage("--uid-field and --ts-field must differ".to_owned());
        }
        Ok(Self {
            threads: args.threads,
            precision,
            rules: Rules {
                calendar: calendar(&args.timezone)?,
                lateness_s: lateness_s as u32,
                retention_s: retention(args)?,
                emission,
                periods,
            },
            fields: Fields {
                uid: args.uid_field.clone(),
                ts: args.ts_field.clone(),
                ts_unit: args.ts_unit,
                ignored_uids: args.ignore_uid.clone(),
            },
        })
    }
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
