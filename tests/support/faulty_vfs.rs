//! SQLite on a [disk in memory](disk) that fails or loses its power when told to: a VFS in terms of SQLite.
//!
//! A test program includes it with `#[path = "../support/faulty_vfs.rs"] mod faulty_vfs;` and has `tests/laws/dice.rs` as
//! its `dice`. A database is opened with [`FaultyDisk::open`], or by its path below [`FaultyDisk::folder`] with the VFS
//! [`VFS`]. There are no locks and no shared memory: a database is open once at a time, and WAL wants
//! `locking_mode=EXCLUSIVE`.
//!
//! Why this is sound: the VFS and its method table are never freed and never written to after registration, so SQLite
//! may keep the pointers for ever. SQLite allocates `szOsFile` aligned bytes for each file, hands them to `open` first
//! and to `close` last, and to nothing in between but the methods of the table; they hold one pointer to a [`Handle`],
//! which `open` makes of a box and `close` makes a box again. The methods only ever share that handle: what changes is
//! behind a mutex. Buffers are copied to and from in the length SQLite gives, without a reference to what may not be
//! initialised. A panic in a function that C calls ends the process and does not unwind into C.
#![allow(
    unsafe_code,
    reason = "SQLite knows files by a table of C functions only; the argument is above"
)]
#![allow(dead_code, reason = "each test program uses a part of this")]

#[path = "faulty_vfs/disk.rs"]
pub mod disk;

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, Weak};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, OpenFlags, ffi};

use disk::{Disk, FileId, Files, Opening, Operation, Refusal};

/// The name of the VFS.
pub const VFS: &CStr = c"faulty";
/// Its paths are `/faulty/NUMBER/NAME`: the number is a disk's.
const FOLDERS: &str = "/faulty/";
const LONGEST_PATH: usize = 255;
/// What SQLite's Unix files say of themselves.
const SECTOR: c_int = 4096;
const PROMISES: c_int = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ;
/// 1970-01-01 as a Julian day, in milliseconds: the clock of the disk stands.
const EPOCH: i64 = 210_866_760_000_000;

static DISKS: Mutex<BTreeMap<u64, Weak<Mutex<Disk>>>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A disk that SQLite can be pointed to. Files still open when it is dropped stay readable until they are closed.
#[derive(Debug)]
pub struct FaultyDisk {
    number: u64,
    disk: Arc<Mutex<Disk>>,
}

impl FaultyDisk {
    /// The seed says what survives power cuts and failed syncs.
    pub fn new(seed: u64, files: Files) -> Self {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(register);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let disk = Arc::new(Mutex::new(Disk::new(seed, files)));
        DISKS.lock().insert(number, Arc::downgrade(&disk));
        Self { number, disk }
    }

    /// The disk's plans and counts.
    pub fn get(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock()
    }

    /// Without a slash at its end.
    pub fn folder(&self) -> String {
        format!("{FOLDERS}{}", self.number)
    }

    pub fn open(&self, name: &str) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags_and_vfs(format!("{}/{name}", self.folder()), flags, VFS)
    }

    /// The power is cut, if it has not been yet, and comes back: a new disk with what survived.
    pub fn reboot(&self, seed: u64) -> Self {
        let files = self.get().files_after_cut();
        Self::new(seed, files)
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        DISKS.lock().remove(&self.number);
    }
}

/// An open file.
struct Handle {
    disk: Arc<Mutex<Disk>>,
    id: FileId,
}

/// What SQLite allocates for an open file: its own part comes first.
#[repr(C)]
struct SqliteFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

fn register() {
    let vfs = ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<SqliteFile>() as c_int,
        mxPathname: LONGEST_PATH as c_int,
        pNext: ptr::null_mut(),
        zName: VFS.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path_name),
        // Loading of extensions is off, and nothing else asks for these.
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    };
    let vfs = Box::leak(Box::new(vfs));
    // SAFETY: the VFS is complete, is never freed, and nothing but SQLite touches it from here on.
    let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
    assert_eq!(code, ffi::SQLITE_OK, "the VFS could not be registered");
}

/// The disk and the name on it that a path of SQLite's means.
fn find(path: &CStr) -> Option<(Arc<Mutex<Disk>>, &str)> {
    let (number, name) = path.to_str().ok()?.strip_prefix(FOLDERS)?.split_once('/')?;
    let disk = DISKS.lock().get(&number.parse().ok()?)?.upgrade()?;
    Some((disk, name))
}

fn code_of(operation: Operation, result: Result<(), Refusal>) -> c_int {
    let failed = match operation {
        Operation::Write => ffi::SQLITE_IOERR_WRITE,
        Operation::Sync => ffi::SQLITE_IOERR_FSYNC,
        Operation::Truncate => ffi::SQLITE_IOERR_TRUNCATE,
        Operation::Delete => ffi::SQLITE_IOERR_DELETE,
        Operation::Create => ffi::SQLITE_CANTOPEN,
    };
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Refusal::NoRoom) if operation == Operation::Write => ffi::SQLITE_FULL,
        Err(Refusal::Absent) if operation == Operation::Delete => ffi::SQLITE_IOERR_DELETE_NOENT,
        Err(Refusal::Busy) => ffi::SQLITE_BUSY,
        Err(_) => failed,
    }
}

