//! A disk that can be filled: a file system of its own, of a size that is given.

use std::path::PathBuf;
use std::process::Command;

/// A file system in memory; gone with the test.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount(path: PathBuf, mib: u32) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success(), "a file system is mounted at {}", path.display());
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process of the test may still be ending.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
