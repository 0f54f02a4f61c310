//! `execl`, `execlp` and `execle`: variable arguments, which Rust functions cannot take. Each entry
//! saves the argument registers, lets Rust repair the environment, and jumps to the real function
//! with the registers as they were.

use std::arch::naked_asm;
use std::ffi::{c_char, c_void};

use libc::c_int;

use crate::environment::{repair_own, repaired_for_good};
use crate::{fence, real};

/// Saves, calls `$prepare` with the address of what was saved, restores, and jumps to what it returned.
macro_rules! entry {
    ($(#[$doc:meta])* $name:ident, $prepare:ident) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// The arguments are as exec(3) requires.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub(crate) unsafe extern "C-unwind" fn $name() -> c_int {
            // Seven pushes keep the stack aligned for the call (System V ABI).
            #[cfg(target_arch = "x86_64")]
            naked_asm!(
                "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
                "mov rdi, rsp",
                "call {prepare}",
                "mov r11, rax",
                "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
                "jmp r11",
                prepare = sym $prepare,
            );
            #[cfg(target_arch = "aarch64")]
            naked_asm!(
                "stp x29, x30, [sp, #-16]!",
                "stp x6, x7, [sp, #-16]!", "stp x4, x5, [sp, #-16]!",
                "stp x2, x3, [sp, #-16]!", "stp x0, x1, [sp, #-16]!",
                "mov x0, sp",
                "bl {prepare}",
                "mov x16, x0",
                "ldp x0, x1, [sp], #16", "ldp x2, x3, [sp], #16",
                "ldp x4, x5, [sp], #16", "ldp x6, x7, [sp], #16",
                "ldp x29, x30, [sp], #16",
                "br x16",
                prepare = sym $prepare,
            );
        }
    };
}

entry!(
    /// execl(3).
    execl, before_execl
);
entry!(
    /// execlp(3).
    execlp, before_execlp
);
entry!(
    /// execle(3), whose environment follows the arguments' terminating null.
    execle, before_execle
);

extern "C" fn before_execl(_saved: *mut *const c_char) -> *const c_void {
    fence::fenced(repair_own, || ());
    address(real::execl.get())
}

extern "C" fn before_execlp(_saved: *mut *const c_char) -> *const c_void {
    fence::fenced(repair_own, || ());
    address(real::execlp.get())
}

extern "C" fn before_execle(saved: *mut *const c_char) -> *const c_void {
    fence::fenced(
        || {
            // SAFETY: the arguments end with a null and the environment, by the contract of
            // execle(3), so every place up to there exists. They are the callee's to change.
            unsafe {
                let mut i = 1;
                while !(*place(saved, i)).is_null() {
                    i += 1;
                }
                let environment = place(saved, i + 1);
                *environment = repaired_for_good((*environment).cast()).cast();
            }
        },
        || (),
    );
    address(real::execle.get())
}

/// Where argument `i` is: among the saved registers, or on the caller's stack behind them.
///
/// # Safety
///
/// `saved` comes from an entry above, and the call has an argument `i`.
unsafe fn place(saved: *mut *const c_char, i: usize) -> *mut *const c_char {
    // x86-64: rax, r9 … rdi, the return address, the caller's stack.
    #[cfg(target_arch = "x86_64")]
    let index = if i < 6 { 6 - i } else { 8 + (i - 6) };
    // aarch64: x0 … x7, x29, x30, the caller's stack.
    #[cfg(target_arch = "aarch64")]
    let index = if i < 8 { i } else { 10 + (i - 8) };
    // SAFETY: the caller's promise.
    unsafe { saved.add(index) }
}

type Execl = unsafe extern "C-unwind" fn() -> c_int;

fn address(function: Option<Execl>) -> *const c_void {
    extern "C" fn missing() -> c_int {
        crate::errno::fail(libc::ENOSYS)
    }
    match function {
        Some(function) => function as *const c_void,
        None => missing as *const c_void,
    }
}
