//! Pipes with a larger capacity.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};

/// The largest capacity of a pipe without privileges (`/proc/sys/fs/pipe-max-size`), in bytes; the default is 64 KiB.
const LARGEST: i32 = 1 << 20;

/// Sets a pipe's capacity to the maximum, for a writer that does not wait for its reader: programs of node and bun
/// queue what does not fit, and lose it when they exit. If the system's total for pipes is used up, the capacity stays
/// as it was.
pub fn widen_pipe(pipe: impl AsFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(LARGEST));
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use nix::fcntl::OFlag;

    use super::*;

    #[test]
    fn a_writer_that_exits_before_anything_is_read_loses_nothing() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        widen_pipe(&reader);
        let long = vec![b'x'; 1 << 20];
        let written = writer.write(&long).unwrap();
        drop(writer);
        assert_eq!(written, long.len());
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), long.len());
    }
}
