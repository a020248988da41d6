//! The memory that a long-lived process of ours has freed, and its allocator keeps.
//!
//! glibc's gives back by itself only what lies at the end of a heap, and there is always something small and long-lived
//! that lies there: whatever was ever used at once stays. Other allocators give back by themselves, and are left alone.

/// What is set in the environment of a supervisor and of runners, that they stay small, as name and value; what they start
/// does not get it. Each thread keeps some
/// freed pieces of each of 64 sizes for itself: they lie all over the heap, and every page that one of them lies in is one
/// that [`give_memory_back`] can't give, more of them from hour to hour. Others than glibc's do not read it.
pub const SMALL: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// To be called before the first thread is started: they all share one heap. Each would have one of its own, kept for
/// the next thread, and [`give_memory_back`] does not reach the end of those.
#[cfg(target_env = "gnu")]
pub fn share_one_heap() {
    // SAFETY: takes two integers and no pointer. Where it is refused, every thread has its own as before.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives the kernel back what was freed. For a quiet moment after much work: some 50 µs for a heap of half a MiB, and a
/// page that is used again afterwards costs a fault of 0.3 µs.
#[cfg(target_env = "gnu")]
pub fn give_memory_back() {
    // SAFETY: takes an integer and no pointer, and may be called from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Nothing to be done.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}

/// Nothing to be done.
#[cfg(not(target_env = "gnu"))]
pub fn give_memory_back() {}
