//! A long life full of trouble: the service and its broker are killed, stopped and frozen, the output refuses, the disk is
//! full, rubbish comes, under load all the while. Memory, open files and the state stay as they are, and in the end all is
//! as without an accident.
#![allow(
    clippy::disallowed_methods,
    reason = "how long a soak lasts is real time"
)]

use crate::case::{Case, PARTITIONS};
use crate::dice::Dice;
use crate::load::{outlast, under_load};
use crate::refused::TOO_SMALL;
use crate::support::broker::Broker;
use crate::support::process::Service;
use crate::support::{short_or_long, skip};
use crate::world::{Frame, NOON, Published, SOON, Tail, bad, seen, set_topic_config, stop};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Frames of a part, and of a burst of rubbish.
const PART: u32 = 720;
const RUBBISH: u32 = 300;
/// Room for state, journal and copy, and not for much more.
const DISK: &str = "size=128m";
/// Ticks on a full disk, at the most, until a checkpoint needs room there: for a while its files may have enough of their own.
const FULL_FOR_TICKS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    ServiceKilled,
    ServiceStopped,
    ServiceFrozen,
    BrokerKilled,
    BrokerStopped,
    BrokerFrozen,
    OutputRefuses,
    DiskFull,
    Rubbish,
}

const ALL: [Trouble; 9] = [
    Trouble::ServiceKilled,
    Trouble::ServiceStopped,
    Trouble::ServiceFrozen,
    Trouble::BrokerKilled,
    Trouble::BrokerStopped,
    Trouble::BrokerFrozen,
    Trouble::OutputRefuses,
    Trouble::DiskFull,
    Trouble::Rubbish,
];

/// Six minutes; some frames are late by up to an hour, some are far ahead of their time, some are broken.
fn part(number: u32) -> Vec<Frame> {
    let frame = |n: u32| {
        let partition = n as i32 % PARTITIONS;
        let now = NOON + number * 360 + n / 2;
        match n {
            n if n % 97 == 5 => bad(partition, "uid_missing", Some(b"{}")),
            n if n % 89 == 7 => seen(partition, n, now + (1 << (20 + n % 8))),
            n if n % 61 == 3 => seen(partition, n % 50, now - n * 7 % 4_000),
            n => seen(partition, (number * 131 + n * 7) % 900, now),
        }
    };
    (0..PART).map(frame).collect()
}

fn rubbish() -> Vec<Frame> {
    let frame = |n: u32| match n % 3 {
        0 => bad(n as i32 % PARTITIONS, "tombstone", None),
        1 => bad(n as i32 % PARTITIONS, "utf8", Some(b"{\"uid\":\"\xff")),
        _ => bad(n as i32 % PARTITIONS, "json", Some(&[b'['; 5_000])),
    };
    (0..RUBBISH).map(frame).collect()
}

/// A small file system in memory, where whoever runs the tests may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir(at).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "headcount-test"]);
        let mounted = mount.arg(at).output().is_ok_and(|out| out.status.success());
        if !mounted {
            fs::remove_dir(at).expect("it is empty");
            skip("no small file system can be mounted here, so no disk is full in the soak");
        }
        mounted.then(|| SmallDisk(at.to_owned()))
    }

    /// Takes all the room there is; dropping the file gives it back.
    fn fill(&self) -> Filling {
        let path = self.0.join("filling");
        let mut file = File::create(&path).expect("a file");
        let filling = Filling(path);
        let mut block = vec![1; 1 << 20];
        // Down to the last byte.
        while !block.is_empty() {
            if file.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        filling
    }
}

struct Filling(PathBuf);

impl Drop for Filling {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a service that is not dead yet may have files open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// What the service takes of the machine.
#[derive(Debug, Clone, Copy)]
struct Taken {
    resident_kib: u64,
    open_files: usize,
    state_bytes: u64,
}

struct Soak<'a> {
    broker: &'a Broker,
    case: &'a Case,
    disk: Option<&'a SmallDisk>,
    service: Service,
    ticks: Tail,
    /// Frames sent beside the parts.
    rubbish: u32,
    /// How often a full disk kept a checkpoint from being written.
    full: usize,
}

