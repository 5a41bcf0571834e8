//! The layer between SQLite and its files: SQLite's own interface to the system (a VFS), answered from a [`Disk`].
//!
//! This is the one place of the crate with unsafe code, and only tests have it. The interface is one of C functions that are handed
//! pointers by SQLite; there is no other way to stand between the real engine and its files. Every pointer is used as SQLite's
//! documentation of `sqlite3_vfs` and `sqlite3_io_methods` grants: a file's memory belongs to this layer from `xOpen` to `xClose`,
//! names end in zero, buffers have the stated length. Shared memory is that of the process, since all connections are in it.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, reason = "see above")]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::ffi;

use super::disk::{Disk, Trouble};

/// The name under which SQLite knows the layer.
pub(super) const LAYER: &str = "quittance-power-loss";

/// A machine with one disk, on which files can be opened by a path.
pub(super) struct Machine {
    number: u64,
    state: Arc<State>,
}

/// What the connections of one machine have in common.
#[derive(Default)]
struct State {
    disk: Mutex<Disk>,
    memory: Mutex<SharedMemory>,
}

#[derive(Default)]
struct SharedMemory {
    regions: Vec<Box<[u64]>>,
    // Holders of each lock: -1 for one exclusive holder.
    locks: [i32; ffi::SQLITE_SHM_NLOCK as usize],
}

#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

struct Handle {
    state: Arc<State>,
    name: String,
    shared: u8,
    exclusive: u8,
}

static MACHINES: Mutex<BTreeMap<u64, Arc<State>>> = Mutex::new(BTreeMap::new());

impl Machine {
    pub(super) fn with(disk: Disk) -> Self {
        static NEXT: Mutex<u64> = Mutex::new(0);
        register();
        let number = {
            let mut next = NEXT.lock().unwrap();
            *next += 1;
            *next
        };
        let state = Arc::new(State {
            disk: Mutex::new(disk),
            memory: Mutex::default(),
        });
        MACHINES.lock().unwrap().insert(number, Arc::clone(&state));
        Self { number, state }
    }

    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/{}/journal.sqlite", self.number))
    }

    pub(super) fn disk<R>(&self, look: impl FnOnce(&mut Disk) -> R) -> R {
        look(&mut self.state.disk.lock().unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        MACHINES.lock().unwrap().remove(&self.number);
    }
}

/// What a [`super::super::database::Place`] asks of the system, asked of the machine that the path names.
pub(super) fn settle(path: &Path) -> io::Result<()> {
    on_machine(path, Disk::settle)
}

/// Likewise.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    on_machine(path, |disk, name| {
        let mut content = vec![0; disk.len(name)];
        disk.read(name, 0, &mut content).map(|_| content)
    })
}

/// Likewise, for the four-hundredth part: these logs are short.
pub(super) fn reserve(path: &Path, bytes: u64) -> io::Result<()> {
    on_any_machine(path, |disk, name| {
        if !disk.exists(name) {
            disk.create(name)?;
        }
        let there = disk.len(name);
        let missing = usize::try_from(bytes / 400).unwrap().saturating_sub(there);
        disk.write(name, there, &vec![0; missing])?;
        disk.sync(name)
    })
}

fn on_machine<R>(path: &Path, call: impl FnOnce(&mut Disk, &str) -> Result<R, Trouble>) -> io::Result<R> {
    let existing = |disk: &mut Disk, name: &str| disk.exists(name).then(|| call(disk, name)).transpose();
    on_any_machine(path, existing)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn on_any_machine<R>(path: &Path, call: impl FnOnce(&mut Disk, &str) -> Result<R, Trouble>) -> io::Result<R> {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let (state, name) = unsafe { find(path.as_ptr()) }.ok_or(io::ErrorKind::NotFound)?;
    let mut disk = state.disk.lock().unwrap();
    call(&mut disk, &name).map_err(|trouble| io::Error::other(format!("{trouble:?}")))
}

fn register() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let vfs = Box::leak(Box::new(ffi::sqlite3_vfs {
            iVersion: 2,
            szOsFile: c_int::try_from(size_of::<OpenFile>()).unwrap(),
            mxPathname: 512,
            pNext: ptr::null_mut(),
            zName: c"quittance-power-loss".as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: None,
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        }));
        assert_eq!(unsafe { ffi::sqlite3_vfs_register(vfs, 0) }, ffi::SQLITE_OK);
    });
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read_at),
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
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

// A path is the machine's number and the file's name.
unsafe fn find(path: *const c_char) -> Option<(Arc<State>, String)> {
    let path = unsafe { CStr::from_ptr(path) }.to_str().ok()?;
    let (number, name) = path.strip_prefix('/')?.split_once('/')?;
    let state = MACHINES.lock().unwrap().get(&number.parse().ok()?).cloned()?;
    Some((state, name.to_owned()))
}

unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

