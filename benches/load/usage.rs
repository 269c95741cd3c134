//! What processes use while they run, from /proc.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use procfs::process::Process;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(100);

/// What one process has used by its last look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_s: f64,
    pub peak_bytes: u64,
}

/// Who is watched: a name, and the processes that had it one after the other.
type Watched = Arc<Mutex<BTreeMap<&'static str, BTreeMap<u32, Usage>>>>;

/// Looks at processes until it is stopped.
pub struct Sampler {
    watched: Watched,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sampler {
    pub fn start() -> Sampler {
        let (watched, stop) = (Watched::default(), Arc::<AtomicBool>::default());
        let (its_watched, its_stop) = (Arc::clone(&watched), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !its_stop.load(Ordering::Relaxed) {
                look(&its_watched);
                std::thread::park_timeout(EVERY);
            }
        });
        Sampler {
            watched,
            stop,
            thread,
        }
    }

    /// Watches a process under a name from now on, beside others of that name.
    pub fn watch(&self, name: &'static str, process: u32) {
        let mut watched = self.watched.lock().unwrap();
        watched
            .entry(name)
            .or_default()
            .insert(process, Usage::default());
        drop(watched);
        look(&self.watched);
    }

    /// What is known now.
    pub fn now(&self) -> BTreeMap<&'static str, Usage> {
        look(&self.watched);
        let watched = self.watched.lock().unwrap();
        let sum = |processes: &BTreeMap<u32, Usage>| Usage {
            cpu_s: processes.values().map(|usage| usage.cpu_s).sum(),
            peak_bytes: processes
                .values()
                .map(|usage| usage.peak_bytes)
                .max()
                .unwrap_or(0),
        };
        watched
            .iter()
            .map(|(name, processes)| (*name, sum(processes)))
            .collect()
    }

    pub fn stop(self) -> BTreeMap<&'static str, Usage> {
        let usage = self.now();
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().unwrap();
        usage
    }
}

fn look(watched: &Watched) {
    let mut watched = watched.lock().unwrap();
    for (process, usage) in watched.values_mut().flatten() {
        // One that has ended keeps what was seen of it last.
        let Ok(process) = Process::new(*process as i32) else {
            continue;
        };
        let (Ok(stat), Ok(status)) = (process.stat(), process.status()) else {
            continue;
        };
        let cpu_s = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
        // A process that has ended and was not waited for yet holds no memory any more.
        let peak_bytes = status.vmhwm.unwrap_or(0) * 1024;
        *usage = Usage {
            cpu_s: usage.cpu_s.max(cpu_s),
            peak_bytes: usage.peak_bytes.max(peak_bytes),
        };
    }
}
