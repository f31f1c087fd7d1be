//! The storage seam: one directory of flat files, as the write-ahead log and the snapshot files need it.
//!
//! Blocking: called from the log's own writer thread, from `spawn_blocking`, or before a node serves. [`RealDisk`] is the
//! file system; `SimulatedDisk` loses, tears and refuses. What is not here: anything that the two users do not need.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Kept for as long as a lock is held.
pub trait DiskLock: Send + Sync {}

/// One open file. Stays readable after its name was removed.
pub trait DiskFile: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter, else what the disk says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; durable after [`DiskFile::sync_data`].
    ///
    /// # Errors
    /// What the disk says; any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes everything written to this file durable, and its length.
    ///
    /// # Errors
    /// What the disk says. Then it is unknown what is durable, and asking again proves nothing.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes the file `length` bytes long, with zeros, and takes the space for it where the file system can.
    ///
    /// # Errors
    /// `StorageFull` if there is not enough, else what the disk says.
    fn preallocate(&self, length: u64) -> io::Result<()>;
}

/// One directory. Names are plain file names.
pub trait Disk: Send + Sync + 'static {
    /// Makes a new empty file. The name is durable after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// `AlreadyExists`, or what the disk says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// The names there are, sorted.
    ///
    /// # Errors
    /// What the disk says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, replacing the file that had it.
    ///
    /// # Errors
    /// What the disk says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every name made, changed or removed before durable.
    ///
    /// # Errors
    /// What the disk says.
    fn sync_directory(&self) -> io::Result<()>;

    /// How many bytes can still be written.
    ///
    /// # Errors
    /// What the disk says.
    fn free_bytes(&self) -> io::Result<u64>;

    /// Locks the directory through the file `name`, against this and every other process of the machine.
    ///
    /// # Errors
    /// `WouldBlock` if somebody has the lock, else what the disk says.
    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>>;

    /// Where this is, for messages to the operator.
    fn place(&self) -> String;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct RealDisk {
    directory: PathBuf,
}

impl RealDisk {
    /// Uses `directory`; makes it, and what is above it, if it is not there.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Disk for RealDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(self.path(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let space = rustix::fs::statvfs(&self.directory)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.path(name))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn place(&self) -> String {
        self.directory.display().to_string()
    }
}

/// The operating system lets the lock go when the file is closed, also after kill -9.
struct RealLock {
    _file: File,
}

impl DiskLock for RealLock {}

struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn preallocate(&self, length: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&self.0, flags, 0, length) {
            // Some file systems cannot reserve. The length alone still makes appending cheaper; a full disk then shows
            // at a write instead of here.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(length),
            outcome => Ok(outcome?),
        }
    }
}