unsafe fn on_disk(
    file: *mut ffi::sqlite3_file,
    call: impl FnOnce(&mut Disk, &str) -> Result<c_int, Trouble>,
    error: c_int,
) -> c_int {
    let handle = unsafe { handle(file) };
    match call(&mut handle.state.disk.lock().unwrap(), &handle.name) {
        Ok(code) => code,
        Err(Trouble::Full) => ffi::SQLITE_FULL,
        Err(Trouble::Dead | Trouble::SyncFailed | Trouble::ReadFailed) => error,
    }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SQLite closes what has methods, whatever open said.
    unsafe { (*file).pMethods = ptr::null() };
    let Some((state, name)) = (unsafe { find(name) }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    let opened = {
        let mut disk = state.disk.lock().unwrap();
        if flags & ffi::SQLITE_OPEN_CREATE == 0 && !disk.exists(&name) {
            return ffi::SQLITE_CANTOPEN;
        }
        disk.create(&name)
    };
    if opened.is_err() {
        return ffi::SQLITE_CANTOPEN;
    }
    let handle = Box::into_raw(Box::new(Handle {
        state,
        name,
        shared: 0,
        exclusive: 0,
    }));
    unsafe {
        (*file.cast::<OpenFile>()).handle = handle;
        (*file).pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    unsafe {
        shm_unmap(file, 0);
        drop(Box::from_raw((*file.cast::<OpenFile>()).handle));
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn read_at(file: *mut ffi::sqlite3_file, buffer: *mut c_void, length: c_int, offset: i64) -> c_int {
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), usize::try_from(length).unwrap()) };
    let read = |disk: &mut Disk, name: &str| {
        let there = disk.read(name, usize::try_from(offset).unwrap(), buffer)?;
        if there == buffer.len() {
            return Ok(ffi::SQLITE_OK);
        }
        buffer[there..].fill(0);
        Ok(ffi::SQLITE_IOERR_SHORT_READ)
    };
    unsafe { on_disk(file, read, ffi::SQLITE_IOERR_READ) }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, bytes: *const c_void, length: c_int, offset: i64) -> c_int {
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(length).unwrap()) };
    let offset = usize::try_from(offset).unwrap();
    let write = |disk: &mut Disk, name: &str| disk.write(name, offset, bytes).map(|()| ffi::SQLITE_OK);
    unsafe { on_disk(file, write, ffi::SQLITE_IOERR_WRITE) }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    let length = usize::try_from(length).unwrap();
    let truncate = |disk: &mut Disk, name: &str| disk.truncate(name, length).map(|()| ffi::SQLITE_OK);
    unsafe { on_disk(file, truncate, ffi::SQLITE_IOERR_TRUNCATE) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    let sync = |disk: &mut Disk, name: &str| disk.sync(name).map(|()| ffi::SQLITE_OK);
    unsafe { on_disk(file, sync, ffi::SQLITE_IOERR_FSYNC) }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    let handle = unsafe { handle(file) };
    let length = handle.state.disk.lock().unwrap().len(&handle.name);
    unsafe { *size = i64::try_from(length).unwrap() };
    ffi::SQLITE_OK
}

// Locks on the file itself keep out journals of the old kind and other processes: there are none of either here.
unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    unsafe { *held = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

// Both as SQLite's own layer for Unix says.
unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let handle = unsafe { handle(file) };
    let mut memory = handle.state.memory.lock().unwrap();
    let (region, words) = (usize::try_from(region).unwrap(), usize::try_from(size).unwrap() / 8);
    while memory.regions.len() <= region && extend != 0 {
        memory.regions.push(vec![0; words].into_boxed_slice());
    }
    let start = memory
        .regions
        .get_mut(region)
        .map_or(ptr::null_mut(), |region| region.as_mut_ptr().cast());
    unsafe { *out = start };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    let handle = unsafe { handle(file) };
    let mut memory = handle.state.memory.lock().unwrap();
    let slots = offset..offset + count;
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    let is_lock = flags & ffi::SQLITE_SHM_LOCK != 0;
    if is_lock {
        let free = |slot: c_int| {
            let (mask, holders) = (1_u8 << slot, memory.locks[usize::try_from(slot).unwrap()]);
            let others = holders - i32::from(handle.shared & mask != 0);
            if exclusive { others == 0 } else { holders >= 0 }
        };
        if !slots.clone().all(free) {
            return ffi::SQLITE_BUSY;
        }
    }
    for slot in slots {
        let mask = 1_u8 << slot;
        let holders = &mut memory.locks[usize::try_from(slot).unwrap()];
        let held = if exclusive {
            &mut handle.exclusive
        } else {
            &mut handle.shared
        };
        match (is_lock, *held & mask != 0) {
            (true, false) => {
                *held |= mask;
                *holders = if exclusive { -1 } else { *holders + 1 };
            }
            (false, true) => {
                *held &= !mask;
                *holders = if exclusive { 0 } else { *holders - 1 };
            }
            (true, true) | (false, false) => {}
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    let handle = unsafe { handle(file) };
    let mut memory = handle.state.memory.lock().unwrap();
    for (slot, holders) in memory.locks.iter_mut().enumerate() {
        if handle.exclusive >> slot & 1 != 0 {
            *holders = 0;
        }
        if handle.shared >> slot & 1 != 0 {
            *holders -= 1;
        }
    }
    (handle.shared, handle.exclusive) = (0, 0);
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int) -> c_int {
    match unsafe { find(name) } {
        Some((state, name)) if state.disk.lock().unwrap().delete(&name).is_ok() => ffi::SQLITE_OK,
        _ => ffi::SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int, found: *mut c_int) -> c_int {
    let exists = unsafe { find(name) }.is_some_and(|(state, name)| state.disk.lock().unwrap().exists(&name));
    unsafe { *found = c_int::from(exists) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    length: c_int,
    out: *mut c_char,
) -> c_int {
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > usize::try_from(length).unwrap() {
        return ffi::SQLITE_CANTOPEN;
    }
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    unsafe { ptr::write_bytes(out, 7, usize::try_from(length).unwrap()) };
    length
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, now: *mut i64) -> c_int {
    unsafe { *now = 210_866_760_000_000 };
    ffi::SQLITE_OK
}
