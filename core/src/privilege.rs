//! Whether the kernel starts a program in secure-execution mode (`AT_SECURE`, getauxval(3)), in
//! which ld.so takes no library from `LD_PRELOAD` that the user chose.

use std::os::fd::AsFd;

use rustix::fs::StatVfsMountFlags;
use rustix::io::Errno;

/// Bits of `st_mode` (inode(7)). Set-group-id means something only on what the group may execute.
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;

/// Who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asker {
    /// getuid(2)
    pub real_uid: u32,
    /// geteuid(2)
    pub effective_uid: u32,
    /// getgid(2)
    pub real_gid: u32,
    /// getegid(2)
    pub effective_gid: u32,
    /// `PR_SET_NO_NEW_PRIVS`: set-id bits mean nothing.
    pub no_new_privileges: bool,
}

impl Asker {
    /// The calling process.
    pub fn this_process() -> Self {
        Self {
            real_uid: rustix::process::getuid().as_raw(),
            effective_uid: rustix::process::geteuid().as_raw(),
            real_gid: rustix::process::getgid().as_raw(),
            effective_gid: rustix::process::getegid().as_raw(),
            no_new_privileges: rustix::thread::no_new_privs().unwrap_or(false),
        }
    }
}

/// What a file gives to whoever executes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Privilege {
    /// The owner, where the file is set-user-ID.
    pub uid: Option<u32>,
    /// The group, where the file is set-group-ID.
    pub gid: Option<u32>,
    /// The mask of permitted capabilities (capabilities(7)).
    pub capabilities: Option<u64>,
    /// On a file system mounted `nosuid`, where all of this means nothing.
    pub ignored: bool,
}

impl Privilege {
    /// Of an open file. Allocates nothing.
    pub fn of(file: impl AsFd) -> Result<Self, Errno> {
        let file = file.as_fd();
        let found = rustix::fs::fstat(file)?;
        let mode = found.st_mode;
        let mut privilege = Self {
            uid: (mode & SET_UID != 0).then_some(found.st_uid),
            gid: (mode & SET_GID != 0 && mode & GROUP_EXECUTE != 0).then_some(found.st_gid),
            capabilities: capabilities(file),
            ignored: false,
        };
        if privilege != Self::default() {
            let system = rustix::fs::fstatvfs(file)?;
            privilege.ignored = system.f_flag.contains(StatVfsMountFlags::NOSUID);
        }
        Ok(privilege)
    }

    /// Why `asker` would start this in secure-execution mode; `None` if it would not. Follows
    /// `cap_bprm_creds_from_file` in security/commoncap.c.
    pub fn secure(&self, asker: &Asker) -> Option<&'static str> {
        let set_id = !self.ignored && !asker.no_new_privileges;
        let uid = self.uid.filter(|_| set_id);
        let gid = self.gid.filter(|_| set_id);
        if uid.is_some_and(|uid| uid != asker.real_uid) {
            return Some("is set-user-ID");
        }
        if gid.is_some_and(|gid| gid != asker.real_gid) {
            return Some("is set-group-ID");
        }
        if uid.is_none() && asker.effective_uid != asker.real_uid
            || gid.is_none() && asker.effective_gid != asker.real_gid
        {
            return Some("would run with a real user or group that is not the effective one");
        }
        if self.capabilities.is_some() && !self.ignored && asker.real_uid != 0 {
            return Some("has file capabilities");
        }
        None
    }
}

/// `security.capability`: `struct vfs_cap_data`, little-endian. One that cannot be understood
/// counts as one that gives everything.
fn capabilities(file: impl AsFd) -> Option<u64> {
    let mut data = [0u8; 32];
    let length = rustix::fs::fgetxattr(file, "security.capability", &mut data).ok()?;
    let word = |at: usize| {
        let bytes = data.get(..length)?.get(at..at + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    Some(match (word(4), word(12)) {
        (Some(low), high) => low | high.unwrap_or(0) << 32,
        _ => u64::MAX,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Asker = Asker {
        real_uid: 1000,
        effective_uid: 1000,
        real_gid: 1000,
        effective_gid: 1000,
        no_new_privileges: false,
    };
    const ROOT: Asker =
        Asker { real_uid: 0, effective_uid: 0, real_gid: 0, effective_gid: 0, no_new_privileges: false };

    #[test]
    fn only_a_change_of_user_or_group_is_secure() {
        let none = Privilege::default();
        let set_uid = |uid| Privilege { uid: Some(uid), ..none };
        let set_gid = |gid| Privilege { gid: Some(gid), ..none };
        let capable = Privilege { capabilities: Some(0x2000), ..none };
        let table = [
            (none, USER, None),
            (none, ROOT, None),
            (set_uid(0), USER, Some("is set-user-ID")),
            (set_uid(0), ROOT, None),
            (set_uid(1000), USER, None),
            (set_uid(1000), ROOT, Some("is set-user-ID")),
            (set_gid(5), USER, Some("is set-group-ID")),
            (set_gid(5), ROOT, Some("is set-group-ID")),
            (set_gid(0), ROOT, None),
            (capable, USER, Some("has file capabilities")),
            (capable, ROOT, None),
        ];
        for (privilege, asker, why) in table {
            assert_eq!(privilege.secure(&asker), why, "{privilege:?} {asker:?}");
            let ignored = Privilege { ignored: true, ..privilege };
            assert_eq!(ignored.secure(&asker), None, "{ignored:?} {asker:?}");
        }
    }

    #[test]
    fn without_new_privileges_set_id_bits_mean_nothing_and_capabilities_still_do() {
        let bound = Asker { no_new_privileges: true, ..USER };
        assert_eq!(Privilege { uid: Some(0), ..Privilege::default() }.secure(&bound), None);
        assert!(Privilege { capabilities: Some(1), ..Privilege::default() }.secure(&bound).is_some());
    }

    #[test]
    fn a_launcher_with_a_borrowed_user_starts_everything_in_secure_mode() {
        let borrowed = Asker { effective_uid: 0, ..USER };
        assert!(Privilege::default().secure(&borrowed).is_some());
    }
}
