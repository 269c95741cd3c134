//! Rows as they stand in the file, and the sums over them.

use rusqlite::{Row, types};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::engine::barrier::ClosedBy;
use crate::engine::calendar::{Period, WindowId};
use crate::engine::checkpoint::{
    SavedPartition, SavedRecord, SavedStage, SavedStretch, SavedWindow, Told,
};

/// Names one row of all tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowKey {
    Partition(i64),
    Window(WindowId),
    Sketch(WindowId),
    Trailing(i64),
    Outbox(u64),
}

/// Why a row cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadRow {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("a row of table {0} is not what was written")]
    Sum(&'static str),
}

/// The sum of a row: xxh3_64 over the table's name and its columns, each with its length.
pub(super) struct Sum(Vec<u8>);

impl Sum {
    pub(super) fn of(table: &str) -> Self {
        Self(Vec::new()).bytes(table.as_bytes())
    }

    pub(super) fn int(mut self, number: i64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0
            .extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn done(self) -> i64 {
        xxh3_64(&self.0).cast_signed()
    }
}

fn period(number: i64) -> Option<Period> {
    Period::ALL.get(usize::try_from(number).ok()?).copied()
}

pub(super) fn window_id(row: &Row<'_>, at: usize, table: &'static str) -> Result<WindowId, BadRow> {
    let period = period(row.get(at)?).ok_or(BadRow::Sum(table))?;
    let start = row.get(at + 1)?;
    Ok(WindowId { period, start })
}

pub(super) fn period_number(id: WindowId) -> i64 {
    id.period as i64
}

pub(super) fn sum_of_partition(position: i64, name: &str, partition: &SavedPartition) -> i64 {
    Sum::of("partition")
        .int(position)
        .bytes(name.as_bytes())
        .int(partition.next_offset)
        .bytes(&partition.clock)
        .bytes(&partition.reading)
        .done()
}

pub(super) fn read_partition(
    row: &Row<'_>,
) -> Result<(RowKey, i64, String, SavedPartition), BadRow> {
    let (position, name): (i64, String) = (row.get(0)?, row.get(1)?);
    let partition = SavedPartition {
        next_offset: row.get(2)?,
        clock: row.get(3)?,
        reading: row.get(4)?,
    };
    let sum = checked(
        "partition",
        row.get(5)?,
        sum_of_partition(position, &name, &partition),
    )?;
    Ok((RowKey::Partition(position), sum, name, partition))
}

/// A window's stage as a word and the number of its last revision.
pub(super) fn stage_columns(stage: SavedStage) -> (&'static str, u32) {
    match stage {
        SavedStage::Open => ("open", 0),
        SavedStage::Incomplete => ("incomplete", 0),
        SavedStage::Final(ClosedBy::EventTime, revision) => ("event_time", revision),
        SavedStage::Final(ClosedBy::Idle, revision) => ("idle", revision),
        SavedStage::Final(ClosedBy::End, revision) => ("end", revision),
    }
}

fn stage(word: &str, revision: u32) -> Option<SavedStage> {
    let of_final = |closed_by| SavedStage::Final(closed_by, revision);
    Some(match word {
        "open" => SavedStage::Open,
        "incomplete" => SavedStage::Incomplete,
        "event_time" => of_final(ClosedBy::EventTime),
        "idle" => of_final(ClosedBy::Idle),
        "end" => of_final(ClosedBy::End),
        _ => return None,
    })
}

/// Below 0 where it is known how the record differs: the complement of twice the sum, and 1 if there is something new.
pub(super) fn changed_column(window: &SavedWindow) -> i64 {
    match window.told {
        Some(told) => !((told.ahead << 1 | u64::from(told.anew)).cast_signed()),
        None => window.changed.into(),
    }
}

fn told(changed: i64) -> Option<Told> {
    let told = (changed < 0).then_some(!changed)?.cast_unsigned();
    Some(Told {
        ahead: told >> 1,
        anew: told & 1 == 1,
    })
}

pub(super) fn sum_of_window(id: WindowId, window: &SavedWindow) -> i64 {
    let (stage, revision) = stage_columns(window.stage);
    Sum::of("window")
        .int(period_number(id))
        .int(id.start)
        .int(window.end)
        .int(window.frames.cast_signed())
        .int(window.late.cast_signed())
        .bytes(stage.as_bytes())
        .int(revision.into())
        .int(changed_column(window))
        .done()
}

pub(super) fn read_window(row: &Row<'_>) -> Result<(i64, WindowId, SavedWindow), BadRow> {
    let id = window_id(row, 0, "window")?;
    let word: String = row.get(5)?;
    let changed: i64 = row.get(7)?;
    let window = SavedWindow {
        end: row.get(2)?,
        frames: row.get::<_, i64>(3)?.cast_unsigned(),
        late: row.get::<_, i64>(4)?.cast_unsigned(),
        stage: stage(&word, row.get(6)?).ok_or(BadRow::Sum("window"))?,
        changed: changed != 0,
        told: told(changed),
    };
    let sum = checked("window", row.get(8)?, sum_of_window(id, &window))?;
    Ok((sum, id, window))
}

/// A sketch as it stands in the file.
pub(super) struct StoredSketch {
    pub(super) id: WindowId,
    /// Length of the canonical bytes.
    pub(super) bytes: usize,
    /// `xxh3_128` of the canonical bytes.
    pub(super) hash: u128,
    /// The canonical bytes, compressed.
    pub(super) zstd: Vec<u8>,
}

impl StoredSketch {
    pub(super) fn new(id: WindowId, canonical: &[u8], zstd: Vec<u8>) -> Self {
        Self {
            id,
            bytes: canonical.len(),
            hash: xxh3_128(canonical),
            zstd,
        }
    }

