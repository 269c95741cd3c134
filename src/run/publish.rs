//! A service's publisher: renders records, and carries them from the outbox to the sink.

use std::sync::Arc;
use std::time::Duration;

use super::close_with_limit;
use super::keep::Keeper;
use super::reporter::{Intake, Publisher, Report};
use super::teller::Teller;
use super::turn::Turn;
use super::unpublished::Unpublished;
use crate::engine::barrier::Answer;
use crate::engine::checkpoint::keeping::Keeping;
use crate::engine::checkpoint::{Commit, SavedRecord};
use crate::engine::report::forget::Forget;
use crate::engine::report::issue::{Answered, IssueError, Issuer};
use crate::engine::report::outbox::{Kind, Outbox, Outgoing};
use crate::engine::report::record::{ProcessRecord, Recorder};
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::process::usage;
use crate::io::sink::{Full, Sink};
use crate::limits::{
    BACKOFF_MAX_MS, BACKOFF_MIN_MS, CLOSE_MS, DELIVERY_POLL_MS, LEAVE_MS, QUIET_POLL_MS,
};
use crate::observe::board::Board;
use crate::observe::failpoint::Failpoint;
use crate::observe::happenings::Undelivered;
use crate::observe::limiter::{Decision, Limiter};

pub(super) struct ServicePublisher {
    issuer: Issuer,
    outbox: Outbox,
    /// `None` where nothing is saved.
    keeper: Option<Keeper>,
    /// `None` once it is closed.
    sink: Option<Box<dyn Sink>>,
    turn: Turn,
    clock: Arc<dyn Clock>,
    unpublished: Unpublished,
    failures: Limiter,
    hold_until_ms: u64,
    backoff_ms: u64,
    /// `None` where nobody wants to know.
    teller: Option<Teller>,
    /// Whether a checkpoint was under way when this was last looked at.
    is_saving: bool,
}

impl ServicePublisher {
    pub(super) fn new(
        recorder: Recorder,
        sink: Box<dyn Sink>,
        turn: Turn,
        clock: Arc<dyn Clock>,
        unpublished: Unpublished,
        job: String,
        forget: Forget,
    ) -> Self {
        Self {
            issuer: Issuer::new(recorder, job, forget),
            outbox: Outbox::default(),
            keeper: None,
            sink: Some(sink),
            turn,
            clock,
            unpublished,
            failures: Limiter::default(),
            hold_until_ms: 0,
            backoff_ms: BACKOFF_MIN_MS,
            teller: None,
            is_saving: false,
        }
    }

    /// From now on, puts up on a board what is made and what becomes of it.
    pub(super) fn tell(&mut self, board: Arc<Board>) {
        self.teller = Some(Teller::new(board));
    }

    /// From now on finals are saved before they go out; these are saved already.
    pub(super) fn keep(&mut self, keeping: Keeping, keeper: Keeper, records: Vec<SavedRecord>) {
        self.issuer.keep(keeping);
        self.keeper = Some(keeper);
        self.outbox = Outbox::saved(records);
    }

    fn process(&self, intake: Intake) -> ProcessRecord {
        let usage = usage();
        ProcessRecord {
            uptime_ms: self.clock.monotonic_ms(),
            cpu_ms: usage.map(|u| u.cpu_ms),
            resident_bytes: usage.map(|u| u.resident_bytes),
            read_bytes: intake.read_bytes,
            lag: intake.lag,
        }
    }

    /// Until everything but the last tick is with the sink and saved, or the deadline.
    fn carry_until(&mut self, deadline_ms: u64) -> Result<(), Failure> {
        // Nothing goes out beside another instance.
        while (!(self.outbox.is_empty() || self.turn.stands_by()) || self.is_saving())
            && self.clock.monotonic_ms() < deadline_ms
        {
            self.carry(Duration::from_millis(DELIVERY_POLL_MS))?;
        }
        Ok(())
    }

    /// The last tick, even where the output does not have everything before it; meanwhile the last checkpoint is written.
    fn take_leave(&mut self, deadline_ms: u64) -> Result<(), Failure> {
        self.outbox.take_leave();
        self.hold_until_ms = 0;
        self.carry(Duration::ZERO)?;
        while ((self.outbox.has_tick() && !self.turn.stands_by()) || self.is_saving())
            && self.clock.monotonic_ms() < deadline_ms
        {
            self.carry(Duration::from_millis(DELIVERY_POLL_MS))?;
        }
        Ok(())
    }

