//! What is said of a state that cannot be used, and what to do about it.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use super::{PREVIOUS, StoreError};

/// The system lets a file of the state not be read or written.
pub(super) fn unavailable(path: &Path, error: &io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => MAKE_ROOM,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => MAY_WRITE,
        _ => LOOK_AT_DISK,
    };
    because(path, &error.to_string(), advice)
}

const MAKE_ROOM: &str = "make room there (df, df -i)";
const MAY_WRITE: &str = "let whoever runs headcount write in its directory";
const LOOK_AT_DISK: &str = "see whether its directory can be read and written";

fn because(path: &Path, why: &str, advice: &str) -> StoreError {
    StoreError::Unavailable(format!("the state {}: {why}; {advice}", path.display()))
}

/// The bytes are not those that were saved.
pub(super) fn damaged(path: &Path, why: &str) -> StoreError {
    let previous = path.with_file_name(PREVIOUS);
    let what_to_do = if previous.is_file() && previous != path {
        format!(
            "put {} in its place, and what came since is counted again",
            previous.display()
        )
    } else {
        "put a copy in its place, or name another directory and count from the topic again"
            .to_owned()
    };
    StoreError::Damaged(format!(
        "the state {} is damaged ({why}); nothing was changed in it: {what_to_do}",
        path.display()
    ))
}

/// What the database complains of.
pub(super) fn trouble(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::Error as E;
    let is_damage = match error {
        E::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown
        ),
        E::SqlInputError { .. }
        | E::FromSqlConversionFailure(..)
        | E::IntegralValueOutOfRange(..)
        | E::InvalidColumnType(..)
        | E::InvalidColumnIndex(_)
        | E::Utf8Error(..)
        | E::QueryReturnedNoRows => true,
        _ => false,
    };
    if is_damage {
        damaged(path, &error.to_string())
    } else {
        let advice = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => MAKE_ROOM,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                MAY_WRITE
            }
            _ => LOOK_AT_DISK,
        };
        because(path, &error.to_string(), advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_cannot_write_is_told_what_to_do() {
        let path = Path::new("state.sqlite");
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let says = unavailable(path, &full).to_string();
        assert!(says.ends_with(MAKE_ROOM), "{says}");
        let says = |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            trouble(path, &error).to_string()
        };
        assert!(says(rusqlite::ffi::SQLITE_FULL).ends_with(MAKE_ROOM));
        assert!(says(rusqlite::ffi::SQLITE_READONLY).ends_with(MAY_WRITE));
        assert!(says(rusqlite::ffi::SQLITE_IOERR).ends_with(LOOK_AT_DISK));
        assert!(says(rusqlite::ffi::SQLITE_CORRUPT).contains("is damaged"));
    }
}
