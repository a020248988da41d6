//! Returning freed memory of long-lived processes to the kernel.
//!
//! glibc returns automatically only the free memory at the end of a heap, and there is usually a small long-lived
//! allocation at the end: the peak use stays allocated. Other allocators return memory automatically, and are left
//! alone.

/// Environment variable (name and value) of supervisor and runners that keeps them small; it is not passed to their
/// children. By default each thread caches freed pieces of each of 64 sizes: they are spread over the heap, and every
/// page that contains one cannot be returned by [`give_memory_back`], more of them from hour to hour. Other allocators
/// ignore it.
pub const SMALL: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");

/// Makes all threads share one heap. Must be called before the first thread is started. Otherwise each thread would
/// have a heap of its own, kept for the next thread, whose end [`give_memory_back`] does not reach.
#[cfg(target_env = "gnu")]
pub fn share_one_heap() {
    // SAFETY: takes two integers and no pointer. If it is refused, every thread has its own heap as before.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Returns freed memory to the kernel. Call it in a quiet moment after much work: it takes about 50 µs for a heap of
/// half a MiB, and a page that is used again afterwards costs a fault of 0.3 µs.
#[cfg(target_env = "gnu")]
pub fn give_memory_back() {
    // SAFETY: takes an integer and no pointer, and may be called from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Does nothing.
#[cfg(not(target_env = "gnu"))]
pub fn share_one_heap() {}

/// Does nothing.
#[cfg(not(target_env = "gnu"))]
pub fn give_memory_back() {}