    pub(super) fn sum(&self) -> i64 {
        Sum::of("sketch")
            .int(period_number(self.id))
            .int(self.id.start)
            .int(self.bytes as i64)
            .bytes(&self.hash.to_le_bytes())
            .bytes(&self.zstd)
            .done()
    }

    pub(super) fn read(row: &Row<'_>) -> Result<(i64, Self), BadRow> {
        let sketch = Self {
            id: window_id(row, 0, "sketch")?,
            bytes: usize::try_from(row.get::<_, i64>(2)?).map_err(|_| BadRow::Sum("sketch"))?,
            hash: u128::from_le_bytes(row.get(3)?),
            zstd: row.get(4)?,
        };
        let sum = checked("sketch", row.get(5)?, sketch.sum())?;
        Ok((sum, sketch))
    }
}

pub(super) fn stretch_number(stretch: &SavedStretch) -> i64 {
    (stretch.page as i64) << 8 | i64::from(stretch.rank)
}

pub(super) fn sum_of_stretch(stretch: &SavedStretch) -> i64 {
    Sum::of("trailing")
        .int(stretch_number(stretch))
        .bytes(&stretch.bytes)
        .done()
}

pub(super) fn read_stretch(row: &Row<'_>) -> Result<(i64, SavedStretch), BadRow> {
    let number: i64 = row.get(0)?;
    let stretch = SavedStretch {
        page: usize::try_from(number >> 8).map_err(|_| BadRow::Sum("trailing"))?,
        rank: (number & 0xff) as u8,
        bytes: row.get(1)?,
    };
    let sum = checked("trailing", row.get(2)?, sum_of_stretch(&stretch))?;
    Ok((sum, stretch))
}

pub(super) fn sum_of_record(record: &SavedRecord) -> i64 {
    Sum::of("outbox")
        .int(record.seq.cast_signed())
        .int(period_number(record.id))
        .int(record.id.start)
        .bytes(record.key.as_bytes())
        .bytes(&record.payload)
        .done()
}

pub(super) fn read_record(row: &Row<'_>) -> Result<(i64, SavedRecord), BadRow> {
    let record = SavedRecord {
        seq: row.get::<_, i64>(0)?.cast_unsigned(),
        id: window_id(row, 1, "outbox")?,
        key: row.get(3)?,
        payload: row.get(4)?,
    };
    let sum = checked("outbox", row.get(5)?, sum_of_record(&record))?;
    Ok((sum, record))
}

fn checked(table: &'static str, written: i64, computed: i64) -> Result<i64, BadRow> {
    if written == computed {
        Ok(computed)
    } else {
        Err(BadRow::Sum(table))
    }
}

/// What SQLite takes for an unsigned number.
pub(super) fn signed(number: u64) -> types::Value {
    types::Value::Integer(number.cast_signed())
}