    fn is_saving(&mut self) -> bool {
        self.issuer.keeping().is_some_and(|k| k.is_under_way())
    }

    /// Waits until no checkpoint is under way, if there is to be another one.
    fn wait_for_keeper(&mut self) -> Result<(), Failure> {
        if let (Some(keeper), Some(keeping)) = (&mut self.keeper, self.issuer.keeping()) {
            keeper.wait(keeping, &mut self.outbox)?;
        }
        Ok(())
    }

    fn write(&mut self, commit: Option<Commit>) -> Result<(), Failure> {
        match (&mut self.keeper, commit) {
            (Some(keeper), Some(commit)) => keeper.write(commit),
            _ => Ok(()),
        }
    }

    /// Notes what the sink has, and hands over what it takes. After a refusal the next try waits, longer each time: a
    /// topic that refuses a record goes on refusing it for a while.
    fn carry(&mut self, wait: Duration) -> Result<(), Failure> {
        if let (Some(keeper), Some(keeping)) = (&mut self.keeper, self.issuer.keeping()) {
            keeper.tend(keeping, &mut self.outbox)?;
        }
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        let now_ms = self.clock.monotonic_ms();
        let mut refused = false;
        for delivery in sink.deliveries(wait)? {
            match delivery.result {
                Ok(()) => {
                    if self.outbox.is_final(delivery.ticket) {
                        Failpoint::Acknowledge.pass();
                    }
                    self.outbox.acknowledge(delivery.ticket);
                    self.backoff_ms = BACKOFF_MIN_MS;
                    self.teller.iter_mut().for_each(Teller::note_taken);
                }
                Err(why) => {
                    refused = true;
                    self.outbox.give_back(delivery.ticket);
                    if let Decision::Write { left_out } = self.failures.decide(now_ms) {
                        Undelivered {
                            why: &why,
                            left_out,
                        }
                        .emit();
                    }
                }
            }
        }
        if let Some(teller) = &mut self.teller {
            let is_saving = self.issuer.keeping().map(|k| k.is_under_way());
            teller.note(&self.outbox, self.turn.stands_by(), is_saving, now_ms);
        }
        if refused {
            self.hold_until_ms = now_ms + self.backoff_ms;
            self.backoff_ms = (2 * self.backoff_ms).min(BACKOFF_MAX_MS);
        }
        let is_ours = self.turn.is_ours(&mut **sink)?;
        if is_ours && now_ms >= self.hold_until_ms {
            hand_over(&mut self.outbox, &mut **sink)?;
        }
        // Whoever stands by must not read far ahead of the one that publishes, but with it for as long as that lives.
        let finals = match self.turn.left_to_another() {
            Some(watermark) => self.outbox.leave_to_another(watermark),
            None => self.outbox.unpublished_finals(),
        };
        self.unpublished
            .set(&self.outbox, finals, self.turn.stands_by());
        self.is_saving = self.is_saving();
        Ok(())
    }
}

/// Hands over what the sink takes. Ticks and windows go different ways: one that is shut, while a transaction is
/// brought to its end, keeps nothing back from the other.
fn hand_over(outbox: &mut Outbox, sink: &mut dyn Sink) -> Result<(), Failure> {
    let mut takes_ticks = true;
    loop {
        let next = if takes_ticks {
            outbox.hand_over()
        } else {
            outbox.hand_over_of_windows()
        };
        let Some((ticket, record)) = next else {
            return Ok(());
        };
        let kind = record.kind;
        if sink.send(ticket, record)? == Err(Full) {
            outbox.give_back(ticket);
            if !matches!(kind, Kind::Tick | Kind::LastTick) {
                return Ok(());
            }
            takes_ticks = false;
        } else if matches!(kind, Kind::Final(..)) {
            Failpoint::Produce.pass();
        }
    }
}

