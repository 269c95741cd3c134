//! What decoding costs: both decoders on every set of instructions that the CPU has, on frames of every kind.
//!
//! ```sh
//! cargo bench --bench decode                      # every row
//! cargo bench --bench decode -- 2k recorded       # some of the data
//! cargo bench --bench decode -- --once full-avx2  # decode the frames of 2 KB once, for valgrind and the like
//! cargo bench --bench decode -- --once full-avx2 recorded 40    # other data, forty times, for a profiler
//! ```
//!
//! In each round every contender reads the same frames once, one after the other, on one thread, so that what the machine
//! does meanwhile meets all alike. What counts is the processor time of the thread. A ratio is the median over the rounds
//! of `simd-json`'s time and the contender's of the same round; times are the least of all rounds. The frames lie one behind
//! the other in memory, as in a file's buffer. All contenders are held to the same verdicts.
//!
//! Where the C++ library simdjson is installed (Debian: `libsimdjson-dev`), its DOM parser is a contender: a program of a
//! few lines is compiled for it, and reads the same frames in the same rounds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a measurement is about real time, and says by panicking that it cannot go on"
)]

mod data;
mod rival;

use std::hint::black_box;

use headcount::engine::decode::{Decoder, Fields, Isa, Reading};
use headcount::engine::frame::Verdict;
use rustix::time::{ClockId, clock_gettime};

use data::Data;
use rival::Rival;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 11;

/// Seconds of processor time that this thread has had.
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

enum Reader {
    Decoder(Box<Decoder>),
    /// A bare search for newlines: what it takes to look at the bytes at all.
    Newlines,
    Rival(Rival),
}

struct Contender {
    name: String,
    reader: Reader,
    /// Of each round.
    seconds: Vec<f64>,
    digest: Option<u64>,
}

impl Contender {
    fn new(name: String, reader: Reader) -> Self {
        Self {
            name,
            reader,
            seconds: Vec::new(),
            digest: None,
        }
    }

    fn timed_round(&mut self, data: &Data) {
        if let Reader::Rival(rival) = &mut self.reader {
            self.seconds.push(rival.round());
            return;
        }
        let begin = cpu_s();
        self.round(data);
        self.seconds.push(cpu_s() - begin);
    }

