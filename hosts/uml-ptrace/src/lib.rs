//! A `ptrace` for User Mode Linux, to be preloaded (`LD_PRELOAD`).
//!
//! User Mode Linux 6.1 saves 2696 bytes of a process's extended state (up to AVX-512 and PKRU)
//! and writes as many back. A processor with more of it, such as AMX, makes the host's kernel
//! refuse that: it takes the whole state or nothing, and UML dies with "ptrace set fp regs
//! failed". So a short write becomes: read all, put the short part over its beginning, write all.
//!
//! And its guests' processes are tracees that outlive it if it is killed: their system calls
//! would then be the host's. So every tracee gets the option to die with its tracer.
//! Everything else goes through as it comes.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_long, c_uint, c_void};

use libc::iovec;

/// The ELF note type of the extended state (`NT_X86_XSTATE`).
const XSTATE: usize = 0x202;

/// The request of old for setting options; UML uses it.
const OLD_SET_OPTIONS: c_uint = 21;

/// More than any processor has today: AMX makes it 11 KiB.
const STATE_LEN_MAX: usize = 64 << 10;

/// UML calls `ptrace` from one thread, and from stacks too small for this.
struct Buffer(UnsafeCell<[u8; STATE_LEN_MAX]>);

// SAFETY: UML's kernel is one thread; there is no second user of the buffer.
unsafe impl Sync for Buffer {}

static STATE: Buffer = Buffer(UnsafeCell::new([0; STATE_LEN_MAX]));

/// What UML calls instead of the C library's `ptrace`.
///
/// # Safety
///
/// As the system call demands: `data` is valid for what `request` does with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ptrace(
    request: c_uint,
    pid: c_int,
    address: *mut c_void,
    data: *mut c_void,
) -> c_long {
    match request {
        libc::PTRACE_PEEKTEXT | libc::PTRACE_PEEKDATA | libc::PTRACE_PEEKUSER => {
            let mut word: c_long = 0;
            // SAFETY: the system call stores one word at its fourth argument.
            let result = unsafe { call(request, pid, address, (&raw mut word).cast()) };
            if result < 0 { result } else { word }
        }
        libc::PTRACE_SETREGSET if address as usize == XSTATE && !data.is_null() => {
            // SAFETY: with this request the caller's `data` is an `iovec` of valid bytes.
            unsafe { set_state(pid, &*data.cast::<iovec>()) }
        }
        OLD_SET_OPTIONS | libc::PTRACE_SETOPTIONS => {
            let options = data.map_addr(|options| options | libc::PTRACE_O_EXITKILL as usize);
            // SAFETY: with these requests the kernel takes `data` as a number.
            unsafe { call(request, pid, address, options) }
        }
        // SAFETY: passed on as the caller vouches for it.
        _ => unsafe { call(request, pid, address, data) },
    }
}

/// Writes the extended state of `pid`, of which `part` is the beginning.
///
/// # Safety
///
/// `part` describes valid bytes.
unsafe fn set_state(pid: c_int, part: &iovec) -> c_long {
    let state = STATE.0.get().cast::<u8>();
    let mut whole = iovec { iov_base: state.cast(), iov_len: STATE_LEN_MAX };
    let whole_pointer = (&raw mut whole).cast();
    // SAFETY: the kernel writes at most `iov_len` bytes, and how many there are into `iov_len`.
    let read = unsafe { call(libc::PTRACE_GETREGSET, pid, XSTATE as *mut c_void, whole_pointer) };
    let len = part.iov_len;
    if read == 0 && len < whole.iov_len {
        // SAFETY: `part` is valid for `len` bytes, the buffer longer, and UML's memory elsewhere.
        unsafe { std::ptr::copy_nonoverlapping(part.iov_base.cast(), state, len) };
    } else {
        whole = iovec { iov_base: part.iov_base, iov_len: len };
    }
    let whole_pointer = (&raw mut whole).cast();
    // SAFETY: the kernel reads the `iov_len` bytes that stand in the buffer or in `part`.
    unsafe { call(libc::PTRACE_SETREGSET, pid, XSTATE as *mut c_void, whole_pointer) }
}

/// The system call itself.
///
/// # Safety
///
/// As the system call demands.
unsafe fn call(request: c_uint, pid: c_int, address: *mut c_void, data: *mut c_void) -> c_long {
    // SAFETY: the caller vouches for `data`.
    unsafe {
        libc::syscall(libc::SYS_ptrace, c_long::from(request), c_long::from(pid), address, data)
    }
}
