//! Functions with variable arguments, which Rust functions cannot take, and such as go by who has called them. Each entry saves the argument
//! registers, lets Rust judge, and jumps to the function that Rust has chosen, with the registers and the
//! stack as they were: nothing of ours is left below what is called.

use std::ffi::c_long;

/// Saves, calls `$prepare` with the address of what was saved, restores, and jumps to what it returned.
macro_rules! entry {
    ($(#[$doc:meta])* $name:ident -> $r:ty, $prepare:ident) => {
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// The arguments are as the function of this name requires.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub(crate) unsafe extern "C-unwind" fn $name() -> $r {
            // Seven pushes keep the stack aligned for the call (System V ABI).
            #[cfg(target_arch = "x86_64")]
            std::arch::naked_asm!(
                "push rdi", "push rsi", "push rdx", "push rcx", "push r8", "push r9", "push rax",
                "mov rdi, rsp",
                "call {prepare}",
                "mov r11, rax",
                "pop rax", "pop r9", "pop r8", "pop rcx", "pop rdx", "pop rsi", "pop rdi",
                "jmp r11",
                prepare = sym $prepare,
            );
            #[cfg(target_arch = "aarch64")]
            std::arch::naked_asm!(
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
pub(super) use entry;

/// An argument as it was saved: as wide as a register.
pub(super) type Saved = c_long;

/// Where argument `i` is: among the saved registers, or on the caller's stack behind them.
///
/// # Safety
///
/// `saved` comes from an entry above, and the call has an argument `i`.
pub(super) unsafe fn place(saved: *mut Saved, i: usize) -> *mut Saved {
    // x86-64: rax, r9 … rdi, the return address, the caller's stack.
    #[cfg(target_arch = "x86_64")]
    let index = if i < 6 { 6 - i } else { 8 + (i - 6) };
    // aarch64: x0 … x7, x29, x30, the caller's stack.
    #[cfg(target_arch = "aarch64")]
    let index = if i < 8 { i } else { 10 + (i - 8) };
    // SAFETY: the caller's promise.
    unsafe { saved.add(index) }
}