unsafe extern "C" fn open(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let file = file.cast::<SqliteFile>();
    // SAFETY: SQLite allocated `szOsFile` bytes here. Without methods it will not call `close`.
    unsafe { (*file).base.pMethods = ptr::null() };
    let journals = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL;
    let may_create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let opening = Opening {
        may_create,
        syncs_folder: may_create && flags & journals != 0,
        alone: flags & ffi::SQLITE_OPEN_MAIN_DB != 0,
    };
    let (disk, opened) = if path.is_null() {
        let disk = Arc::new(Mutex::new(Disk::new(0, Files::new())));
        let opened = disk.lock().open(None, opening);
        (disk, opened)
    } else {
        // SAFETY: a path that is not null is a C string that outlives the call.
        let Some((disk, name)) = find(unsafe { CStr::from_ptr(path) }) else {
            return ffi::SQLITE_CANTOPEN;
        };
        let opened = disk.lock().open(Some(name), opening);
        (disk, opened)
    };
    let id = match opened {
        Ok(id) => id,
        Err(refusal) => return code_of(Operation::Create, Err(refusal)),
    };
    // SAFETY: as above; `out_flags` may be null.
    unsafe {
        (*file).handle = Box::into_raw(Box::new(Handle { disk, id }));
        (*file).base.pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

/// # Safety
///
/// `file` has been opened by [`open`] and not been closed.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: so `open` has set the pointer, and the box it came from is not freed before `close`.
    unsafe { &*(*file.cast::<SqliteFile>()).handle }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once, which `open` has set, and does not use it again.
    let handle = unsafe { Box::from_raw((*file.cast::<SqliteFile>()).handle) };
    handle.disk.lock().close(handle.id);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    length: c_int,
    from: i64,
) -> c_int {
    // SAFETY: SQLite calls the methods of open files only.
    let handle = unsafe { handle(file) };
    let disk = handle.disk.lock();
    let length = length as usize;
    let Ok(bytes) = disk.read(handle.id, from as usize, length) else {
        return ffi::SQLITE_IOERR_READ;
    };
    let buffer = buffer.cast::<u8>();
    // SAFETY: the buffer has `length` bytes, `bytes` no more than that, and SQLite's memory is not the disk's.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len());
        ptr::write_bytes(buffer.add(bytes.len()), 0, length - bytes.len());
    }
    if bytes.len() < length {
        return ffi::SQLITE_IOERR_SHORT_READ;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    length: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite calls the methods of open files only.
    let handle = unsafe { handle(file) };
    // SAFETY: the buffer has `length` bytes, which SQLite has set and does not change during the call.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), length as usize) };
    let written = handle.disk.lock().write(handle.id, at as usize, bytes);
    code_of(Operation::Write, written)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite calls the methods of open files only.
    let handle = unsafe { handle(file) };
    let truncated = handle.disk.lock().truncate(handle.id, length as usize);
    code_of(Operation::Truncate, truncated)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite calls the methods of open files only.
    let handle = unsafe { handle(file) };
    code_of(Operation::Sync, handle.disk.lock().sync(handle.id))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: SQLite calls the methods of open files only.
    let handle = unsafe { handle(file) };
    // SAFETY: SQLite wants the answer there.
    unsafe { *size = handle.disk.lock().len(handle.id) as i64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_file: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: SQLite wants the answer there.
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_file: *mut ffi::sqlite3_file) -> c_int {
    SECTOR
}

unsafe extern "C" fn device_characteristics(_file: *mut ffi::sqlite3_file) -> c_int {
    PROMISES
}

unsafe extern "C" fn delete(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: SQLite deletes by a path that is a C string.
    let Some((disk, name)) = find(unsafe { CStr::from_ptr(path) }) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let deleted = disk.lock().delete(name, sync_folder & 1 != 0);
    code_of(Operation::Delete, deleted)
}

unsafe extern "C" fn access(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    _flags: c_int,
    found: *mut c_int,
) -> c_int {
    // SAFETY: SQLite asks for a path that is a C string.
    let place = find(unsafe { CStr::from_ptr(path) });
    let exists = place.is_some_and(|(disk, name)| disk.lock().exists(name));
    // SAFETY: SQLite wants the answer there.
    unsafe { *found = c_int::from(exists) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_path_name(
    _vfs: *mut ffi::sqlite3_vfs,
    path: *const c_char,
    room: c_int,
    full: *mut c_char,
) -> c_int {
    // SAFETY: the path is a C string.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    if path.len() > room as usize {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: there is room for that many bytes, and it is not where the path is.
    unsafe { ptr::copy_nonoverlapping(path.as_ptr(), full.cast::<u8>(), path.len()) };
    ffi::SQLITE_OK
}

/// Not asked for: SQLite seeds its random numbers from the default VFS.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, room: c_int, out: *mut c_char) -> c_int {
    // SAFETY: there is room for that many bytes.
    unsafe { ptr::write_bytes(out, 0, room as usize) };
    room
}

/// A time that stands has nothing to wait for.
unsafe extern "C" fn sleep(_vfs: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_vfs: *mut ffi::sqlite3_vfs, day: *mut f64) -> c_int {
    // SAFETY: SQLite wants the answer there.
    unsafe { *day = EPOCH as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_int64(_vfs: *mut ffi::sqlite3_vfs, time: *mut i64) -> c_int {
    // SAFETY: SQLite wants the answer there.
    unsafe { *time = EPOCH };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