impl Publisher for ServicePublisher {
    fn publish(&mut self, report: Report, answer: Answer) -> Result<(), Failure> {
        if report.saved.is_some() {
            // The consumer loop asks for one at a time; at the end they may follow one another.
            self.wait_for_keeper()?;
        }
        // Only a tick tells it, and a backfill has thousands of barriers without one.
        let is_tick = answer.trailing.is_some();
        let health = is_tick.then(|| (self.outbox.coalesced(), self.process(report.intake)));
        let answered = Answered {
            snapshot: &report.snapshot,
            saved: report.saved,
            answer,
            names: &report.partitions,
            places: &report.places,
            now_ms: self.clock.unix_ms(),
            health,
            is_last: report.intake.stopped,
        };
        let teller = self.teller.as_ref();
        let mut note = |record: &Outgoing| teller.into_iter().for_each(|t| t.note_record(record));
        let issued = self.issuer.issue(answered, &mut self.outbox, &mut note);
        let commit = issued.map_err(|error| match error {
            IssueError::Record(_) => Failure::Internal(error.to_string()),
            IssueError::State(why) => Failure::State(why),
        })?;
        self.write(commit)?;
        self.carry(Duration::ZERO)
    }

    fn tend(&mut self) -> Result<(), Failure> {
        self.carry(Duration::ZERO)
    }

    fn patience(&self) -> Duration {
        let is_quiet = self.outbox.is_empty() && !self.is_saving;
        Duration::from_millis(if is_quiet {
            QUIET_POLL_MS
        } else {
            DELIVERY_POLL_MS
        })
    }