impl Soak<'_> {
    fn suffer(&mut self, trouble: Trouble, duration: Duration) {
        let (broker, case) = (self.broker, self.case);
        match trouble {
            Trouble::ServiceKilled => {
                self.service.signal("KILL");
                self.service.wait(SOON);
                self.service = case.start("2");
            }
            Trouble::ServiceStopped => {
                stop(&mut self.service);
                self.service = case.start("3");
            }
            Trouble::ServiceFrozen => {
                self.service.signal("STOP");
                outlast(duration);
                self.service.signal("CONT");
            }
            Trouble::BrokerKilled | Trouble::BrokerStopped => {
                match trouble {
                    Trouble::BrokerKilled => broker.kill(),
                    _ => broker.stop(),
                }
                outlast(duration);
                broker.restart();
                self.service.stderr_line("answer again", SOON);
            }
            Trouble::BrokerFrozen => {
                broker.signal("STOP");
                outlast(duration);
                broker.signal("CONT");
            }
            Trouble::OutputRefuses => {
                self.limit_outputs(TOO_SMALL);
                self.service.stderr_line("was not delivered", SOON);
                outlast(duration);
                self.limit_outputs("1000000");
            }
            Trouble::DiskFull => {
                let Some(disk) = self.disk else { return };
                let told = self.not_written();
                let _filling = disk.fill();
                for _ in 0..FULL_FOR_TICKS {
                    if self.not_written() > told {
                        self.full += 1;
                        break;
                    }
                    self.ticks.until("a tick", |_| true);
                }
                outlast(duration);
            }
            Trouble::Rubbish => {
                case.job.send(&rubbish());
                self.rubbish += RUBBISH;
            }
        }
    }

    /// How many checkpoints this life of the service failed to write.
    fn not_written(&mut self) -> usize {
        self.service.stderr().matches("was not written").count()
    }

    fn limit_outputs(&self, bytes: &str) {
        for topic in [&self.case.job.stats, &self.case.job.windows] {
            set_topic_config(&self.case.job.address, topic, "max.message.bytes", bytes);
        }
    }

    /// Until it counts what comes, as if nothing had been.
    fn recover(&mut self) {
        let reached = self.ticks.seen.last().map_or(0, Published::reflected);
        let beyond = reached + i64::from(2 * PART);
        let lag = |tick: &Published| tick.get("/process/lag").as_i64();
        self.ticks.until("that has caught up", |tick| {
            tick.reflected() > beyond && lag(tick).is_some_and(|lag| lag < 2 * i64::from(PART))
        });
    }

    fn taken(&self) -> Taken {
        let files = fs::read_dir(self.case.state()).expect("a state").flatten();
        let sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
        Taken {
            resident_kib: self.service.memory_kib("VmRSS").expect("it lives"),
            open_files: self.service.open_files().expect("it lives"),
            state_bytes: sizes.sum(),
        }
    }
}

/// The service has three Kafka clients. Each has a socket, if it is connected, and the two ends of a pipe for a broker under each address
/// that it knows it by (the one that it was given, the one that the broker says, the coordinator's), and which of them it has after an
/// outage is chance: four connections more or less. A leak in each outage shows in the long form.
const FILES_BY_CHANCE: u64 = 4 * 3;

/// The second half takes no more than the first one did, but for a little.
fn assert_flat(taken: &[Taken]) {
    let (first, second) = taken.split_at(taken.len() / 2);
    let most = |of: &[Taken], what: fn(&Taken) -> u64| of.iter().map(what).max().expect("some");
    let memory = |taken: &Taken| taken.resident_kib;
    let files = |taken: &Taken| taken.open_files as u64;
    let state = |taken: &Taken| taken.state_bytes;
    let is_flat = most(second, memory) < most(first, memory) * 5 / 4 + (16 << 10)
        && most(second, files) <= most(first, files) + FILES_BY_CHANCE
        && most(second, state) < most(first, state) * 3 / 2 + (4 << 20);
    assert!(is_flat, "{taken:#?}");
}

#[test]
fn a_life_full_of_trouble_takes_no_more_and_more_and_ends_as_without() {
    let Some(broker) = Broker::start("soak") else {
        return;
    };
    let case = Case::new(&broker, "soak", &[]);
    let disk = SmallDisk::mount(&case.state());
    let (length, every, pause_ms) = short_or_long((120, 0, 250), (3_600, 60, 1_000));
    case.job.send(&part(0));
    let mut service = Service::spawn(case.command("2"));
    service.stderr_line("\"reading\"", SOON);
    let mut soak = Soak {
        broker: &broker,
        case: &case,
        disk: disk.as_ref(),
        service,
        ticks: case.job.ticks(),
        rubbish: 0,
        full: 0,
    };
    let mut had: BTreeMap<Trouble, usize> = BTreeMap::new();
    let mut taken = Vec::new();
    let pause = Duration::from_millis(pause_ms);
    let ((), parts) = under_load(&case.job, 1, pause, part, || {
        let mut dice = Dice::new(7);
        let mut deck = Vec::new();
        let start = Instant::now();
        // Every trouble at least once, however slow the machine is.
        while start.elapsed() < Duration::from_secs(length) || had.len() < ALL.len() {
            let trouble = deck.pop().unwrap_or_else(|| {
                deck = ALL.to_vec();
                dice.shuffle(&mut deck);
                deck.pop().expect("some")
            });
            let since = Instant::now();
            soak.suffer(trouble, Duration::from_secs(dice.between(1, 4) as u64));
            soak.recover();
            *had.entry(trouble).or_default() += 1;
            let now = soak.taken();
            taken.push(now);
            println!("{:>5} s {trouble:?}: {now:?}", start.elapsed().as_secs());
            outlast(Duration::from_secs(every).saturating_sub(since.elapsed()));
        }
    });
    let all = i64::from(parts * PART + soak.rubbish);
    soak.ticks
        .until("all frames", |tick| tick.reflected() == all);
    let stderr = stop(&mut soak.service);
    println!("{had:?}, {} times on a full disk", soak.full);
    // The first time at least: a young state needs room.
    assert!(
        disk.is_none() || soak.full > 0,
        "a full disk that nobody needed"
    );
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_flat(&taken);
    case.run_to_end("1");
    case.assert_as_without_an_accident();
    case.assert_ticks_can_be_had_again(short_or_long(2, 10), 3);
}
