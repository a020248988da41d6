//! The free space on a disk.

use std::path::Path;

use nix::{sys::statvfs::statvfs, unistd::geteuid};

/// Returns how many bytes this user can still write to the disk that holds `path`; `None` if the file system does not say.
pub fn free_space(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok().filter(|disk| disk.blocks() > 0)?;
    // Part of it is root's alone.
    let blocks = if geteuid().is_root() { disk.blocks_free() } else { disk.blocks_available() };
    Some(blocks.saturating_mul(disk.fragment_size()))
}
