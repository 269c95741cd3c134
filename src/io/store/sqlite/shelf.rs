//! Saved sketches, read while the other connection writes.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use rusqlite::{Connection, OptionalExtension, params};
use xxhash_rust::xxh3::xxh3_128;
use zstd::bulk::Decompressor;

use super::rows::{BadRow, StoredSketch, period_number};
use super::{harden, open_to_read};
use crate::engine::calendar::WindowId;
use crate::engine::shard::Shelf;
use crate::limits::CANONICAL_SKETCH_MAX_BYTES;

pub(super) struct SqliteShelf {
    connection: Arc<Mutex<Connection>>,
    decompressor: Decompressor<'static>,
}

impl SqliteShelf {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = open_to_read(path)?;
        harden(&connection)?;
        Self::over(Arc::new(Mutex::new(connection)))
    }

    /// As of the moment that a connection is at.
    pub(super) fn over(connection: Arc<Mutex<Connection>>) -> rusqlite::Result<Self> {
        let decompressor = Decompressor::new()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            connection,
            decompressor,
        })
    }

    fn read(&self, id: WindowId) -> Result<Option<StoredSketch>, BadRow> {
        let select = "SELECT period, start, bytes, hash, zstd, sum FROM sketch WHERE period = ? AND start = ?";
        let connection = self.connection.lock();
        let mut select = connection.prepare_cached(select)?;
        let key = params![period_number(id), id.start];
        let found = select
            .query_row(key, |row| Ok(StoredSketch::read(row)))
            .optional()?;
        Ok(found.transpose()?.map(|(_, sketch)| sketch))
    }
}

impl Shelf for SqliteShelf {
    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String> {
        let found = self.read(id).map_err(|error| error.to_string())?;
        let sketch = found.ok_or_else(|| format!("the sketch of {id:?} is not there"))?;
        if sketch.bytes > CANONICAL_SKETCH_MAX_BYTES {
            return Err(format!("the sketch of {id:?} is larger than any sketch"));
        }
        let bytes = self.decompressor.decompress(&sketch.zstd, sketch.bytes);
        let bytes = bytes.map_err(|error| format!("the sketch of {id:?}: {error}"))?;
        if bytes.len() != sketch.bytes || xxh3_128(&bytes) != sketch.hash {
            return Err(format!("the sketch of {id:?} is not what was written"));
        }
        Ok(bytes)
    }
}
