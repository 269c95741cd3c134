//! What records list, and what they do not.

use serde_json::Value;

use super::*;
use crate::engine::calendar::Period;

fn recorder() -> Recorder {
    let service = Service {
        job: "job".to_owned(),
        topic: "users".to_owned(),
        epoch: 1,
    };
    let precision = Precision::new(12).unwrap();
    Recorder::new(precision, Calendar::utc(), Some(service))
}

/// A tick's source and a window's, of so many partitions.
fn sources(partitions: usize) -> [Value; 2] {
    let names: Vec<_> = (0..partitions).map(|p| p.to_string()).collect();
    let facts = WindowFacts {
        id: WindowId {
            period: Period::Minute,
            start: 60,
        },
        end: 120,
        frames: 1,
        late: 0,
        complete: false,
        stage: Stage::Provisional,
    };
    let snapshot = Snapshot {
        tick: Some(1),
        as_of: Some(100),
        watermark: Some(95),
        event_watermark: Some(95),
        since: None,
        ahead: vec![(0, 7)],
        lost: vec![(partitions - 1, 3)],
        ledger: Ledger::default(),
        offsets: vec![5; partitions],
        windows: vec![facts],
    };
    let answer = Answer {
        trailing: Some(std::array::from_fn(|_| Tally::default())),
        windows: vec![Tally::default()],
        saved: None,
        trouble: None,
    };
    let mut recorder = recorder();
    let tick = recorder.stats(&snapshot, &answer, &names, 0, None).unwrap();
    let windows = recorder.windows(&snapshot, &answer, &names, 0);
    let window = serde_json::to_value(&windows[0].record).unwrap();
    [
        serde_json::to_value(&tick).unwrap()["source"].clone(),
        window["source"].clone(),
    ]
}

#[test]
fn a_window_lists_the_offsets_of_as_many_partitions_as_a_record_should_carry() {
    let [tick, window] = sources(PARTITIONS_PER_WINDOW_MAX);
    assert_eq!(tick, window);
    assert_eq!(
        tick["offsets"].as_object().unwrap().len(),
        PARTITIONS_PER_WINDOW_MAX
    );

    let [tick, window] = sources(PARTITIONS_PER_WINDOW_MAX + 1);
    assert_eq!(
        tick["offsets"].as_object().unwrap().len(),
        PARTITIONS_PER_WINDOW_MAX + 1
    );
    assert_eq!(tick["ahead"]["0"], 7);
    assert_eq!(tick["lost"]["512"], 3);
    let told = serde_json::json!({"topic": "users", "partitions": PARTITIONS_PER_WINDOW_MAX + 1});
    assert_eq!(window, told);
}