    /// Looks at no clock: rustix asks the vDSO for it, and valgrind hides that.
    fn round(&mut self, data: &Data) {
        match &mut self.reader {
            Reader::Decoder(decoder) => self.digest = Some(black_box(digest(decoder, data))),
            Reader::Newlines => {
                black_box(
                    memchr::memchr_iter(b'\n', data.text())
                        .map(|at| at as u64)
                        .sum::<u64>(),
                );
            }
            Reader::Rival(rival) => {
                rival.round();
            }
        }
    }

    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// How many times as fast as the other one.
    fn times_as_fast_as(&self, other: &Self) -> f64 {
        let pairs = self.seconds.iter().zip(&other.seconds);
        let mut ratios: Vec<f64> = pairs.map(|(own, other)| other / own).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// Something of every verdict.
fn digest(decoder: &mut Decoder, data: &Data) -> u64 {
    let mut digest = 0_u64;
    for frame in data.frames() {
        digest = digest.wrapping_add(match decoder.decode(Some(frame)) {
            Verdict::Seen(user, ts) => user.0 ^ u64::from(ts),
            Verdict::Ignored => 1,
            Verdict::Rejected(reason) => 2 + reason as u64,
        });
    }
    digest
}

fn fields(reading: Reading) -> Fields {
    Fields {
        reading,
        ..Fields::default()
    }
}

/// Everybody, `simd-json` first.
fn contenders() -> Vec<Contender> {
    let boxed = |decoder| Reader::Decoder(Box::new(decoder));
    let mut all = vec![Contender::new(
        "simd-json".to_owned(),
        boxed(Decoder::new(fields(Reading::SimdJson))),
    )];
    for (kind, reading) in [("full", Reading::Full), ("fields", Reading::FieldsOnly)] {
        for isa in Isa::available() {
            let decoder = Decoder::on(isa, fields(reading)).expect("it is available");
            all.push(Contender::new(
                format!("{kind}-{}", isa.name()),
                boxed(decoder),
            ));
        }
    }
    all.push(Contender::new("newlines".to_owned(), Reader::Newlines));
    all
}

/// Measures all on some data, and returns nanoseconds a byte of the fastest full decoder.
fn measure(data: &Data) -> f64 {
    let mut all = contenders();
    if let Some(rival) = Rival::start(data) {
        all.push(Contender::new(
            "simdjson-dom".to_owned(),
            Reader::Rival(rival),
        ));
    }
    for _ in 0..ROUNDS {
        for contender in &mut all {
            contender.timed_round(data);
        }
    }
    let (frames, bytes) = (data.frames().count(), data.text().len());
    println!(
        "\n{}: {frames} frames of {} bytes",
        data.name,
        bytes / frames
    );
    println!(
        "  {:<16} {:>12} {:>8} {:>12} {:>12}",
        "", "ns a frame", "GB/s", "x simd-json", "x newlines"
    );
    let newlines = all
        .iter()
        .find(|one| one.name == "newlines")
        .expect("it is there");
    for one in &all {
        if let (Some(own), Some(reference)) = (one.digest, all[0].digest) {
            assert_eq!(
                own, reference,
                "{} gives other verdicts than simd-json",
                one.name
            );
        }
        println!(
            "  {:<16} {:>12.1} {:>8.2} {:>12.2} {:>12.2}",
            one.name,
            one.least() * 1e9 / frames as f64,
            bytes as f64 / one.least() / 1e9,
            one.times_as_fast_as(&all[0]),
            one.times_as_fast_as(newlines),
        );
    }
    let rival = all.iter().find(|one| one.name == "simdjson-dom");
    for (one, rival) in all.iter().zip(std::iter::repeat(rival)) {
        if let (true, Some(rival)) = (one.name.starts_with("full"), rival) {
            println!(
                "  {}: {:.2} x simdjson's DOM",
                one.name,
                one.times_as_fast_as(rival)
            );
        }
    }
    all[1].least() * 1e9 / bytes as f64
}

/// Decodes some data so many times with the contender of that name, and times nothing.
fn once(name: &str, data: Option<&String>, times: Option<&String>) {
    let times = times.map_or(1, |times| times.parse().expect("a number of times"));
    let mut all = contenders();
    let names: Vec<_> = all.iter().map(|one| one.name.clone()).collect();
    let Some(one) = all.iter_mut().find(|one| one.name == name) else {
        eprintln!(
            "decode: there is no {name} here; one of {}",
            names.join(", ")
        );
        std::process::exit(2);
    };
    let data = match data {
        None => Some(Data::of_size("2k", 2_048, 2 << 20)),
        Some(word) => (data::ALL.iter())
            .find(|(name, _)| name == word)
            .and_then(|(name, make)| make(name)),
    };
    let Some(data) = data else {
        eprintln!("decode: there is no such data here");
        std::process::exit(2);
    };
    for _ in 0..times {
        one.round(&data);
    }
    println!(
        "{name}: {} frames, {} bytes",
        data.frames().count(),
        data.text().len()
    );
}

fn main() {
    // Cargo itself adds --bench.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let [flag, name, rest @ ..] = &words[..]
        && flag == "--once"
    {
        return once(name, rest.first(), rest.get(1));
    }
    let mut per_byte = Vec::new();
    for (name, make) in data::ALL {
        if words.is_empty() || words.iter().any(|word| word == name) {
            match make(name) {
                Some(data) => per_byte.push((*name, measure(&data))),
                None => println!("\n{name}: no such data here"),
            }
        }
    }
    let of = |name: &str| {
        per_byte
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, ns)| ns)
    };
    if let (Some(small), Some(usual)) = (of("100b"), of("2k")) {
        println!(
            "\nfull, 100-byte frames: {:.2} x the time a byte of those of 2 KB",
            small / usual
        );
    }
}
