//! On what kind of file system the pool lies: one that several hosts share keeps them apart less well than it promises.

use std::path::Path;

/// The name of the network file system that holds a file or folder; `None` for one of this host, and where it cannot
/// be told.
pub fn network(path: &Path) -> Option<&'static str> {
    let there = path.ancestors().find(|folder| folder.exists())?;
    named(kind(there)?)
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> Option<u32> {
    let found = rustix::fs::statfs(path).ok()?;
    // The numbers have 32 bits; the field is wider or signed on some machines.
    u32::try_from(i128::from(found.f_type) & 0xffff_ffff).ok()
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &Path) -> Option<u32> {
    None
}

/// As linux/magic.h and the file systems' own headers number them.
fn named(kind: u32) -> Option<&'static str> {
    Some(match kind {
        0x6969 => "nfs",
        0x517b | 0xfe53_4d42 | 0xff53_4d42 => "smb",
        0x00c3_6400 => "ceph",
        0x0102_1997 => "9p",
        0x0bd0_0bd0 => "lustre",
        0x1980_0202 => "beegfs",
        0x4750_4653 => "gpfs",
        0x5346_414f | 0x6b41_4653 => "afs",
        0x0116_1970 => "gfs2",
        0x7461_636f => "ocfs2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_this_host_are_none_of_the_network() {
        assert_eq!(network(&std::env::temp_dir().join("not/there/yet")), None);
        assert_eq!((named(0x6969), named(0xef53), named(0x0102_1994)), (Some("nfs"), None, None));
    }
}
