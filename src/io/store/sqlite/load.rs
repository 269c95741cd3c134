//! Reads a whole state, and believes nothing that does not add up.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

use super::rows::{
    BadRow, RowKey, StoredSketch, Sum, read_partition, read_record, read_stretch, read_window,
    stretch_number,
};
use crate::engine::calendar::WindowId;
use crate::engine::checkpoint::book::StateDigest;
use crate::engine::checkpoint::{Loaded, SavedAdmission};

struct Head {
    epoch: u64,
    digest: StateDigest,
    ledger: Vec<u8>,
    rest: Vec<u8>,
    total: i64,
}

/// The sum of each row that was read.
#[derive(Default)]
struct Sums(BTreeMap<RowKey, i64>);

impl Sums {
    /// Notes a row; one that is there twice is damage.
    fn note(&mut self, table: &'static str, key: RowKey, sum: i64) -> Result<(), BadRow> {
        match self.0.insert(key, sum) {
            None => Ok(()),
            Some(_) => Err(BadRow::Sum(table)),
        }
    }
}

/// What was read from a file.
pub(super) struct Read {
    pub(super) loaded: Loaded,
    /// The sum of each row.
    pub(super) sums: BTreeMap<RowKey, i64>,
    /// The sum of these.
    pub(super) total: i64,
}

/// Everything that was saved; `None` before the first checkpoint.
pub(super) fn load(from: &Connection) -> Result<Option<Read>, BadRow> {
    // What it finds beyond the rows, such as a page in use that counts as free, would damage them at the next write.
    let verdict: String = from.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict != "ok" {
        return Err(BadRow::Sum("(quick_check)"));
    }
    let mut sums = Sums::default();
    let head = head(from)?;
    let (names, partitions) = partitions(from, &mut sums)?;
    let windows = windows(from, &mut sums)?;
    let sketches = sketches(from, &mut sums)?;
    let mut stretches = Vec::new();
    each(
        from,
        "SELECT stretch, bytes, sum FROM trailing ORDER BY stretch",
        |row| {
            let (sum, stretch) = read_stretch(row)?;
            sums.note("trailing", RowKey::Trailing(stretch_number(&stretch)), sum)?;
            stretches.push(stretch);
            Ok(())
        },
    )?;
    let mut records = Vec::new();
    let outbox = "SELECT seq, period, start, key, payload, sum FROM outbox ORDER BY seq";
    each(from, outbox, |row| {
        let (sum, record) = read_record(row)?;
        sums.note("outbox", RowKey::Outbox(record.seq), sum)?;
        records.push(record);
        Ok(())
    })?;
    let total = sums
        .0
        .values()
        .fold(0, |total: i64, sum| total.wrapping_add(*sum));
    let Some(head) = head else {
        // Before the first checkpoint there is nothing at all.
        return if sums.0.is_empty() {
            Ok(None)
        } else {
            Err(BadRow::Sum("head"))
        };
    };
    if total != head.total {
        return Err(BadRow::Sum("head"));
    }
    let mut with_sketches = Vec::with_capacity(windows.len());
    for (id, window) in windows {
        with_sketches.push((id, window, sketches.get(&id).copied()));
    }
    let loaded = Loaded {
        epoch: head.epoch,
        digest: head.digest,
        names,
        admission: SavedAdmission {
            partitions,
            ledger: head.ledger,
            rest: head.rest,
            ..SavedAdmission::default()
        },
        windows: with_sketches,
        stretches,
        records,
    };
    let sums = sums.0;
    Ok(Some(Read {
        loaded,
        sums,
        total,
    }))
}

fn each(
    from: &Connection,
    select: &str,
    mut take: impl FnMut(&rusqlite::Row<'_>) -> Result<(), BadRow>,
) -> Result<(), BadRow> {
    let mut select = from.prepare(select)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

fn head(from: &Connection) -> Result<Option<Head>, BadRow> {
    let select = "SELECT epoch, digest, ledger, rest, total, sum FROM head WHERE id = 1";
    let read = |row: &rusqlite::Row<'_>| {
        let epoch: i64 = row.get(0)?;
        let digest: [u8; 16] = row.get(1)?;
        let head = Head {
            epoch: epoch.cast_unsigned(),
            digest: StateDigest(u128::from_le_bytes(digest)),
            ledger: row.get(2)?,
            rest: row.get(3)?,
            total: row.get(4)?,
        };
        Ok((head, row.get(5)?))
    };
    let found: Option<(Head, i64)> = from.query_row(select, [], read).optional()?;
    let Some((head, sum)) = found else {
        return Ok(None);
    };
    let computed = Sum::of("head")
        .int(head.epoch.cast_signed())
        .bytes(&head.digest.0.to_le_bytes())
        .bytes(&head.ledger)
        .bytes(&head.rest)
        .int(head.total)
        .done();
    if computed != sum {
        return Err(BadRow::Sum("head"));
    }
    Ok(Some(head))
}

type Partitions = (Vec<String>, Vec<crate::engine::checkpoint::SavedPartition>);

fn partitions(from: &Connection, sums: &mut Sums) -> Result<Partitions, BadRow> {
    let (mut names, mut partitions) = (Vec::new(), Vec::new());
    let select =
        "SELECT position, name, next_offset, clock, reading, sum FROM partition ORDER BY position";
    each(from, select, |row| {
        let (key, sum, name, partition) = read_partition(row)?;
        if key != RowKey::Partition(names.len() as i64) {
            return Err(BadRow::Sum("partition"));
        }
        sums.note("partition", key, sum)?;
        names.push(name);
        partitions.push(partition);
        Ok(())
    })?;
    Ok((names, partitions))
}

type Windows = Vec<(WindowId, crate::engine::checkpoint::SavedWindow)>;

fn windows(from: &Connection, sums: &mut Sums) -> Result<Windows, BadRow> {
    let mut windows = Vec::new();
    let select =
        "SELECT period, start, \"end\", frames, late, stage, revision, changed, sum FROM window";
    each(from, select, |row| {
        let (sum, id, window) = read_window(row)?;
        sums.note("window", RowKey::Window(id), sum)?;
        windows.push((id, window));
        Ok(())
    })?;
    Ok(windows)
}

fn sketches(from: &Connection, sums: &mut Sums) -> Result<BTreeMap<WindowId, u128>, BadRow> {
    let mut hashes = BTreeMap::new();
    let select = "SELECT period, start, bytes, hash, zstd, sum FROM sketch";
    each(from, select, |row| {
        let (sum, sketch) = StoredSketch::read(row)?;
        sums.note("sketch", RowKey::Sketch(sketch.id), sum)?;
        hashes.insert(sketch.id, sketch.hash);
        Ok(())
    })?;
    Ok(hashes)
}
