//! A reader against brokers in memory.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;
use std::time::Duration;

use super::super::{Event, Source};
use crate::io::clock::ManualClock;

/// More than enough for an answer of brokers in memory.
const LIMIT: Duration = Duration::from_secs(60);
const TRIES: usize = 3_000;
const STEP: Duration = Duration::from_millis(20);

struct World {
    _cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
    reader: Reader,
    offsets: Vec<i64>,
    ends: usize,
    finished: usize,
}

impl World {
    fn new() -> Self {
        Self::with(0, None)
    }

    /// With so many frames before anybody reads, which is up to there.
    fn with(frames: usize, end: Option<i64>) -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("users", 1, 1).expect("a topic");
        let connection = Connection::new(cluster.bootstrap_servers(), Vec::new());
        let producer = connection
            .configure(&[])
            .create()
            .expect("a valid configuration");
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
        let topics = ["users".to_owned()];
        let consumers = consumers(&connection, "group", &topics, From::Earliest, 1, &clock);
        let reader = consumers.expect("a valid configuration").readers.remove(0);
        let mut world = Self {
            _cluster: cluster,
            producer,
            reader,
            offsets: Vec::new(),
            ends: 0,
            finished: 0,
        };
        world.produce(frames);
        let follow = Order::Follow {
            index: 0,
            topic: 0,
            partition: 0,
            offset: 0,
            end,
        };
        world.reader.obey(follow).expect("a partition to follow");
        world
    }

    fn produce(&self, frames: usize) {
        for _ in 0..frames {
            let record = BaseRecord::<(), str>::to("users")
                .payload("{}")
                .partition(0);
            self.producer.send(record).expect("room for a frame");
        }
        self.producer.flush(LIMIT).expect("acknowledged frames");
    }

    fn hold(&mut self, waits: bool) {
        let hold = Order::Hold { index: 0, waits };
        self.reader.obey(hold).expect("no refusal");
    }

    /// Reads until this is so.
    fn read_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..TRIES {
            if is_so(self) {
                return;
            }
            let (offsets, ends) = (&mut self.offsets, &mut self.ends);
            let finished = &mut self.finished;
            let polled = self.reader.poll(STEP, &mut |event| {
                match event {
                    Event::Frame { offset, .. } => offsets.push(offset),
                    Event::ReachedEnd(_) => *ends += 1,
                    Event::Finished(_) => *finished += 1,
                }
                Ok(None)
            });
            polled.expect("no failure");
        }
        panic!("read {:?} and {} ends, no more", self.offsets, self.ends);
    }
}

/// The client library resumes behind the next frame, when it has handed out the end of a partition in a batch.
#[test]
fn a_partition_that_was_held_at_its_end_goes_on_without_a_hole() {
    let mut world = World::new();
    world.produce(3);
    world.read_until(|world| world.ends == 1);
    world.hold(true);
    world.produce(2);
    world.hold(false);
    world.read_until(|world| world.offsets.len() >= 5 || world.ends == 2);
    assert_eq!(world.offsets, [0, 1, 2, 3, 4]);
}

#[test]
fn a_partition_that_is_held_delivers_nothing_until_it_goes_on() {
    let mut world = World::new();
    world.hold(true);
    world.produce(600);
    let go_on = Order::GoOn {
        index: 0,
        offset: 100,
    };
    world.reader.obey(go_on).expect("no refusal");
    for _ in 0..5 {
        world
            .reader
            .poll(STEP, &mut |_| panic!("an event"))
            .expect("no failure");
    }
    world.hold(false);
    // The first batch, and nothing of what was fetched behind it.
    world.read_until(|world| !world.offsets.is_empty());
    world.hold(true);
    world.hold(true);
    world.hold(false);
    world.read_until(|world| world.offsets.len() >= 500);
    assert_eq!(world.offsets, (100..600).collect::<Vec<i64>>());
}

/// Its beginning is gone, or it was made anew, when all of it was on its way already.
#[test]
fn a_partition_that_was_read_to_its_end_goes_on_where_it_is_told_to() {
    let mut world = World::with(20, Some(20));
    world.read_until(|world| world.finished == 1);
    assert_eq!(world.offsets, (0..20).collect::<Vec<i64>>());
    for (offset, finished) in [(5, 2), (20, 3), (0, 4), (30, 5)] {
        world.offsets.clear();
        let go_on = Order::GoOn { index: 0, offset };
        world.reader.obey(go_on).expect("no refusal");
        world.read_until(|world| world.finished == finished);
        assert_eq!(world.offsets, (offset..20).collect::<Vec<i64>>());
    }
}

#[test]
fn where_a_log_parted_is_read_out_of_what_the_client_says() {
    let told = |text: &str| LostPlace::told(3, text).parted_at;
    let truncated = "Partition log truncation detected at offset 80 (leader epoch 0): broker end offset is 50 (offset leader epoch 0). Reset to INVALID.: Local: Partition log truncation detected by consumer (broker 1)";
    assert_eq!(told(truncated), Some(50));
    let other = "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)";
    assert_eq!(told(other), None);
    let nothing = "No epoch found less or equal to offset 80 (leader epoch 0): broker end offset is -1 (offset leader epoch -1). Reset using configured policy.";
    assert_eq!(told(nothing), None);
    let unknown = "Partition log truncation detected at offset 80: broker end offset is -1 (offset leader epoch 0).";
    assert_eq!(told(unknown), None);
    assert_eq!(told(""), None);
}