    fn finish(&mut self, deadline_ms: u64) -> Result<(), Failure> {
        // The last try is not put off.
        self.hold_until_ms = 0;
        self.carry(Duration::ZERO)?;
        let leave_ms = deadline_ms.saturating_sub(LEAVE_MS);
        self.carry_until(leave_ms)?;
        if self.is_saving() {
            self.keeper.iter_mut().for_each(Keeper::hurry);
        } else {
            // What the output has taken need not be sent again by the next run.
            let keeping = self.issuer.keeping();
            let trimmed = keeping.and_then(|keeping| keeping.trim(&mut self.outbox));
            self.write(trimmed)?;
        }
        self.take_leave(deadline_ms)?;
        // The state is closed while the sink is.
        self.keeper.iter_mut().for_each(Keeper::hurry);
        if let Some(mut sink) = self.sink.take() {
            sink.abandon();
            close_with_limit(Duration::from_millis(CLOSE_MS), move || drop(sink));
        }
        match (&mut self.keeper, self.issuer.keeping()) {
            (Some(keeper), Some(keeping)) => keeper.wait_for_last(keeping, &mut self.outbox),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::super::turn::{Ears, Own};
    use super::*;
    use crate::engine::admit::{Admission, Admitted, Arrival, Rules};
    use crate::engine::calendar::{Calendar, Period};
    use crate::engine::catalog::{Ask, Emission};
    use crate::engine::clock::ClockRules;
    use crate::engine::frame::{UserHash, Verdict};
    use crate::engine::report::outbox::{Outgoing, Ticket};
    use crate::engine::report::record::Service;
    use crate::engine::shard::Shard;
    use crate::engine::sketch::Precision;
    use crate::io::clock::ManualClock;
    use crate::io::kafka_client::Connection;
    use crate::io::sink::Delivery;
    use crate::limits::{STANDBY_FINALS_KEPT, UNPUBLISHED_FINALS_MAX};
    use parking_lot::Mutex;

    /// An output that takes `room` records at a time and answers when the test says so.
    #[derive(Clone, Default)]
    struct Scripted {
        room: usize,
        held: Arc<Mutex<Vec<(Ticket, Kind)>>>,
        answers: Arc<Mutex<Vec<Delivery>>>,
    }

    impl Scripted {
        fn answer_all(&self, result: &Result<(), String>) -> Vec<Kind> {
            let held = std::mem::take(&mut *self.held.lock());
            let mut kinds = Vec::new();
            for (ticket, kind) in held {
                kinds.push(kind);
                let result = result.clone();
                self.answers.lock().push(Delivery { ticket, result });
            }
            kinds
        }
    }

    impl Sink for Scripted {
        fn send(&mut self, ticket: Ticket, record: &Outgoing) -> Result<Result<(), Full>, Failure> {
            let mut held = self.held.lock();
            if held.len() >= self.room {
                return Ok(Err(Full));
            }
            held.push((ticket, record.kind));
            Ok(Ok(()))
        }

        fn abandon(&mut self) {}

        fn deliveries(&mut self, _wait: Duration) -> Result<Vec<Delivery>, Failure> {
            Ok(std::mem::take(&mut self.answers.lock()))
        }
    }

    struct World {
        admission: Admission,
        shard: Shard,
        publisher: ServicePublisher,
        sink: Scripted,
        clock: Arc<ManualClock>,
        unpublished: Unpublished,
        /// Whether its next tick is the last one.
        stops: bool,
    }

    impl World {
        fn new(room: usize) -> Self {
            let precision = Precision::default();
            let mut admission = Admission::new(Rules {
                calendar: Calendar::utc(),
                clock: ClockRules {
                    lateness_s: 5,
                    max_lateness_s: u32::MAX,
                    max_jump_s: u32::MAX,
                },
                retention_s: [1 << 40; Period::ALL.len()],
                emission: Emission::Live,
                periods: Period::Minute.bit(),
            });
            admission.add_partition(0, true);
            let service = Service {
                job: "job".to_owned(),
                topic: "users".to_owned(),
                epoch: 1,
            };
            let sink = Scripted {
                room,
                ..Scripted::default()
            };
            let clock = Arc::new(ManualClock::default());
            let unpublished = Unpublished::default();
            let publisher = ServicePublisher::new(
                Recorder::new(precision, Calendar::utc(), Some(service)),
                Box::new(sink.clone()),
                Turn::ours(Arc::clone(&clock) as Arc<dyn Clock>),
                Arc::clone(&clock) as Arc<dyn Clock>,
                unpublished.clone(),
                "job".to_owned(),
                Forget::new(Calendar::utc(), [None; Period::ALL.len()]),
            );
            Self {
                admission,
                shard: Shard::new(precision, 0..256, Calendar::utc()),
                publisher,
                sink,
                clock,
                unpublished,
                stops: false,
            }
        }

        /// A frame a minute, then a tick.
        fn minutes(&mut self, minutes: std::ops::Range<u32>) {
            for minute in minutes {
                let seen = Verdict::Seen(UserHash::of(b"a"), 60 * minute + 30);
                let arrival = Arrival {
                    partition: 0,
                    offset: minute.into(),
                    appended: None,
                };
                let Admitted::Counted(sighting) = self.admission.admit(arrival, seen) else {
                    panic!("not counted");
                };
                self.shard.record(&[sighting]);
            }
            let barrier = self.admission.barrier(Ask {
                trailing: true,
                changed: true,
                end: false,
                ..Ask::default()
            });
            let answer = self.shard.answer(&barrier.question);
            let report = Report {
                snapshot: barrier.snapshot,
                saved: None,
                places: Arc::new([]),
                partitions: Arc::new(["0".to_owned()]),
                intake: Intake {
                    stopped: self.stops,
                    ..Intake::default()
                },
            };
            self.publisher.publish(report, answer).unwrap();
        }
    }

    fn finals(kinds: &[Kind]) -> Vec<u64> {
        let seq = |kind: &Kind| match kind {
            Kind::Final(_, seq) => Some(*seq),
            _ => None,
        };
        kinds.iter().filter_map(seq).collect()
    }

    #[test]
    fn a_refused_final_is_offered_until_it_is_taken() {
        let mut world = World::new(1_000);
        world.minutes(0..10);
        assert_eq!(world.unpublished.finals(), 9);
        for _ in 0..3 {
            let offered = world.sink.answer_all(&Err("not now".to_owned()));
            assert_eq!(finals(&offered), (1..=9).collect::<Vec<_>>());
            world.publisher.tend().unwrap();
            assert!(world.sink.held.lock().is_empty(), "not at once again");
            world.clock.advance_ms(BACKOFF_MAX_MS);
            world.publisher.tend().unwrap();
            assert_eq!(world.unpublished.finals(), 9);
        }
        world.sink.answer_all(&Ok(()));
        world.publisher.tend().unwrap();
        assert_eq!(world.unpublished.finals(), 0);
        assert!(!world.unpublished.anything());
    }

    #[test]
    fn a_dead_output_holds_back_reading_and_nothing_but_ticks_and_provisionals_gives_way() {
        let mut world = World::new(0);
        let many = UNPUBLISHED_FINALS_MAX as u32 + 10;
        for start in (0..many).step_by(1_000) {
            world.minutes(start..(start + 1_000).min(many));
        }
        assert!(world.unpublished.is_behind());
        assert_eq!(world.unpublished.finals(), many as usize - 1);
        assert!(world.publisher.outbox.coalesced().ticks > 0);
        // The output comes back and takes a few at a time.
        world.publisher.sink = Some(Box::new(Scripted {
            room: 100,
            ..world.sink.clone()
        }));
        let mut taken = Vec::new();
        while world.unpublished.anything() {
            world.publisher.tend().unwrap();
            taken.extend(finals(&world.sink.answer_all(&Ok(()))));
        }
        assert_eq!(taken, (1..u64::from(many)).collect::<Vec<_>>());
    }

    #[test]
    fn the_end_waits_for_acknowledgements_no_longer_than_its_deadline() {
        let mut world = World::new(1_000);
        world.minutes(0..3);
        world.clock.advance_ms(50);
        world.publisher.finish(50).unwrap();
        assert!(world.unpublished.anything());
    }

    #[test]
    fn the_last_tick_goes_out_behind_everything_else_however_little_of_it_is_taken() {
        for room in [0, 1_000] {
            let mut world = World::new(room);
            world.stops = true;
            world.minutes(0..3);
            let before = world.sink.answer_all(&Ok(()));
            assert!(!before.contains(&Kind::LastTick), "{before:?}");
            // What was refused a moment ago is not waited for then.
            world.minutes(3..5);
            world.sink.answer_all(&Err("not now".to_owned()));
            world.publisher.tend().unwrap();
            world.publisher.sink = Some(Box::new(Scripted {
                room: 1_000,
                ..world.sink.clone()
            }));
            world.clock.advance_ms(50);
            world.publisher.finish(50).unwrap();
            let last = world.sink.answer_all(&Ok(()));
            assert_eq!(last.last(), Some(&Kind::LastTick));
            assert_eq!(finals(&last).len(), if room == 0 { 4 } else { 2 });
        }
    }

    /// A rival that says where it is.
    fn rival_at(watermark: i64) -> String {
        format!(r#"{{"job":"job","epoch":99,"watermark":{watermark},"users_last_minute":1}}"#)
    }

    #[test]
    fn whoever_stands_by_reads_on_with_the_one_that_publishes_and_not_far_ahead() {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic("stats", 1, 1).expect("a topic");
        let connection = Connection::new(cluster.bootstrap_servers(), Vec::new());
        let producer: BaseProducer = connection.configure(&[]).create().expect("valid");
        let say = |watermark| {
            let tick = rival_at(watermark);
            let record = BaseRecord::<(), str>::to("stats").payload(&tick);
            producer.send(record.partition(0)).expect("room");
            producer.flush(Duration::from_secs(60)).expect("an answer");
        };
        say(0);
        let mut world = World::new(1_000);
        let ears = Ears {
            connection: connection.clone(),
            stats: "stats".to_owned(),
        };
        let own = Own {
            epoch: 1,
            lives: Vec::new(),
        };
        let clock = Arc::clone(&world.clock) as Arc<dyn Clock>;
        world.publisher.turn = Turn::new(ears, "job".to_owned(), own, 15_000, false, clock);
        let tend_until = |world: &mut World, is_so: &dyn Fn(&World) -> bool| {
            for _ in 0..6_000 {
                world.publisher.tend().unwrap();
                if is_so(world) {
                    return;
                }
                producer.poll(Duration::from_millis(10));
            }
            panic!("{} finals", world.unpublished.finals());
        };
        tend_until(&mut world, &|world| world.publisher.turn.stands_by());
        // Ahead of the other one it waits for it.
        for start in (0..5_000).step_by(1_000) {
            world.minutes(start..start + 1_000);
        }
        assert!(world.unpublished.is_behind());
        say(60 * 5_000);
        tend_until(&mut world, &|world| !world.unpublished.is_behind());
        // With it, it goes on for as long as it takes.
        let days = 20_000;
        say(60 * i64::from(days));
        for start in (5_000..days).step_by(1_000) {
            world.minutes(start..start + 1_000);
        }
        tend_until(&mut world, &|world| !world.unpublished.is_behind());
        assert_eq!(
            world.publisher.outbox.unpublished_finals(),
            STANDBY_FINALS_KEPT
        );
        assert!(world.publisher.turn.stands_by());
    }
}
