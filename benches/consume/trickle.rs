//! What a trickle costs: the share of a core of `headcount run` and of loops that drop the frames, and how long a frame takes
//! from its producer to the reader.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headcount::io::source::{Event, Source};
use procfs::process::Process;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::{Options, reader};

const FRAMES_PER_S: u64 = 1_000;
/// Until the clients have found their brokers and their pace.
const SETTLING: Duration = Duration::from_secs(4);
/// More frames than are ever sent: a loop that waits for them does not end by itself.
const WITHOUT_END: u64 = u64::MAX;

/// Measures one after the other, for so long each.
pub(super) fn compare(options: &Options, seconds: u64) {
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut options = Options {
        frames: WITHOUT_END,
        ..options.clone()
    };
    for kind in ["headcount", "ours", "default"] {
        options.topic = Some(format!("trickle-{}-{kind}", began.as_millis()));
        options.make_topic();
        let traffic = Traffic::start(&options);
        let mut command = match kind {
            "headcount" => service(&options),
            kind => options.bare(kind),
        };
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        thread::park_timeout(SETTLING);
        let before_s = cpu_s(&child);
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(seconds) {
            thread::park_timeout(Duration::from_millis(100));
        }
        let share = (cpu_s(&child) - before_s) / since.elapsed().as_secs_f64();
        println!("{kind}: {:.2} % of a core", 100.0 * share);
        child.kill().unwrap();
        child.wait().unwrap();
        traffic.stop();
    }
    options.topic = Some(format!("trickle-{}-time", began.as_millis()));
    options.make_topic();
    time(&options, seconds);
}

/// The service as it runs by itself, but for its state.
fn service(options: &Options) -> Command {
    let mut command = options.headcount();
    let topic = options.topic();
    command.args(["run", "-b", &options.broker, "-t", &topic]);
    command.args(["-o", &format!("{topic}-users"), "--job", &topic]);
    command.args(&options.options);
    command
}

fn cpu_s(child: &Child) -> f64 {
    let tasks = Process::new(child.id() as i32).unwrap().tasks().unwrap();
    let times = tasks.filter_map(|task| task.ok()?.schedstat().ok());
    times.map(|times| times.sum_exec_runtime as f64 / 1e9).sum()
}

/// Frames of 2 KB, evenly spaced, each on its own way at once; every one says when it was sent.
struct Traffic {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl Traffic {
    fn start(options: &Options) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &options.broker)
            .set("compression.type", &options.compression)
            .set("linger.ms", "0")
            .create()
            .unwrap();
        let (topic, partitions) = (options.topic(), options.partitions);
        let filler = options.one_frame();
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut sent = 0_u64;
            let began = Instant::now();
            while !over.load(Ordering::Relaxed) {
                let due = began + Duration::from_nanos(sent * 1_000_000_000 / FRAMES_PER_S);
                if let Some(early) = due.checked_duration_since(Instant::now()) {
                    thread::park_timeout(early);
                    continue;
                }
                let mut frame = filler.clone();
                let ts = now().as_secs();
                let (uid, ns) = (sent % 100_000, now().as_nanos());
                let head = format!("{{\"at\":\"{ns:020}\",\"uid\":\"{uid}\",\"ts\":{ts},\"x\":");
                frame.insert_str(0, &head);
                frame.push('}');
                let record = BaseRecord::<(), _>::to(&topic)
                    .payload(frame.as_bytes())
                    .partition((sent % partitions as u64) as i32);
                producer.send(record).unwrap();
                producer.poll(Duration::ZERO);
                sent += 1;
            }
            producer.flush(Duration::from_secs(10)).unwrap();
        });
        Self { is_over, thread }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// How long frames take from their producer to the reader that hands them to be counted.
fn time(options: &Options, seconds: u64) {
    let traffic = Traffic::start(options);
    let mut reader = reader(options);
    let mut took_ms = Vec::new();
    let began = Instant::now();
    while began.elapsed() < SETTLING + Duration::from_secs(seconds) {
        let is_settled = began.elapsed() > SETTLING;
        let mut on = |event: Event<'_>| {
            if let Event::Frame {
                payload: Some(frame),
                ..
            } = event
                && is_settled
            {
                let sent_ns = std::str::from_utf8(&frame[7..27]).unwrap().parse::<u64>();
                took_ms.push((now().as_nanos() as u64 - sent_ns.unwrap()) as f64 / 1e6);
            }
            Ok(None)
        };
        reader.poll(Duration::from_millis(50), &mut on).unwrap();
    }
    traffic.stop();
    took_ms.sort_by(f64::total_cmp);
    let at = |share: f64| took_ms[((took_ms.len() - 1) as f64 * share) as usize];
    println!(
        "{} frames, from the producer to the reader: half within {:.1} ms, 90 % within {:.1}, 99 % within {:.1}, all within {:.1}",
        took_ms.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
    );
}
